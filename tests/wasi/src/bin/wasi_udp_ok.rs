//! UDP by Rust's standard library, connected and not.

use std::net::UdpSocket;

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    // The bind of a socket that only sends needs no grant of its own.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.local_addr().unwrap().port();
    assert_ne!(own, 0);
    let mut buffer = [0; 100];
    socket.send_to(b"one", ("127.0.0.1", port)).unwrap();
    let (count, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..count], from.port()), (&b"one"[..], port));
    socket.connect(("127.0.0.1", port)).unwrap();
    assert_eq!(socket.peer_addr().unwrap().port(), port);
    assert_eq!(socket.local_addr().unwrap().port(), own);
    socket.send(b"two").unwrap();
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"two");
    socket.send(&[]).unwrap();
    assert_eq!(socket.recv(&mut buffer).unwrap(), 0);
}
