//! Names by Rust's standard library: look-up, and a connection by name.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut found: Vec<_> =
        ("two.example", port).to_socket_addrs().unwrap().map(|at| at.ip().to_string()).collect();
    found.sort();
    assert_eq!(found, ["127.0.0.1", "::1"]);
    let mut stream = TcpStream::connect(("one.example", port)).unwrap();
    stream.write_all(b"by name").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "by name");
    // A number is no name.
    let found: Vec<_> = ("192.0.2.1", 1).to_socket_addrs().unwrap().collect();
    assert_eq!(found.len(), 1);
}
