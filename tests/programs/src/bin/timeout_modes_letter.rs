//! The three modes: how they are set, what they return, how they round, and what each call does if
//! there is nothing.

use std::io::IoSliceMut;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{connected, datagrams, fails, listening, times_out, would_block};

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    assert_eq!((socket.gettimeout(), socket.getblocking()), (None, true));
    for (seconds, nanoseconds) in
        [(0.0, 0), (-0.0, 0), (1e-12, 1), (1e-9, 1), (0.1, 100_000_000), (1.5, 1_500_000_000)]
    {
        socket.settimeout_f64(Some(seconds))?;
        assert_eq!(socket.gettimeout(), Some(Duration::from_nanos(nanoseconds)), "{seconds}");
        assert_eq!(socket.getblocking(), nanoseconds > 0);
    }
    socket.setblocking(true)?;
    assert_eq!((socket.gettimeout(), socket.getblocking()), (None, true));
    socket.setblocking(false)?;
    assert_eq!((socket.gettimeout(), socket.getblocking()), (Some(Duration::ZERO), false));
    socket.settimeout(Some(Duration::from_secs(3)))?;
    for (seconds, class, text) in [
        (-1.0, "ValueError", "Timeout value out of range"),
        (-1e-10, "ValueError", "Timeout value out of range"),
        (f64::NAN, "ValueError", "Invalid value NaN (not a number)"),
        (f64::INFINITY, "OverflowError", "timestamp out of range for platform time_t"),
        (1e10, "OverflowError", "timestamp out of range for platform time_t"),
    ] {
        fails(socket.settimeout_f64(Some(seconds)), class, text);
        assert_eq!(socket.gettimeout(), Some(Duration::from_secs(3)), "a bad one changes nothing");
    }
    let nonblocking = Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    assert_eq!(
        (nonblocking.gettimeout(), nonblocking.getblocking()),
        (Some(Duration::ZERO), false)
    );

    // Where there is nothing: at once, or after the time.
    let listener = listening(AF_INET)?;
    let (_a, b) = connected(AF_INET)?;
    let udp = datagrams(AF_INET)?;
    for zero in [true, false] {
        let ends =
            |result: Result<(), Error>| if zero { would_block(result) } else { times_out(result) };
        let timeout = Some(if zero { Duration::ZERO } else { Duration::from_millis(30) });
        for socket in [&listener, &b, &udp] {
            socket.settimeout(timeout)?;
        }
        let mut buffer = [0; 4];
        ends(listener.accept().map(drop));
        for socket in [&b, &udp] {
            ends(socket.recv(1, 0).map(drop));
            ends(socket.recv(1, MSG_PEEK).map(drop));
            ends(socket.recv_into(&mut buffer, 0).map(drop));
            ends(socket.recvfrom(1, 0).map(drop));
            ends(socket.recvfrom_into(&mut buffer, 0).map(drop));
            ends(socket.recvmsg(1, 0, 0).map(drop));
            ends(socket.recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 0, 0).map(drop));
        }
    }
    // Python looks at TimeoutError's errno: it has none, and is not ETIMEDOUT.
    let error = b.recv(1, 0).expect_err("nothing is there");
    assert_eq!(
        (error.class(), error.errno(), std::io::Error::from(error).kind()),
        ("TimeoutError", None, std::io::ErrorKind::TimedOut)
    );
    assert_eq!(Error::from_errno(110).class(), "TimeoutError");
    assert_eq!(Error::from_errno(110).errno(), Some(110));
    Ok(())
}
