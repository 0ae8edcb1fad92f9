//! AF_INET and AF_INET6.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sandsock_tests::{Guest, both_ways, programs};
use socket2::{Domain, Socket, Type};

const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A native listener on loopback, and its port.
pub(crate) fn listener(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind(address).expect("binds");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Accepts `count` connections, one after the other, and passes each to `serve`.
pub(crate) fn serving(
    listener: TcpListener,
    count: usize,
    serve: impl Fn(TcpStream) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || (0..count).for_each(|_| serve(listener.accept().expect("accepts").0)))
}

/// Returns a port without a listener. No program can listen there as long as the socket lives.
fn silent(address: &str) -> (Socket, u16) {
    let address: SocketAddr = address.parse().expect("an address");
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&address.into()).expect("binds");
    let port = socket.local_addr().expect("an address").as_socket().expect("an IP address").port();
    (socket, port)
}

/// The bytes that `pattern` gives the guests.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("receives");
    text
}

#[test]
pub(crate) fn inet_echo_ok() {
    both_ways(|way| {
        let guest = Guest::new(programs::inet_echo_ok, way).allow("tcp-listen=127.0.0.1:0").start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        client.write_all(b"hello").expect("sends");
        client.shutdown(Shutdown::Write).expect("shuts down");
        assert_eq!(read_all(&mut client), "hello");
        guest.join().success();
    });
}

#[test]
pub(crate) fn inet_names_tuples() {
    both_ways(|way| {
        let servers = LOOPBACKS.map(listener);
        let mut guest = Guest::new(programs::inet_names_tuples, way);
        for (address, (_, port)) in LOOPBACKS.into_iter().zip(&servers) {
            let host = address.trim_end_matches(":0");
            guest = guest
                .allow(format!("tcp-listen={address}"))
                .allow(format!("tcp-connect={host}:{port}"))
                .arg(port);
        }
        let guest = guest.start();
        for (at, (server, _)) in servers.iter().enumerate() {
            let ip = server.local_addr().expect("an address").ip();
            let port: u16 = guest.lines(3 * at + 1)[3 * at].parse().expect("a port");
            let client = TcpStream::connect((ip, port)).expect("connects");
            let shown = |port: u16| {
                if ip.is_ipv4() {
                    format!("('{ip}', {port})")
                } else {
                    format!("('{ip}', {port}, 0, 0)")
                }
            };
            assert_eq!(
                guest.lines(3 * at + 2)[3 * at + 1],
                shown(client.local_addr().expect("an address").port())
            );
            drop(client);
            let (connection, peer) = server.accept().expect("accepts");
            assert_eq!(guest.lines(3 * at + 3)[3 * at + 2], shown(peer.port()));
            drop(connection);
        }
        guest.join().success();
    });
}

