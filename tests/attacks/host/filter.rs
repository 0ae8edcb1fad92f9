//! Promise: a datagram from a sender that no grant names wakes nobody, reveals nothing and delays
//! nothing. Readiness, the lengths of queues and the error queue agree with the check at receive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sandsock_tests::netns::Namespace;
use sandsock_tests::resolver::{NameServer, with_own_resolver};
use sandsock_tests::{Guest, Program, Running, Way, both_ways, programs, skip};
use socket2::{Domain, Protocol, Socket, Type};

/// Runs a body in a namespace of its own, whose loopback has fd00::1 and fd00::2, and where every
/// group may have ping sockets.
fn alone(test: &str, body: impl Fn() + Send + Sync) {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => return skip(test, &reason),
    };
    for last in [1, 2] {
        namespace
            .ip(&format!("address add fd00::{last}/128 dev lo nodad"))
            .expect("the namespace is ours");
    }
    namespace.run(|| {
        // A namespace has a range of its own, which is empty at first (man 7 icmp).
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("is set");
        body();
    });
}

/// A guest that may send to host 1 of each family, and hears what comes from there.
fn listening(program: Program, way: Way, role: &str) -> Guest {
    Guest::new(program, way)
        .allow("udp-bind=*:0")
        .allow("udp-send=127.0.0.1:*")
        .allow("udp-send=[fd00::1]:*")
        .arg(role)
}

/// The same, under a policy that lets it hear host 2 as well.
fn listening_to_both(program: Program, way: Way) -> Guest {
    listening(program, way, "twin")
        .allow("udp-receive=127.0.0.2:*")
        .allow("udp-receive=[fd00::2]:*")
}

#[test]
pub(crate) fn attack_filter_silent_denied() {
    use programs::attack_filter_silent_denied as program;
    alone("attack_filter_silent_denied", || {
        both_ways(|way| {
            let ended = listening(program, way, "attack").run();
            assert!(ended.dropped >= 3 * 2004, "{} dropped", ended.dropped);
            ended.success();
            let ended = listening_to_both(program, way).run();
            assert_eq!(ended.dropped, 0);
            ended.success();
            // Everything but what a rule denies, at the protocols that no verb names.
            let rules = Guest::new(program, way)
                .allow_all()
                .deny("udp-receive=127.0.0.2:*")
                .deny("udp-receive=[fd00::2]:*");
            rules.arg("attack").arg("lite").run().success();
            Guest::new(program, way).allow_all().arg("twin").arg("lite").run().success();
            // A deny rule about IPv4 makes every IPv6 sender doubtful, which may hold an IPv4
            // address.
            let doubtful = listening(program, way, "attack").deny("udp-receive=198.51.100.1:*");
            doubtful.run().success();
            // So many rules that no filter has room for all of them.
            let many = (0..3000u32).fold(listening(program, way, "attack"), |guest, n| {
                guest.allow(format!("udp-receive=127.{}.{}.7:{}", 1 + n / 250, n % 250, 1 + n))
            });
            many.arg("coarse").run().success();
        });
    });
}

#[test]
pub(crate) fn attack_filter_program_denied() {
    use programs::attack_filter_program_denied as program;
    alone("attack_filter_program_denied", || {
        both_ways(|way| {
            for guest in [listening(program, way, "attack"), listening_to_both(program, way)] {
                let guest = guest
                    .allow("option=SOL_SOCKET/SO_ATTACH_FILTER")
                    .allow("option=SOL_SOCKET/SO_DETACH_FILTER");
                guest.run().success();
            }
        });
    });
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
}

fn address(family: i32, last: u8) -> SocketAddr {
    let ip = if family == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    } else {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()))
    };
    SocketAddr::new(ip, 0)
}

/// Sends an ICMP message to host 1 from another of its hosts.
fn send_icmp(family: i32, from: u8, mut message: Vec<u8>) {
    let (domain, protocol) = if family == libc::AF_INET {
        (Domain::IPV4, Protocol::ICMPV4)
    } else {
        (Domain::IPV6, Protocol::ICMPV6)
    };
    if family == libc::AF_INET {
        // For ICMPv6 the kernel checks it.
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum);
    }
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).expect("the namespace is ours");
    socket.bind(&address(family, from).into()).expect("binds");
    socket.send_to(&message, &address(family, 1).into()).expect("sends");
}

#[test]
pub(crate) fn attack_filter_errors_denied() {
    use programs::attack_filter_errors_denied as program;
    alone("attack_filter_errors_denied", || {
        both_ways(|way| {
            let attack = listening(program, way, "attack");
            let twin = listening_to_both(program, way).allow("udp-send=127.0.0.9:99");
            let all = Guest::new(program, way).allow_all().arg("twin");
            for guest in [attack, twin, all] {
                let running = guest.start();
                let port: u16 = running.lines(1)[0].parse().expect("a port");
                // Port unreachable, with the header of a datagram from 127.0.0.1 to 127.0.0.9 and
                // UDP's.
                let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
                message.extend([
                    0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 9,
                ]);
                message.extend([port.to_be_bytes(), 99u16.to_be_bytes(), [0, 8], [0, 0]].concat());
                send_icmp(libc::AF_INET, 1, message);
                running.join().success();
            }
        });
    });
}

