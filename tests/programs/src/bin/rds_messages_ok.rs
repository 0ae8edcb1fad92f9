//! RDS over TCP: messages between two addresses of this machine, to an address and on a connected
//! socket.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::{fails_with, pattern};

fn socket(host: &str, port: u16) -> Result<Socket, Error> {
    let socket = Socket::new(AF_RDS, SOCK_SEQPACKET, 0)?;
    socket.setsockopt(SOL_RDS, SO_RDS_TRANSPORT, RDS_TRANS_TCP)?;
    assert_eq!(socket.getsockopt(SOL_RDS, SO_RDS_TRANSPORT)?, RDS_TRANS_TCP);
    socket.bind((host, port))?;
    assert_eq!(socket.getsockname()?.to_string(), format!("('{host}', {port})"));
    socket.settimeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

fn main() -> Result<(), Error> {
    let (one, two) = (socket("127.0.0.1", 4000)?, socket("127.0.0.2", 4001)?);
    for length in [1, 1000, 60_000] {
        assert_eq!(one.sendto(&pattern(length), 0, ("127.0.0.2", 4001))?, length);
        let (data, from) = two.recvfrom(100_000, 0)?;
        assert!(data == pattern(length), "{} bytes of {length}", data.len());
        assert_eq!(from.to_string(), "('127.0.0.1', 4000)");
        // An answer to the address as it came.
        two.sendto(b"back", 0, &from)?;
        assert_eq!(one.recv(100, 0)?, b"back");
    }
    one.connect(("127.0.0.2", 4001))?;
    assert_eq!(one.getpeername()?.to_string(), "('127.0.0.2', 4001)");
    one.send(b"one", 0)?;
    one.send(b"two", 0)?;
    assert_eq!((two.recv(100, 0)?, two.recv(100, 0)?), (b"one".to_vec(), b"two".to_vec()));
    // The kernel has it as no stream.
    fails_with(two.listen(None), "OSError", sandsock::errno::EOPNOTSUPP);
    assert!(matches!(two.getsockname()?, Address::Other(_)));
    Ok(())
}
