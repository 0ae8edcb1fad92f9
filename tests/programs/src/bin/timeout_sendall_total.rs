//! `sendall` has one deadline for the whole call: a peer that takes a little now and then does not
//! prolong it.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{PATIENCE, argument, times_out};

fn main() -> Result<(), Error> {
    // The peer takes the data by small pieces, which are never long in coming, for some 20 seconds.
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 1 << 15)?;
    socket.connect(("127.0.0.1", argument::<u16>(0)))?;
    let time = Duration::from_millis(1500);
    socket.settimeout(Some(time))?;
    let data = vec![7; 32 << 20];
    let start = Instant::now();
    times_out(socket.sendall(&data, 0));
    let elapsed = start.elapsed();
    assert!(elapsed >= time && elapsed < time + PATIENCE, "{elapsed:?}");
    // The time was not one of silence: each send alone would have been in time.
    for _ in 0..3 {
        socket.send(&data, 0)?;
    }
    Ok(())
}