#[test]
pub(crate) fn inet_connect_refused() {
    both_ways(|way| {
        let [(_four, four), (_six, six)] = LOOPBACKS.map(silent);
        Guest::new(programs::inet_connect_refused, way)
            .allow(format!("tcp-connect=127.0.0.1:{four}"))
            .allow(format!("tcp-connect=[::1]:{six}"))
            .arg(four)
            .arg(six)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_connectex_codes() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 5, |mut stream| stream.write_all(b"hello").expect("sends"));
        let grant = format!("tcp-connect=127.0.0.1:{port}");
        Guest::new(programs::inet_connectex_codes, way).allow(grant).arg(port).run().success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_bind_inuse() {
    both_ways(|way| {
        let (_taken, port) = listener("127.0.0.1:0");
        Guest::new(programs::inet_bind_inuse, way)
            // The servers that start again name the port that the kernel chose before.
            .allow("tcp-listen=127.0.0.1:*")
            .allow("tcp-listen=192.0.2.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .arg(port)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_shutdown_halves() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 1, |mut stream| {
            let question = read_all(&mut stream);
            write!(stream, "answer: {question}").expect("sends");
        });
        Guest::new(programs::inet_shutdown_halves, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .allow("tcp-listen=[::1]:0")
            .allow("tcp-connect=[::1]:*")
            .arg(port)
            .run()
            .success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_shutdown_datagrams() {
    both_ways(|way| {
        Guest::new(programs::inet_shutdown_datagrams, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_reset_seen() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 2, |mut stream| {
            stream.read_exact(&mut [0]).expect("receives");
            // A close with a linger of no time resets.
            Socket::from(stream).set_linger(Some(Duration::ZERO)).expect("sets");
        });
        let grant = format!("tcp-connect=127.0.0.1:{port}");
        Guest::new(programs::inet_reset_seen, way).allow(grant).arg(port).run().success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_options_forms() {
    both_ways(|way| {
        Guest::new(programs::inet_options_forms, way)
            .allow("tcp-connect=127.0.0.1:1")
            .allow("udp-bind=[::1]:0")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_flags_peek() {
    both_ways(|way| {
        Guest::new(programs::inet_flags_peek, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_flags_waitall() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 1, |mut stream| {
            for part in ["one", "two", "six"].repeat(3) {
                stream.write_all(part.as_bytes()).expect("sends");
                thread::sleep(Duration::from_millis(30));
            }
            for part in pattern(3 << 20).chunks(700_001) {
                stream.write_all(part).expect("sends");
                thread::sleep(Duration::from_millis(10));
            }
            stream.write_all(b"last").expect("sends");
        });
        Guest::new(programs::inet_flags_waitall, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-listen=127.0.0.1:0")
            .arg(port)
            .run()
            .success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_flags_oob() {
    both_ways(|way| {
        Guest::new(programs::inet_flags_oob, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .run()
            .success();
    });
}

/// Sends `late` a while after each byte that it gets.
fn late(mut stream: TcpStream) {
    while stream.read_exact(&mut [0]).is_ok() {
        thread::sleep(Duration::from_millis(150));
        stream.write_all(b"late").expect("sends");
    }
}

#[test]
pub(crate) fn inet_flags_dontwait() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 1, late);
        Guest::new(programs::inet_flags_dontwait, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .arg(port)
            .run()
            .success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_datagram_ok() {
    both_ways(|way| {
        let mut guest = Guest::new(programs::inet_datagram_ok, way);
        for address in LOOPBACKS {
            let peer = UdpSocket::bind(address).expect("binds");
            let host = address.trim_end_matches(":0");
            let port = peer.local_addr().expect("an address").port();
            guest = guest
                .allow(format!("udp-send={host}:{port}"))
                // The stranger, and whom it sends to.
                .allow(format!("udp-bind={host}:0"))
                .allow(format!("udp-send={host}:*"))
                .arg(port);
            // It ends with the test's process.
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok((length, from)) = peer.recv_from(&mut buffer) {
                    let data = if &buffer[..length] == b"short" {
                        b"a long answer"
                    } else {
                        &buffer[..length]
                    };
                    peer.send_to(data, from).expect("sends");
                }
            });
        }
        assert_eq!(guest.run().success(), "");
    });
}

#[test]
pub(crate) fn inet_datagram_refused() {
    both_ways(|way| {
        // The port belongs to a socket that is connected elsewhere, so the guest's datagrams are
        // refused.
        let deaf = LOOPBACKS.map(|address| {
            let socket = UdpSocket::bind(address).expect("binds");
            socket.connect((socket.local_addr().expect("an address").ip(), 1)).expect("connects");
            socket
        });
        let [four, six] =
            deaf.each_ref().map(|socket| socket.local_addr().expect("an address").port());
        Guest::new(programs::inet_datagram_refused, way)
            .allow(format!("udp-send=127.0.0.1:{four}"))
            .allow(format!("udp-send=[::1]:{six}"))
            .arg(four)
            .arg(six)
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_server_dualstack() {
    both_ways(|way| {
        let guest =
            Guest::new(programs::inet_server_dualstack, way).allow("tcp-listen=*:0").start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let mut four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects by IPv4");
        assert_eq!(read_all(&mut four), "::ffff:127.0.0.1");
        let mut six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("connects by IPv6");
        assert_eq!(read_all(&mut six), "::1");
        let port: u16 = guest.lines(2)[1].parse().expect("a port");
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("no IPv4 there");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("connects by IPv6");
        guest.join().success();
    });
}

#[test]
pub(crate) fn inet_createconnection_tries() {
    both_ways(|way| {
        // One port for both families, on which only one of them is served.
        let half = |served: &str, other: &str| {
            loop {
                let (listener, port) = listener(&format!("{served}:0"));
                let other: SocketAddr = format!("{other}:{port}").parse().expect("an address");
                let holder =
                    Socket::new(Domain::for_address(other), Type::STREAM, None).expect("a socket");
                if holder.bind(&other.into()).is_ok() {
                    return (listener, holder, port);
                }
            }
        };
        let (four, _six_silent, first) = half("127.0.0.1", "[::1]");
        let (six, _four_silent, second) = half("[::1]", "127.0.0.1");
        let (_nobody_four, _nobody_six, nobody) = loop {
            let (four, port) = silent("127.0.0.1:0");
            let six = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
            if six.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()).is_ok() {
                break (four, six, port);
            }
        };
        let greet = |mut stream: TcpStream| stream.write_all(b"hi").expect("sends");
        let servers = [serving(four, 7, greet), serving(six, 4, greet)];
        let mut guest = Guest::new(programs::inet_createconnection_tries, way)
            .resolve("v4first.test=127.0.0.1")
            .resolve("v4first.test=::1")
            .resolve("v6first.test=::1")
            .resolve("v6first.test=127.0.0.1")
            .allow(format!("tcp-connect=127.0.0.1:{first}"))
            .allow("tcp-listen=127.0.0.1:0");
        for port in [first, second, nobody] {
            guest = guest
                .allow(format!("tcp-connect=v4first.test:{port}"))
                .allow(format!("tcp-connect=v6first.test:{port}"))
                .arg(port);
        }
        guest.run().success();
        for server in servers {
            server.join().expect("served");
        }
    });
}

#[test]
pub(crate) fn inet_message_buffers() {
    both_ways(|way| {
        Guest::new(programs::inet_message_buffers, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=[::1]:0")
            .allow("udp-send=[::1]:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_receiveinto_fills() {
    both_ways(|way| {
        Guest::new(programs::inet_receiveinto_fills, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_duplicate_shares() {
    both_ways(|way| {
        Guest::new(programs::inet_duplicate_shares, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_closed_errors() {
    both_ways(|way| {
        Guest::new(programs::inet_closed_errors, way)
            .allow("tcp-listen=127.0.0.1:0")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_select_ready() {
    both_ways(|way| {
        let (listener, port) = listener("127.0.0.1:0");
        let server = serving(listener, 1, late);
        Guest::new(programs::inet_select_ready, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .arg(port)
            .run()
            .success();
        server.join().expect("served");
    });
}

#[test]
pub(crate) fn inet_overask_bounded() {
    both_ways(|way| {
        Guest::new(programs::inet_overask_bounded, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-send=127.0.0.1:*")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_getaddrinfo_numeric() {
    both_ways(|way| {
        Guest::new(programs::inet_getaddrinfo_numeric, way).run().success();
    });
}

#[test]
pub(crate) fn inet_accept_forms() {
    both_ways(|way| {
        Guest::new(programs::inet_accept_forms, way)
            .allow("tcp-listen=*:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("udp-bind=127.0.0.1:0")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn inet_udplite_exchanged() {
    if socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(136.into())).is_err() {
        return sandsock_tests::skip("inet_udplite_exchanged", "this kernel has no UDP-Lite");
    }
    both_ways(|way| {
        let output = Guest::new(programs::inet_udplite_exchanged, way).allow_all().run().success();
        assert_eq!(output, "exchanged\nexchanged\n");
        // Grants of UDP open no UDP-Lite.
        let output = Guest::new(programs::inet_udplite_exchanged, way)
            .allow("udp-bind=*:*")
            .allow("udp-send=*:*")
            .allow("udp-receive=*:*")
            .run()
            .success();
        assert_eq!(
            output.matches("protocol 136 is denied: no verb of this version grants it").count(),
            2,
            "{output}"
        );
    });
}

#[test]
pub(crate) fn inet_fallback_paired() {
    both_ways(|way| {
        Guest::new(programs::inet_fallback_paired, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("tcp-listen=[::1]:0")
            .allow("tcp-connect=127.0.0.1:*")
            .allow("tcp-connect=[::1]:*")
            .run()
            .success();
    });
}
