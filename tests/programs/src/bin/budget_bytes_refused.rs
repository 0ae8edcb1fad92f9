//! A budget of 100 bytes: whatever call moves them, no more than 100 move. Arguments: the role and
//! the peer's port.

use sandsock::constants::*;
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::files::{open, send_file};
use sandsock::raw::syscalls::shutdown;
use sandsock::raw::transfers::{
    receive, receive_from, receive_message, send, send_message, send_to,
};
use sandsock::raw::types::{Error, Wait};
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, events, loopback, refused};

const USED_UP: &str = "has no bytes left";

/// Calls until the call is refused, and returns the sum of what it moved.
fn until_refused(mut call: impl FnMut() -> Result<u64, Error>) -> u64 {
    let mut total = 0;
    loop {
        match call() {
            Ok(0) => panic!("the end after {total} bytes"),
            Ok(count) => total += count,
            refusal => {
                refused(refusal, USED_UP);
                return total;
            }
        }
        assert!(total < 1000, "{total} bytes");
    }
}

/// Receives, and returns how many bytes came.
fn receive_some(d: &Descriptor, length: u64, flags: i32) -> Result<u64, Error> {
    receive(d, length, flags, Wait::Forever).map(|data| data.len() as u64)
}

fn main() {
    let role: String = argument(0);
    let port = argument(1);
    let d = connection(port).expect("connects");
    let data = [7; 64];
    let total = match role.as_str() {
        "send" => until_refused(|| send(&d, &data, 0, Wait::Forever)),
        "send-none" => until_refused(|| send(&d, &data, 0, Wait::None)),
        "send-to" => until_refused(|| send_to(&d, &data, 0, &loopback(port), Wait::Forever)),
        "send-message" => {
            let parts = [&data[..], &data[..]];
            until_refused(|| send_message(&d, &parts, &[], 0, None, Wait::Forever))
        }
        "send-file" => {
            let file = open("data/bytes").expect("opens");
            until_refused(|| send_file(&d, &file, 0, 64, Wait::Forever))
        }
        "urgent" => {
            // An urgent send is not cut.
            let sent = send(&d, &data, MSG_OOB, Wait::Forever).expect("sends");
            refused(send(&d, &data, MSG_OOB, Wait::Forever), "has 36 of its bytes left");
            sent + until_refused(|| send(&d, &data, 0, Wait::Forever))
        }
        "receive" => until_refused(|| receive_some(&d, 64, 0)),
        "receive-all" => until_refused(|| receive_some(&d, 1000, MSG_WAITALL)),
        "receive-from" => until_refused(|| {
            receive_from(&d, 64, 0, Wait::Forever).map(|message| message.data.len() as u64)
        }),
        "receive-message" => until_refused(|| {
            receive_message(&d, 64, 0, 0, Wait::Forever).map(|message| message.data.len() as u64)
        }),
        // man 7 tcp: the bytes are discarded, and counted all the same.
        "discard" => until_refused(|| receive_some(&d, 64, MSG_TRUNC)),
        "peek" => {
            // A peek shows no more than may be received, and what it showed is counted once.
            assert_eq!(receive_some(&d, 1000, MSG_PEEK), Ok(100));
            assert_eq!(receive_some(&d, 1000, MSG_PEEK), Ok(100));
            assert_eq!(receive_some(&d, 60, 0), Ok(60));
            assert_eq!(receive_some(&d, 1000, MSG_PEEK), Ok(40));
            60 + until_refused(|| receive_some(&d, 1000, 0))
        }
        "both" => {
            assert_eq!(send(&d, &data, 0, Wait::Forever), Ok(64));
            64 + until_refused(|| receive_some(&d, 64, 0))
        }
        "end" => {
            // The peer's end is no byte.
            let mut total = 0;
            while total < 100 {
                total += receive_some(&d, 64, 0).expect("receives");
            }
            assert_eq!(events(&d, POLLIN, Wait::Forever) & POLLIN, POLLIN);
            assert_eq!(receive_some(&d, 64, 0), Ok(0));
            shutdown(&d, SHUT_WR).expect("shuts");
            total
        }
        role => panic!("no role {role}"),
    };
    assert_eq!(total, 100, "{role}");
    // Used up bytes are not hidden: the guest learns why nothing moves.
    assert_ne!(events(&d, POLLIN | POLLOUT, Wait::None), 0);
}
