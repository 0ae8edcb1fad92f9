//! At most two connections to a peer at once, and one that a listener accepts. Arguments: the peer's
//! port, and the port to listen at.

use sandsock::constants::*;
use sandsock::errno::EAGAIN;
use sandsock::raw::connections::{accept, close, connect};
use sandsock::raw::syscalls::{bind, listen, set_option, socket};
use sandsock::raw::types::{Address, Error, OptionValue, Wait};
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, events, loopback, refused};

fn main() {
    let (peer, own) = (argument(0), argument(1));
    let first = connection(peer).expect("connects");
    let second = connection(peer).expect("connects");
    let full = "allows 2 at once, and all are open; close one first";
    for _ in 0..3 {
        refused(connection(peer), full);
    }
    // A socket that could not connect can connect later. A duplicate keeps the connection open.
    let third = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
    refused(connect(&third, &loopback(peer), Wait::None), full);
    let copy = sandsock::raw::descriptors::duplicate(&first).expect("duplicates");
    close(first).expect("closes");
    refused(connect(&third, &loopback(peer), Wait::None), full);
    // A close that lingers gives its place back at its end.
    let linger = [1i32.to_ne_bytes(), 5i32.to_ne_bytes()].concat();
    set_option(&copy, SOL_SOCKET, SO_LINGER, OptionValue::Bytes(&linger)).expect("sets");
    close(copy).expect("closes");
    connect(&third, &loopback(peer), Wait::Forever).expect("connects");
    // The same socket connects again within its own place.
    refused(connection(peer), full);
    connect(&second, &Address::Unspec, Wait::Forever).expect("dissolves");
    connect(&second, &loopback(peer), Wait::Forever).expect("connects");
    connect(&second, &Address::Unspec, Wait::Forever).expect("dissolves");
    let fourth = connection(peer).expect("connects");
    refused(connect(&second, &loopback(peer), Wait::Forever), full);
    drop((third, fourth));

    let listener = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
    bind(&listener, &loopback(own)).expect("binds");
    listen(&listener, 8).expect("listens");
    println!("listening");
    let accepted = accept(&listener, Wait::Forever).expect("accepts").descriptor;
    // The second one waits in the queue, and tells nobody.
    assert_eq!(events(&listener, POLLIN, Wait::Within(300_000_000)), 0);
    let again = Some(Error::Os(EAGAIN));
    assert_eq!(accept(&listener, Wait::None).err(), again);
    assert_eq!(accept(&listener, Wait::Within(100_000_000)).err(), again);
    close(accepted).expect("closes");
    assert_eq!(events(&listener, POLLIN, Wait::Forever), POLLIN);
    accept(&listener, Wait::None).expect("accepts");
}
