//! Time in asynchronous guests: sleeps end in the order of their instants and never early. A
//! timeout is Python's and drops the future that it bounds. A future that is ready in time is not
//! touched.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sandsock::aio::{self, AsyncSocket};
use sandsock::constants::*;
use sandsock::raw::clock::now;
use sandsock::{Error, Flags, socketpair};
use sandsock_test_programs::times_out;

const MS: u64 = 1_000_000;

fn main() -> Result<(), Error> {
    let order = Rc::new(RefCell::new(Vec::new()));
    aio::run(async {
        let tasks: Vec<_> = [30, 10, 20, 10, 0]
            .into_iter()
            .map(|ms| {
                let order = Rc::clone(&order);
                aio::spawn(async move {
                    let start = now();
                    aio::sleep(Duration::from_millis(ms)).await;
                    assert!(now() >= start + ms * MS);
                    order.borrow_mut().push(ms);
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        assert_eq!(*order.borrow(), [0, 10, 10, 20, 30]);

        let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
        let a = AsyncSocket::new(a).expect("takes it");
        let start = now();
        times_out(aio::timeout(Duration::from_millis(20), a.recv(1, Flags::NONE)).await);
        assert!(now() >= start + 20 * MS);
        // The dropped futures took nothing.
        b.sendall(b"x", Flags::NONE).expect("sends");
        let received =
            aio::timeout(Duration::from_secs(60), a.recv(1, Flags::NONE)).await.expect("in time");
        assert_eq!(received.expect("receives"), b"x");
        times_out(aio::timeout(Duration::ZERO, a.recv(1, Flags::NONE)).await);

        // Sleeps that were dropped hold up nothing, not even one without an end.
        drop(aio::sleep(Duration::from_secs(3600)));
        times_out(aio::timeout(Duration::from_millis(1), aio::sleep(Duration::MAX)).await);
    })
}
