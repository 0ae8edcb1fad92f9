//! A connection that fails during the wait. Its error comes at once, from SO_ERROR, and not after
//! the timeout.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, fails};

fn main() -> Result<(), Error> {
    // The listener's queue is full; once a line is printed, the listener goes away.
    let address = ("127.0.0.1", argument::<u16>(0));
    let blocking = argument::<String>(1) == "blocking";
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.settimeout((!blocking).then_some(Duration::from_secs(60)))?;
    println!("connecting");
    let start = Instant::now();
    fails(socket.connect(address), "ConnectionRefusedError", "[Errno 111] Connection refused");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_ERROR)?, 0, "it was read");
    Ok(())
}
