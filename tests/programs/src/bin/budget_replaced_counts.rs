//! A policy with budgets is replaced while the guest runs, and the guest then gives up rights.
//! Arguments: the peer's port, and two ports that the later policies grant.

use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::rights::restrict;
use sandsock::raw::transfers::send;
use sandsock::raw::types::Wait;
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, refused};

/// Waits until a connection to this port is granted.
fn granted(port: u16) {
    while connection(port).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn sends(d: &Descriptor, count: usize, expected: u64) {
    assert_eq!(send(d, &[7; 1000][..count], 0, Wait::Forever), Ok(expected));
    if expected < count as u64 {
        refused(send(d, b"x", 0, Wait::Forever), "has no bytes left");
    }
}

fn main() {
    let peer = argument(0);
    let first = connection(peer).expect("connects");
    sends(&first, 60, 60);
    println!("sent");
    // The rule is the same, and its count goes on.
    granted(argument(1));
    sends(&first, 60, 40);
    println!("again");
    // The rule has another budget, which counts from now on. The connection keeps its own.
    granted(argument(2));
    refused(send(&first, b"x", 0, Wait::Forever), "bytes=100 has no bytes left");
    let second = connection(peer).expect("connects");
    sends(&second, 150, 150);
    // Giving up rights gives no bytes back.
    restrict(&[&*format!("tcp-connect=127.0.0.1:{peer}")]).expect("is a rule");
    sends(&second, 10, 10);
    let third = connection(peer).expect("connects");
    sends(&third, 60, 40);
}
