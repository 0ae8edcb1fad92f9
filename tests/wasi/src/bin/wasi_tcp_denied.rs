//! No connection and no listener without a grant.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    for _ in 0..3 {
        let error = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    let error = TcpListener::bind(("127.0.0.1", 0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}
