//! A rate of 20,000 bytes a second: what is above it waits, and nothing spins. Arguments: the role
//! and the peer's port.

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::polling::{PollEntry, create_poller, poll};
use sandsock::raw::syscalls::socketpair;
use sandsock::raw::transfers::{receive, send};
use sandsock::raw::types::{Error, Trigger, Wait};
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, events, milliseconds, starved};

const RATE: usize = 20_000;
const AGAIN: Error = Error::Os(EAGAIN);

/// Moves bytes until none move without a wait.
fn drain(mut call: impl FnMut() -> Result<u64, Error>) -> usize {
    let mut total = 0;
    loop {
        match call() {
            Ok(count) => total += count as usize,
            result => {
                assert_eq!(result, Err(AGAIN));
                return total;
            }
        }
    }
}

/// Moves `RATE` bytes at once, and as many again by waits for readiness.
fn by_readiness(
    d: &Descriptor,
    event: i32,
    mut call: impl FnMut() -> Result<u64, Error>,
    wait: impl Fn(),
) {
    let mut first = 0;
    while first < RATE {
        // The peer's bytes may not be there yet.
        events(d, event, Wait::Forever);
        first += drain(&mut call);
    }
    assert!(first < 3 * RATE, "{first} bytes");
    starved(|| {
        drain(&mut call);
        events(d, event, Wait::None) & event == 0
    });
    let (mut total, mut rounds) = (0, 0);
    let time = milliseconds(|| {
        while total < RATE {
            wait();
            total += drain(&mut call);
            rounds += 1;
        }
    });
    assert!((500..8_000).contains(&time), "{time} ms");
    assert!(rounds <= 40, "{rounds} rounds for {total} bytes");
}

fn main() {
    let role: String = argument(0);
    let d = connection(argument(1)).expect("connects");
    let data = vec![7; 4 * RATE];
    let send_some = || send(&d, &data, 0, Wait::None);
    let receive_some = || receive(&d, 100_000, 0, Wait::None).map(|data| data.len() as u64);
    match role.as_str() {
        "send" => {
            let time = milliseconds(|| {
                assert_eq!(send(&d, &data[..2 * RATE], 0, Wait::Forever), Ok(2 * RATE as u64));
            });
            assert!((800..8_000).contains(&time), "{time} ms");
            // A call with a time waits no longer.
            let time =
                milliseconds(|| while send(&d, &data, 0, Wait::Within(20_000_000)).is_ok() {});
            assert!(time < 5_000, "{time} ms");
        }
        "receive" => {
            let time = milliseconds(|| {
                let mut left = 2 * RATE;
                while left > 0 {
                    let data = receive(&d, left as u64, 0, Wait::Forever).expect("receives");
                    left -= data.len();
                }
            });
            assert!((800..8_000).contains(&time), "{time} ms");
        }
        "poll-out" => by_readiness(&d, POLLOUT, send_some, || {
            assert_eq!(events(&d, POLLOUT, Wait::Forever), POLLOUT);
        }),
        "poll-in" => by_readiness(&d, POLLIN, receive_some, || {
            assert_eq!(events(&d, POLLIN, Wait::Forever), POLLIN);
        }),
        "poller-out" | "poller-edge" | "poller-once" => {
            let poller = create_poller().expect("makes");
            let trigger = match role.as_str() {
                "poller-edge" => Trigger::Edge,
                "poller-once" => Trigger::OneShot,
                _ => Trigger::Level,
            };
            poller.add(&d, 1, POLLOUT as u16, trigger).expect("adds");
            by_readiness(&d, POLLOUT, send_some, || {
                let found = poller.wait(8, Wait::Forever).expect("waits");
                assert_eq!((found.len(), found[0].key, i32::from(found[0].ready)), (1, 1, POLLOUT));
                poller.modify(1, POLLOUT as u16, trigger).expect("modifies");
            });
        }
        "poller-nested" => {
            let (inner, outer) = (create_poller().expect("makes"), create_poller().expect("makes"));
            inner.add(&d, 1, POLLOUT as u16, Trigger::Level).expect("adds");
            outer.add_poller(&inner, 2, POLLIN as u16, Trigger::Level).expect("adds");
            by_readiness(&d, POLLOUT, send_some, || {
                let found = outer.wait(8, Wait::Forever).expect("waits");
                assert_eq!((found.len(), found[0].key, i32::from(found[0].ready)), (1, 2, POLLIN));
            });
        }
        "poller-in" => {
            let poller = create_poller().expect("makes");
            poller.add(&d, 1, POLLIN as u16, Trigger::Level).expect("adds");
            by_readiness(&d, POLLIN, receive_some, || {
                let found = poller.wait(8, Wait::Forever).expect("waits");
                assert_eq!((found.len(), i32::from(found[0].ready)), (1, POLLIN));
            });
            // What rests can be removed and added again.
            starved(|| {
                drain(receive_some);
                poller.wait(8, Wait::None).expect("waits").is_empty()
            });
            poller.remove(1).expect("removes");
            poller.add(&d, 2, POLLIN as u16, Trigger::Level).expect("adds");
        }
        "others" => {
            // What is withheld of one descriptor does not delay the others.
            let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
            let poller = create_poller().expect("makes");
            poller.add(&d, 1, POLLOUT as u16, Trigger::Level).expect("adds");
            poller.add(&a, 2, POLLIN as u16, Trigger::Level).expect("adds");
            starved(|| {
                drain(send_some);
                poller.wait(8, Wait::None).expect("waits").is_empty()
            });
            send(&b, b"x", 0, Wait::None).expect("sends");
            let entries = [
                PollEntry { descriptor: &d, events: POLLOUT as u16 },
                PollEntry { descriptor: &a, events: POLLIN as u16 },
            ];
            starved(|| {
                drain(send_some);
                poll(&entries, Wait::Forever).expect("polls") == [0, POLLIN as u16]
            });
            starved(|| {
                drain(send_some);
                let found = poller.wait(8, Wait::Forever).expect("waits");
                found.len() == 1 && found[0].key == 2
            });
        }
        "end" => {
            // The peer's end is seen although the rate is used up.
            drain(receive_some);
            let mut total = 0;
            loop {
                let data = receive(&d, 100_000, 0, Wait::Forever).expect("receives");
                total += data.len();
                if data.is_empty() {
                    break;
                }
            }
            assert!(total > 0);
            drain(send_some);
            assert_eq!(events(&d, POLLIN, Wait::None) & POLLIN, POLLIN);
            assert_eq!(receive_some(), Ok(0));
        }
        role => panic!("no role {role}"),
    }
}
