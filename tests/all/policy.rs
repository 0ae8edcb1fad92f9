//! The acts that a guest may do, and those that it may not. The guests attack: each has one grant
//! and tries to do more.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::tls;
use sandsock_host::policy::{Verb, VerbInfo};
use sandsock_tests::resolver::{NameServer, with_own_resolver};
use sandsock_tests::{Ended, Guest, Way, both_ways, programs, skip};
use socket2::{Domain, Protocol, Socket, Type};

/// A TCP listener on both loopbacks.
pub(crate) struct Tcp(TcpListener);

impl Tcp {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("[::]:0")
            .or_else(|_| TcpListener::bind("127.0.0.1:0"))
            .expect("listens");
        listener.set_nonblocking(true).expect("is set");
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// How many connections came since the last time.
    pub(crate) fn connections(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }

    /// Checks that there was no connection.
    #[track_caller]
    pub(crate) fn untouched(&self) {
        assert_eq!(self.connections(), 0, "a connection came through");
    }
}

/// A UDP socket on both loopbacks.
pub(crate) struct Udp(UdpSocket);

impl Udp {
    pub(crate) fn new() -> Self {
        let socket =
            UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).expect("binds");
        socket.set_nonblocking(true).expect("is set");
        Self(socket)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// The datagrams that came since the last time.
    pub(crate) fn datagrams(&self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| self.0.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
            .collect()
    }

    /// Checks that there was no datagram.
    #[track_caller]
    pub(crate) fn untouched(&self) {
        assert_eq!(self.datagrams(), Vec::<Vec<u8>>::new(), "a datagram came through");
    }
}

/// A TCP and a UDP port of 127.0.0.1 that are free.
fn free_ports() -> (u16, u16) {
    let tcp =
        TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port();
    let udp =
        UdpSocket::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").port();
    (tcp, udp)
}

/// The data for the host's test of a verb.
struct Case {
    /// The grant that the act needs, as a denial names it.
    grant: String,
    /// Another grant. With it the guest has the socket but not the act.
    other: &'static str,
    /// The act's target.
    target: String,
    /// Checks outside of the guest that the act happened, or that it did not.
    check: Box<dyn Fn(bool)>,
}

