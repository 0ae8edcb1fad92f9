//! AF_PACKET: the frames of an interface.

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, both_ways, programs, skip};

/// Runs a body in a namespace with one end of a link beside its loopback, so that there are no
/// other programs' frames.
fn alone(test: &str, body: impl Fn() + Send + Sync) {
    match Namespace::linked() {
        Ok((namespace, _other)) => namespace.run(body),
        Err(reason) => skip(test, &reason),
    }
}

#[test]
pub(crate) fn packet_frames_ok() {
    alone("packet_frames_ok", || {
        both_ways(|way| {
            let guest = Guest::new(programs::packet_frames_ok, way)
                .allow("packet=lo")
                .allow("option=SOL_SOCKET/SO_ATTACH_FILTER")
                .allow("option=SOL_PACKET/PACKET_FANOUT")
                .allow("option=SOL_PACKET/PACKET_ADD_MEMBERSHIP");
            guest.run().success();
        });
    });
}

#[test]
pub(crate) fn packet_frames_denied() {
    alone("packet_frames_denied", || {
        both_ways(|way| {
            let guest = Guest::new(programs::packet_frames_denied, way)
                .allow("packet=lo:arp")
                .allow("packet=left:lldp");
            let guest = guest.arg("left").start();
            guest.lines(1);
            // Frames on the loopback, which a socket that is not bound yet must not get.
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
            socket
                .send_to(b"seen by nobody", socket.local_addr().expect("an address"))
                .expect("sends");
            guest.join().success();
        });
    });
}

#[test]
pub(crate) fn packet_rules_denied() {
    alone("packet_rules_denied", || {
        both_ways(|way| {
            let guest = Guest::new(programs::packet_rules_denied, way).allow("packet=lo");
            let guest = guest.deny("ioctl=SIOCGIFINDEX").deny("packet=lo:arp");
            guest.run().success();
        });
    });
}
