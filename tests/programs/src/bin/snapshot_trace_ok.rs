//! Makes calls whose trace is the same in every run: transfers, a wait that ends by its timeout, a
//! denial and an error of the kernel.

use std::time::Duration;

use sandsock::constants::{AF_INET, AF_UNIX, SO_KEEPALIVE, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};
use sandsock::{Error, Flags, Socket, getaddrinfo, socketpair};

fn main() -> Result<(), Error> {
    let (left, right) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    left.sendall(b"a line\n", Flags::NONE)?;
    assert_eq!(right.recv(100, Flags::NONE)?, b"a line\n");
    right.settimeout(Some(Duration::from_millis(20)))?;
    right.recv(1, Flags::NONE).expect_err("nothing was sent");
    left.close()?;
    right.sendall(b"too late", Flags::NONE).expect_err("the other end is closed");
    right.close()?;

    let stream = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    stream.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)?;
    stream.connect(("127.0.0.1", 9)).expect_err("it is not granted");
    stream.close()?;

    let datagrams = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    datagrams.bind(("127.0.0.1", 0))?;
    datagrams.close()?;

    getaddrinfo("db.example", 5432, AF_INET, SOCK_STREAM, 0, 0)?;
    getaddrinfo("other.example", 5432, AF_INET, SOCK_STREAM, 0, 0).expect_err("it is not granted");
    Ok(())
}
