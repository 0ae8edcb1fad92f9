//! SO_RCVTIMEO and SO_SNDTIMEO: deadlines of a socket that blocks, and of no other.

use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{
    PATIENCE, connected, datagrams, lasts, listening, times_out, would_block,
};

fn main() -> Result<(), Error> {
    let time = Duration::from_millis(200);
    let (a, b) = connected(AF_INET)?;
    let udp = datagrams(AF_INET)?;
    let listener = listening(AF_INET)?;
    for socket in [&b, &udp, &listener] {
        set(socket, SO_RCVTIMEO, time)?;
        assert_eq!(socket.getsockopt_bytes(SOL_SOCKET, SO_RCVTIMEO, 16)?, timeval(time));
    }
    would_block(lasts(time, || b.recv(1, 0)));
    would_block(lasts(time, || b.recvmsg(1, 0, 0)));
    would_block(lasts(time, || udp.recvfrom(1, 0)));
    would_block(lasts(time, || listener.accept()));

    // With a timeout of its own that one counts, be it longer or shorter.
    for own in [Duration::from_millis(400), Duration::from_millis(50)] {
        b.settimeout(Some(own))?;
        let start = Instant::now();
        times_out(b.recv(1, 0));
        assert!(start.elapsed() >= own);
        if own < time {
            set(&b, SO_RCVTIMEO, Duration::from_secs(60))?;
            times_out(lasts(own, || b.recv(1, 0)));
        }
    }
    b.setblocking(false)?;
    would_block(lasts(Duration::ZERO, || b.recv(1, 0)));

    // A send that was cut short returns how much it sent. The next one finds no room.
    set(&a, SO_SNDTIMEO, time)?;
    let data = vec![7; 64 << 20];
    let start = Instant::now();
    let sent = a.send(&data, 0)?;
    assert!(sent > 0 && sent < data.len(), "{sent}");
    assert!(start.elapsed() >= time && start.elapsed() < time + 2 * PATIENCE);
    while a.send(&data, 0).is_ok() {}
    would_block(lasts(time, || a.send(&data, 0)));
    would_block(lasts(time, || a.sendall(&data, 0)));
    Ok(())
}

fn timeval(time: Duration) -> Vec<u8> {
    [(time.as_secs() as i64).to_le_bytes(), i64::from(time.subsec_micros()).to_le_bytes()].concat()
}

fn set(socket: &Socket, option: i32, time: Duration) -> Result<(), Error> {
    socket.setsockopt(SOL_SOCKET, option, timeval(time).as_slice())
}
