//! Polls more than it may. Argument: the limit.

use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::syscalls;
use sandsock::raw::types::Wait;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, raw, refused};

fn main() -> sandsock::Result<()> {
    let limit: usize = args()[0].parse().expect("a number");
    let (a, _b) = raw(syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0))?;
    let poll = |count: usize| {
        let entries: Vec<_> =
            (0..count).map(|_| PollEntry { descriptor: &a, events: POLLOUT as u16 }).collect();
        raw(polling::poll(&entries, Wait::None))
    };
    let ready = poll(limit)?;
    assert_eq!(ready.len(), limit);
    assert!(ready.iter().all(|events| i32::from(*events) == POLLOUT));
    for count in [limit + 1, limit * 2 + 7, limit + 50_000] {
        refused("poll", poll(count), sandsock::errno::EINVAL);
    }
    let pollers: Result<Vec<_>, _> = (0..100_000).map(|_| polling::create_poller()).collect();
    let error = raw(pollers.map(|_| ())).expect_err("pollers without end");
    // None at all in this version, or as many as the limit allows.
    assert!(matches!(error.errno(), Some(24 | 38)), "{error:?}");
    Ok(())
}
