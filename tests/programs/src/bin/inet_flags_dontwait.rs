//! MSG_DONTWAIT in the three modes: it works without a timeout and with timeout 0. A call with
//! another timeout waits all the same.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, connected, datagrams, lasts, times_out, would_block};

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    let udp = datagrams(AF_INET)?;
    for timeout in [None, Some(Duration::ZERO)] {
        for socket in [&b, &udp] {
            socket.settimeout(timeout)?;
            would_block(socket.recv(10, MSG_DONTWAIT));
            would_block(socket.recv(10, MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL));
            would_block(socket.recv_into(&mut [0; 10], MSG_DONTWAIT));
            would_block(socket.recvfrom(10, MSG_DONTWAIT));
            would_block(socket.recvfrom_into(&mut [0; 10], MSG_DONTWAIT));
            would_block(socket.recvmsg(10, 0, MSG_DONTWAIT));
        }
    }
    let time = Duration::from_millis(200);
    for socket in [&b, &udp] {
        socket.settimeout(Some(time))?;
        times_out(lasts(time, || socket.recv(10, MSG_DONTWAIT)));
        times_out(lasts(time, || socket.recvmsg(10, 0, MSG_DONTWAIT)));
    }

    // Sending: until there is no room.
    a.setsockopt(SOL_SOCKET, SO_SNDBUF, 8192)?;
    let chunk = [7; 4096];
    // The bytes may still be on their way to the peer's buffer. After that there is room again.
    while a.send(&chunk, MSG_DONTWAIT).is_ok() {}
    a.settimeout(Some(time))?;
    let (start, error) = loop {
        let start = Instant::now();
        if let Err(error) = a.send(&chunk, MSG_DONTWAIT) {
            break (start, error);
        }
    };
    assert!(start.elapsed() >= time);
    times_out(Err::<(), _>(error));
    for timeout in [None, Some(Duration::ZERO)] {
        a.settimeout(timeout)?;
        would_block(a.send(&chunk, MSG_DONTWAIT));
        would_block(a.sendall(&chunk, MSG_DONTWAIT));
    }

    // The peer sends a while after it has got a byte.
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", argument::<u16>(0)))?;
    socket.settimeout(Some(Duration::from_secs(20)))?;
    socket.sendall(b"x", MSG_DONTWAIT)?;
    assert_eq!(socket.recv(10, MSG_DONTWAIT)?, b"late");
    Ok(())
}
