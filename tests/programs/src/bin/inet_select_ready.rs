//! select and poll on real sockets: which become ready, when, and arguments that are not
//! descriptors.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Poll, Socket, close, select};
use sandsock_test_programs::{
    argument, connected, datagrams, fails, fails_with, lasts, listening, port,
};

const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    let none = select(&[&a, &b], &[], &[&a], Some(Duration::ZERO))?;
    assert_eq!((none.0.len(), none.1.len(), none.2.len()), (0, 0, 0));
    let time = Duration::from_millis(150);
    assert!(lasts(time, || select(&[&a, &b], &[], &[], Some(time)))?.0.is_empty());
    lasts(time, || select::<i32>(&[], &[], &[], Some(time)))?;
    a.sendall(b"x", 0)?;
    let (read, write, _) = select(&[a.fileno(), b.fileno()], &[b.fileno(), a.fileno()], &[], LONG)?;
    // Both can send at once; that the byte is there may take a moment.
    assert_eq!(write, [b.fileno(), a.fileno()]);
    assert!(read.is_empty() || read == [b.fileno()]);
    assert_eq!(select(&[a.fileno(), b.fileno()], &[], &[], LONG)?.0, [b.fileno()]);
    assert_eq!(
        select(&[b.fileno(), b.fileno()], &[], &[], None)?.0,
        [b.fileno(); 2],
        "named twice, told twice"
    );

    let mut poll = Poll::new();
    poll.register(&a, POLLIN)?;
    poll.register(&b, None)?;
    assert_eq!(poll.poll(LONG)?, [(b.fileno(), POLLIN | POLLOUT)]);
    poll.modify(&b, POLLOUT)?;
    assert_eq!(poll.poll(LONG)?, [(b.fileno(), POLLOUT)]);
    poll.modify(&b, 0)?;
    assert!(lasts(time, || poll.poll(Some(time)))?.is_empty());
    b.shutdown(SHUT_WR)?;
    assert_eq!(poll.poll(LONG)?, [(a.fileno(), POLLIN)], "the end is something to read");
    a.shutdown(SHUT_WR)?;
    let both = poll.poll(LONG)?;
    assert!(both.contains(&(a.fileno(), POLLIN | POLLHUP)), "{both:?}");
    poll.unregister(&a)?;
    fails(poll.unregister(&a), "KeyError", &a.fileno().to_string());
    fails_with(poll.modify(&a, POLLIN), "FileNotFoundError", 2);

    // A listener, and a datagram socket.
    let (listener, udp) = (listening(AF_INET)?, datagrams(AF_INET)?);
    assert_eq!(select(&[&listener, &udp], &[&udp], &[], LONG)?.1.len(), 1);
    udp.sendto(b"", 0, udp.getsockname()?)?;
    assert_eq!(
        select(&[listener.fileno(), udp.fileno()], &[], &[], LONG)?.0,
        [udp.fileno()],
        "an empty one counts"
    );
    udp.recvfrom(0, 0)?;
    let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    client.connect(("127.0.0.1", port(&listener)))?;
    assert_eq!(select(&[listener.fileno(), udp.fileno()], &[], &[], LONG)?.0, [listener.fileno()]);

    // Readiness that comes during the wait: the peer sends a while after it got a byte.
    let late = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    late.connect(("127.0.0.1", argument::<u16>(0)))?;
    late.sendall(b"x", 0)?;
    assert_eq!(select(&[late.fileno(), udp.fileno()], &[], &[], None)?.0, [late.fileno()]);
    assert_eq!(late.recv(10, 0)?, b"late");
    late.sendall(b"x", 0)?;
    let mut poll = Poll::new();
    poll.register(&late, POLLIN)?;
    assert_eq!(poll.poll(LONG)?, [(late.fileno(), POLLIN)]);

    // These are not descriptors.
    let number = client.detach();
    close(number)?;
    fails_with(select(&[number], &[], &[], LONG), "OSError", 9);
    poll.register(&number, POLLIN)?;
    assert!(poll.poll(LONG)?.contains(&(number, POLLNVAL)));
    let negative = "file descriptor cannot be a negative integer (-1)";
    fails(select(&[&client], &[], &[], None), "ValueError", negative);
    fails(poll.register(&client, POLLIN), "ValueError", negative);
    Ok(())
}
