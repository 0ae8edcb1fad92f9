//! A poller in a poller: readiness, triggers, circles, and the end of the inner one.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Epoll, Error, Flags, errno, socketpair};

const SOON: Option<Duration> = Some(Duration::from_millis(20));
/// The number of the inner poller.
const INNER: i32 = 1 << 20;

fn main() -> Result<(), Error> {
    let (outer, inner) = (Epoll::new()?, Epoll::new()?);
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    outer.register_epoll(&inner, INNER, EPOLLIN)?;
    assert_eq!(outer.poll(SOON, None)?, []);
    inner.register(&a, EPOLLIN)?;
    assert_eq!(outer.poll(SOON, None)?, []);

    // Level: as long as the inner one has an event, which stays there for it.
    b.sendall(b"1", Flags::NONE)?;
    for _ in 0..2 {
        assert_eq!(outer.poll(None, None)?, [(INNER, EPOLLIN)]);
    }
    assert_eq!(inner.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
    a.recv(1, Flags::NONE)?;
    assert_eq!(outer.poll(SOON, None)?, []);

    // An event that the inner one reports once is not used up by the outer one.
    inner.modify(&a, EPOLLIN | EPOLLONESHOT)?;
    b.sendall(b"2", Flags::NONE)?;
    assert_eq!(outer.poll(None, None)?, [(INNER, EPOLLIN)]);
    assert_eq!(inner.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
    assert_eq!(inner.poll(SOON, None)?, []);
    assert_eq!(outer.poll(SOON, None)?, []);

    // One-shot in the outer one.
    inner.modify(&a, EPOLLIN)?;
    outer.modify_epoll(INNER, EPOLLIN | EPOLLONESHOT)?;
    assert_eq!(outer.poll(None, None)?, [(INNER, EPOLLIN)]);
    assert_eq!(outer.poll(SOON, None)?, []);
    outer.modify_epoll(INNER, EPOLLIN)?;
    assert_eq!(outer.poll(None, None)?, [(INNER, EPOLLIN)]);

    // Three levels, a circle, the set itself, and what is there already.
    let top = Epoll::new()?;
    top.register_epoll(&outer, INNER + 1, EPOLLIN)?;
    assert_eq!(top.poll(None, None)?, [(INNER + 1, EPOLLIN)]);
    let error = |result: Result<(), Error>| result.unwrap_err().errno();
    assert_eq!(error(inner.register_epoll(&top, INNER + 2, EPOLLIN)), Some(errno::ELOOP));
    assert_eq!(error(top.register_epoll(&top, INNER + 3, EPOLLIN)), Some(errno::EINVAL));
    assert_eq!(error(top.register_epoll(&outer, INNER + 3, EPOLLIN)), Some(errno::EEXIST));
    assert_eq!(error(top.register_epoll(&inner, INNER + 1, EPOLLIN)), Some(errno::EEXIST));
    assert_eq!(error(top.unregister_epoll(INNER + 3)), Some(errno::ENOENT));

    outer.unregister_epoll(INNER)?;
    assert_eq!(top.poll(SOON, None)?, []);
    outer.register_epoll(&inner, INNER, EPOLLIN)?;
    assert_eq!(top.poll(None, None)?, [(INNER + 1, EPOLLIN)]);
    // The end of the inner one takes it out, and its number is free.
    drop(inner);
    assert_eq!(outer.poll(SOON, None)?, []);
    let next = Epoll::new()?;
    next.register(&a, EPOLLIN)?;
    outer.register_epoll(&next, INNER, EPOLLIN)?;
    assert_eq!(outer.poll(None, None)?, [(INNER, EPOLLIN)]);
    Ok(())
}
