//! Promise: no call gives a guest a local port that a rule denies, even if the kernel chooses it.

use std::net::{TcpListener, UdpSocket};

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, Way, both_ways, programs, skip};

/// The ports that the kernel gives out in the namespace.
const RANGE: (u16, u16) = (40_000, 40_007);

/// Runs the guest in a namespace with few ports: what it is to expect, rules that deny, and the
/// ports that it may get.
fn run(way: Way, expected: &str, deny: &[&str], ports: (u16, u16)) {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => return skip("attack_ports_chosen_denied", &reason),
    };
    namespace.run(|| {
        let (first, last) = RANGE;
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("{first} {last}"))
            .expect("it is this namespace's");
        let listener = TcpListener::bind("127.0.0.1:9001").expect("listens");
        let peer = UdpSocket::bind("127.0.0.1:9002").expect("binds");
        let mut guest = Guest::new(programs::attack_ports_chosen_denied, way)
            .allow("tcp-connect=127.0.0.1:9001")
            .allow("udp-send=127.0.0.1:9002");
        for verb in ["tcp-listen", "udp-bind"] {
            for address in ["127.0.0.1", "0.0.0.0", "[::]"] {
                guest = guest.allow(format!("{verb}={address}:0"));
            }
            for rule in deny {
                guest = guest.deny(format!("{verb}={rule}"));
            }
        }
        let guest = guest.arg(expected).arg(9001).arg(9002).arg(ports.0).arg(ports.1);
        let running = guest.start();
        listener.set_nonblocking(true).expect("is set");
        peer.set_nonblocking(true).expect("is set");
        running.join().success();
        let reached = (listener.accept().is_ok(), peer.recv(&mut [0; 10]).is_ok());
        assert_eq!(reached, (expected != "denied", expected != "denied"), "{expected}");
    });
}

#[test]
pub(crate) fn attack_ports_chosen_denied() {
    both_ways(|way| {
        for rule in ["127.0.0.1:40000-40007", "127.0.0.0/8:1024-65535", "*:1-65535"] {
            run(way, "denied", &[rule], RANGE);
        }
        run(way, "denied", &["127.0.0.1:40000-40003", "127.0.0.0/8:40004-40007"], RANGE);
        // Its twins: nothing is denied; ports that the kernel does not give out; some ports, and
        // the others are left.
        run(way, "allowed", &[], RANGE);
        run(way, "allowed", &["127.0.0.1:8000-8999", "10.0.0.0/8:8000-8999"], RANGE);
        run(way, "allowed", &["127.0.0.1:40000-40005"], (40_006, 40_007));
        // A rule about every port denies to bind. A connection and a datagram have a port all the
        // same.
        run(way, "every", &["*:*"], RANGE);
    });
}

#[test]
pub(crate) fn attack_ports_unaddressed_refused() {
    both_ways(|way| {
        // No rule lets the guest bind, although one lets it receive from every sender.
        let guest = || {
            Guest::new(programs::attack_ports_unaddressed_refused, way)
                .allow("udp-receive=*:*")
                .allow("udp-send=127.0.0.1:9")
                .allow("udp-bind=127.0.0.1:0")
        };
        guest().run().success();
        guest().allow("udp-bind=0.0.0.0:0").allow("udp-bind=[::]:0").arg("twin").run().success();
    });
}
