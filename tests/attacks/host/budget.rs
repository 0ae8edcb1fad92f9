//! Promise: no call and no state of a socket moves bytes past a budget.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};

use sandsock_tests::{Guest, Program, Way, both_ways, programs};

/// A peer that sends so many bytes on each connection, and keeps it.
fn peer(bytes: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(&vec![7; bytes]);
            all.push(stream);
        }
    });
    port
}

/// Runs the attack under a budget, and its twin without one.
fn run(program: Program, way: Way, prepare: impl Fn(Guest, &str) -> Guest) {
    for (role, terms) in [("attack", ";bytes=100"), ("twin", "")] {
        prepare(Guest::new(program, way).arg(role), terms).run().success();
    }
}

#[test]
pub(crate) fn attack_budget_descriptors_denied() {
    both_ways(|way| {
        let port = peer(0);
        let _udp = UdpSocket::bind(("127.0.0.1", port));
        run(programs::attack_budget_descriptors_denied, way, |guest, terms| {
            guest
                .allow(format!("tcp-connect=127.0.0.1:{port}{terms}"))
                .allow(format!("udp-send=127.0.0.1:{port}{terms}"))
                .allow("ancillary=rights:send")
                .allow("ancillary=rights:receive")
                .arg(port)
        });
    });
}

#[test]
pub(crate) fn attack_budget_connection_counted() {
    both_ways(|way| {
        let (port, free) = (peer(60), peer(0));
        run(programs::attack_budget_connection_counted, way, |guest, terms| {
            guest
                .allow(format!("tcp-connect=127.0.0.1:{port}{terms}"))
                .allow(format!("tcp-connect=127.0.0.1:{free}"))
                .arg(port)
                .arg(free)
        });
    });
}
