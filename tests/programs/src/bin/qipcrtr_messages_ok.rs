//! QIPCRTR: messages between two ports of this machine's node, to an address and on a connected
//! socket.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::pattern;

fn socket() -> Result<(Socket, u32, u32), Error> {
    let socket = Socket::new(AF_QIPCRTR, SOCK_DGRAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(20)))?;
    // The kernel names a socket when it is made, with a port of its choice when it is bound.
    let Address::Qipcrtr(node, _) = socket.getsockname()? else { panic!("another family") };
    socket.bind(Address::Qipcrtr(node, 0))?;
    let Address::Qipcrtr(node, port) = socket.getsockname()? else { panic!("another family") };
    assert_ne!(port, 0);
    Ok((socket, node, port))
}

fn main() -> Result<(), Error> {
    let ((one, node, first), (two, _, second)) = (socket()?, socket()?);
    for length in [1, 1000, 30_000] {
        assert_eq!(one.sendto(&pattern(length), 0, Address::Qipcrtr(node, second))?, length);
        let (data, from) = two.recvfrom(100_000, 0)?;
        assert!(data == pattern(length), "{} bytes of {length}", data.len());
        assert_eq!(
            (from.to_string(), &from),
            (format!("({node}, {first})"), &Address::Qipcrtr(node, first))
        );
        // An answer to the address as it came.
        two.sendto(b"back", 0, &from)?;
        assert_eq!(one.recv(100, 0)?, b"back");
    }
    one.connect(Address::Qipcrtr(node, second))?;
    assert_eq!(one.getpeername()?, Address::Qipcrtr(node, second));
    one.send(b"one", 0)?;
    one.send(b"two", 0)?;
    assert_eq!((two.recv(100, 0)?, two.recv(100, 0)?), (b"one".to_vec(), b"two".to_vec()));
    Ok(())
}
