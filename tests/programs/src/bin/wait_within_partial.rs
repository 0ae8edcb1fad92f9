//! Under a timed wait a call on a stream is one transfer, of as many bytes as there is room for.

use sandsock::constants::*;
use sandsock::raw::types::{Error as RawError, Wait};
use sandsock::raw::{clock, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let (a, b) = syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let data = vec![7; 8 << 20];
    let long = Wait::Within(3_600_000_000_000);
    let sent = transfers::send(&a, &data, 0, long)?;
    assert!(0 < sent && sent < 1 << 20, "{sent}");
    assert_eq!(
        transfers::send(&a, &data, 0, Wait::Until(clock::now() + 20_000_000)),
        Err(RawError::Os(errno::EAGAIN))
    );
    // A little room, and a call that could wait for more.
    let mut taken = 0;
    while taken < sent / 2 {
        taken += transfers::receive(&b, sent / 2, 0, Wait::None)?.len() as u64;
    }
    let more = transfers::send(&a, &data, 0, long)?;
    assert!(0 < more && more < sent, "{more}");
    // A receive gives what is there; MSG_WAITALL gathers under `forever` alone.
    assert_eq!(transfers::send(&b, b"abc", 0, Wait::None)?, 3);
    assert_eq!(transfers::receive(&a, 100, MSG_WAITALL, long)?, b"abc");
    Ok(())
}