/// Returns a case for every verb. There is no other arm, so a new verb needs a case.
fn case(verb: Verb, folder: &std::path::Path) -> Case {
    let nothing = || Box::new(|_| ()) as Box<dyn Fn(bool)>;
    match verb {
        Verb::TcpConnect => {
            let peer = Tcp::new();
            let target = peer.port().to_string();
            Case {
                grant: format!("tcp-connect=127.0.0.1:{target}"),
                other: "tcp-listen=127.0.0.1:0",
                target,
                check: Box::new(move |done| assert_eq!(peer.connections(), usize::from(done))),
            }
        }
        Verb::TcpListen => Case {
            grant: "tcp-listen=127.0.0.1:0".into(),
            other: "tcp-connect=127.0.0.1:1",
            target: "0".into(),
            check: nothing(),
        },
        Verb::TlsConnect => {
            let peer = Tcp::new();
            let target = peer.port().to_string();
            Case {
                grant: format!("tls-connect=localhost.test:{target}"),
                other: "tls-connect=127.0.0.1:*",
                target,
                // The connection is there without the session too.
                check: Box::new(move |_| assert_eq!(peer.connections(), 1)),
            }
        }
        Verb::TlsListen | Verb::TlsInsecure | Verb::TlsUpgrade => {
            unreachable!("the suite of TLS has both tests of {verb}")
        }
        Verb::TlsIdentity => Case {
            grant: "tls-identity=web".into(),
            other: "tls-identity=other",
            target: "web".into(),
            check: nothing(),
        },
        Verb::UdpBind => Case {
            grant: "udp-bind=127.0.0.1:0".into(),
            other: "udp-send=127.0.0.1:1",
            target: "0".into(),
            check: nothing(),
        },
        Verb::UdpSend => {
            let peer = Udp::new();
            let target = peer.port().to_string();
            Case {
                grant: format!("udp-send=127.0.0.1:{target}"),
                other: "udp-bind=127.0.0.1:0",
                target,
                check: Box::new(move |done| assert_eq!(peer.datagrams().len(), usize::from(done))),
            }
        }
        Verb::UdpReceive => Case {
            grant: "udp-receive=127.0.0.1:*".into(),
            other: "udp-receive=127.0.0.1:1",
            target: "300".into(),
            check: nothing(),
        },
        Verb::UnixConnect => {
            let path = folder.join("peer.sock");
            let _ = std::fs::remove_file(&path);
            let peer = UnixListener::bind(&path).expect("binds");
            peer.set_nonblocking(true).expect("is set");
            let target = path.display().to_string();
            Case {
                grant: format!("unix-connect={target}"),
                other: "unix-bind=@some-name",
                target,
                check: Box::new(move |done| assert_eq!(peer.accept().is_ok(), done)),
            }
        }
        Verb::UnixBind => {
            let path = folder.join("bound.sock");
            let _ = std::fs::remove_file(&path);
            let target = path.display().to_string();
            Case {
                grant: format!("unix-bind={target}"),
                other: "unix-connect=@some-name",
                target,
                check: Box::new(move |done| assert_eq!(path.exists(), done)),
            }
        }
        Verb::Can | Verb::Family => {
            unreachable!("the suites of the booted kernel have both tests of {verb}")
        }
        Verb::Resolve => Case {
            grant: "resolve=localhost".into(),
            other: "tcp-connect=127.0.0.1:1",
            target: "localhost".into(),
            check: nothing(),
        },
        Verb::ReverseResolve => Case {
            grant: "reverse-resolve=127.0.0.1".into(),
            other: "reverse-resolve=127.0.0.2",
            target: "127.0.0.1".into(),
            check: nothing(),
        },
        Verb::Interfaces => Case {
            grant: "interfaces".into(),
            other: "hostname=read",
            target: String::new(),
            check: nothing(),
        },
        // The name that this host has already: nothing changes.
        Verb::Hostname => Case {
            grant: "hostname=set".into(),
            other: "hostname=read",
            target: String::new(),
            check: nothing(),
        },
        Verb::Option => Case {
            grant: "option=SOL_SOCKET/SO_PRIORITY".into(),
            other: "tcp-connect=127.0.0.1:1",
            target: String::new(),
            check: nothing(),
        },
        Verb::Raw => Case {
            grant: "raw=icmp:127.0.0.1".into(),
            other: "raw=icmp:127.0.0.2",
            target: "127.0.0.1".into(),
            check: nothing(),
        },
        Verb::Packet => Case {
            grant: "packet=lo:arp".into(),
            other: "packet=lo:lldp",
            target: "lo".into(),
            check: nothing(),
        },
        Verb::Netlink => Case {
            grant: "netlink=route:read".into(),
            other: "netlink=route:write",
            target: String::new(),
            check: nothing(),
        },
        Verb::Multicast => Case {
            grant: "multicast=239.1.2.3".into(),
            other: "udp-bind=127.0.0.1:0",
            target: "239.1.2.3".into(),
            check: nothing(),
        },
        Verb::Ioctl => Case {
            grant: "ioctl=SIOCGIFADDR".into(),
            other: "udp-bind=127.0.0.1:0",
            target: 0x8915.to_string(),
            check: nothing(),
        },
        Verb::Ancillary => Case {
            grant: "ancillary=rights:send".into(),
            other: "ancillary=rights:receive",
            target: String::new(),
            check: nothing(),
        },
        Verb::Inherit => Case {
            grant: "inherit=fd:3".into(),
            other: "inherit=fd:4",
            target: "3".into(),
            check: nothing(),
        },
    }
}

/// The verbs whose acts this machine lets its own programs do. Those of families that its kernel
/// may lack are tried in the suites of the booted kernel, and those about connections of TLS in the suite
/// of TLS.
fn verbs() -> Vec<&'static VerbInfo> {
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
    let may = |verb| match verb {
        Verb::Raw | Verb::Packet => raw.is_ok(),
        Verb::Can | Verb::Family | Verb::TlsListen | Verb::TlsInsecure | Verb::TlsUpgrade => false,
        _ => true,
    };
    if let Err(error) = &raw {
        skip("policy_verb_*: raw, packet", &error.to_string());
    }
    Verb::TABLE.iter().filter(|info| may(info.verb)).collect()
}

