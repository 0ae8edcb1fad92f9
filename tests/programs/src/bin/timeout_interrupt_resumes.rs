//! With a handler that returns, an interrupted call goes on with the time that is left (PEP 475).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Poll, Socket, select, set_interrupt_handler};
use sandsock_test_programs::{PATIENCE, argument, lasts, pattern, times_out};

static HANDLED: AtomicU32 = AtomicU32::new(0);

fn main() -> Result<(), Error> {
    let (peer, deaf): (u16, u16) = (argument(0), argument(1));
    assert!(
        set_interrupt_handler(Some(|| {
            HANDLED.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }))
        .is_none()
    );
    let stream = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    stream.connect(("127.0.0.1", peer))?;

    // From here to the end there is an interrupt every few milliseconds. If each let the time begin
    // anew, no wait would end.
    println!("go");
    let time = Duration::from_millis(800);
    assert!(time < PATIENCE);
    stream.settimeout(Some(time))?;
    let handled = |what: &dyn Fn() -> Result<(), Error>| {
        let before = HANDLED.load(Ordering::Relaxed);
        let result = lasts(time, what);
        assert!(HANDLED.load(Ordering::Relaxed) > before, "the handler has run");
        result
    };
    times_out(handled(&|| stream.recv(1, 0).map(drop)));
    times_out(handled(&|| stream.recvmsg(1, 0, 0).map(drop)));
    assert!(
        handled(&|| {
            let (read, ..) = select(&[&stream], &[], &[], Some(time))?;
            assert!(read.is_empty());
            Ok(())
        })
        .is_ok()
    );
    assert!(
        handled(&|| {
            let mut poll = Poll::new();
            poll.register(&stream, POLLIN)?;
            assert!(poll.poll(Some(time))?.is_empty());
            Ok(())
        })
        .is_ok()
    );
    let connecting = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    connecting.settimeout(Some(time))?;
    times_out(handled(&|| connecting.connect(("127.0.0.1", deaf))));

    // All bytes are moved once and in order, while the peer is slow.
    let data = pattern(4 << 20);
    for timeout in [None, Some(Duration::from_secs(60))] {
        stream.settimeout(timeout)?;
        stream.sendall(&data, 0)?;
    }
    stream.setblocking(true)?;
    stream.sendall(&data[..1000], 0)?;
    assert_eq!(stream.recv(4, MSG_WAITALL)?, b"done");

    // A handler's own error ends the call with it.
    set_interrupt_handler(Some(|| Err(Error::exception("KeyboardInterrupt", "enough"))));
    let error = stream.recv(1, 0).expect_err("interrupted");
    assert_eq!(
        (error.class(), error.to_string().as_str(), error.progress()),
        ("KeyboardInterrupt", "enough", None)
    );
    println!("end");
    Ok(())
}
