//! The benchmark's other ends: the peer that it talks to, and the native loop that it is measured against.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// `send`, `receive` or `round-trip`.
    pub operation: &'static str,
    /// The bytes of one call.
    pub size: usize,
    /// How many calls.
    pub count: u64,
}

/// Serves connections of [`native`] and of the guest program `bench_transfer_ok`, one after the other, until the process ends.
///
/// # Errors
/// A socket failed.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A client that gives up ends its own connection alone.
        let _ = serve_one(stream);
    }
}

fn serve_one(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 17];
    stream.read_exact(&mut request)?;
    let number = |at: usize| request[at..at + 8].iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
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
        _ => loop {
            stream.read_exact(&mut buffer[..size])?;
            stream.write_all(&buffer[..size])?;
        },
    }
}

fn some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
}

/// The same work by a native loop: how long it took.
///
/// # Errors
/// A socket failed.
pub fn native(port: u16, work: Work) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let total = work.count * work.size as u64;
    let mut request = vec![match work.operation {
        "send" => b's',
        "receive" => b'r',
        _ => b'e',
    }];
    request.extend(total.to_le_bytes());
    request.extend((work.size as u64).to_le_bytes());
    stream.write_all(&request)?;
    stream.read_exact(&mut [0])?;

    let mut buffer = vec![7; work.size];
    let start = Instant::now();
    match work.operation {
        "send" => {
            for _ in 0..work.count {
                stream.write_all(&buffer)?;
            }
            stream.read_exact(&mut [0])?;
        }
        "receive" => {
            let mut left = total;
            while left > 0 {
                left = left.saturating_sub(some(stream.read(&mut buffer)?)? as u64);
            }
        }
        _ => {
            for _ in 0..work.count {
                stream.write_all(&buffer)?;
                stream.read_exact(&mut buffer)?;
            }
        }
    }
    Ok(start.elapsed())
}
