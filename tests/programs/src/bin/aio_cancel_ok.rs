//! Dropping cancels a call, a task or a whole run, and nothing of it stays behind.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno, socketpair};
use sandsock_test_programs::{fails, fails_with, memory_pages, times_out};

fn pair() -> Result<(AsyncSocket, Socket), Error> {
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    Ok((AsyncSocket::new(a)?, b))
}

/// Says that it was dropped.
struct Told(Rc<Cell<bool>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn main() -> Result<(), Error> {
    let (a, b) = pair()?;
    aio::run(async {
        // A task that waits: dropping it ends it, and frees what it held.
        let dropped = Rc::new(Cell::new(false));
        let (own, other) = pair().expect("a pair");
        let told = Told(Rc::clone(&dropped));
        let task = aio::spawn(async move {
            let _told = told;
            own.recv(1, Flags::NONE).await
        });
        aio::sleep(Duration::from_millis(5)).await;
        assert!(!dropped.get());
        drop(task);
        aio::sleep(Duration::from_millis(5)).await;
        assert!(dropped.get());
        // Its socket is closed.
        assert_eq!(other.recv(1, Flags::NONE).expect("receives"), b"");

        // Very many calls that are given up on one socket leave nothing behind.
        for round in 0..20_000 {
            let receive = std::pin::pin!(a.recv(1, Flags::NONE));
            assert!(futures_lite::future::poll_once(receive).await.is_none());
            if round == 1_000 {
                MARK.set(memory_pages());
            }
        }
        assert!(memory_pages() <= MARK.get() + 2, "{} pages, then {}", MARK.get(), memory_pages());

        // Several may wait for one socket, in both directions; each gets its own.
        let (first, second) = (a.recv(1, Flags::NONE), a.recv(1, Flags::NONE));
        let send = async {
            aio::sleep(Duration::from_millis(5)).await;
            b.sendall(b"12", Flags::NONE).expect("sends");
        };
        let ((first, second), ()) =
            futures_lite::future::zip(futures_lite::future::zip(first, second), send).await;
        let mut got = [first.expect("receives"), second.expect("receives")].concat();
        got.sort_unstable();
        assert_eq!(got, b"12");

        // One run within another is refused.
        fails(
            aio::run(async {}),
            "RuntimeError",
            "aio::run() cannot be called from a running event loop",
        );
        times_out(aio::timeout(Duration::from_millis(5), std::future::pending::<()>()).await);
    })?;

    // A socket that is given back is an ordinary one, and may come again.
    let socket = a.into_inner();
    assert_eq!(socket.gettimeout(), Some(Duration::ZERO));
    fails_with(socket.recv(1, Flags::NONE), "BlockingIOError", errno::EAGAIN);
    let again = AsyncSocket::new(socket)?;
    let closed = again.get_ref().fileno();
    aio::run(async {
        b.sendall(b"3", Flags::NONE).expect("sends");
        assert_eq!(again.recv(1, Flags::NONE).await.expect("receives"), b"3");
        // A call that waits while its socket is closed by its number fails when it is tried again.
        let close = async {
            aio::sleep(Duration::from_millis(5)).await;
            sandsock::close(closed).expect("closes");
        };
        let ((), received) = futures_lite::future::zip(close, again.recv(1, Flags::NONE)).await;
        fails_with(received, "OSError", errno::EBADF);
    })?;

    // A task that is left goes on in the next run.
    let done = Rc::new(Cell::new(false));
    let told = Rc::clone(&done);
    aio::spawn(async move {
        aio::sleep(Duration::from_millis(1)).await;
        told.set(true);
    })
    .detach();
    aio::run(async {})?;
    assert!(!done.get());
    aio::run(aio::sleep(Duration::from_millis(500)))?;
    assert!(done.get());
    Ok(())
}

thread_local! {
    static MARK: Cell<usize> = const { Cell::new(0) };
}
