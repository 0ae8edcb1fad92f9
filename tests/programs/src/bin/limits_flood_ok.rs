//! Waits for one sender while another one floods it. Argument: the port that it may hear.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Result, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> Result<()> {
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    socket.bind(("127.0.0.1", 0))?;
    println!("{}", socket.getsockname()?.port().unwrap_or(0));
    // The flood begins, and wakes no wait.
    let mut poll = sandsock::Poll::new();
    poll.register(&socket, POLLIN)?;
    assert_eq!(poll.poll(Some(Duration::from_millis(500)))?.len(), 0);
    // A timeout is kept, however many datagrams are dropped meanwhile.
    for flags in [0, MSG_PEEK] {
        let start = Instant::now();
        socket.settimeout(Some(Duration::from_millis(500)))?;
        let error = socket.recv(100, flags).expect_err("nothing for us");
        assert_eq!(error.class(), "TimeoutError", "{error:?}");
        let taken = start.elapsed();
        assert!((450..2000).contains(&taken.as_millis()), "a timeout of 500 ms took {taken:?}");
    }
    // Not waiting means not waiting.
    socket.setblocking(false)?;
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(
            socket.recv(100, 0).map_err(|error| error.errno()),
            Err(Some(sandsock::errno::EAGAIN))
        );
        assert!(start.elapsed() < Duration::from_millis(500));
    }
    // An interrupt ends a wait.
    socket.setblocking(true)?;
    println!("waiting");
    let error = socket.recv(100, 0).expect_err("an interrupt");
    assert_eq!(error.class(), "InterruptedError", "{error:?}");
    println!("interrupted");
    // And what is for us comes through.
    socket.settimeout(Some(Duration::from_secs(10)))?;
    assert_eq!(socket.recvfrom(100, 0)?.0, b"at last");
    Ok(())
}
