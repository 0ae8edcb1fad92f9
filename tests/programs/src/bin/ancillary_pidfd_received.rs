//! Asks for a descriptor of each sender's process (SO_PASSPIDFD). The argument says whether it may
//! have one.

use sandsock::constants::*;
use sandsock::{Error, Flags, socketpair};
use sandsock_test_programs::argument;

fn main() -> Result<(), Error> {
    let allowed: bool = argument(0);
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    b.setsockopt(SOL_SOCKET, SO_PASSPIDFD, 1)?;
    a.sendall(b"hello", 0)?;
    let got = b.recvmsg(10, 100, 0)?;
    assert_eq!(got.data, b"hello");
    let pidfd =
        got.ancillary.iter().find(|item| (item.level, item.kind) == (SOL_SOCKET, SCM_PIDFD));
    assert_eq!(
        (pidfd.is_some(), got.flags.contains(Flags::CTRUNC)),
        (allowed, !allowed),
        "{got:?}"
    );
    if let Some(item) = pidfd {
        // It can be closed and passed on, nothing else.
        let number = i32::from_ne_bytes(item.data[..].try_into().expect("an int"));
        sandsock::close(number)?;
        assert_eq!(
            sandsock::close(number).expect_err("it is closed").errno(),
            Some(sandsock::errno::EBADF)
        );
    }
    // Without room for it, it is not made.
    a.sendall(b"again", 0)?;
    assert_eq!(b.recv(10, 0)?, b"again");
    Ok(())
}
