//! Tasks that could always go on leave turns to the others: a task that finds its socket ready
//! every time, and a task that only yields.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::{Error, Flags, socketpair};

fn main() -> Result<(), Error> {
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    b.sendall(b"x", Flags::NONE)?;
    let a = AsyncSocket::new(a)?;
    let turns = Rc::new(Cell::new(0u64));
    let count = Rc::clone(&turns);
    // It peeks: the byte stays.
    let _ready = aio::spawn(async move {
        loop {
            assert_eq!(a.recv(1, Flags::PEEK).await.expect("receives"), b"x");
            count.set(count.get() + 1);
        }
    });
    let _yielding = aio::spawn(async {
        loop {
            futures_lite::future::yield_now().await;
        }
    });
    let (c, d) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let c = AsyncSocket::new(c)?;
    aio::run(async {
        // A timer fires, and an event comes, beside them.
        aio::sleep(Duration::from_millis(10)).await;
        let receive = c.recv(1, Flags::NONE);
        let send = async {
            aio::sleep(Duration::from_millis(1)).await;
            d.sendall(b"y", Flags::NONE).expect("sends");
        };
        let (received, ()) = futures_lite::future::zip(receive, send).await;
        assert_eq!(received.expect("receives"), b"y");
    })?;
    assert!(turns.get() > 0);
    Ok(())
}
