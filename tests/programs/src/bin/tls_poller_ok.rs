//! Plain bytes that are left in a session make every registration of every duplicate ready, whoever
//! has received: by level and by edge, once, and in a poller within another one.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    ConnectTimeout, Epoll, Poll, Result, TlsOptions, TlsStream, Version, create_connection,
};
use sandsock_test_programs::argument;

/// Returns the numbers that are ready now, in their order, with their events.
fn ready(epoll: &Epoll) -> Result<Vec<(i32, u32)>> {
    let mut ready = epoll.poll(Some(Duration::ZERO), None)?;
    ready.sort_unstable();
    Ok(ready)
}

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let copy = socket.dup()?;
    let (first, second) = (socket.fileno(), copy.fileno());
    let (level, edge, once, outer) = (Epoll::new()?, Epoll::new()?, Epoll::new()?, Epoll::new()?);
    level.register(&socket, EPOLLIN)?;
    level.register(&copy, EPOLLIN | EPOLLRDNORM)?;
    edge.register(&copy, EPOLLIN | EPOLLET)?;
    once.register(&socket, EPOLLIN | EPOLLONESHOT)?;
    outer.register_epoll(&level, 1 << 20, EPOLLIN)?;
    let both = [(first, EPOLLIN), (second, EPOLLIN | EPOLLRDNORM)];

    // The server's greeting comes with the last bytes of the handshake, and all are registered by
    // then. The kernel has no bytes of it.
    let options = TlsOptions { highest: Version::Tls12, ..TlsOptions::default() };
    let stream = TlsStream::connect(socket, &name, &options)?;
    for _ in 0..2 {
        assert_eq!(ready(&level)?, both);
        assert_eq!(ready(&outer)?, [(1 << 20, EPOLLIN)]);
    }
    assert_eq!(ready(&edge)?, [(second, EPOLLIN)]);
    assert_eq!(ready(&edge)?, []);
    assert_eq!(ready(&once)?, [(first, EPOLLIN)]);
    assert_eq!(ready(&once)?, []);

    // One duplicate receives, and the other one hears of the rest.
    assert_eq!(copy.recv(1, 0)?, b"g");
    assert_eq!(ready(&level)?, both);
    assert_eq!(ready(&edge)?, [(second, EPOLLIN)]);
    assert_eq!(ready(&once)?, [], "it was not armed again");
    once.modify(&first, EPOLLIN | EPOLLONESHOT)?;
    assert_eq!(ready(&once)?, [(first, EPOLLIN)]);
    assert_eq!(ready(&once)?, []);
    edge.modify(&second, EPOLLOUT | EPOLLET)?;
    assert_eq!(ready(&edge)?, [(second, EPOLLOUT)]);
    edge.modify(&second, EPOLLIN | EPOLLET)?;
    assert_eq!(ready(&edge)?, [(second, EPOLLIN)]);
    assert_eq!(stream.recv(1)?, b"r");
    assert_eq!(ready(&level)?, both);

    // The kernel's events are there too.
    let mut poll = Poll::new();
    poll.register(stream.socket(), POLLIN | POLLOUT)?;
    poll.register(&copy, POLLIN)?;
    let mut events = poll.poll(Some(Duration::ZERO))?;
    events.sort_unstable();
    assert_eq!(events, [(first, POLLIN | POLLOUT), (second, POLLIN)]);

    assert_eq!(stream.recv(100)?, b"eeting");
    for epoll in [&level, &edge, &once, &outer] {
        assert_eq!(ready(epoll)?, []);
    }
    assert_eq!(poll.poll(Some(Duration::ZERO))?, [(first, POLLOUT)]);

    // A duplicate that is closed has no events, and the others keep theirs.
    stream.sendall(b"abc")?;
    assert_eq!(copy.recv(1, 0)?, b"a");
    drop(copy);
    assert_eq!(ready(&level)?, [both[0]]);
    level.unregister(&first)?;
    assert_eq!(ready(&level)?, []);
    assert_eq!(ready(&outer)?, []);
    level.register(stream.socket(), EPOLLIN)?;
    assert_eq!(ready(&level)?, [both[0]]);
    assert_eq!(stream.recv(100)?, b"bc");
    assert_eq!(ready(&level)?, []);
    stream.shutdown()
}
