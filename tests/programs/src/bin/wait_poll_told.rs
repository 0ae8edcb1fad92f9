//! The events that poll reports: duplicates, hang-ups, none, too many.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::types::{Error as RawError, Wait};
use sandsock::raw::{clock, connections, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let limit: usize = std::env::args().nth(1).expect("the limit").parse().expect("a number");
    let (readable, writable, hung) = (POLLIN as u16, POLLOUT as u16, POLLHUP as u16);
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (c, d) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    fn entry(descriptor: &sandsock::raw::descriptors::Descriptor, events: u16) -> PollEntry<'_> {
        PollEntry { descriptor, events }
    }

    // Without entries it sleeps.
    let begin = clock::now();
    assert_eq!(polling::poll(&[], Wait::Within(30_000_000))?, [0; 0]);
    assert!(clock::now() - begin >= 30_000_000);

    // One named twice, for different events; one that never is ready.
    let both = [
        entry(&a, readable),
        entry(&a, writable),
        entry(&c, readable),
        entry(&a, readable | writable),
    ];
    assert_eq!(polling::poll(&both, Wait::Forever)?, [0, writable, 0, writable]);
    transfers::send(&b, b"x", 0, Wait::None)?;
    assert_eq!(polling::poll(&both, Wait::Forever)?, [readable, writable, 0, readable | writable]);
    assert_eq!(
        polling::poll(&[entry(&c, readable), entry(&c, readable)], Wait::Within(10_000_000))?,
        [0, 0]
    );
    assert_eq!(
        polling::poll(&[entry(&a, 0)], Wait::Within(1_000_000))?,
        [0],
        "nothing was asked for"
    );

    // The end of the peer is reported without being asked for, and ends the wait.
    transfers::send(&d, b"last", 0, Wait::None)?;
    connections::close(d)?;
    assert_eq!(polling::poll(&[entry(&c, 0), entry(&a, 0)], Wait::Forever)?, [hung, 0]);
    let ended = readable | hung | POLLRDHUP as u16;
    assert_eq!(polling::poll(&[entry(&c, readable | POLLRDHUP as u16)], Wait::Forever)?, [ended]);
    assert_eq!(transfers::receive(&c, 9, 0, Wait::Forever)?, b"last");
    assert_eq!(transfers::receive(&c, 9, 0, Wait::Forever)?, b"");

    // The number of the limit works, and one more does not.
    let many = |count: usize| (0..count).map(|_| entry(&a, readable)).collect::<Vec<_>>();
    assert_eq!(polling::poll(&many(limit), Wait::Forever)?, vec![readable; limit]);
    assert_eq!(polling::poll(&many(limit + 1), Wait::Forever), Err(RawError::Os(errno::EINVAL)));
    assert_eq!(polling::poll(&many(limit + 1), Wait::None), Err(RawError::Os(errno::EINVAL)));
    // And when all of them have to wait.
    let idle = |count: usize| (0..count).map(|_| entry(&b, readable)).collect::<Vec<_>>();
    assert_eq!(polling::poll(&idle(limit), Wait::Within(10_000_000))?, vec![0; limit]);

    // A readiness that comes while it waits.
    println!("waiting");
    assert_eq!(polling::poll(&idle(limit.min(4)), Wait::Forever), Err(RawError::Os(errno::EINTR)));
    Ok(())
}
