//! `wait_interrupt_after PATH`: a receive that waits before it reads still returns the bytes that
//! are there before it reports an interrupt. The interrupt ends the next wait.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};
use sandsock_test_programs::argument;

fn main() -> Result<(), Error> {
    let path: String = argument(0);
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    socket.connect(path.as_str())?;
    // Each of these comes late.
    for byte in 0..6 {
        socket.sendall(&[byte], Flags::NONE)?;
        assert_eq!(socket.recv(16, Flags::NONE)?, [byte]);
    }
    // A time without any wait, in which a byte and an interrupt come.
    println!("computing");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {}
    assert_eq!(socket.recv(16, Flags::NONE)?, b"x");
    assert_eq!(socket.recv(16, Flags::NONE).unwrap_err().class(), "InterruptedError");
    // A receive with a timeout ends in time.
    socket.settimeout(Some(Duration::from_millis(20)))?;
    for _ in 0..4 {
        assert_eq!(socket.recv(16, Flags::NONE).unwrap_err().class(), "TimeoutError");
    }
    Ok(())
}
