//! Budgets of UNIX sockets: 100 bytes with a peer's socket, and 100 bytes at an own name. Arguments:
//! the peer's stream socket, its datagram socket, and the name to bind.

use sandsock::constants::*;
use sandsock::raw::connections::{accept, connect};
use sandsock::raw::syscalls::{bind, listen, socket};
use sandsock::raw::transfers::{receive, send, send_to};
use sandsock::raw::types::{Address, UnixAddress, Wait};
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::refused;

fn path(place: usize) -> Address {
    let path: String = argument(place);
    Address::Unix(UnixAddress::Path(path.into_bytes()))
}

fn main() {
    let used_up = "has no bytes left";
    let stream = socket(AF_UNIX, SOCK_STREAM, 0).expect("makes");
    connect(&stream, &path(0), Wait::Forever).expect("connects");
    assert_eq!(send(&stream, &[1; 40], 0, Wait::Forever), Ok(40));
    assert_eq!(receive(&stream, 40, 0, Wait::Forever).map(|data| data.len()), Ok(40));
    assert_eq!(send(&stream, &[1; 40], 0, Wait::Forever), Ok(20));
    refused(send(&stream, &[1; 40], 0, Wait::Forever), used_up);
    refused(receive(&stream, 1, 0, Wait::Forever), used_up);

    let datagrams = socket(AF_UNIX, SOCK_DGRAM, 0).expect("makes");
    assert_eq!(send_to(&datagrams, &[1; 60], 0, &path(1), Wait::Forever), Ok(60));
    connect(&datagrams, &path(1), Wait::Forever).expect("associates");
    refused(send(&datagrams, &[1; 41], 0, Wait::Forever), "has 40 of its bytes left");
    assert_eq!(send(&datagrams, &[1; 40], 0, Wait::Forever), Ok(40));
    refused(send(&datagrams, &[], 0, Wait::Forever), used_up);

    let listener = socket(AF_UNIX, SOCK_STREAM, 0).expect("makes");
    bind(&listener, &path(2)).expect("binds");
    listen(&listener, 8).expect("listens");
    println!("listening");
    let accepted = accept(&listener, Wait::Forever).expect("accepts").descriptor;
    let mut total = 0;
    while total < 100 {
        total += receive(&accepted, 64, 0, Wait::Forever).expect("receives").len();
    }
    assert_eq!(total, 100);
    refused(receive(&accepted, 64, 0, Wait::Forever), used_up);
    refused(send(&accepted, &[1], 0, Wait::Forever), used_up);
}
