//! Receiving into a buffer: exactly what came is written, and no byte behind it.

use std::io::{Read, Write};

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::{connected, datagrams, fails, port};

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    a.sendall(b"abc", 0)?;
    let mut buffer = [b'.'; 6];
    assert_eq!(b.recv_into(&mut buffer, 0)?, 3);
    assert_eq!(&buffer, b"abc...");
    a.sendall(b"defg", 0)?;
    assert_eq!(b.recvfrom_into(&mut buffer[4..6], 0)?, (2, Address::None));
    assert_eq!(&buffer, b"abc.de");
    assert_eq!(b.recv(10, 0)?, b"fg");
    // MSG_TRUNC throws a stream's bytes away.
    a.sendall(b"hij", 0)?;
    assert_eq!(b.recv_into(&mut buffer[..2], MSG_TRUNC)?, 2);
    assert_eq!(&buffer, b"abc.de");
    assert_eq!(b.recv(10, 0)?, b"j");

    // The traits of Rust do the same.
    (&a).write_all(b"over").expect("sent");
    a.shutdown(SHUT_WR)?;
    let mut text = String::new();
    (&b).read_to_string(&mut text).expect("received");
    assert_eq!(text, "over");
    assert_eq!(b.recv_into(&mut buffer, 0)?, 0);
    assert_eq!(b.recvfrom_into(&mut buffer, 0)?, (0, Address::None));
    assert_eq!(&buffer, b"abc.de");

    let (one, two) = (datagrams(AF_INET)?, datagrams(AF_INET)?);
    one.sendto(b"xyz", 0, ("127.0.0.1", port(&two)))?;
    assert_eq!(two.recvfrom_into(&mut buffer[..2], 0)?, (2, one.getsockname()?));
    assert_eq!(&buffer, b"xyc.de");

    let fresh = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let not_connected = "[Errno 107] Transport endpoint is not connected";
    fails(fresh.recv_into(&mut buffer, 0), "OSError", not_connected);
    fails(fresh.recvfrom_into(&mut buffer, 0), "OSError", not_connected);
    fails(fresh.recvfrom_into(&mut [], 0), "OSError", not_connected);
    assert_eq!(fresh.recv_into(&mut [], 0)?, 0, "nobody is asked");
    Ok(())
}