/// Runs a guest on one verb. If the verb is about an incoming datagram, sends it one.
fn run_case(guest: Guest, verb: Verb, case: &Case) -> Ended {
    let guest = guest.allow(case.other).arg(verb).arg(&case.target).arg(&case.grant);
    let (here, mut there) = UnixStream::pair().expect("a pair");
    let granted = guest.is_allowed(&case.grant);
    // Some verbs need another verb's grant to create the socket.
    let guest = match verb {
        Verb::UdpReceive => guest.allow("udp-bind=127.0.0.1:0"),
        Verb::Option => guest.allow("tcp-listen=127.0.0.1:0"),
        Verb::Inherit => guest.inherit(3, here),
        Verb::TlsConnect | Verb::TlsIdentity => guest.tls(tls::settings()),
        _ => guest,
    };
    let running = guest.start();
    if verb == Verb::UdpReceive {
        let port: u16 = running.lines(1)[0].parse().expect("a port");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        peer.send_to(b"from the peer", ("127.0.0.1", port)).expect("sends");
    }
    let ended = running.join();
    if verb == Verb::Inherit {
        let mut seen = String::new();
        there.read_to_string(&mut seen).expect("the other end is closed with the guest");
        assert_eq!(seen, if granted { "taken" } else { "" });
    }
    ended
}

#[test]
pub(crate) fn policy_verb_ok() {
    let folder = tempfile::tempdir().expect("a folder");
    both_ways(|way| {
        for info in verbs() {
            let case = case(info.verb, folder.path());
            let guest = Guest::new(programs::policy_verb_ok, way).allow(&case.grant);
            let ended = run_case(guest, info.verb, &case);
            assert_eq!(ended.dropped, 0, "{}", info.name);
            ended.success();
            (case.check)(true);
        }
    });
}

#[test]
pub(crate) fn policy_verb_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    both_ways(|way| {
        for info in verbs() {
            let case = case(info.verb, folder.path());
            let ended = run_case(Guest::new(programs::policy_verb_denied, way), info.verb, &case);
            assert_eq!(ended.dropped, u64::from(info.verb == Verb::UdpReceive), "{}", info.name);
            ended.success();
            (case.check)(false);
        }
    });
}

#[test]
fn policy_verb_denied_by_rule_is_as_good_as_not_granted() {
    // The same acts, granted and denied: deny wins. The guest that works must then fail.
    let folder = tempfile::tempdir().expect("a folder");
    both_ways(|way| {
        for info in verbs() {
            for everything in [false, true] {
                let case = case(info.verb, folder.path());
                let guest =
                    Guest::new(programs::policy_verb_ok, way).allow(&case.grant).deny(&case.grant);
                let guest = if everything { guest.allow_all() } else { guest };
                let ended = run_case(guest, info.verb, &case);
                assert!(matches!(ended.result, Ok(Err(()))), "{}: {ended:?}", info.name);
                let why =
                    if info.verb == Verb::UdpReceive { "timed out" } else { "Permission denied" };
                assert!(ended.stderr.contains(why), "{}: {}", info.name, ended.stderr);
                (case.check)(false);
            }
        }
    });
}

/// Runs the guest that tries destinations: `forms` are the grant that a denial names, and the host.
fn destinations(
    way: Way,
    grants: &[String],
    deny: &[&str],
    everything: bool,
    forms: &[(&str, &str)],
) {
    let (tcp, udp) = (Tcp::new(), Udp::new());
    let mut guest = Guest::new(programs::policy_destination_denied, way);
    for grant in grants {
        guest = guest.allow(grant);
    }
    for rule in deny {
        guest = guest.deny(rule);
    }
    if everything {
        guest = guest.allow_all();
    }
    for (grant, host) in forms {
        guest = guest.arg(grant).arg(host).arg(tcp.port()).arg(udp.port());
    }
    guest.run().success();
    tcp.untouched();
    udp.untouched();
}

/// Every way to write the loopback, and the address that a denial names it by.
const LOOPBACKS: &[(&str, &str)] = &[
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "::ffff:127.0.0.1"),
    ("127.0.0.1", "::ffff:7f00:1"),
    ("[::1]", "::1"),
    // Zones say nothing about an address that is of no link.
    ("[::1]", "::1%1"),
    ("[::1]", "::1%4711"),
    // The unspecified address is the loopback.
    ("127.0.0.1", "0.0.0.0"),
    ("127.0.0.1", "0"),
    ("[::1]", "::"),
    ("127.0.0.1", "::ffff:0.0.0.0"),
    // Numbers that resolvers read as addresses.
    ("127.0.0.1", "2130706433"),
    ("127.0.0.1", "0x7f000001"),
    ("127.0.0.1", "0x7F.1"),
    ("127.0.0.1", "0177.0.0.01"),
    ("127.0.0.1", "017700000001"),
    ("127.0.0.1", "127.1"),
    ("127.0.0.1", "127.0.1"),
];

