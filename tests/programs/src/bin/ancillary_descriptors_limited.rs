//! A received descriptor counts as any other.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno, socketpair};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let received = connection.recv_fds(100, 10)?;
    assert_eq!((received.data.as_slice(), received.flags), (b"five".as_slice(), Flags::CTRUNC));
    let fds = received.ancillary[0].fds();
    assert_eq!(fds.len(), 3, "of four one is the connection");
    println!("received");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
    assert_eq!(Socket::new(AF_UNIX, SOCK_STREAM, 0).unwrap_err().errno(), Some(errno::EMFILE));
    assert_eq!(sandsock::dup(fds[0]).unwrap_err().errno(), Some(errno::EMFILE));
    sandsock::close(fds[0])?;
    assert_eq!(socketpair(AF_UNIX, SOCK_STREAM, 0).unwrap_err().errno(), Some(errno::EMFILE));
    let copy = sandsock::dup(fds[1])?;
    assert_eq!(connection.alias().map(drop).unwrap_err().errno(), Some(errno::EMFILE));
    sandsock::close(copy)?;
    sandsock::close(fds[1])?;
    socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    Ok(())
}
