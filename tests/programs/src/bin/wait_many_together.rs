//! Waits for its turn in each of the ways that there are. Many instances of it run together.

use sandsock::Error;
use sandsock::constants::*;
use sandsock::raw::polling::{self, PollEntry};
use sandsock::raw::types::{Address, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let d = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    // There is no room for all in the backlog: some wait here.
    connections::connect(&d, &Address::Unix(UnixAddress::Path(path.into_bytes())), Wait::Forever)?;
    assert_eq!(transfers::receive(&d, 1, 0, Wait::Forever)?, b"1");
    transfers::send(&d, b"a", 0, Wait::Forever)?;
    let entry = || PollEntry { descriptor: &d, events: POLLIN as u16 };
    assert_eq!(
        polling::poll(&[entry(), entry()], Wait::Within(60_000_000_000))?,
        [POLLIN as u16; 2]
    );
    assert_eq!(transfers::receive(&d, 1, 0, Wait::None)?, b"2");
    // More than there is room for, until the peer reads.
    assert_eq!(transfers::send(&d, &[b'b'; 1 << 20], 0, Wait::Forever)?, 1 << 20);
    Ok(())
}
