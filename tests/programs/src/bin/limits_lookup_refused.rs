//! Looks names up faster than it may. Argument: what is limited.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::netdb;
use sandsock::raw::types::{AddressHints, NameError, Wait};
use sandsock::{Error, Family, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, refused};

fn ask(wait: Wait) -> Result<usize, Error> {
    let hints = AddressHints { family: AF_INET, type_: SOCK_STREAM, protocol: 0, flags: 0 };
    let answer: Result<_, NameError> =
        netdb::get_address_info(Some("localhost"), None, hints, wait);
    Ok(answer?.len())
}

fn main() -> sandsock::Result<()> {
    let python = || getaddrinfo("localhost", 80, Family::INET, SOCK_STREAM, 0, 0);
    match args()[0].as_str() {
        // Two a second, of which two at once.
        "rate" => {
            let start = Instant::now();
            for _ in 0..5 {
                python()?;
            }
            let taken = start.elapsed();
            assert!(taken >= Duration::from_millis(1400), "five look-ups took {taken:?}");
            // A guest that does not wait that long gets the error at once.
            let start = Instant::now();
            for wait in [Wait::None, Wait::Within(1_000_000), Wait::Until(1)] {
                refused("a look-up too many", ask(wait), EAGAIN);
            }
            assert!(start.elapsed() < Duration::from_millis(400));
            // Numbers are no look-ups.
            for _ in 0..1000 {
                getaddrinfo("127.0.0.1", 80, Family::INET, SOCK_STREAM, 0, 0)?;
            }
            assert!(start.elapsed() < Duration::from_secs(2));
        }
        // With a limit of 0 the wait would have no end.
        "none" => {
            refused("a look-up", ask(Wait::Within(50_000_000)), EAGAIN);
            refused("a look-up", python(), EAGAIN);
        }
        _ => refused("a look-up", python(), EAGAIN),
    }
    Ok(())
}
