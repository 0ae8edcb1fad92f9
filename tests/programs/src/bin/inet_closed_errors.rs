//! A closed socket: which calls fail with EBADF, which go on to work, and which errors come before
//! EBADF.

use std::io::{IoSlice, IoSliceMut};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Family, Socket, SocketType};
use sandsock_test_programs::fails;

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_millis(1500)))?;
    socket.close()?;
    let bad = |result: Result<(), Error>| fails(result, "OSError", "[Errno 9] Bad file descriptor");
    let address = ("127.0.0.1", 0);
    let mut buffer = [0; 4];
    bad(socket.accept().map(drop));
    bad(socket.bind(address));
    bad(socket.connect(address));
    bad(socket.dup().map(drop));
    bad(socket.get_inheritable().map(drop));
    bad(socket.getpeername().map(drop));
    bad(socket.getsockname().map(drop));
    bad(socket.getsockopt(SOL_SOCKET, SO_TYPE).map(drop));
    bad(socket.getsockopt_bytes(SOL_SOCKET, SO_TYPE, 4).map(drop));
    bad(socket.listen(None));
    bad(socket.recv(1, 0).map(drop));
    bad(socket.recv_into(&mut buffer, 0).map(drop));
    bad(socket.recvfrom(0, 0).map(drop));
    bad(socket.recvfrom_into(&mut buffer, 0).map(drop));
    bad(socket.recvmsg(1, 0, 0).map(drop));
    bad(socket.recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 0, 0).map(drop));
    bad(socket.send(b"", 0).map(drop));
    bad(socket.sendall(b"", 0));
    bad(socket.sendto(b"x", 0, address).map(drop));
    bad(socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, None).map(drop));
    bad(socket.set_inheritable(true));
    bad(socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1));
    bad(socket.shutdown(SHUT_RD));

    assert_eq!(socket.connect_ex(address)?, 9);
    assert_eq!((socket.fileno(), socket.detach()), (-1, -1));
    socket.close()?;
    assert_eq!(socket.recv(0, 0)?, b"");
    assert_eq!(socket.recv_into(&mut [], 0)?, 0);
    assert_eq!(socket.gettimeout(), Some(Duration::from_millis(1500)));
    assert!(socket.getblocking());
    assert_eq!(
        (socket.family(), socket.kind(), socket.proto()),
        (Family::INET, SocketType::STREAM, 0)
    );
    assert_eq!(format!("{socket:?}"), "<socket.socket [closed] fd=-1, family=2, type=1, proto=0>");

    // The arguments come first.
    fails(socket.bind("x"), "TypeError", "bind(): AF_INET address must be tuple, not str");
    fails(
        socket.sendto(b"", 0, ("127.0.0.1", -1)),
        "OverflowError",
        "sendto(): port must be 0-65535.",
    );
    fails(
        socket.getsockopt_bytes(SOL_SOCKET, SO_TYPE, 0),
        "OSError",
        "getsockopt buflen out of range",
    );
    fails(socket.recvmsg(1, 1 << 31, 0), "ValueError", "invalid ancillary data buffer length");
    Ok(())
}
