//! The peer resets the connection.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, fails};

fn main() -> Result<(), Error> {
    for timeout in [None, Some(Duration::from_secs(20))] {
        // It resets once it has got a byte.
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        socket.connect(("127.0.0.1", argument::<u16>(0)))?;
        socket.settimeout(timeout)?;
        socket.sendall(b"x", 0)?;
        fails(socket.recv(10, 0), "ConnectionResetError", "[Errno 104] Connection reset by peer");
        assert_eq!(socket.recv(10, 0)?, b"", "the error is told once");
        fails(socket.send(b"x", 0), "BrokenPipeError", "[Errno 32] Broken pipe");
        socket.close()?;
    }
    Ok(())
}
