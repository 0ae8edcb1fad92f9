//! A datagram of a sender that no grant names wakes nobody, and is never received.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    println!("{}", socket.local_addr().unwrap().port());
    let mut buffer = [0; 100];
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let kind = socket.recv_from(&mut buffer).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    // The reply of the one that is named comes through.
    socket.set_read_timeout(None).unwrap();
    socket.send_to(b"ask", ("127.0.0.1", port)).unwrap();
    let (count, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..count], from.port()), (&b"ask"[..], port));
}
