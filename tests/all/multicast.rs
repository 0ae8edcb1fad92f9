//! Multicast and broadcast, between two namespaces.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, both_ways, programs, skip};
use socket2::{Domain, Socket, Type};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

/// The number of an interface in this thread's namespace.
fn index(name: &str) -> u32 {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    rustix::net::netdevice::name_to_index(&socket, name).expect("it is there")
}

/// Sends to both groups until `stop`, for a minute at most.
fn send_all_the_time(stop: &AtomicBool) {
    let four = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    four.set_multicast_if_v4(&Ipv4Addr::new(10, 77, 0, 2)).expect("is set");
    let six = Socket::new(Domain::IPV6, Type::DGRAM, None).expect("a socket");
    six.set_multicast_if_v6(index("right")).expect("is set");
    let (four, six): (UdpSocket, UdpSocket) = (four.into(), six.into());
    let end = Instant::now() + Duration::from_secs(60);
    while !stop.load(Ordering::Relaxed) && Instant::now() < end {
        // IPv6 sends nothing until it is known that no other machine has its address.
        let _ = (four.send_to(b"four", (GROUP, 5007)), six.send_to(b"six", (GROUP6, 5007)));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Receives one datagram of this text on a port.
fn expect(socket: &UdpSocket, text: &[u8]) {
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
    let mut buffer = [0; 100];
    let length = socket.recv(&mut buffer).expect("receives");
    assert_eq!(&buffer[..length], text);
}

#[test]
pub(crate) fn multicast_groups_ok() {
    let (near, far) = match Namespace::linked() {
        Ok(pair) => pair,
        Err(reason) => return skip("multicast_groups_ok", &reason),
    };
    // The limited broadcast address follows the default route.
    near.ip("route add default dev left").expect("is added");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| far.run(|| send_all_the_time(&stop)));
        let group = far.run(|| UdpSocket::bind("0.0.0.0:5008").expect("binds"));
        group.join_multicast_v4(&GROUP, &Ipv4Addr::new(10, 77, 0, 2)).expect("joins");
        let all = far.run(|| UdpSocket::bind("0.0.0.0:5009").expect("binds"));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            both_ways(|way| {
                let ended = near.run(|| {
                    Guest::new(programs::multicast_groups_ok, way)
                        .allow("udp-bind=0.0.0.0:5007")
                        .allow("udp-bind=[::]:5007")
                        .allow("udp-receive=10.77.0.2:*")
                        .allow("udp-receive=[fe80::/10]:*")
                        .allow("multicast=239.1.2.3")
                        .allow("multicast=ff02::/16")
                        .allow("udp-send=239.1.2.3:5008")
                        .allow("udp-send=255.255.255.255:5009")
                        .allow("udp-send=10.77.0.255:5009")
                        .arg(index("left"))
                        .arg("10.77.0.1")
                        .arg("10.77.0.2")
                        .run()
                });
                ended.success();
                expect(&group, b"to the group");
                expect(&all, b"<broadcast>");
                expect(&all, b"10.77.0.255");
            });
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
pub(crate) fn multicast_groups_denied() {
    both_ways(|way| {
        let guest =
            || Guest::new(programs::multicast_groups_denied, way).allow("udp-bind=127.0.0.1:0");
        guest().arg("none").run().success();
        guest()
            .allow("multicast=239.1.2.3")
            .allow("multicast=ff02::1234")
            .arg("some")
            .run()
            .success();
        // A rule that denies wins over one that allows all: the guest must then not notice a
        // difference to no grant.
        let ended = guest().allow("multicast=*").deny("multicast=239.0.0.0/8").arg("some").run();
        assert!(
            ended.stderr.contains("denied by the rule multicast=239.0.0.0/8"),
            "{}",
            ended.stderr
        );
    });
}
