//! The default timeout: which sockets get it. An accepted socket does not take its listener's
//! timeout.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    ConnectTimeout, Error, ServerOptions, Socket, create_connection, create_server, dup, fromfd,
    getdefaulttimeout, setdefaulttimeout, setdefaulttimeout_f64, socketpair,
};
use sandsock_test_programs::{connected, fails, lasts, listening, port, times_out, would_block};

const ZERO: Option<Duration> = Some(Duration::ZERO);
const SHORT: Option<Duration> = Some(Duration::from_millis(100));

fn main() -> Result<(), Error> {
    assert_eq!(getdefaulttimeout(), None);
    // Without a default an accepted socket blocks, whatever its listener does.
    for timeout in [None, ZERO, SHORT] {
        let listener = listening(AF_INET)?;
        let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        client.connect(("127.0.0.1", port(&listener)))?;
        assert_eq!(
            sandsock::select(&[&listener], &[], &[], Some(Duration::from_secs(20)))?.0.len(),
            1
        );
        listener.settimeout(timeout)?;
        let (connection, _) = listener.accept()?;
        assert_eq!((connection.gettimeout(), listener.gettimeout()), (None, timeout));
        // It does block: for SO_RCVTIMEO, which nothing else heeds.
        let timeval = [0i64.to_le_bytes(), 100_000i64.to_le_bytes()].concat();
        connection.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeval.as_slice())?;
        would_block(lasts(Duration::from_millis(100), || connection.recv(1, 0)));
    }

    setdefaulttimeout(SHORT)?;
    assert_eq!(getdefaulttimeout(), SHORT);
    let (a, b) = connected(AF_INET)?;
    assert_eq!((a.gettimeout(), b.gettimeout()), (SHORT, SHORT), "made and accepted");
    times_out(lasts(Duration::from_millis(100), || b.recv(1, 0)));
    a.settimeout(None)?;
    assert_eq!(a.dup()?.gettimeout(), None, "a duplicate has its original's");
    assert_eq!(fromfd(a.fileno(), AF_INET, SOCK_STREAM, 0)?.gettimeout(), SHORT);
    assert_eq!(Socket::with_fileno(dup(a.fileno())?, None, None, None)?.gettimeout(), SHORT);
    let (one, two) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    assert_eq!((one.gettimeout(), two.gettimeout()), (SHORT, SHORT));
    times_out(lasts(Duration::from_millis(100), || one.recv(1, 0)));
    let (one, two) = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    assert_eq!((one.gettimeout(), two.gettimeout()), (ZERO, ZERO));
    assert_eq!(Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?.gettimeout(), ZERO);
    let server = create_server(("127.0.0.1", 0), ServerOptions::default())?;
    assert_eq!(server.gettimeout(), SHORT);
    let address = ("127.0.0.1", port(&server));
    assert_eq!(
        create_connection(address, ConnectTimeout::Default, None, false)?.gettimeout(),
        SHORT
    );
    assert_eq!(create_connection(address, ConnectTimeout::None, None, false)?.gettimeout(), None);

    setdefaulttimeout_f64(Some(0.0))?;
    let fresh = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    assert_eq!((fresh.gettimeout(), fresh.getblocking()), (ZERO, false));
    assert_eq!(b.gettimeout(), SHORT, "those that were there stay as they are");
    fails(setdefaulttimeout_f64(Some(-1.0)), "ValueError", "Timeout value out of range");
    fails(setdefaulttimeout_f64(Some(f64::NAN)), "ValueError", "Invalid value NaN (not a number)");
    assert_eq!(getdefaulttimeout(), ZERO);
    setdefaulttimeout(None)?;
    assert_eq!(Socket::new(AF_INET, SOCK_STREAM, 0)?.gettimeout(), None);
    Ok(())
}
