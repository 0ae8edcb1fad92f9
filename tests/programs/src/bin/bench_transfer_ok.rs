//! `bench_transfer_ok OPERATION PORT SIZE COUNT`: the guest's side of a benchmark,
//! `bench/native.rs` in the tests has the same natively. Moves data to or from a peer that the
//! benchmark runs at PORT, makes or takes connections (SIZE is then the guest's own port), or sends
//! datagrams of SIZE bytes to itself. Prints the nanoseconds that it took. `idle` connects to PORT,
//! and sends back each byte that comes.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{self, local_address};
use sandsock::raw::transfers::{BatchEntry, receive_batch, send_batch};
use sandsock::raw::types::{Address, InetAddress, Wait};
use sandsock::{Error, Flags, ServerOptions, Socket, create_server};
use sandsock_test_programs::{argument, datagrams};

/// Datagrams that are on their way at once.
const BURST: u64 = 64;

fn main() -> Result<(), Error> {
    let (operation, port, size, count): (String, u16, usize, u64) =
        (argument(0), argument(1), argument(2), argument(3));
    let elapsed = match operation.as_str() {
        "send" => send(&control(port, b's', count * size as u64, size)?, size, count),
        "receive" => receive(&control(port, b'r', count * size as u64, size)?, size, count),
        "round-trip" => round_trip(&control(port, b'e', count * size as u64, size)?, size, count),
        "connect" => connect(port, count),
        "accept" => accept(port, size, count),
        "datagram-send" => single(size, count).map(|(sending, _)| sending),
        "datagram-receive" => single(size, count).map(|(_, receiving)| receiving),
        "batch-send" => batch(size, count).map(|(sending, _)| sending),
        "batch-receive" => batch(size, count).map(|(_, receiving)| receiving),
        "idle" => idle(port),
        other => panic!("no operation {other}"),
    }?;
    println!("{}", elapsed.as_nanos());
    Ok(())
}

/// Opens a connection. The peer knows what to do on it, and is ready.
fn control(port: u16, operation: u8, total: u64, size: usize) -> Result<Socket, Error> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", port))?;
    let request = [&[operation][..], &total.to_le_bytes(), &(size as u64).to_le_bytes()].concat();
    socket.sendall(&request, Flags::NONE)?;
    socket.recv(1, MSG_WAITALL)?;
    Ok(socket)
}

fn send(socket: &Socket, size: usize, count: u64) -> Result<Duration, Error> {
    let buffer = vec![7; size];
    let start = Instant::now();
    for _ in 0..count {
        socket.sendall(&buffer, Flags::NONE)?;
    }
    socket.recv(1, Flags::NONE)?;
    Ok(start.elapsed())
}

fn receive(socket: &Socket, size: usize, count: u64) -> Result<Duration, Error> {
    let mut buffer = vec![7; size];
    let mut left = count * size as u64;
    let start = Instant::now();
    while left > 0 {
        let got = socket.recv_into(&mut buffer, Flags::NONE)?;
        assert!(got > 0, "the peer ended too soon");
        left -= got as u64;
    }
    Ok(start.elapsed())
}

fn round_trip(socket: &Socket, size: usize, count: u64) -> Result<Duration, Error> {
    let mut buffer = vec![7; size];
    let start = Instant::now();
    for _ in 0..count {
        socket.sendall(&buffer, Flags::NONE)?;
        let mut filled = 0;
        while filled < size {
            let got = socket.recv_into(&mut buffer[filled..], Flags::NONE)?;
            assert!(got > 0, "the peer ended too soon");
            filled += got;
        }
    }
    Ok(start.elapsed())
}

fn connect(port: u16, count: u64) -> Result<Duration, Error> {
    let _control = control(port, b'c', count, 0)?;
    let start = Instant::now();
    for _ in 0..count {
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        socket.connect(("127.0.0.1", port))?;
        socket.close()?;
    }
    Ok(start.elapsed())
}

fn accept(port: u16, own: usize, count: u64) -> Result<Duration, Error> {
    let listener = create_server(("127.0.0.1", own as u16), ServerOptions::default())?;
    let _control = control(port, b'a', count, own)?;
    let start = Instant::now();
    for _ in 0..count {
        listener.accept()?.0.close()?;
    }
    Ok(start.elapsed())
}

/// Bursts from one socket of its own to another: what sending took, and what receiving took.
fn single(size: usize, count: u64) -> Result<(Duration, Duration), Error> {
    let (sender, receiver) = (datagrams(AF_INET)?, datagrams(AF_INET)?);
    let address = receiver.getsockname()?;
    let data = vec![7; size];
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..count / BURST {
        let start = Instant::now();
        for _ in 0..BURST {
            sender.sendto(&data, Flags::NONE, &address)?;
        }
        sending += start.elapsed();
        let start = Instant::now();
        for _ in 0..BURST {
            receiver.recvfrom(size, Flags::NONE)?;
        }
        receiving += start.elapsed();
    }
    Ok((sending, receiving))
}

/// The same, each burst as one batch.
fn batch(size: usize, count: u64) -> Result<(Duration, Duration), Error> {
    let (sender, receiver) = (udp(), udp());
    let Ok(Some(address)) = local_address(&receiver) else { panic!("an address") };
    let data = vec![7; size * BURST as usize];
    let entries: Vec<_> = (0..BURST)
        .map(|_| BatchEntry { length: size as u32, address: Some(&address), control: &[] })
        .collect();
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..count / BURST {
        let start = Instant::now();
        assert_eq!(send_batch(&sender, &data, &entries, 0, Wait::Forever), Ok(BURST as u32));
        sending += start.elapsed();
        let start = Instant::now();
        let mut got = 0;
        while got < BURST {
            let batch = receive_batch(&receiver, BURST as u32, size as u32, 0, 0, Wait::Forever)
                .expect("receives");
            got += batch.messages.len() as u64;
        }
        receiving += start.elapsed();
    }
    Ok((sending, receiving))
}

/// Waits for a byte and sends it back, until the peer ends.
fn idle(port: u16) -> Result<Duration, Error> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", port))?;
    let mut byte = [0];
    while socket.recv_into(&mut byte, Flags::NONE)? > 0 {
        socket.sendall(&byte, Flags::NONE)?;
    }
    Ok(Duration::ZERO)
}

fn udp() -> Descriptor {
    let socket = syscalls::socket(AF_INET, SOCK_DGRAM, 0).expect("a socket");
    syscalls::bind(&socket, &Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 0 }))
        .expect("binds");
    socket
}
