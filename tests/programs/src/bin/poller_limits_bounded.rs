//! Pollers and their entries have limits; an interrupt ends a wait.

use sandsock::raw::polling::create_poller;
use sandsock::raw::syscalls::socketpair;
use sandsock::raw::types::{Error, Trigger, Wait};
use sandsock::{constants::*, errno};

fn main() {
    let poller = create_poller().expect("the first");
    let second = create_poller().expect("the second");
    assert_eq!(create_poller().err(), Some(Error::Os(errno::EMFILE)));
    drop(second);
    create_poller().expect("there is room again");

    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
    poller.add(&a, 1, POLLIN as u16, Trigger::Level).expect("adds");
    poller.set_timer(2, u64::MAX, 0).expect("sets");
    poller.set_timer(3, u64::MAX, 0).expect("sets");
    assert_eq!(poller.set_timer(4, u64::MAX, 0), Err(Error::Os(errno::ENOSPC)));
    assert_eq!(poller.add(&b, 5, POLLIN as u16, Trigger::Level), Err(Error::Os(errno::ENOSPC)));
    // A closed descriptor leaves its place.
    drop(a);
    poller.add(&b, 5, POLLPRI as u16, Trigger::Level).expect("adds");
    drop(b);

    println!("waiting");
    assert_eq!(poller.wait(8, Wait::Forever), Err(Error::Os(errno::EINTR)));
}
