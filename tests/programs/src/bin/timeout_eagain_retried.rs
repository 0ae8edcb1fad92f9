//! poll reports "ready" and the call returns EAGAIN. Python's call goes on until something comes or
//! its time is over.

use std::time::Duration;

use sandsock::Error;
use sandsock::constants::*;
use sandsock_test_programs::{datagrams, lasts, port, times_out};

fn main() -> Result<(), Error> {
    // A datagram whose checksum is wrong makes the socket readable, and the kernel drops it when it
    // is read. On a signal of the guest the peer sends such datagrams, and a good one behind them.
    let socket = datagrams(AF_INET)?;
    println!("{}", port(&socket));
    let time = Duration::from_millis(700);
    socket.settimeout(Some(time))?;
    times_out(lasts(time, || socket.recv(100, 0)));
    times_out(lasts(time, || socket.recvfrom_into(&mut [0; 100], MSG_DONTWAIT)));
    times_out(lasts(time, || socket.recvmsg(100, 0, MSG_PEEK)));
    println!("enough");
    socket.settimeout(Some(Duration::from_secs(60)))?;
    assert_eq!(socket.recv(100, 0)?, b"good");
    println!("again");
    socket.settimeout(None)?;
    assert_eq!(socket.recv(100, 0)?, b"good");
    Ok(())
}
