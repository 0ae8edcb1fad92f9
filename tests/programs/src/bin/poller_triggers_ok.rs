//! Level, edge and one-shot triggers on socketpairs of the guest's own; close and duplicates;
//! Python's errors.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Epoll, Error, Flags, errno, socketpair};

const SOON: Option<Duration> = Some(Duration::from_millis(20));

fn main() -> Result<(), Error> {
    let epoll = Epoll::new()?;
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;

    // Level: as long as it is ready.
    epoll.register(&a, EPOLLIN)?;
    assert_eq!(epoll.poll(SOON, None)?, []);
    b.sendall(b"12", Flags::NONE)?;
    for _ in 0..3 {
        assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
    }
    assert_eq!(epoll.register(&a, EPOLLIN).unwrap_err().class(), "FileExistsError");

    // Edge: once a change.
    epoll.modify(&a, EPOLLIN | EPOLLET)?;
    assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
    assert_eq!(epoll.poll(SOON, None)?, []);
    b.sendall(b"3", Flags::NONE)?;
    assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);

    // One-shot: once, until it is armed anew.
    epoll.modify(&a, EPOLLIN | EPOLLONESHOT)?;
    assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);
    b.sendall(b"4", Flags::NONE)?;
    assert_eq!(epoll.poll(SOON, None)?, []);
    epoll.modify(&a, EPOLLIN | EPOLLONESHOT)?;
    assert_eq!(epoll.poll(None, None)?, [(a.fileno(), EPOLLIN)]);

    // The result has at most this many events.
    epoll.modify(&a, EPOLLIN | EPOLLOUT)?;
    epoll.register(&b, EPOLLOUT)?;
    assert_eq!(epoll.poll(None, None)?.len(), 2);
    assert_eq!(epoll.poll(None, Some(1))?.len(), 1);
    assert_eq!(epoll.poll(None, Some(0)).unwrap_err().class(), "ValueError");

    epoll.unregister(&b)?;
    assert_eq!(epoll.unregister(&b).unwrap_err().errno(), Some(errno::ENOENT));

    // A closed descriptor is gone, though a duplicate keeps its description open.
    let copy = a.dup()?;
    let number = a.fileno();
    a.close()?;
    assert_eq!(epoll.poll(SOON, None)?, []);
    assert_eq!(epoll.modify(&number, EPOLLIN).unwrap_err().errno(), Some(errno::EBADF));
    epoll.register(&copy, EPOLLIN)?;
    assert_eq!(epoll.poll(None, None)?, [(copy.fileno(), EPOLLIN)]);

    // The peer's end.
    drop(b);
    let (_, events) = epoll.poll(None, None)?[0];
    assert_eq!(events & EPOLLHUP, EPOLLHUP);
    Ok(())
}
