//! Moves more at once than one call may. Argument: the limit.

use sandsock::constants::*;
use sandsock::raw::types::Wait;
use sandsock::raw::{syscalls, transfers};
use sandsock::socketpair;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, raw};

fn main() -> sandsock::Result<()> {
    let limit: usize = args()[0].parse().expect("a number");
    let (a, b) = raw(syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0))?;
    let data = vec![7; 5 * limit];
    let asked = data.len() as u64;
    for wait in [Wait::None, Wait::Within(1_000_000_000)] {
        assert_eq!(raw(transfers::send(&a, &data, 0, wait))?, limit as u64);
        assert_eq!(
            raw(transfers::send_message(&a, &[&data, &data], &[], 0, None, wait))?,
            limit as u64
        );
        // A receive as well, however it asks.
        assert_eq!(raw(transfers::receive(&b, asked, MSG_PEEK, wait))?.len(), limit);
        assert_eq!(raw(transfers::receive(&b, asked, MSG_WAITALL, wait))?.len(), limit);
        assert_eq!(raw(transfers::receive_message(&b, asked, 0, 0, wait))?.data.len(), limit);
    }
    // A call that blocks goes on until everything is moved, one limit's bytes at a time.
    assert_eq!(raw(transfers::send(&a, &data, 0, Wait::Forever))?, asked);
    assert_eq!(raw(transfers::receive(&b, asked, 0, Wait::Forever))?.len(), limit);
    assert_eq!(
        raw(transfers::receive(&b, asked, MSG_PEEK | MSG_WAITALL, Wait::Forever))?.len(),
        limit
    );
    assert_eq!(
        raw(transfers::receive(&b, asked - limit as u64, MSG_WAITALL, Wait::Forever))?.len(),
        4 * limit
    );
    assert_eq!(
        raw(transfers::send_message(&a, &[&data, &data], &[], 0, None, Wait::Forever))?,
        2 * asked
    );
    assert_eq!(
        raw(transfers::receive_message(&b, 2 * asked, 0, MSG_WAITALL, Wait::Forever))?.data.len(),
        10 * limit
    );
    // Python's methods hide it.
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    a.sendall(&data, 0)?;
    let mut left = data.len();
    while left > 0 {
        left -= b.recv(left, 0)?.len();
    }
    assert_eq!(a.send(&data, 0)?, data.len());
    assert_eq!(b.recv(data.len(), MSG_WAITALL)?.len(), data.len());
    // A message is sent whole or not at all.
    let (a, b) = socketpair(AF_UNIX, SOCK_DGRAM, 0)?;
    assert_eq!(a.send(&data, 0)?, data.len());
    assert_eq!(b.recv(data.len(), 0)?.len(), data.len());
    Ok(())
}
