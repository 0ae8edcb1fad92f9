//! A wait that reaches its end returns EAGAIN, and not before that time.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{clock, connections, syscalls, transfers};
use sandsock::{Error, errno};

const TIME: u64 = 40_000_000;

/// Runs a call under waits of every timed kind.
fn expires(what: &str, call: impl Fn(Wait) -> Result<(), RawError>) {
    let again = Err(RawError::Os(errno::EAGAIN));
    let begin = clock::now();
    assert_eq!(call(Wait::Within(TIME)), again, "{what} within");
    assert!(clock::now() - begin >= TIME, "{what} within: too soon");
    let begin = clock::now();
    assert_eq!(call(Wait::Until(begin + TIME)), again, "{what} until");
    assert!(clock::now() - begin >= TIME, "{what} until: too soon");
    // A deadline that has passed is no wait.
    for wait in [Wait::Within(0), Wait::Until(begin), Wait::Until(0)] {
        assert_eq!(call(wait), again, "{what}: the time is over already");
    }
}

fn main() -> Result<(), Error> {
    let tag = std::env::args().nth(1).expect("a tag");
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, _b) = syscalls::socketpair(AF_UNIX, kind, 0)?;
        expires("receive", |wait| transfers::receive(&a, 9, 0, wait).map(drop));
        expires("receive of much", |wait| transfers::receive(&a, 1 << 20, 0, wait).map(drop));
        expires("peek", |wait| transfers::receive(&a, 9, MSG_PEEK, wait).map(drop));
        expires("receive-from", |wait| transfers::receive_from(&a, 9, 0, wait).map(drop));
        expires("receive-message", |wait| transfers::receive_message(&a, 9, 99, 0, wait).map(drop));
        while transfers::send(&a, &[7; 1000], 0, Wait::None).is_ok() {}
        expires("send", |wait| transfers::send(&a, &[7; 1000], 0, wait).map(drop));
        expires("send-message", |wait| {
            transfers::send_message(&a, &[&[7; 1000]], &[], 0, None, wait).map(drop)
        });
        expires("poll", |wait| {
            let ready =
                polling::poll(&[PollEntry { descriptor: &a, events: POLLOUT as u16 }], wait)?;
            if ready == [0] { Err(RawError::Os(errno::EAGAIN)) } else { Ok(()) }
        });
    }
    let name = Address::Unix(UnixAddress::Abstract(tag.clone().into_bytes()));
    let listener = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    syscalls::bind(&listener, &name)?;
    syscalls::listen(&listener, 5)?;
    expires("accept", |wait| connections::accept(&listener, wait).map(drop));

    // A datagram to a full peer, without a connection: the kernel calls the sender writable all the
    // while.
    let name = Address::Unix(UnixAddress::Abstract(format!("{tag}d").into_bytes()));
    let receiver = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    syscalls::bind(&receiver, &name)?;
    let sender = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    while transfers::send_to(&sender, b"x", 0, &name, Wait::None).is_ok() {}
    expires("send-to", |wait| transfers::send_to(&sender, b"x", 0, &name, wait).map(drop));
    connections::connect(&sender, &name, Wait::None)?;
    expires("connected send", |wait| transfers::send(&sender, b"x", 0, wait).map(drop));

    // A wait for one direction that is over leaves the other as it was: what is there is received
    // at once.
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    for _ in 0..3 {
        expires("receive", |wait| transfers::receive(&a, 9, 0, wait).map(drop));
    }
    while transfers::send(&a, &[7; 1000], 0, Wait::None).is_ok() {}
    transfers::send(&b, b"there", 0, Wait::None)?;
    polling::poll(&[], Wait::Within(TIME))?;
    expires("send", |wait| transfers::send(&a, &[7; 1000], 0, wait).map(drop));
    let begin = clock::now();
    assert_eq!(transfers::receive(&a, 9, 0, Wait::Within(100 * TIME))?, b"there");
    assert!(clock::now() - begin < 50 * TIME, "it was waited for though it was there");
    Ok(())
}
