//! Without a grant no descriptor is sent, and nothing of its message.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Error, ErrorKind, Flags, Socket, socketpair};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    for socket in [&connection, &a] {
        let error = socket.send_fds(&[IoSlice::new(b"with rights")], &[b.fileno()]).unwrap_err();
        assert_eq!(
            (error.kind(), error.grant()),
            (ErrorKind::Denied, Some("ancillary=rights:send"))
        );
        socket.sendall(b"without", Flags::NONE)?;
    }
    assert_eq!(b.recv(100, Flags::NONE)?, b"without");
    Ok(())
}
