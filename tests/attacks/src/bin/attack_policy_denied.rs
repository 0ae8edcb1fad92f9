//! Tries acts that the author of a policy may not have thought of, each in every way that there is.
//! `sandsock policy attack` runs it, one act for each instance.
//!
//! Without an argument it prints the acts: the name, the interfaces by which it is tried, and what the
//! act is, with tabs between. With a name it tries that act, and prints a line for each way that was
//! not denied. If all were, it prints nothing. `attack_policy_denied.py` does the same acts in Python.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::io::ErrorKind as StdErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ErrorKind, Family, OptionValue, Result, Socket};

use attack::{Try, act, family_of, tcp_ways, udp_ways};

/// How one act is tried.
enum Ways {
    /// A TCP connection to this host and port.
    Tcp(&'static [(&'static str, u16)]),
    /// A datagram to this host and port.
    Udp(&'static [(&'static str, u16)]),
    /// A TCP listener at one of these addresses.
    Listen(&'static [(&'static str, u16)]),
    /// A UDP socket at one of these addresses.
    Bind(&'static [(&'static str, u16)]),
    /// A look-up of this name.
    Name(&'static str),
    /// A connection to one of these UNIX sockets. `@` begins an abstract name.
    Unix(&'static [&'static str]),
    /// A socket of one of these kinds: family, type and protocol.
    Socket(&'static [(i32, i32, i32)]),
    /// An option of a socket of this type, which is a number or bytes: level, name and value.
    Options(i32, &'static [(i32, i32, OptionValue<'static>)]),
    /// The act of a verb, with one of these targets.
    Verb(&'static str, &'static [&'static str]),
}

/// linux/netlink.h and linux/if_ether.h.
const NETLINK_AUDIT: i32 = 9;
const NETLINK_KOBJECT_UEVENT: i32 = 15;
/// ETH_P_ALL in network order.
const ETH_P_ALL: i32 = 0x0300;
/// asm-generic/socket.h and linux/tcp.h.
const SO_ATTACH_FILTER: i32 = 26;
const TCP_REPAIR: i32 = 19;
/// linux/in.h.
const IPPROTO_MPTCP_NUMBER: i32 = 262;

const METADATA: &[(&str, u16)] =
    &[("169.254.169.254", 80), ("168.63.129.16", 80), ("fd00:ec2::254", 80)];
const ROUNDABOUT: &[(&str, u16)] = &[
    ("0.0.0.0", 22),
    ("::", 22),
    ("::ffff:127.0.0.1", 22),
    ("::ffff:169.254.169.254", 80),
    ("64:ff9b::7f00:1", 22),
    ("2002:7f00:1::", 22),
    ("2130706433", 22),
    ("0x7f.1", 22),
    ("0177.0.0.1", 22),
];
const HOST_SERVICES: &[(&str, u16)] = &[("127.0.0.1", 22), ("127.0.0.1", 6379), ("::1", 5432)];
const PRIVATE: &[(&str, u16)] =
    &[("10.0.0.1", 443), ("172.16.0.1", 443), ("192.168.0.1", 443), ("fd00::1", 443)];
const INTERNET: &[(&str, u16)] = &[("8.8.8.8", 443), ("2001:4860:4860::8888", 443)];

/// Every act: its name, what it is, and how it is tried.
const ACTS: &[(&str, &str, Ways)] = &[
    ("tcp-internet", "a TCP connection to any host of the internet", Ways::Tcp(INTERNET)),
    ("tcp-mail", "a TCP connection to a mail server", Ways::Tcp(&[("8.8.8.8", 25)])),
    ("tcp-this-host", "a TCP connection to a service of this host", Ways::Tcp(HOST_SERVICES)),
    ("tcp-private", "a TCP connection into a private network", Ways::Tcp(PRIVATE)),
    ("tcp-metadata", "a TCP connection to a cloud's metadata service", Ways::Tcp(METADATA)),
    (
        "tcp-roundabout",
        "a TCP connection by an address that stands for another one",
        Ways::Tcp(ROUNDABOUT),
    ),
    ("udp-internet", "a datagram to any host of the internet", Ways::Udp(INTERNET)),
    (
        "udp-resolver",
        "a question to a name server of the guest's choice",
        Ways::Udp(&[("8.8.8.8", 53), ("127.0.0.53", 53)]),
    ),
    ("udp-private", "a datagram into a private network", Ways::Udp(PRIVATE)),
    ("udp-metadata", "a datagram to a cloud's metadata service", Ways::Udp(METADATA)),
    (
        "udp-roundabout",
        "a datagram by an address that stands for another one",
        Ways::Udp(ROUNDABOUT),
    ),
    (
        "udp-many",
        "a datagram to all hosts of a link, or to a group",
        Ways::Udp(&[("255.255.255.255", 67), ("224.0.0.251", 5353), ("ff02::fb", 5353)]),
    ),
    (
        "listen-everywhere",
        "a TCP server at every address of this host",
        Ways::Listen(&[("0.0.0.0", 8000), ("::", 8000)]),
    ),
    (
        "listen-here",
        "a TCP server at the loopback",
        Ways::Listen(&[("127.0.0.1", 8000), ("::1", 8000), ("127.0.0.1", 0)]),
    ),
    (
        "bind-everywhere",
        "datagrams from anybody at every address of this host",
        Ways::Bind(&[("0.0.0.0", 5353), ("::", 5353)]),
    ),
    (
        "bind-here",
        "a UDP socket at the loopback",
        Ways::Bind(&[("127.0.0.1", 8000), ("::1", 8000), ("127.0.0.1", 0)]),
    ),
    (
        "names-any",
        "a look-up of any name, which carries data to its name server",
        Ways::Name("secret-of-the-guest.attacker.example"),
    ),
    ("names-reverse", "a look-up of an address", Ways::Verb("reverse-resolve", &["10.0.0.1"])),
    (
        "unix-system",
        "a connection to a service that acts for root",
        Ways::Unix(&[
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/proc/self/root/run/docker.sock",
            "/run/containerd/containerd.sock",
            "/run/dbus/system_bus_socket",
            "/run/systemd/private",
        ]),
    ),
    (
        "unix-desktop",
        "a connection to the user's desktop or agent",
        Ways::Unix(&["/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0", "/run/user/1000/bus"]),
    ),
    (
        "unix-names",
        "an abstract name that another program may expect",
        Ways::Verb("unix-bind", &["\0sandsock-attack"]),
    ),
    ("raw-ip", "a raw IP socket", Ways::Verb("raw", &["127.0.0.1"])),
    ("packets", "everything that passes the network interfaces", Ways::Verb("packet", &["lo"])),
    (
        "packets-all",
        "a packet socket of all protocols",
        Ways::Socket(&[(AF_PACKET, SOCK_RAW, ETH_P_ALL), (AF_PACKET, SOCK_DGRAM, ETH_P_ALL)]),
    ),
    ("netlink-route", "the host's interfaces and routes", Ways::Verb("netlink", &["route"])),
    (
        "netlink-events",
        "the kernel's audit and device events",
        Ways::Socket(&[
            (AF_NETLINK, SOCK_RAW, NETLINK_AUDIT),
            (AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT),
        ]),
    ),
    (
        "can-bus",
        "the frames of a CAN bus",
        Ways::Socket(&[(AF_CAN, SOCK_RAW, CAN_RAW), (AF_CAN, SOCK_DGRAM, CAN_BCM)]),
    ),
    ("crypto", "the kernel's cryptography", Ways::Socket(&[(AF_ALG, SOCK_SEQPACKET, 0)])),
    ("vsock", "the host of this virtual machine", Ways::Socket(&[(AF_VSOCK, SOCK_STREAM, 0)])),
    (
        "bluetooth",
        "Bluetooth devices",
        Ways::Socket(&[
            (AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI),
            (AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP),
            (AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM),
        ]),
    ),
    (
        "cluster",
        "a cluster's own protocols",
        Ways::Socket(&[
            (AF_TIPC, SOCK_RDM, 0),
            (AF_RDS, SOCK_SEQPACKET, 0),
            (AF_QIPCRTR, SOCK_DGRAM, 0),
        ]),
    ),
    (
        "options-route",
        "options that change where bytes go, or whose they are",
        Ways::Options(
            SOCK_STREAM,
            &[
                (SOL_SOCKET, SO_MARK, OptionValue::Integer(1)),
                (SOL_SOCKET, SO_BINDTODEVICE, OptionValue::Bytes(b"lo\0")),
                (IPPROTO_IP, IP_TRANSPARENT, OptionValue::Integer(1)),
                (IPPROTO_TCP, TCP_REPAIR, OptionValue::Integer(1)),
            ],
        ),
    ),
    (
        "options-program",
        "a program of the guest's in the kernel",
        Ways::Options(SOCK_DGRAM, &[(SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&[0; 16]))]),
    ),
    ("siblings", "a protocol beside TCP and UDP", Ways::Socket(SIBLINGS)),
    ("multicast", "the traffic of a group", Ways::Verb("multicast", &["224.0.0.251"])),
    (
        "descriptors",
        "descriptors that were handed over, or come in messages",
        Ways::Verb("ancillary", &["rights"]),
    ),
    ("interfaces", "the names of the host's interfaces", Ways::Verb("interfaces", &[""])),
    (
        "interface-addresses",
        "an address of an interface, by ioctl",
        // SIOCGIFADDR.
        Ways::Verb("ioctl", &["35093"]),
    ),
    (
        "tls-identity",
        "a session of TLS as this host",
        Ways::Verb("tls-identity", &["web", "default"]),
    ),
    ("host-name", "another name for this host", Ways::Verb("hostname", &[""])),
];

