//! Pairs need no grant and have no names. Every other use of a socket needs a grant.

use sandsock::constants::*;
use sandsock::{Address, Error, ErrorKind, Flags, Socket, socketpair};

fn main() -> Result<(), Error> {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = socketpair(AF_UNIX, kind, 0)?;
        for socket in [&a, &b] {
            assert_eq!(socket.getsockname()?, Address::Unix(Vec::new()));
            assert_eq!(socket.getsockname()?.to_string(), "''");
            assert_eq!(socket.getpeername()?, Address::Unix(Vec::new()));
        }
        a.send(b"one", Flags::NONE)?;
        a.send(b"two", Flags::NONE)?;
        let (data, from) = b.recvfrom(100, Flags::NONE)?;
        assert_eq!(from, Address::None);
        let expected: &[u8] = if kind == SOCK_STREAM { b"onetwo" } else { b"one" };
        assert_eq!(data, expected);
        if kind != SOCK_STREAM {
            assert_eq!(b.recv(100, Flags::NONE)?, b"two");
        }
        a.close()?;
        if kind == SOCK_DGRAM {
            assert_eq!(
                b.send(b"x", Flags::NONE).unwrap_err().errno(),
                Some(sandsock::errno::ECONNREFUSED)
            );
        } else {
            assert_eq!(b.recv(100, Flags::NONE)?, b"");
            assert_eq!(
                b.send(b"x", Flags::NONE).unwrap_err().errno(),
                Some(sandsock::errno::EPIPE)
            );
        }
    }
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let socket = Socket::new(AF_UNIX, kind, 0)?;
        assert_eq!(socket.bind("\0sandsock-pair").unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(socket.connect("\0sandsock-pair").unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(Socket::new(AF_UNIX, SOCK_SEQPACKET, 0).unwrap_err().kind(), ErrorKind::Denied);
    // A pair is no way to a name.
    let (a, _b) = socketpair(AF_UNIX, SOCK_DGRAM, 0)?;
    assert_eq!(a.bind("\0sandsock-pair").unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(a.bind("").unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(
        a.sendto(b"x", Flags::NONE, "\0sandsock-pair").unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(
        socketpair(AF_INET, SOCK_STREAM, 0).unwrap_err().errno(),
        Some(sandsock::errno::EOPNOTSUPP)
    );
    Ok(())
}
