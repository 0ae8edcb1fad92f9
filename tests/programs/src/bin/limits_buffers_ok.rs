//! The default limits leave 1,024 sockets of each kind working, and TCP its own sizes. Argument:
//! the port of a peer that sends 64 MiB.

use sandsock::constants::*;
use sandsock::raw::connections::{accept, connect};
use sandsock::raw::descriptors::Descriptor;
use sandsock::raw::syscalls::{bind, get_option, listen, local_address, socket, socketpair};
use sandsock::raw::transfers::{receive, send};
use sandsock::raw::types::{Address, InetAddress, Wait};
use sandsock_test_programs::argument;

fn loopback(port: u16) -> Address {
    Address::Inet(InetAddress { address: (127, 0, 0, 1), port })
}

fn moves(from: &Descriptor, to: &Descriptor, length: usize) {
    let data = vec![7; length];
    assert_eq!(send(from, &data, 0, Wait::None), Ok(length as u64));
    let mut left = length as u64;
    while left > 0 {
        left -= receive(to, left, 0, Wait::Within(5_000_000_000)).expect("receives").len() as u64;
    }
}

fn main() {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let pairs: Vec<_> =
            (0..512).map(|_| socketpair(AF_UNIX, kind, 0).expect("makes")).collect();
        for (a, b) in &pairs {
            moves(a, b, 100_000);
            moves(b, a, 100_000);
        }
    }
    let datagrams: Vec<_> =
        (0..1024).map(|_| socket(AF_INET, SOCK_DGRAM, 0).expect("makes")).collect();
    drop(datagrams);
    // Two are left for the listener.
    let listener = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
    bind(&listener, &loopback(0)).expect("binds");
    listen(&listener, 128).expect("listens");
    let to = local_address(&listener).expect("tells").expect("has one");
    let pairs: Vec<_> = (0..511)
        .map(|_| {
            let client = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
            connect(&client, &to, Wait::Forever).expect("connects");
            (client, accept(&listener, Wait::Forever).expect("accepts").descriptor)
        })
        .collect();
    for (a, b) in &pairs {
        moves(a, b, 50_000);
        moves(b, a, 50_000);
    }
    drop((pairs, listener));

    let bulk = socket(AF_INET, SOCK_STREAM, 0).expect("makes");
    connect(&bulk, &loopback(argument(0)), Wait::Forever).expect("connects");
    let buffer = || get_option(&bulk, SOL_SOCKET, SO_RCVBUF).expect("tells");
    let before = buffer();
    let mut all = 0;
    loop {
        let data = receive(&bulk, 1 << 20, 0, Wait::Forever).expect("receives");
        if data.is_empty() {
            break;
        }
        all += data.len();
    }
    assert_eq!(all, 64 << 20);
    assert!(buffer() > before, "{before} stayed");
}
