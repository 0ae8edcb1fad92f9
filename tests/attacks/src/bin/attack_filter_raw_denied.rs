//! Listens for packets of a sender that no grant names, on raw and ping sockets. Argument: `twin`
//! or `attack`.
//!
//! After each line, `FAMILY IDENTIFIER`, it is sent an echo reply with this identifier from the
//! host 2, and after the next one from the host 1, which is granted.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::syscalls::{bind, socket};

use sandsock_attacks::filter::{Listener, done, host, port};

fn main() {
    let twin = sandsock_attacks::is_twin();
    for (family, protocol) in [(AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6)] {
        for kind in [SOCK_RAW, SOCK_DGRAM] {
            let d = done("socket", socket(family, kind, protocol));
            if kind == SOCK_DGRAM {
                done("bind", bind(&d, &host(family, 1, 0)));
            }
            let listener = Listener::new(d);
            let identifier = if kind == SOCK_DGRAM { port(&listener.d) } else { 77 };
            let what = |from: &str| format!("family {family}, type {kind}, from {from}");
            // A raw IPv4 socket gets the IP header too.
            let heard = |what: &str| {
                let mut reply = vec![if family == AF_INET { 0 } else { 129 }, 0, 0, 0];
                reply.extend(identifier.to_be_bytes());
                reply.extend([0, 1]);
                listener.hears_echo(what, &reply);
            };
            println!("2 {family} {identifier}");
            std::thread::sleep(Duration::from_millis(200));
            if twin {
                heard(&what("the other host"))
            } else {
                listener.is_silent(&what("the other host"))
            }
            println!("1 {family} {identifier}");
            std::thread::sleep(Duration::from_millis(200));
            heard(&what("the granted host"));
            listener.is_silent(&what("nobody"));
        }
    }
}
