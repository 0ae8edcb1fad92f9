//! Promise: no instance can spoil a descriptor that several instances got.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt;
use sandsock_host::Inherited;
use sandsock_tests::{Guest, both_ways, programs};

/// The state of a socket that all its holders share.
fn state(socket: impl AsFd) -> (OFlags, Option<Duration>, bool, usize, u32) {
    (
        fcntl_getfl(&socket).expect("flags"),
        sockopt::socket_linger(&socket).expect("an option"),
        sockopt::socket_keepalive(&socket).expect("an option"),
        sockopt::socket_recv_buffer_size(&socket).expect("an option"),
        sockopt::ip_ttl(&socket).expect("an option"),
    )
}

#[test]
pub(crate) fn attack_shared_listener_unchanged() {
    both_ways(|way| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("binds");
        datagrams.set_nonblocking(true).expect("it can be set");
        let address = listener.local_addr().expect("an address");
        let handed = |socket: OwnedFd| Inherited::new(socket).expect("it is open");
        let tcp = handed(listener.try_clone().expect("a duplicate").into());
        let udp = handed(datagrams.try_clone().expect("a duplicate").into());
        let before = (state(&listener), state(&datagrams));
        let guest = |number: i32| {
            // All that the acts themselves need.
            let guest = Guest::new(programs::attack_shared_listener_unchanged, way).allow_all();
            guest.hand(3, &tcp).hand(4, &udp).arg(number)
        };
        for number in [3, 4] {
            assert_eq!(guest(number).run().success(), "tried\n");
            assert_eq!((state(&listener), state(&datagrams)), before);
        }
        // The others are served as before.
        let mut client = TcpStream::connect(address).expect("it listens");
        let (mut served, _) = listener.accept().expect("accepts");
        served.write_all(b"x").expect("sends");
        client.read_exact(&mut [0]).expect("receives");
        let other = UdpSocket::bind("127.0.0.1:0").expect("binds");
        other.send_to(b"x", datagrams.local_addr().expect("an address")).expect("sends");
        datagrams.set_nonblocking(false).expect("it can be set");
        datagrams.set_read_timeout(Some(Duration::from_secs(10))).expect("it can be set");
        assert_eq!(datagrams.recv(&mut [0; 9]).expect("it has no peer"), 1);

        // The twin is the only one that gets it.
        drop((tcp, udp));
        for (number, socket) in [(3, OwnedFd::from(listener)), (4, datagrams.into())] {
            let twin = Guest::new(programs::attack_shared_listener_unchanged, way).allow_all();
            assert_eq!(
                twin.inherit(number, socket).arg("twin").arg(number).run().success(),
                "spoilt\n"
            );
        }
    });
}
