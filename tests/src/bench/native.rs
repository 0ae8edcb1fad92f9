//! The peers that a benchmark talks to, and the native loops that guests are measured against.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use socket2::SockRef;

/// Datagrams that are on their way at once.
const BURST: u64 = 64;

/// One thing to measure, as the guest program `bench_transfer_ok` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// `send`, `receive`, `round-trip`, `connect`, `accept`, `datagram-send`, `datagram-receive`,
    /// `batch-send`, `batch-receive`.
    pub operation: &'static str,
    /// The bytes of one call.
    pub size: usize,
    /// How many calls.
    pub count: u64,
}

/// A listener on loopback for [`serve`], whose backlog takes all that come before it has its turn.
///
/// # Errors
/// A socket failed.
pub fn listener() -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// A TCP port that is free, below those that the kernel gives to connections.
///
/// # Panics
/// All of them are in use.
pub fn unused_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 8_000) as u16;
    let ports = (0..8_000).map(|_| 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000);
    ports
        .into_iter()
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("a port is free")
}

/// Serves connections of [`native`] and of the guest program `bench_transfer_ok`, one after the
/// other, until the process ends.
///
/// # Errors
/// A socket failed.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A client that gives up ends its own connection alone.
        let _ = serve_one(listener, stream);
    }
}

fn serve_one(listener: &TcpListener, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 17];
    stream.read_exact(&mut request)?;
    let number = |at: usize| {
        request[at..at + 8].iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
    };
    let (mut left, size) = (number(1), usize::try_from(number(9)).unwrap_or(1));
    stream.write_all(&[1])?;
    let mut buffer = vec![7; size.clamp(64 * 1024, 1 << 20)];
    match request[0] {
        b's' => {
            while left > 0 {
                left = left.saturating_sub(some(stream.read(&mut buffer)?)? as u64);
            }
            stream.write_all(&[1])
        }
        b'r' => {
            while left > 0 {
                let now = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                stream.write_all(&buffer[..now])?;
                left -= now as u64;
            }
            Ok(())
        }
        b'c' => {
            let all: Vec<TcpStream> =
                (0..left).map(|_| Ok(listener.accept()?.0)).collect::<io::Result<_>>()?;
            // The client is done when it closes this one.
            let _ = stream.read(&mut [0]);
            for connection in &all {
                // No TIME_WAIT on either side, or the ports would be used up.
                SockRef::from(connection).set_linger(Some(Duration::ZERO))?;
            }
            Ok(())
        }
        b'a' => {
            let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(size).unwrap_or(0)));
            while left > 0 {
                let burst: Vec<TcpStream> = (0..left.min(BURST))
                    .map(|_| TcpStream::connect(address))
                    .collect::<io::Result<_>>()?;
                left -= burst.len() as u64;
                for mut connection in burst {
                    let _ = connection.read(&mut [0])?;
                }
            }
            Ok(())
        }
        _ => loop {
            stream.read_exact(&mut buffer[..size])?;
            stream.write_all(&buffer[..size])?;
        },
    }
}

fn some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
}

/// Opens a connection. The peer knows what to do on it, and is ready.
fn control(port: u16, operation: u8, total: u64, size: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(
        &[&[operation][..], &total.to_le_bytes(), &(size as u64).to_le_bytes()].concat(),
    )?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// The same work by a native loop: how long it took. A batch is one system call a datagram here:
/// [`native_batch`] has the other.
///
/// # Errors
/// A socket failed.
pub fn native(port: u16, work: Work) -> io::Result<Duration> {
    let Work { operation, size, count } = work;
    let total = count * size as u64;
    let mut buffer = vec![7; size];
    match operation {
        "send" => {
            let mut stream = control(port, b's', total, size)?;
            let start = Instant::now();
            for _ in 0..count {
                stream.write_all(&buffer)?;
            }
            stream.read_exact(&mut [0])?;
            Ok(start.elapsed())
        }
        "receive" => {
            let mut stream = control(port, b'r', total, size)?;
            let mut left = total;
            let start = Instant::now();
            while left > 0 {
                left = left.saturating_sub(some(stream.read(&mut buffer)?)? as u64);
            }
            Ok(start.elapsed())
        }
        "round-trip" => {
            let mut stream = control(port, b'e', total, size)?;
            let start = Instant::now();
            for _ in 0..count {
                stream.write_all(&buffer)?;
                stream.read_exact(&mut buffer)?;
            }
            Ok(start.elapsed())
        }
        "connect" => {
            let _control = control(port, b'c', count, 0)?;
            let start = Instant::now();
            for _ in 0..count {
                drop(TcpStream::connect(("127.0.0.1", port))?);
            }
            Ok(start.elapsed())
        }
        "accept" => {
            let listener = TcpListener::bind(("127.0.0.1", u16::try_from(size).unwrap_or(0)))?;
            let _control = control(port, b'a', count, size)?;
            let start = Instant::now();
            for _ in 0..count {
                drop(listener.accept()?);
            }
            Ok(start.elapsed())
        }
        "datagram-send" | "batch-send" => datagrams(&buffer, count, |sender, data, to| {
            (0..BURST).try_for_each(|_| sender.send_to(data, to).map(drop))
        })
        .map(|(sending, _)| sending),
        _ => datagrams(&buffer, count, |sender, data, to| {
            (0..BURST).try_for_each(|_| sender.send_to(data, to).map(drop))
        })
        .map(|(_, receiving)| receiving),
    }
}

/// A batch natively: sendmmsg(2).
///
/// # Errors
/// A socket failed.
pub fn native_batch(work: Work) -> io::Result<Duration> {
    let send = |sender: &UdpSocket, data: &[u8], to: SocketAddr| {
        let (address, data) = (SocketAddrAny::from(to), [IoSlice::new(data)]);
        let mut none: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            (0..BURST).map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<_> =
            none.iter_mut().map(|none| MMsgHdr::new_with_addr(&address, &data, none)).collect();
        let sent = sendmmsg(sender, &mut messages, SendFlags::empty())?;
        if sent as u64 == BURST { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    };
    datagrams(&vec![7; work.size], work.count, send).map(|(sending, _)| sending)
}

/// Bursts from one socket to another of the same process: what sending took, and what receiving
/// took.
fn datagrams(
    data: &[u8],
    count: u64,
    mut send: impl FnMut(&UdpSocket, &[u8], SocketAddr) -> io::Result<()>,
) -> io::Result<(Duration, Duration)> {
    let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let to = receiver.local_addr()?;
    let mut buffer = vec![0; data.len()];
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..count / BURST {
        let start = Instant::now();
        send(&sender, data, to)?;
        sending += start.elapsed();
        let start = Instant::now();
        for _ in 0..BURST {
            receiver.recv_from(&mut buffer)?;
        }
        receiving += start.elapsed();
    }
    Ok((sending, receiving))
}