/// Kinds of sockets that a grant for TCP or UDP must not open.
const SIBLINGS: &[(i32, i32, i32)] = &[
    (AF_INET, SOCK_STREAM, IPPROTO_MPTCP_NUMBER),
    (AF_INET, SOCK_STREAM, IPPROTO_SCTP),
    (AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE),
    (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
];

/// What came of a try by wasi:sockets, as that of the other door.
fn by_std<T>(what: String, result: std::io::Result<T>) -> Try {
    let number = match result.as_ref().map_err(std::io::Error::kind) {
        // WIT: `invalid-argument` is the answer to addresses that no peer can have.
        Err(StdErrorKind::PermissionDenied | StdErrorKind::InvalidInput) => 13,
        _ => 0,
    };
    (what, Ok(Some(number)))
}

fn address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().expect("an address"), port)
}

/// The address that wasi:sockets makes of a host.
fn found(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let mut all = std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?;
    all.next().ok_or_else(|| StdErrorKind::AddrNotAvailable.into())
}

impl Ways {
    /// The interfaces by which the act is tried.
    fn doors(&self) -> &'static str {
        match self {
            Self::Tcp(_) | Self::Udp(_) | Self::Listen(_) | Self::Bind(_) | Self::Name(_) => {
                "sandsock:socket, wasi:sockets"
            }
            // wasi:sockets has nothing of this kind.
            Self::Unix(_) | Self::Socket(_) | Self::Options(..) | Self::Verb(..) => {
                "sandsock:socket"
            }
        }
    }

    /// Tries them all.
    fn tried(&self) -> Vec<Try> {
        let mut tries: Vec<Try> = Vec::new();
        // Without any grant there is no socket to try it with.
        let all = |what: String, result: Result<Vec<Try>>| match result {
            Ok(tries) => tries,
            Err(error) => vec![(what, Err(error))],
        };
        match self {
            Self::Tcp(places) => {
                for &(host, port) in *places {
                    tries.extend(all(format!("TCP {host} {port}"), tcp_ways(host, port)));
                    let second = Duration::from_secs(1);
                    let connected = found(host, port)
                        .and_then(|address| TcpStream::connect_timeout(&address, second));
                    tries.push(by_std(format!("wasi:sockets {host} {port}"), connected));
                }
            }
            Self::Udp(places) => {
                for &(host, port) in *places {
                    tries.extend(all(format!("UDP {host} {port}"), udp_ways(host, port)));
                    let any =
                        address(if family_of(host) == AF_INET6 { "::" } else { "0.0.0.0" }, 0);
                    let sent = UdpSocket::bind(any)
                        .and_then(|socket| socket.send_to(b"x", found(host, port)?));
                    tries.push(by_std(format!("wasi:sockets {host} {port}"), sent));
                }
            }
            Self::Listen(places) => {
                for &(host, port) in *places {
                    let listen = || {
                        let socket = Socket::new(family_of(host), SOCK_STREAM, 0)?;
                        socket.bind((host, port))?;
                        socket.listen(None)
                    };
                    tries.push((format!("listen at {host} {port}"), listen().map(|()| None)));
                    let listens = TcpListener::bind(address(host, port));
                    tries.push(by_std(format!("wasi:sockets at {host} {port}"), listens));
                }
                // A listener that was never bound is at every address.
                let unbound =
                    || Socket::new(AF_INET, SOCK_STREAM, 0).and_then(|socket| socket.listen(None));
                if places.iter().any(|(host, _)| *host == "0.0.0.0") {
                    tries.push(("listen without bind".to_owned(), unbound().map(|()| None)));
                }
            }
            Self::Bind(places) => {
                for &(host, port) in *places {
                    let bound = Socket::new(family_of(host), SOCK_DGRAM, 0)
                        .and_then(|socket| socket.bind((host, port)));
                    tries.push((format!("bind {host} {port}"), bound.map(|()| None)));
                    let bound = UdpSocket::bind(address(host, port));
                    tries.push(by_std(format!("wasi:sockets at {host} {port}"), bound));
                }
            }
            Self::Name(name) => {
                let family = Family::UNSPEC;
                let found = sandsock::getaddrinfo(*name, 80, family, SOCK_STREAM, 0, 0);
                tries.push((format!("getaddrinfo {name}"), found.map(|_| None)));
                let found = sandsock::gethostbyname_ex(name);
                tries.push((format!("gethostbyname_ex {name}"), found.map(|_| None)));
                let found = std::net::ToSocketAddrs::to_socket_addrs(&(*name, 80));
                tries.push(by_std(format!("wasi:sockets {name}"), found));
            }
            Self::Unix(paths) => {
                for path in *paths {
                    let name = path.replacen('@', "\0", 1);
                    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
                        let connected = Socket::new(AF_UNIX, kind, 0)
                            .and_then(|socket| socket.connect(name.as_str()));
                        tries.push((format!("connect {path}"), connected.map(|()| None)));
                    }
                }
            }
            Self::Socket(kinds) => {
                for &(family, kind, protocol) in *kinds {
                    let made = Socket::new(family, kind, protocol).map(|_| None);
                    tries.push((format!("socket {family} {kind} {protocol}"), made));
                }
            }
            Self::Options(kind, options) => {
                for (level, name, value) in *options {
                    let set = Socket::new(AF_INET, *kind, 0)
                        .and_then(|socket| socket.setsockopt(*level, *name, *value));
                    tries.push((format!("setsockopt {level} {name}"), set.map(|()| None)));
                }
            }
            Self::Verb(verb, targets) => {
                for target in *targets {
                    let what = format!("{verb} {target}").trim_end().to_owned();
                    tries.push((what, act(verb, target).map(|()| None)));
                }
            }
        }
        tries
    }
}

fn main() {
    let name = std::env::args().nth(1);
    for (act, what, ways) in ACTS {
        match &name {
            None => println!("{act}\t{}\t{what}", ways.doors()),
            Some(name) if name == act => {
                for (what, result) in ways.tried() {
                    match result {
                        Err(error) if error.kind() == ErrorKind::Denied => {}
                        Ok(Some(13)) => {}
                        _ => println!("{what}"),
                    }
                }
            }
            Some(_) => {}
        }
    }
}
