//! No socket takes the datagram. The next call of a connected sender fails.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, fails, loopback, would_block};

fn main() -> Result<(), Error> {
    for (place, family) in [(0, AF_INET), (1, AF_INET6)] {
        for timeout in [None, Some(Duration::from_secs(20))] {
            let socket = Socket::new(family, SOCK_DGRAM, 0)?;
            socket.settimeout(timeout)?;
            socket.connect((loopback(family), argument::<u16>(place)))?;
            socket.send(b"anybody?", 0)?;
            fails(socket.recv(10, 0), "ConnectionRefusedError", "[Errno 111] Connection refused");
            socket.setblocking(false)?;
            would_block(socket.recv(10, 0));
        }
    }
    Ok(())
}
