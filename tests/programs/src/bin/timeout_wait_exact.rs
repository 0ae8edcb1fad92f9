//! Every call that waits does so for the whole timeout and not much longer.

use std::io::{IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use sandsock::constants::*;
use sandsock::{Error, Poll, select};
use sandsock_test_programs::{PATIENCE, connected, datagrams, lasts, listening, times_out};

fn main() -> Result<(), Error> {
    let time = Duration::from_millis(120);
    let listener = listening(AF_INET)?;
    let (a, b) = connected(AF_INET)?;
    let udp = datagrams(AF_INET)?;
    for socket in [&listener, &a, &b, &udp] {
        socket.settimeout(Some(time))?;
    }
    let mut buffer = [0; 4];
    times_out(lasts(time, || listener.accept()));
    for socket in [&b, &udp] {
        times_out(lasts(time, || socket.recv(10, 0)));
        times_out(lasts(time, || socket.recv_into(&mut buffer, 0)));
        times_out(lasts(time, || socket.recvfrom(10, 0)));
        times_out(lasts(time, || socket.recvfrom_into(&mut buffer, 0)));
        times_out(lasts(time, || socket.recvmsg(10, 0, 0)));
        times_out(lasts(time, || socket.recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 0, 0)));
    }
    // More than a second, and fractions of a millisecond.
    b.settimeout(Some(Duration::from_micros(1_200_700)))?;
    times_out(lasts(Duration::from_micros(1_200_700), || b.recv(1, 0)));
    b.settimeout(Some(Duration::from_nanos(1)))?;
    times_out(lasts(Duration::from_nanos(1), || b.recv(1, 0)));

    let mut poll = Poll::new();
    poll.register(&b, POLLIN)?;
    lasts(time, || select(&[&b], &[], &[], Some(time)))?;
    lasts(time, || poll.poll(Some(time)))?;

    // There is no room, sooner or later: the kernel makes some now and then, as it moves bytes on
    // to the peer.
    let chunk = [7; 1 << 16];
    let full = |send: &dyn Fn() -> Result<(), Error>| loop {
        let start = Instant::now();
        let result = send();
        if result.is_err() {
            let elapsed = start.elapsed();
            assert!(elapsed >= time && elapsed < time + PATIENCE, "{elapsed:?}");
            break times_out(result);
        }
    };
    full(&|| a.send(&chunk, 0).map(drop));
    full(&|| a.sendall(&chunk, 0));
    full(&|| a.sendmsg(&[IoSlice::new(&chunk), IoSlice::new(&chunk)], &[], 0, None).map(drop));
    Ok(())
}
