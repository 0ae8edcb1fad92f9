//! A client and a server of Rust's standard library, with timeouts, non-blocking calls and options.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// More than the kernel takes at once.
const MUCH: usize = 4 << 20;

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(stream.peer_addr().unwrap().port(), port);
    assert_ne!(stream.local_addr().unwrap().port(), 0);

    // Nothing comes before something is sent.
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let start = Instant::now();
    let kind = stream.read(&mut [0; 8]).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    assert!(start.elapsed() >= Duration::from_millis(45), "{:?}", start.elapsed());
    stream.set_read_timeout(None).unwrap();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();

    stream.set_ttl(33).unwrap();
    assert_eq!(stream.ttl().unwrap(), 33);

    // The peer sends back all bytes after the last one.
    let data: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
    stream.write_all(&data).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert!(back == data, "{} bytes", back.len());
    drop(stream);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (mut stream, peer) = listener.accept().unwrap();
    assert!(peer.ip().is_loopback());
    let mut buffer = [0; 1000];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        stream.write_all(&buffer[..count]).unwrap();
    }
}
