//! `bench_tls_ok OPERATION NAME PORT SIZE COUNT`: the guest's side of the benchmark `tls`, whose native
//! side is in its own file. Connects to the peer at PORT, which proves NAME, and prints the nanoseconds
//! of the work. `accept` is a server at the port SIZE. `idle` opens COUNT connections and keeps them.

use std::time::{Duration, Instant};

use sandsock::constants::{IPPROTO_TCP, TCP_NODELAY};
use sandsock::{
    ConnectTimeout, Error, ServerOptions, TlsIdentity, TlsOptions, TlsStream, Version,
    create_connection, create_server,
};
use sandsock_test_programs::argument;

fn connected(options: &TlsOptions) -> Result<TlsStream, Error> {
    let (name, port): (String, u16) = (argument(1), argument(2));
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    // A client's last message and its first bytes are two small pieces.
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)?;
    TlsStream::connect(socket, &name, options)
}

/// Tells the peer what to do on a new connection.
fn asked(operation: u8, total: u64) -> Result<TlsStream, Error> {
    let stream = connected(&TlsOptions::default())?;
    stream.sendall(&[&[operation][..], &total.to_le_bytes()].concat())?;
    assert_eq!(stream.recv(1)?, [1]);
    Ok(stream)
}

fn handshakes(count: u64, highest: Version) -> Result<Duration, Error> {
    let options = TlsOptions { highest, ..TlsOptions::default() };
    let start = Instant::now();
    for _ in 0..count {
        let stream = connected(&options)?;
        stream.sendall(&[b'h'; 9])?;
        assert_eq!(stream.recv(1)?, [1]);
    }
    Ok(start.elapsed())
}

fn accept(own: u16, count: u64) -> Result<Duration, Error> {
    let web = TlsIdentity::Lent("web".to_owned());
    let listener = create_server(("127.0.0.1", own), ServerOptions::default())?;
    let control = asked(b'a', count << 16 | u64::from(own))?;
    let start = Instant::now();
    for _ in 0..count {
        let stream = TlsStream::accept(listener.accept()?.0, &web, &TlsOptions::default())?;
        assert_eq!(stream.recv(1)?, *b"x");
        stream.sendall(&[1])?;
    }
    let elapsed = start.elapsed();
    drop(control);
    Ok(elapsed)
}

fn send(size: usize, count: u64) -> Result<Duration, Error> {
    let stream = asked(b's', count * size as u64)?;
    let buffer = vec![7; size];
    let start = Instant::now();
    for _ in 0..count {
        stream.sendall(&buffer)?;
    }
    assert_eq!(stream.recv(1)?, [1]);
    Ok(start.elapsed())
}

fn receive(size: usize, count: u64) -> Result<Duration, Error> {
    let mut left = count * size as u64;
    let mut stream = asked(b'r', left)?;
    let mut buffer = vec![0; size];
    let start = Instant::now();
    while left > 0 {
        let got = std::io::Read::read(&mut stream, &mut buffer).expect("receives");
        assert!(got > 0, "the peer ended too soon");
        left -= got as u64;
    }
    Ok(start.elapsed())
}

/// Opens the first connections, and after a moment the others.
fn idle(count: u64) -> Result<(), Error> {
    let mut all = Vec::new();
    for more in [count / 10, count] {
        for _ in 0..more {
            all.push(asked(b'i', 0)?);
        }
        println!("{}", all.len());
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let (operation, size, count): (String, usize, u64) = (argument(0), argument(3), argument(4));
    let elapsed = match operation.as_str() {
        "handshake-1.3" => handshakes(count, Version::Tls13),
        "handshake-1.2" => handshakes(count, Version::Tls12),
        "accept" => accept(u16::try_from(size).expect("a port"), count),
        "send" => send(size, count),
        "receive" => receive(size, count),
        "idle" => return idle(count),
        other => panic!("no operation {other}"),
    }?;
    println!("{}", elapsed.as_nanos());
    Ok(())
}
