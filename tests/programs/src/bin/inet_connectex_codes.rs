//! The codes that `connect_ex` returns, and the errors that it raises all the same.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket, select};
use sandsock_test_programs::{argument, fails, fails_with};

fn main() -> Result<(), Error> {
    let address = ("127.0.0.1", argument::<u16>(0));

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    assert_eq!(socket.connect_ex(address)?, 0);
    assert_eq!([socket.connect_ex(address)?, socket.connect_ex(address)?], [106, 106], "EISCONN");
    fails_with(socket.connect(address), "OSError", 106);
    assert_eq!(socket.recv(5, 0)?, b"hello");

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(20)))?;
    assert_eq!(socket.connect_ex(address)?, 0);
    assert_eq!(
        [socket.connect_ex(address)?, socket.connect_ex(address)?],
        [0, 106],
        "its end is told once more"
    );
    assert_eq!(socket.gettimeout(), Some(Duration::from_secs(20)));
    assert_eq!(socket.recv(5, 0)?, b"hello");

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.setblocking(false)?;
    assert_eq!(socket.connect_ex(address)?, 115, "EINPROGRESS");
    let (_, writable, _) = select(&[], &[&socket], &[], Some(Duration::from_secs(20)))?;
    assert_eq!(writable.len(), 1);
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_ERROR)?, 0);
    assert_eq!(
        socket.connect_ex(address)?,
        0,
        "the first connect after the connection was made tells it"
    );
    assert_eq!(socket.connect_ex(address)?, 106, "every later one that it is there");
    socket.setblocking(true)?;
    assert_eq!(socket.recv(5, 0)?, b"hello");

    // A socket that blocks waits for a connect that is under way.
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.setblocking(false)?;
    assert_eq!(socket.connect_ex(address)?, 115);
    socket.setblocking(true)?;
    assert_eq!([socket.connect_ex(address)?, socket.connect_ex(address)?], [0, 106]);
    assert_eq!(socket.recv(5, 0)?, b"hello");

    socket.close()?;
    assert_eq!(socket.connect_ex(address)?, 9);

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    assert_eq!(socket.connect_ex(("127.0.0.1", 1))?, 13, "no grant names it");
    let denied = socket.connect(("127.0.0.1", 1)).expect_err("no grant names it");
    assert_eq!(
        (denied.class(), denied.errno(), denied.grant()),
        ("PermissionError", Some(13), Some("tcp-connect=127.0.0.1:1"))
    );
    assert_eq!(socket.connect_ex(address)?, 0, "a denial leaves the socket as it was");

    // A fault of the address is raised, on a closed socket too.
    socket.close()?;
    fails(
        socket.connect_ex("path"),
        "TypeError",
        "connect_ex(): AF_INET address must be tuple, not str",
    );
    fails(
        socket.connect_ex(("127.0.0.1", 65536)),
        "OverflowError",
        "connect_ex(): port must be 0-65535.",
    );
    Ok(())
}
