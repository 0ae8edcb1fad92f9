//! `dup`, `fromfd`, `fileno=`, `detach`: the numbers, the state that is shared, and when the
//! connection really ends.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Family, Socket, SocketType, close, dup, fromfd};
use sandsock_test_programs::{connected, fails, fails_with};

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    let (own, peer) = (a.getsockname()?, a.getpeername()?);
    let copy = a.dup()?;
    assert_ne!(copy.fileno(), a.fileno());
    assert_eq!((copy.family(), copy.kind(), copy.proto()), (a.family(), a.kind(), a.proto()));
    assert_eq!((copy.getsockname()?, copy.getpeername()?), (own.clone(), peer.clone()));
    assert!(!copy.get_inheritable()?);
    a.close()?;
    copy.sendall(b"by the copy", 0)?;
    assert_eq!(b.recv(11, MSG_WAITALL)?, b"by the copy");

    // Options belong to what is shared.
    let third = fromfd(copy.fileno(), AF_INET, SOCK_STREAM, 0)?;
    third.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)?;
    assert_eq!(copy.getsockopt(IPPROTO_TCP, TCP_NODELAY)?, 1);
    copy.close()?;
    b.setblocking(false)?;
    sandsock_test_programs::would_block(b.recv(1, 0));
    b.setblocking(true)?;

    // A number outlives its object by detach, and comes back to life.
    let number = third.detach();
    assert!(number >= 1024, "below are the inherited ones");
    assert_eq!((third.fileno(), third.detach()), (-1, -1));
    fails_with(third.send(b"x", 0), "OSError", 9);
    let alive = Socket::with_fileno(number, None, None, None)?;
    assert_eq!(
        (alive.fileno(), alive.family(), alive.kind(), alive.proto()),
        (number, Family::INET, SocketType::STREAM, IPPROTO_TCP)
    );
    assert_eq!((alive.getsockname()?, alive.getpeername()?), (own, peer));
    let named = Socket::with_fileno(dup(number)?, Family::INET6, SocketType::DGRAM, 7)?;
    assert_eq!(
        (named.family(), named.kind(), named.proto()),
        (Family::INET6, SocketType::DGRAM, 7),
        "what is given wins"
    );
    named.close()?;

    // The last one ends the connection, by its number too.
    alive.settimeout(Some(Duration::from_secs(1)))?;
    close(alive.detach())?;
    assert_eq!(b.recv(1, 0)?, b"");
    fails_with(close(number), "OSError", 9);
    fails_with(dup(number), "OSError", 9);
    fails_with(fromfd(number, AF_INET, SOCK_STREAM, 0), "OSError", 9);
    fails_with(Socket::with_fileno(number, None, None, None), "OSError", 9);
    fails(Socket::with_fileno(-1, None, None, None), "ValueError", "negative file descriptor");

    // The lowest number that is free is the next one.
    let again = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let lowest = again.fileno();
    let above = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    assert!(above.fileno() > lowest);
    drop(again);
    assert_eq!(Socket::new(AF_INET, SOCK_STREAM, 0)?.fileno(), lowest);
    Ok(())
}
