//! Gets a second handle on a socket that no budget counts, by sending the socket to itself: after it
//! was connected, and before. Arguments: `attack` or `twin`, and the port of a peer.

use std::fmt::Debug;

use sandsock::constants::*;
use sandsock::raw::connections::connect;
use sandsock::raw::descriptors::{Descriptor, duplicate};
use sandsock::raw::syscalls::{socket, socketpair};
use sandsock::raw::transfers::{
    ControlIn, ControlOut, receive_message, send, send_message, send_to,
};
use sandsock::raw::types::{Error, Wait};
use sandsock_attacks::is_twin;
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, loopback, refused};

/// Checks that the call is refused with this text, or succeeds in the twin.
#[track_caller]
fn denied<T: Debug>(result: Result<T, Error>, text: &str) {
    if is_twin() {
        result.unwrap_or_else(|error| panic!("the twin: {error:?}"));
    } else {
        refused(result, text);
    }
}

/// Sends a descriptor to the guest itself.
fn pass(d: &Descriptor) -> Result<Descriptor, Error> {
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0).expect("a pair");
    send_message(&a, &[b"x"], &[ControlOut::Rights(&[d])], 0, None, Wait::Forever)?;
    let mut message = receive_message(&b, 1, 100, 0, Wait::Forever).expect("receives");
    match message.control.pop() {
        Some(ControlIn::Rights(mut list)) => Ok(list.pop().expect("one")),
        _ => panic!("no descriptor"),
    }
}

fn main() {
    let port: u16 = argument(1);
    let sends = "sending this descriptor is denied: the rule tcp-connect=127.0.0.1:";
    let connected = connection(port).expect("connects");
    denied(pass(&connected), sends);
    denied(pass(&duplicate(&connected).expect("duplicates")), sends);
    let udp = socket(AF_INET, SOCK_DGRAM, 0).expect("makes");
    connect(&udp, &loopback(port), Wait::Forever).expect("associates");
    denied(pass(&udp), "sending this descriptor is denied: the rule udp-send=127.0.0.1:");

    let uncounted = "could use it uncounted; use a new socket";
    for opens in [false, true] {
        let own = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
        let copy = pass(&own).expect("no rule is about it yet");
        let result = if opens {
            send_to(&own, &[7; 10], MSG_FASTOPEN, &loopback(port), Wait::Forever).map(drop)
        } else {
            connect(&own, &loopback(port), Wait::Forever)
        };
        denied(result, uncounted);
        if is_twin() {
            assert_eq!(send(&copy, &[7; 10], 0, Wait::Forever), Ok(10));
        } else {
            refused(connect(&copy, &loopback(port), Wait::Forever), uncounted);
        }
    }
}
