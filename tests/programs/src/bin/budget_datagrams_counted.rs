//! Budgets of datagrams, which are charged by their addresses. Arguments: the role, the port of a
//! peer that sends each datagram back, and the port of one without a budget.

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::connections::connect;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{bind, socket};
use sandsock::raw::transfers::{
    BatchEntry, receive, receive_batch, receive_from, send, send_batch, send_message, send_to,
};
use sandsock::raw::types::{Error, Wait};
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{events, loopback, milliseconds, refused, starved};

fn udp() -> Descriptor {
    let d = socket(AF_INET, SOCK_DGRAM, 0).expect("makes");
    bind(&d, &loopback(0)).expect("binds");
    d
}

fn main() {
    let role: String = argument(0);
    let (peer, free) = (argument(1), argument(2));
    let (to, other) = (loopback(peer), loopback(free));
    let d = udp();
    let next = |d: &Descriptor, flags| receive(d, 1000, flags, Wait::Within(5_000_000_000));
    match role.as_str() {
        // 100 bytes in all.
        "bytes" => {
            assert_eq!(send_to(&d, &[1; 30], 0, &to, Wait::Forever), Ok(30));
            // A peek counts, and the receive after it does not count again.
            assert_eq!(next(&d, MSG_PEEK).map(|data| data.len()), Ok(30));
            assert_eq!(next(&d, MSG_PEEK).map(|data| data.len()), Ok(30));
            assert_eq!(next(&d, 0).map(|data| data.len()), Ok(30));
            // A message is not cut.
            refused(
                send_to(&d, &[1; 50], 0, &to, Wait::Forever),
                "has 40 of its bytes left, and the message has 50",
            );
            refused(
                send_message(&d, &[&[1; 41]], &[], 0, Some(&to), Wait::None),
                "has 40 of its bytes left, and the message has 41",
            );
            // An empty one counts as one byte, both ways.
            assert_eq!(send_to(&d, &[], 0, &to, Wait::Forever), Ok(0));
            assert_eq!(next(&d, 0), Ok(Vec::new()));
            connect(&d, &to, Wait::Forever).expect("associates");
            assert_eq!(send(&d, &[2; 28], 0, Wait::Forever), Ok(28));
            // What came is there, and too long for what is left.
            assert_eq!(events(&d, POLLIN, Wait::Forever), POLLIN);
            refused(next(&d, 0), "has 10 of its bytes left, and the message has 28");
            refused(
                receive_batch(&d, 8, 100, 0, 0, Wait::None).map(drop),
                "has 10 of its bytes left",
            );
            assert_eq!(receive(&d, 10, 0, Wait::None).map(|data| data.len()), Ok(10));
            for empty in [0, 1] {
                refused(send(&d, &[0; 1][..empty], 0, Wait::None), "has no bytes left");
            }
            // Another peer has no budget.
            let e = udp();
            assert_eq!(send_to(&e, &[1; 500], 0, &other, Wait::Forever), Ok(500));
            let reply = receive_from(&e, 1000, 0, Wait::Forever).expect("receives");
            assert_eq!(reply.data.len(), 500);
        }
        "batch" => {
            let entry = |length| BatchEntry { length, address: Some(&to), control: &[] };
            let entries: Vec<_> = [20, 20, 20, 1].into_iter().map(entry).collect();
            // 61 bytes go out, so 39 may come in: one message of 20.
            assert_eq!(send_batch(&d, &[1; 61], &entries, 0, Wait::Forever), Ok(4));
            let mut got = 0;
            while got < 20 {
                let batch = receive_batch(&d, 8, 100, 0, 0, Wait::Forever).expect("receives");
                got += batch.data.len();
            }
            let left = "has 19 of its bytes left, and the message has 20";
            refused(receive_batch(&d, 8, 100, 0, 0, Wait::Forever).map(drop), left);
            // The messages before the one that is refused are sent.
            let entries: Vec<_> = [9, 9, 9].into_iter().map(entry).collect();
            assert_eq!(send_batch(&d, &[1; 27], &entries, 0, Wait::Forever), Ok(2));
            refused(
                send_batch(&d, &[1; 9], &entries[..1], 0, Wait::Forever),
                "has 1 of its bytes left",
            );
        }
        // 1,000 bytes a second.
        "rate" => {
            let mut sent = 0;
            let again = Err(Error::Os(EAGAIN));
            let mut drain = || loop {
                match send_to(&d, &[1; 200], 0, &to, Wait::None) {
                    Ok(count) => sent += count,
                    result => break assert_eq!(result, again),
                }
            };
            // The kernel has room, and the guest does not see it. The replies wait as well.
            starved(|| {
                drain();
                events(&d, POLLOUT, Wait::None) == 0
                    && receive(&d, 1000, 0, Wait::None) == Err(Error::Os(EAGAIN))
                    && events(&d, POLLIN, Wait::None) == 0
            });
            assert!((1000..=3000).contains(&sent), "{sent}");
            let time = milliseconds(|| {
                for _ in 0..5 {
                    assert_eq!(next(&d, 0).map(|data| data.len()), Ok(200));
                }
                assert_eq!(send_to(&d, &[1; 200], 0, &to, Wait::Forever), Ok(200));
            });
            assert!((600..8_000).contains(&time), "{time} ms");
            // A message longer than a second's bytes goes, and later ones wait for it.
            let time = milliseconds(|| {
                assert_eq!(send_to(&d, &[1; 1500], 0, &to, Wait::Forever), Ok(1500));
                assert_eq!(send_to(&d, &[1; 1], 0, &to, Wait::None), again);
                assert_eq!(events(&d, POLLOUT, Wait::Forever), POLLOUT);
                assert_eq!(send_to(&d, &[1; 1], 0, &to, Wait::None), Ok(1));
            });
            assert!((500..9_000).contains(&time), "{time} ms");
        }
        role => panic!("no role {role}"),
    }
}
