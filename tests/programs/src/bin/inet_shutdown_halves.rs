//! One direction ends and the other goes on. Sending in the ended direction is EPIPE, without a
//! signal.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, connected, fails, fails_with};

fn main() -> Result<(), Error> {
    // The peer answers only once it has seen the end.
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", argument::<u16>(0)))?;
    socket.sendall(b"question", 0)?;
    socket.shutdown(SHUT_WR)?;
    fails(socket.send(b"x", 0), "BrokenPipeError", "[Errno 32] Broken pipe");
    fails(socket.sendall(b"x", 0), "BrokenPipeError", "[Errno 32] Broken pipe");
    assert_eq!(socket.recv(100, MSG_WAITALL)?, b"answer: question");
    assert_eq!(socket.recv(1, 0)?, b"");

    let (a, b) = connected(AF_INET6)?;
    a.shutdown(SHUT_RD)?;
    assert_eq!(a.recv(1, 0)?, b"", "nobody is waited for");
    a.sendall(b"still", 0)?;
    assert_eq!(b.recv(5, MSG_WAITALL)?, b"still");
    b.shutdown(SHUT_RDWR)?;
    assert_eq!(b.recv(1, 0)?, b"");
    fails(b.send(b"x", 0), "BrokenPipeError", "[Errno 32] Broken pipe");

    fails_with(a.shutdown(7), "OSError", 22);
    fails_with(Socket::new(AF_INET, SOCK_STREAM, 0)?.shutdown(SHUT_WR), "OSError", 107);
    Ok(())
}
