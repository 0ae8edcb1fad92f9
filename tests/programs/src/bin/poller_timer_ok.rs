//! Timers of a poller: once, repeating, replaced, beside descriptors.

use sandsock::raw::clock::now;
use sandsock::raw::polling::create_poller;
use sandsock::raw::types::{Error, Trigger, Wait};
use sandsock::{constants::*, errno, raw::syscalls};

const MS: u64 = 1_000_000;

fn main() {
    let poller = create_poller().expect("a poller");

    // Once, and not before its time.
    let at = now() + 30 * MS;
    poller.set_timer(1, at, 0).expect("sets");
    let events = poller.wait(8, Wait::Forever).expect("waits");
    assert!(now() >= at);
    assert_eq!((events.len(), events[0].key, events[0].ready, events[0].expirations), (1, 1, 0, 1));
    assert!(poller.wait(8, Wait::Within(20 * MS)).expect("waits").is_empty());

    // Repeating: what was missed is counted.
    poller.set_timer(2, now(), 10 * MS).expect("sets");
    let start = now();
    let mut expirations = 0;
    while now() < start + 55 * MS {
        expirations += poller.wait(8, Wait::Within(100 * MS)).expect("waits")[0].expirations;
    }
    let most = (now() - start) / (10 * MS) + 1;
    assert!(expirations >= 5 && expirations <= most, "{expirations} of {most}");
    poller.remove(2).expect("removes");
    assert_eq!(poller.remove(2), Err(Error::Os(errno::ENOENT)));

    // Replaced: the later time counts.
    poller.set_timer(3, now() + 5 * MS, 0).expect("sets");
    let at = now() + 40 * MS;
    poller.set_timer(3, at, 0).expect("sets");
    poller.wait(8, Wait::Forever).expect("waits");
    assert!(now() >= at);

    // One key is one thing.
    let (a, _b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
    poller.add(&a, 4, POLLOUT as u16, Trigger::Level).expect("adds");
    assert_eq!(poller.set_timer(4, 0, 0), Err(Error::Os(errno::EEXIST)));
    assert_eq!(poller.add(&a, 5, POLLOUT as u16, Trigger::Level), Err(Error::Os(errno::EEXIST)));
    assert_eq!(poller.wait(0, Wait::None), Err(Error::Os(errno::EINVAL)));
    let events = poller.wait(8, Wait::Forever).expect("waits");
    assert_eq!((events[0].key, i32::from(events[0].ready)), (4, POLLOUT));
}