/// IPv6 addresses that carry 127.0.0.1 in them for some gateway.
const EMBEDDED: &[(&str, &str)] = &[
    ("[::7f00:1]", "::127.0.0.1"),
    ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
    ("[2002:7f00:1::]", "2002:7f00:1::"),
    ("[2002:7f00:1::1]", "2002:7f00:1::1"),
    // Teredo's client address has its bits turned.
    ("[2001::80ff:fffe]", "2001::80ff:fffe"),
];

#[test]
pub(crate) fn policy_destination_denied() {
    both_ways(|way| {
        // Another port of the address, another address of the port's network, an address that is
        // only like it.
        let grants = ["tcp-connect", "udp-send"].map(|verb| format!("{verb}=127.0.0.1:1"));
        destinations(way, &grants, &[], false, LOOPBACKS);
        destinations(way, &grants, &[], false, EMBEDDED);
    });
}

#[test]
fn policy_destination_denied_though_ipv4_is_granted() {
    both_ways(|way| {
        // All of IPv4 opens no IPv6 address but the mapped ones.
        let grants = ["tcp-connect", "udp-send"].map(|verb| format!("{verb}=0.0.0.0/0:*"));
        destinations(way, &grants, &[], false, EMBEDDED);
        destinations(way, &grants, &[], false, &[("[::1]", "::1"), ("[::1]", "::")]);
    });
}

#[test]
fn policy_destination_denied_though_the_internet_is_granted() {
    both_ways(|way| {
        let grants = ["tcp-connect", "udp-send"].map(|verb| format!("{verb}=public:*"));
        destinations(way, &grants, &[], false, LOOPBACKS);
        destinations(way, &grants, &[], false, EMBEDDED);
    });
}

