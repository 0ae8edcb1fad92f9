//! Descriptors in flight are counted, wherever they are queued.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno, socketpair};

fn send(through: &Socket, fds: &[i32]) -> Result<usize, Error> {
    through.send_fds(&[IoSlice::new(b"m")], fds)
}

fn is_full(through: &Socket, fd: i32) -> bool {
    match send(through, &[fd]) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.errno(), Some(errno::ETOOMANYREFS));
            true
        }
    }
}

/// Receives `count` messages of one descriptor each.
fn receive(from: &Socket, count: usize) -> Result<(), Error> {
    for _ in 0..count {
        let received = from.recv_fds(1, 1)?;
        assert_eq!((received.data.as_slice(), received.flags), (b"m".as_slice(), Flags::NONE));
        let [fd] = received.ancillary[0].fds()[..] else { panic!("{received:?}") };
        sandsock::close(fd)?;
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let limit: usize = std::env::args().nth(1).expect("the limit").parse().expect("a number");
    let (parked, _keep) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let fd = parked.fileno();
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (c, d) = socketpair(AF_UNIX, SOCK_DGRAM, 0)?;

    // More at once than there is room for: nothing is sent.
    assert_eq!(send(&a, &vec![fd; limit + 1]).unwrap_err().errno(), Some(errno::ETOOMANYREFS));
    b.setblocking(false)?;
    assert_eq!(b.recv(1, Flags::NONE).unwrap_err().errno(), Some(errno::EAGAIN));
    b.setblocking(true)?;

    // They are received one by one, and count for every socket of the guest. A message of bytes
    // alone still goes.
    for _ in 0..limit {
        assert!(!is_full(&a, fd));
    }
    assert!(is_full(&a, fd) && is_full(&c, fd));
    a.sendall(b"plain", Flags::NONE)?;
    assert_eq!(c.send(b"plain", Flags::NONE)?, 5);
    receive(&b, limit)?;
    assert_eq!(b.recv(100, Flags::NONE)?, b"plain");
    assert_eq!(d.recv(100, Flags::NONE)?, b"plain");

    // Once they are received there is room again; together in one message too.
    assert_eq!(send(&c, &vec![fd; limit])?, 1);
    assert!(is_full(&a, fd));
    let received = d.recv_fds(1, limit)?;
    let fds = received.ancillary[0].fds();
    assert_eq!((fds.len(), received.flags), (limit, Flags::NONE));
    for fd in fds {
        sandsock::close(fd)?;
    }

    // Closing the sender frees nothing: its peer can still take them, and then sees the end.
    for _ in 0..limit {
        send(&a, &[fd])?;
    }
    a.close()?;
    assert!(is_full(&c, fd));
    receive(&b, limit - 1)?;
    assert!(!b.recv_fds(1, 1)?.ancillary.is_empty());
    assert_eq!(b.recv(100, Flags::NONE)?, b"", "the end");
    assert!(!is_full(&c, fd));
    receive(&d, 1)?;

    // Closing both ends loses them.
    let (e, f) = socketpair(AF_UNIX, SOCK_SEQPACKET, 0)?;
    for _ in 0..limit.min(8) {
        send(&e, &[fd])?;
    }
    send(&e, &vec![fd; limit - limit.min(8)])?;
    assert!(is_full(&c, fd));
    f.close()?;
    assert!(!is_full(&c, fd));
    Ok(())
}