#[test]
pub(crate) fn attack_filter_raw_denied() {
    use programs::attack_filter_raw_denied as program;
    alone("attack_filter_raw_denied", || {
        both_ways(|way| {
            let attack = Guest::new(program, way)
                .allow("raw=icmp:127.0.0.1")
                .allow("raw=icmp6:fd00::1")
                .arg("attack");
            let twin = Guest::new(program, way)
                .allow("raw=icmp:127.0.0.0/8")
                .allow("raw=icmp6:fd00::/16")
                .arg("twin");
            for guest in [attack, twin] {
                let running = guest.start();
                follow(&running, |words| {
                    let [from, family, identifier] = words else { panic!("{words:?}") };
                    let family = family.parse().expect("a family");
                    let mut reply = vec![if family == libc::AF_INET { 0 } else { 129 }, 0, 0, 0];
                    reply.extend(identifier.parse::<u16>().expect("an identifier").to_be_bytes());
                    reply.extend([0, 1]);
                    send_icmp(family, from.parse().expect("a host"), reply);
                });
                running.join().success();
            }
        });
    });
}

/// Does what each line of a guest asks for, until it ends.
fn follow(running: &Running, mut act: impl FnMut(&[&str])) {
    let start = Instant::now();
    let mut done = 0;
    while !running.is_over() && start.elapsed() < Duration::from_secs(60) {
        let lines = running.lines_so_far();
        for line in lines.iter().skip(done) {
            act(&line.split(' ').collect::<Vec<_>>());
        }
        done = lines.len();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
pub(crate) fn attack_filter_names_denied() {
    use programs::attack_filter_names_denied as program;
    const TEST: &str = "attacks::filter::attack_filter_names_denied";
    with_own_resolver(TEST, || {
        let Some(server) = NameServer::start(TEST, "", &[]) else { return };
        let bound = |last: u8, port: u16| {
            UdpSocket::bind((Ipv4Addr::new(93, 184, 216, last), port))
                .expect("the namespace is ours")
        };
        let senders = [bound(34, 5300), bound(35, 5300), bound(36, 5300), bound(34, 5301)];
        both_ways(|way| {
            let named = |role: &str| {
                let guest = Guest::new(program, way)
                    .allow("udp-bind=*:0")
                    .allow("udp-receive=web.example:5300");
                guest.allow("resolve=web.example").arg(role)
            };
            for guest in [named("attack"), named("twin").allow("udp-receive=93.184.216.0/24:*")] {
                server.change("93.184.216.34 web.example\n");
                let running = guest.start();
                follow(&running, |words| match words {
                    ["change"] => server.change("93.184.216.35 web.example\n"),
                    [what, ports @ ..] => {
                        let sender = match *what {
                            "34" => 0,
                            "35" => 1,
                            "36" => 2,
                            _ => 3,
                        };
                        for port in ports {
                            let to = (Ipv4Addr::LOCALHOST, port.parse().expect("a port"));
                            senders[sender].send_to(what.as_bytes(), to).expect("sends");
                        }
                    }
                    [] => {}
                });
                running.join().success();
            }
        });
    });
}

#[test]
pub(crate) fn attack_filter_handed_denied() {
    use programs::attack_filter_handed_denied as program;
    both_ways(|way| {
        for role in ["attack", "twin"] {
            let handed = UdpSocket::bind("127.0.0.1:0").expect("binds");
            let [listed, stranger] = ["127.0.0.1:0", "127.0.0.2:0"]
                .map(|address| UdpSocket::bind(address).expect("binds"));
            let (here, there) = UnixStream::pair().expect("a pair");
            let kept = handed.try_clone().expect("copies");
            let mut guest = listening(program, way, role)
                .allow("inherit=fd:3")
                .allow("inherit=fd:4")
                .allow("ancillary=rights:send")
                .allow("option=SOL_SOCKET/SO_ATTACH_FILTER")
                .inherit(3, handed)
                .inherit(4, there);
            if role == "twin" {
                guest = guest.allow("udp-receive=127.0.0.2:*");
            }
            // Some datagrams are in its queue when the guest begins.
            let to = kept.local_addr().expect("an address");
            if role == "attack" {
                stranger.send_to(b"unlisted", to).expect("sends");
            }
            let running = guest.start();
            let mut own = None;
            follow(&running, |words| {
                let [act, port] = words else { return };
                let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().expect("a port"));
                match *act {
                    "one" => drop(stranger.send_to(b"unlisted", to).expect("sends")),
                    "many" => {
                        for _ in 0..100 {
                            stranger.send_to(b"unlisted", to).expect("sends");
                        }
                        listed.send_to(b"listed", to).expect("sends");
                    }
                    // Another holder of the socket receives from every sender.
                    _ => {
                        let socket = if to == kept.local_addr().expect("an address") {
                            &kept
                        } else {
                            own.get_or_insert_with(|| received(&here))
                        };
                        socket.set_nonblocking(true).expect("is set");
                        stranger.send_to(b"for the other holder", to).expect("sends");
                        let mut buffer = [0; 100];
                        let length = socket.recv(&mut buffer).expect("the other holder's own");
                        assert_eq!(&buffer[..length], b"for the other holder");
                    }
                }
            });
            running.join().success();
        }
    });
}

/// The descriptor that comes with the next message.
fn received(through: &UnixStream) -> UdpSocket {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; 1];
    let data = &mut [std::io::IoSliceMut::new(&mut buffer)];
    recvmsg(through, data, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message");
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.expect("a descriptor").into()
}
