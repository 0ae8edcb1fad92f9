//! Listens for senders that a grant names by a name. Arguments: `twin` or `attack`, and the port
//! that they send from.
//!
//! After each line with its ports, it is sent datagrams; each line says what it expects of them.

use sandsock::Family;
use sandsock::constants::*;
use sandsock::raw::syscalls;

use sandsock_attacks::filter::{Listener, done, host, port};

/// More sockets than have their filters changed with each look-up.
const SOCKETS: usize = 70;

fn look_up() {
    sandsock::getaddrinfo("web.example", 0, Family::INET, SOCK_DGRAM, 0, 0).expect("it is known");
}

fn main() {
    let twin = sandsock_attacks::is_twin();
    let bound = || Listener::bound(AF_INET, 0, &host(AF_INET, 1, 0));
    let first = bound();
    let _others: Vec<_> =
        (2..SOCKETS).map(|_| done("socket", syscalls::socket(AF_INET, SOCK_DGRAM, 0))).collect();
    let last = bound();
    let told = |what: &str| {
        println!("{what} {} {}", port(&first.d), port(&last.d));
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    told("34");
    for listener in [&first, &last] {
        listener.hears_if(twin, "before the name was looked up", b"34");
    }
    look_up();
    // A sender is heard from now on, although the guest made no call on the sockets since.
    told("34");
    for listener in [&first, &last] {
        listener.hears("after the look-up", b"34");
    }
    told("35");
    for listener in [&first, &last] {
        listener.hears_if(twin, "an address that the name does not have", b"35");
    }
    println!("change");
    std::io::Write::flush(&mut std::io::stdout()).expect("is written");
    let start = std::time::Instant::now();
    let has_new = || {
        let all = sandsock::getaddrinfo("web.example", 0, Family::INET, SOCK_DGRAM, 0, 0)
            .expect("it is known");
        all.iter().any(|info| info.address.host().as_deref() == Some("93.184.216.35"))
    };
    while !has_new() {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "the name has no other address"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for address in ["35", "34"] {
        told(address);
        for listener in [&first, &last] {
            listener.hears(address, address.as_bytes());
        }
    }
    told("36");
    for listener in [&first, &last] {
        listener.hears_if(twin, "a third address", b"36");
    }
    told("port");
    for listener in [&first, &last] {
        listener.hears_if(twin, "another port of the address", b"port");
    }
}
