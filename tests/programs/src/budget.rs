//! Code of the guests that move bytes under a budget.

use sandsock::constants::*;
use sandsock::raw::clock;
use sandsock::raw::connections::connect;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{PollEntry, poll};
use sandsock::raw::syscalls::socket;
use sandsock::raw::types::{Address, Error, InetAddress, Wait};

/// An address on the loopback.
pub fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

/// A new connection to this port.
///
/// # Errors
/// What the host says.
pub fn connection(port: u16) -> Result<Descriptor, Error> {
    let d = socket(AF_INET, SOCK_STREAM, 0)?;
    connect(&d, &loopback(port), Wait::Forever).map(|()| d)
}

/// Checks that a budget refused the call, with a reason that has this text.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>, text: &str) {
    match result {
        Err(Error::Denied(denial)) => {
            assert_eq!(denial.grant, None, "{}", denial.reason);
            assert!(denial.reason.contains(text), "{:?} is not in {:?}", text, denial.reason);
        }
        other => panic!("a denial with {text:?}, not {other:?}"),
    }
}

/// The events of one descriptor.
///
/// # Panics
/// If the host refuses the poll.
#[track_caller]
pub fn events(d: &Descriptor, asked: i32, wait: Wait) -> i32 {
    let found = poll(&[PollEntry { descriptor: d, events: asked as u16 }], wait).expect("polls");
    i32::from(found[0])
}

/// Checks that something holds while a rate is used up. A busy machine can give the rate time to
/// recover between the call that uses it up and the check, so it is tried again.
///
/// # Panics
/// If it never holds.
#[track_caller]
pub fn starved(mut holds: impl FnMut() -> bool) {
    assert!((0..50).any(|_| holds()), "it never held");
}

/// How long something takes, in milliseconds.
pub fn milliseconds(what: impl FnOnce()) -> u64 {
    let start = clock::now();
    what();
    (clock::now() - start) / 1_000_000
}
