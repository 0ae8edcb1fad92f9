//! Urgent data: apart from the stream, or in it by SO_OOBINLINE.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Poll, select};
use sandsock_test_programs::{connected, fails_with, would_block};

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    fails_with(b.recv(1, MSG_OOB), "OSError", 22);
    assert_eq!(a.send(b"ab!", MSG_OOB)?, 3);
    let (_, _, exceptional) = select(&[], &[], &[&b], Some(Duration::from_secs(20)))?;
    assert_eq!(exceptional.len(), 1);
    let mut poll = Poll::new();
    poll.register(&b, POLLPRI)?;
    assert_eq!(poll.poll(Some(Duration::ZERO))?, [(b.fileno(), POLLPRI)]);
    assert_eq!(b.recv(1, MSG_OOB)?, b"!");
    fails_with(b.recv(1, MSG_OOB), "OSError", 22);
    assert_eq!(b.recv(10, 0)?, b"ab", "it is no part of the stream");

    let (a, b) = connected(AF_INET)?;
    b.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)?;
    a.sendall(b"cd!", MSG_OOB)?;
    select(&[], &[], &[&b], Some(Duration::from_secs(20)))?;
    fails_with(b.recv(1, MSG_OOB), "OSError", 22);
    assert_eq!(b.recv(10, 0)?, b"cd", "a receive stops before it");
    assert_eq!(b.recv(10, 0)?, b"!");
    b.setblocking(false)?;
    would_block(b.recv(10, 0));
    Ok(())
}
