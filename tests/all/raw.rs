//! Raw and ping sockets.

use std::io::Read;
use std::net::UdpSocket;
use std::time::Duration;

use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, both_ways, programs, skip};
use socket2::{Domain, Protocol, Socket, Type};

/// Makes a native raw socket, or returns why that is impossible.
fn native(domain: Domain, protocol: i32) -> Result<Socket, String> {
    Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))
        .map_err(|error| format!("no raw socket: {error}"))
}

/// Runs a body in a namespace of its own where every group may have ping sockets.
fn alone(test: &str, body: impl Fn() + Send + Sync) {
    if let Err(reason) = native(Domain::IPV4, libc::IPPROTO_ICMP) {
        return skip(test, &reason);
    }
    match Namespace::new() {
        Ok(namespace) => namespace.run(|| {
            // A namespace has a range of its own, which is empty at first (man 7 icmp).
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("is set");
            body();
        }),
        Err(reason) => skip(test, &reason),
    }
}

#[test]
pub(crate) fn raw_echo_ok() {
    alone("raw_echo_ok", || {
        both_ways(|way| {
            for kind in ["raw", "ping"] {
                let guest = Guest::new(programs::raw_echo_ok, way)
                    .allow("raw=icmp:127.0.0.0/8")
                    .allow("raw=icmp6:::1");
                guest.arg(kind).run().success();
            }
        });
    });
}

#[test]
pub(crate) fn raw_echo_denied() {
    alone("raw_echo_denied", || {
        both_ways(|way| {
            let guest = Guest::new(programs::raw_echo_denied, way)
                .allow("raw=icmp:127.0.0.2")
                .allow("raw=icmp6:2001:db8::/32");
            let guest = guest.start();
            guest.lines(1);
            // A reply from 127.0.0.1 without a request.
            let peer = native(Domain::IPV4, libc::IPPROTO_ICMP).expect("as before");
            let to: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
            for _ in 0..3 {
                peer.send_to(&[0, 0, 0xff, 0xff, 0, 0, 0, 0], &to.into()).expect("sends");
            }
            // The kernel does not count what a raw socket's filter drops.
            guest.join().success();
        });
    });
}

#[test]
pub(crate) fn raw_protocol_ok() {
    alone("raw_protocol_ok", || {
        both_ways(|way| {
            let guest = Guest::new(programs::raw_protocol_ok, way)
                .allow("raw=253:127.0.0.1")
                .allow("raw=253:::1")
                .start();
            guest.lines(1);
            let peer = native(Domain::IPV4, 253).expect("as before");
            peer.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
            peer.send_to(
                b"hello",
                &"127.0.0.1:0".parse::<std::net::SocketAddr>().expect("an address").into(),
            )
            .expect("sends");
            let mut got = Vec::new();
            while !got.ends_with(b"and back") {
                let mut buffer = [0; 100];
                let length = (&peer).read(&mut buffer).expect("receives");
                got = buffer[..length].to_vec();
            }
            guest.join().success();
        });
    });
}

#[test]
pub(crate) fn raw_header_ok() {
    alone("raw_header_ok", || {
        both_ways(|way| {
            let (v4, v6) = (
                UdpSocket::bind("127.0.0.1:0").expect("binds"),
                UdpSocket::bind("[::1]:0").expect("binds"),
            );
            let port = |socket: &UdpSocket| socket.local_addr().expect("an address").port();
            // Deny rules of other verbs do not hold for a socket that writes its own header, as the
            // documentation says.
            let guest = Guest::new(programs::raw_header_ok, way)
                .allow("raw=header")
                .allow("raw=icmp")
                .allow("raw=icmp6");
            guest.arg(port(&v4)).arg(port(&v6)).run().success();
            let mut buffer = [0; 100];
            for (socket, from) in
                [(&v4, "127.9.9.9:4242"), (&v4, "127.9.9.9:4242"), (&v6, "[::1]:4242")]
            {
                socket.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
                let (length, sender) = socket.recv_from(&mut buffer).expect("receives");
                assert_eq!(
                    (&buffer[..length], sender.to_string().as_str()),
                    (&b"spoofed"[..], from)
                );
            }
        });
    });
}
