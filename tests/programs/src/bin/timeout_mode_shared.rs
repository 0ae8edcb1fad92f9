//! The blocking mode belongs to the open file description, which duplicates share. The timeout is
//! each object's own. A timeout stays set if the mode can't be set.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, fromfd};
use sandsock_test_programs::{connected, fails_with, lasts, times_out, would_block};

fn main() -> Result<(), Error> {
    let (_a, b) = connected(AF_INET)?;
    let time = Duration::from_millis(100);
    for copy in [b.dup()?, fromfd(b.fileno(), AF_INET, SOCK_STREAM, 0)?] {
        b.setblocking(true)?;
        assert_eq!((b.gettimeout(), copy.gettimeout()), (None, None));
        copy.setblocking(false)?;
        assert_eq!(
            (b.gettimeout(), b.getblocking()),
            (None, true),
            "the object says what it was told"
        );
        would_block(b.recv(1, 0));
        copy.settimeout(Some(time))?;
        would_block(b.recv(1, 0));
        times_out(lasts(time, || copy.recv(1, 0)));

        // Setting a mode sets it anew for all, even if this object had it already.
        b.setblocking(true)?;
        let timeval = [0i64.to_le_bytes(), 100_000i64.to_le_bytes()].concat();
        b.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval.as_slice())?;
        would_block(lasts(time, || b.recv(1, 0)));
        assert_eq!(copy.gettimeout(), Some(time));
        times_out(lasts(time, || copy.recv(1, 0)));

        // A duplicate is made with its original's timeout, and so sets the mode for both.
        copy.setblocking(false)?;
        let third = b.dup()?;
        assert_eq!(third.gettimeout(), None);
        would_block(lasts(time, || b.recv(1, 0)));
        would_block(lasts(time, || third.recv(1, 0)));
    }

    b.close()?;
    let bad = Duration::from_millis(1234);
    fails_with(b.settimeout(Some(bad)), "OSError", 9);
    assert_eq!(b.gettimeout(), Some(bad));
    fails_with(b.setblocking(false), "OSError", 9);
    assert_eq!((b.gettimeout(), b.getblocking()), (Some(Duration::ZERO), false));
    fails_with(b.settimeout(None), "OSError", 9);
    assert_eq!(b.gettimeout(), None);
    Ok(())
}