#[test]
fn policy_destination_denied_by_a_rule_in_every_form() {
    let by_rule = |forms: &[(&str, &'static str)]| {
        forms.iter().map(|(_, host)| ("-", *host)).collect::<Vec<_>>()
    };
    let rules = &[
        "tcp-connect=127.0.0.0/8:*",
        "udp-send=127.0.0.0/8:*",
        "tcp-connect=[::1]:*",
        "udp-send=[::1]:*",
    ];
    both_ways(|way| {
        let grants = ["tcp-connect", "udp-send"].map(|verb| format!("{verb}=*:*"));
        destinations(way, &grants, rules, false, &by_rule(LOOPBACKS));
        destinations(way, &grants, rules, false, &by_rule(EMBEDDED));
        destinations(way, &[], rules, true, &by_rule(LOOPBACKS));
        destinations(way, &[], rules, true, &by_rule(EMBEDDED));
        let sets = &["tcp-connect=loopback:*", "udp-send=loopback:*"];
        destinations(way, &grants, sets, false, &by_rule(LOOPBACKS));
        destinations(way, &grants, sets, false, &by_rule(EMBEDDED));
    });
}

#[test]
pub(crate) fn policy_destination_ok() {
    both_ways(|way| {
        // The kernel gets the address that was checked: the mapped and the unspecified address lead
        // to the granted one.
        let (tcp, udp) = (Tcp::new(), Udp::new());
        let hosts = ["127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "2130706433", "::1", "::"];
        let mut guest = Guest::new(programs::policy_destination_ok, way);
        for host in ["127.0.0.1", "[::1]"] {
            guest = guest.allow(format!("tcp-connect={host}:{}", tcp.port()));
            guest = guest.allow(format!("udp-send={host}:{}", udp.port()));
        }
        for host in hosts {
            guest = guest.arg(host).arg(tcp.port()).arg(udp.port());
        }
        guest.run().success();
        assert_eq!(tcp.connections(), hosts.len());
        assert_eq!(udp.datagrams(), hosts.map(|host| host.as_bytes().to_vec()));
    });
}

#[test]
pub(crate) fn policy_siblings_denied() {
    both_ways(|way| {
        let (tcp, other_tcp, udp, other_udp) = (Tcp::new(), Tcp::new(), Udp::new(), Udp::new());
        Guest::new(programs::policy_siblings_denied, way)
            .allow(format!("tcp-connect=127.0.0.1:{}", tcp.port()))
            .allow(format!("udp-send=127.0.0.1:{}", udp.port()))
            .arg(tcp.port())
            .arg(other_tcp.port())
            .arg(udp.port())
            .arg(other_udp.port())
            .run()
            .success();
        other_tcp.untouched();
        other_udp.untouched();
        assert_eq!(tcp.connections(), 2);
        assert_eq!(
            udp.datagrams(),
            [b"to the granted peer".to_vec(), b"still the granted peer".to_vec()]
        );
    });
}

#[test]
pub(crate) fn policy_merged_denied() {
    both_ways(|way| {
        let (connect, send, receive) = (Tcp::new(), Udp::new(), Udp::new());
        let (listen, _) = free_ports();
        Guest::new(programs::policy_merged_denied, way)
            .allow(format!("tcp-connect=127.0.0.1:{}", connect.port()))
            .allow(format!("udp-send=127.0.0.1:{}", send.port()))
            .allow(format!("udp-receive=127.0.0.1:{}", receive.port()))
            .allow(format!("tcp-listen=127.0.0.1:{listen}"))
            .allow("udp-bind=127.0.0.1:0")
            .arg(connect.port())
            .arg(send.port())
            .arg(receive.port())
            .arg(listen)
            .run()
            .success();
        assert_eq!(connect.connections(), 1);
        assert_eq!(send.datagrams(), [b"granted"]);
        receive.untouched();
    });
}

#[test]
pub(crate) fn policy_bind_denied() {
    both_ways(|way| {
        let (connect, send) = (Tcp::new(), Udp::new());
        let (tcp, udp) = free_ports();
        Guest::new(programs::policy_bind_denied, way)
            .allow("tcp-listen=127.0.0.1:0")
            .allow("udp-bind=127.0.0.1:0")
            .allow(format!("tcp-connect=127.0.0.1:{}", connect.port()))
            .allow(format!("udp-send=127.0.0.1:{}", send.port()))
            .arg(tcp)
            .arg(udp)
            .arg(connect.port())
            .arg(send.port())
            .run()
            .success();
    });
}

#[test]
pub(crate) fn policy_listen_ok() {
    both_ways(|way| {
        let guest =
            Guest::new(programs::policy_listen_ok, way).allow("tcp-listen=0.0.0.0:0").start();
        let port: u16 = guest.lines(1)[0].parse().expect("a port");
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
        std::io::Write::write_all(&mut client, b"hello").expect("sends");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
        let end = client.read(&mut [0; 10]);
        assert!(
            matches!(&end, Ok(0))
                || matches!(&end, Err(e) if e.kind() == ErrorKind::ConnectionReset),
            "{end:?}"
        );
        guest.join().success();
    });
}

#[test]
pub(crate) fn policy_address_refused() {
    both_ways(|way| {
        let (tcp, udp, other) = (Tcp::new(), Udp::new(), Udp::new());
        let mut guest = Guest::new(programs::policy_address_refused, way);
        for host in ["127.0.0.1", "[::1]"] {
            guest = guest.allow(format!("tcp-connect={host}:{}", tcp.port()));
            guest = guest.allow(format!("udp-send={host}:{}", udp.port()));
        }
        guest.arg(tcp.port()).arg(udp.port()).arg(other.port()).run().success();
        tcp.untouched();
        udp.untouched();
        other.untouched();
    });
}

/// Grants of every INET and INET6 verb for everything.
fn all_of_ip(guest: Guest) -> Guest {
    ["tcp-connect", "tcp-listen", "udp-bind", "udp-send", "udp-receive"]
        .iter()
        .fold(guest, |guest, verb| guest.allow(format!("{verb}=*:*")))
}

#[test]
pub(crate) fn policy_protocol_denied() {
    both_ways(|way| {
        let guest =
            all_of_ip(Guest::new(programs::policy_protocol_denied, way)).allow("unix-connect=/**");
        guest.arg("grants").run().success();
        Guest::new(programs::policy_protocol_denied, way)
            .allow_all()
            .arg("everything")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn policy_everything_denied() {
    both_ways(|way| {
        let (tcp, udp) = (Tcp::new(), Udp::new());
        let made = Guest::new(programs::policy_everything_denied, way)
            .allow_all()
            .deny(format!("tcp-connect=127.0.0.1:{}", tcp.port()))
            .deny(format!("tcp-listen=127.0.0.1:{}", tcp.port()))
            .deny(format!("udp-send=127.0.0.1:{}", udp.port()))
            .deny(format!("udp-bind=127.0.0.1:{}", udp.port()))
            .deny("resolve=denied.example")
            .deny("resolve=*.denied.example")
            .deny("option=SOL_SOCKET/SO_MARK")
            .deny("unix-connect=@sandsock-denied")
            .deny("unix-bind=@*")
            .deny("ancillary=rights:send")
            .arg(tcp.port())
            .arg(udp.port())
            .run()
            .success();
        println!("protocols of this kernel:\n{made}");
        tcp.untouched();
        udp.untouched();
    });
}

#[test]
pub(crate) fn policy_option_denied() {
    both_ways(|way| {
        let guest = all_of_ip(Guest::new(programs::policy_option_denied, way));
        guest.allow("unix-connect=/**").allow("unix-bind=@*").run().success();
    });
}

#[test]
pub(crate) fn policy_option_refused() {
    both_ways(|way| {
        Guest::new(programs::policy_option_refused, way).allow_all().run().success();
        Guest::new(programs::policy_option_refused, way)
            .allow("tcp-connect=127.0.0.1:1")
            .allow("option=SOL_SOCKET/SO_ATTACH_FILTER")
            .allow("option=SOL_SOCKET/SO_ATTACH_REUSEPORT_CBPF")
            .allow("option=SOL_SOCKET/SO_REUSEPORT")
            .allow("option=SOL_SOCKET/SO_PRIORITY")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn policy_control_denied() {
    both_ways(|way| {
        let peer = Udp::new();
        Guest::new(programs::policy_control_denied, way)
            .allow(format!("udp-send=127.0.0.1:{}", peer.port()))
            .allow(format!("udp-send=[::1]:{}", peer.port()))
            .arg(peer.port())
            .run()
            .success();
        peer.untouched();
    });
}

#[test]
pub(crate) fn policy_control_ok() {
    both_ways(|way| {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        peer.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
        let port = peer.local_addr().expect("an address").port();
        Guest::new(programs::policy_control_ok, way)
            .allow(format!("udp-send=127.0.0.1:{port}"))
            .allow("option=IPPROTO_IP/IP_PKTINFO")
            .arg(port)
            .run()
            .success();
        let mut buffer = [0; 10];
        for (text, source) in [(&b"from 9"[..], "127.0.0.9"), (b"from 1", "127.0.0.1")] {
            let (length, from) = peer.recv_from(&mut buffer).expect("receives");
            assert_eq!((&buffer[..length], from.ip().to_string().as_str()), (text, source));
        }
    });
}

#[test]
pub(crate) fn policy_nothing_denied() {
    both_ways(|way| {
        let ended = Guest::new(programs::policy_nothing_denied, way).run();
        assert_eq!(ended.dropped, 0);
        ended.success();
        assert!(!std::path::Path::new("/tmp/sandsock-nothing").exists());
    });
}

#[test]
pub(crate) fn policy_datagram_denied() {
    both_ways(|way| {
        let (granted, stranger) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
        let (granted, stranger) = (granted.expect("binds"), stranger.expect("binds"));
        let port = granted.local_addr().expect("an address").port();
        let running = Guest::new(programs::policy_datagram_denied, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow(format!("udp-receive=127.0.0.1:{port}"))
            .arg(port)
            .start();
        let to = ("127.0.0.1", running.lines(1)[0].parse::<u16>().expect("a port"));
        for _ in 0..5 {
            // The longer one would show if the shorter one's length were used, and the other way
            // round.
            stranger.send_to(&[b'!'; 1500], to).expect("sends");
            stranger.send_to(b"", to).expect("sends");
            granted.send_to(b"granted", to).expect("sends");
        }
        for round in 0..4 {
            running.lines(2 + round);
            stranger.send_to(b"not for you", to).expect("sends");
        }
        running.lines(6);
        stranger.send_to(b"not for you", to).expect("sends");
        let ended = running.join();
        assert_eq!(ended.dropped, 5 * 2 + 5, "each is counted once, peeked at or not");
        ended.success();
    });
}

#[test]
pub(crate) fn policy_queued_denied() {
    both_ways(|way| {
        let sockets = ["127.0.0.1:0", "[::1]:0"].map(UdpSocket::bind);
        let [Ok(v4), Ok(v6)] = sockets else {
            sandsock_tests::skip("policy_queued_denied", "no IPv6 loopback here");
            return;
        };
        // Both peers have one port, which one argument names.
        let port = v4.local_addr().expect("an address").port();
        let Ok(v6) = UdpSocket::bind(("::1", port)).map_err(|_| drop(v6)) else {
            sandsock_tests::skip("policy_queued_denied", "the port was taken");
            return;
        };
        let running = Guest::new(programs::policy_queued_denied, way)
            .allow("udp-bind=127.0.0.1:0")
            .allow("udp-bind=[::1]:0")
            .allow(format!("udp-send=127.0.0.1:{port}"))
            .allow(format!("udp-send=[::1]:{port}"))
            .arg(port)
            .start();
        for (round, (peer, host)) in [(v4, "127.0.0.1"), (v6, "::1")].into_iter().enumerate() {
            peer.set_read_timeout(Some(Duration::from_secs(10))).expect("is set");
            let stranger = UdpSocket::bind((host, 0)).expect("binds");
            let to = (host, running.lines(round + 1)[round].parse::<u16>().expect("a port"));
            stranger.send_to(b"stranger", to).expect("sends");
            stranger.send_to(b"stranger again", to).expect("sends");
            peer.send_to(b"granted", to).expect("sends");
            let mut buffer = [0; 100];
            let (length, from) = peer.recv_from(&mut buffer).expect("receives");
            assert_eq!(&buffer[..length], b"question");
            peer.send_to(b"answer", from).expect("sends");
        }
        let ended = running.join();
        assert_eq!(ended.dropped, 4);
        ended.success();
    });
}

#[test]
pub(crate) fn policy_unix_denied() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::SocketAddr;

    both_ways(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["connect", "connect/sub", "bind", "bind/sub", "beside"] {
            std::fs::create_dir(path(name)).expect("a folder");
        }
        let (granted, beside) =
            (UnixListener::bind(path("connect/peer")), UnixListener::bind(path("beside/peer")));
        let (granted, beside) = (granted.expect("binds"), beside.expect("binds"));
        let name = SocketAddr::from_abstract_name("sandsock-policy-unix").expect("a name");
        // The two ways do not run at once, but this suite may run twice on one machine.
        let Ok(_abstract) = UnixListener::bind_addr(&name) else {
            sandsock_tests::skip("policy_unix_denied", "somebody has the abstract name");
            return;
        };
        for base in ["connect", "bind"] {
            symlink(path("beside"), path(&format!("{base}/folder"))).expect("links");
            symlink("../beside", path(&format!("{base}/folder-relative"))).expect("links");
        }
        symlink(path("beside/peer"), path("connect/out")).expect("links");
        symlink("../beside/peer", path("connect/out-relative")).expect("links");
        symlink("out-relative", path("connect/chain")).expect("links");
        std::fs::write(path("bind/file"), b"kept").expect("writes");
        symlink(path("beside/new"), path("bind/nowhere")).expect("links");
        symlink(path("beside/peer"), path("bind/socket-link")).expect("links");
        Guest::new(programs::policy_unix_denied, way)
            .allow(format!("unix-connect={}/**", path("connect").display()))
            .allow(format!("unix-bind={}/**", path("bind").display()))
            .allow("unix-connect=@sandsock-policy-unix")
            .arg(path("connect").display())
            .arg(path("bind").display())
            .arg(path("beside").display())
            .run()
            .success();
        beside.set_nonblocking(true).expect("is set");
        assert!(beside.accept().is_err(), "a connection came through");
        granted.accept().expect("the granted one");
        let left: Vec<_> = std::fs::read_dir(path("beside"))
            .expect("reads")
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert_eq!(left, ["peer"], "something was bound where it must not be");
        assert_eq!(std::fs::read(path("bind/file")).expect("reads"), b"kept");
        assert!(path("bind/nowhere").is_symlink() && path("bind/socket-link").is_symlink());
    });
}

#[test]
pub(crate) fn policy_kernel_refused() {
    both_ways(|way| {
        let (port, _) = free_ports();
        Guest::new(programs::policy_kernel_refused, way)
            .allow(format!("tcp-connect=127.0.0.1:{port}"))
            .allow(format!("tcp-listen=127.0.0.1:{port}"))
            .allow(format!("tcp-listen=192.0.2.1:{port}"))
            .allow("udp-send=255.255.255.255:9")
            .arg(port)
            .run()
            .success();
    });
}

/// The advice of a denial: rules to allow, and names to give an address.
fn hints(sentence: &str) -> (Vec<String>, Vec<String>) {
    let words = |option: &str| {
        let after = sentence.split(option).skip(1);
        let word = |text: &str| match text.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap_or_default().to_owned(),
            None => text.split([' ', ',', '\n']).next().unwrap_or_default().to_owned(),
        };
        after.map(word).collect()
    };
    (words("--allow "), words("--resolve "))
}

/// Does what each denial says, by its rules or by its names, until the guest is not denied any
/// more; gives how often that was.
fn follow(way: Way, what: &str, target: &str, granted: &[String], by_names: bool) -> usize {
    let (mut allow, mut resolve): (Vec<String>, Vec<String>) = (granted.to_vec(), Vec::new());
    for round in 0..4 {
        let mut guest = Guest::new(programs::policy_hint_followed, way).arg(what).arg(target);
        guest = guest.tls(tls::settings());
        for rule in &allow {
            guest = guest.allow(rule);
        }
        for pair in &resolve {
            guest = guest.resolve(pair);
        }
        let said = guest.run().success();
        if said == "done\n" {
            return round;
        }
        let (rules, names) = hints(&said);
        assert!(!rules.is_empty() || !names.is_empty(), "{what} {target}: {said}");
        match rules.is_empty() || (by_names && !names.is_empty()) {
            true => resolve.extend(names),
            false => allow.extend(rules),
        }
    }
    panic!("{what} {target}: still denied with {allow:?} {resolve:?}");
}

#[test]
pub(crate) fn policy_hint_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer =
        std::os::unix::net::UnixDatagram::bind(folder.path().join("datagrams")).expect("binds");
    let path = folder.path().join("datagrams").display().to_string();
    both_ways(|way| {
        for info in verbs() {
            // Without a grant, an incoming datagram is dropped silently, and an inherited
            // descriptor is not there. So no denial gives advice.
            if !matches!(info.verb, Verb::UdpReceive | Verb::Inherit) {
                let case = case(info.verb, folder.path());
                let rounds = follow(way, info.name, &case.target, &[], false);
                assert!((1..=2).contains(&rounds), "{}: {rounds}", info.name);
                (case.check)(true);
            }
        }
        for what in ["listen", "receive", "receive-unix", "send-nowhere", "sequence"] {
            assert_eq!(follow(way, what, "", &[], false), 1, "{what}");
        }
        // The destination is a path, and the sender has a name.
        assert_eq!(follow(way, "send-named", &path, &[], false), 2);
        peer.recv(&mut [0; 10]).expect("it came");
        if verbs().iter().any(|info| info.verb == Verb::Packet) {
            assert_eq!(follow(way, "frames", "", &[], false), 1);
            assert_eq!(follow(way, "ask", "", &[], false), 1);
        }
    });
}

#[test]
fn policy_hint_followed_for_names() {
    with_own_resolver("policy::policy_hint_followed_for_names", || {
        let records = "0.0.0.0 zero.example\n127.0.0.1 four.example\n::1 six.example\n93.184.216.34 public.example\n";
        let Some(_server) = NameServer::start("policy_hint_followed_for_names", records, &[])
        else {
            return;
        };
        let (tcp, udp) = (Tcp::new(), Udp::new());
        both_ways(|way| {
            for name in ["zero.example", "four.example", "six.example", "public.example"] {
                for by_names in [false, true] {
                    for (what, verb, port) in [
                        ("reach", "tcp-connect", tcp.port()),
                        ("reach-datagram", "udp-send", udp.port()),
                    ] {
                        let target = format!("{name}:{port}");
                        assert!(
                            (2..=3).contains(&follow(way, what, &target, &[], by_names)),
                            "{what} {target}"
                        );
                        // With the grant by name alone, the denial says that the address is in
                        // private space. Both ways out work.
                        let granted = [format!("{verb}={target}")];
                        let private = usize::from(name != "public.example");
                        assert_eq!(
                            follow(way, what, &target, &granted, by_names),
                            private,
                            "{what} {target}"
                        );
                    }
                }
            }
            assert_eq!((tcp.connections(), udp.datagrams().len()), (16, 16));
        });
    });
}
