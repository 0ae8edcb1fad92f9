//! The tables' own order and agreement, and the judgements that must not change by accident.

use std::collections::HashSet;

use sandsock_abi::constants::*;
use sandsock_abi::ioctl::{self, IOCTLS};
use sandsock_abi::option::{self, ALIASES, Access, OPTIONS, SocketOption};
use sandsock_abi::{errno, python_class};

fn assert_ascending<T: Ord + std::fmt::Debug>(keys: &[T]) {
    for pair in keys.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?} are out of order or the same");
    }
}

fn row(level: &str, name: &str) -> &'static SocketOption {
    option::by_name(level, name).unwrap_or_else(|| panic!("{level}/{name} has no row"))
}

#[test]
fn errnos_are_sorted_and_found() {
    assert_ascending(&errno::ERRNOS.iter().map(|e| e.number).collect::<Vec<_>>());
    assert_eq!(errno::name(111), Some("ECONNREFUSED"));
    assert_eq!(errno::text(errno::ECONNREFUSED), Some("Connection refused"));
    for none in [i32::MIN, -1, 0, 41, 58, 134, i32::MAX] {
        assert_eq!((errno::name(none), errno::text(none)), (None, None), "{none}");
    }
    assert_eq!((errno::EWOULDBLOCK, errno::EDEADLOCK, errno::ENOTSUP), (11, 35, 95));
}

#[test]
fn constants_are_sorted_and_found() {
    for table in [SOCKET_MODULE, MORE, CONSTANTS, FOREIGN] {
        assert_ascending(&table.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
    assert_ascending(&STRINGS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert_eq!(CONSTANTS.len(), SOCKET_MODULE.len() + MORE.len());
    for (name, number) in SOCKET_MODULE.iter().chain(MORE) {
        assert_eq!(constant(name), Some(*number), "{name}");
    }
    for (name, _) in FOREIGN {
        assert_eq!(constant(name), None, "Linux has no {name}");
    }
    for none in ["", "AF_", "AF_INET7", "zzz", "has_ipv6"] {
        assert_eq!(constant(none), None);
    }
    assert_eq!(constant("AF_INET6"), Some(10));
    assert_eq!(constant("CAN_EFF_FLAG"), Some(0x8000_0000));
    assert_eq!(constant("TIPC_WAIT_FOREVER"), Some(-1));
    assert_eq!(constant("POLLIN"), Some(1));
    assert!(SOCKET_MODULE.iter().all(|(name, _)| !name.starts_with("POLL")));
}

#[test]
fn options_are_sorted_and_found() {
    assert_ascending(&OPTIONS.iter().map(|o| (o.level, o.number)).collect::<Vec<_>>());
    let mut names = HashSet::new();
    for o in OPTIONS {
        assert!(names.insert((o.level, o.name)), "{o} is there twice");
        assert_eq!(option::find(o.level, o.number), Some(o));
        assert_eq!(option::by_name(o.level_name, o.name), Some(o));
        assert_eq!(constant(o.name), Some(i64::from(o.number)), "{o}");
        assert_eq!(constant(o.level_name), Some(i64::from(o.level)), "{o}");
        assert_eq!(option::control(o.level, o.number).is_some(), o.control.is_some());
    }
    let one_name_a_level: HashSet<_> = OPTIONS.iter().map(|o| (o.level, o.level_name)).collect();
    let levels: HashSet<_> = OPTIONS.iter().map(|o| o.level).collect();
    assert_eq!(one_name_a_level.len(), levels.len());
}

#[test]
fn aliases_have_the_number_of_their_row() {
    assert_ascending(&ALIASES.iter().map(|(alias, _)| *alias).collect::<Vec<_>>());
    for (alias, name) in ALIASES {
        assert_eq!(constant(alias), constant(name), "{alias}");
        assert!(OPTIONS.iter().any(|o| o.name == *name), "{name} has no row");
        assert!(!OPTIONS.iter().any(|o| o.name == *alias), "{alias} has a row of its own");
    }
    for (alias, name) in [
        ("SOL_IP", "IPPROTO_IP"),
        ("SOL_IPV6", "IPPROTO_IPV6"),
        ("SOL_TCP", "IPPROTO_TCP"),
        ("SOL_UDP", "IPPROTO_UDP"),
        ("SOL_UDPLITE", "IPPROTO_UDPLITE"),
    ] {
        assert_eq!(constant(alias), constant(name));
        let first = OPTIONS.iter().find(|o| o.level_name == name).unwrap();
        assert_eq!(option::by_name(alias, first.name), Some(first));
    }
    assert_eq!(row("SOL_IP", "IP_RECVRETOPTS").to_string(), "IPPROTO_IP/IP_RETOPTS");
}

#[test]
fn what_is_not_in_the_table_is_not_found() {
    for number in (64..=83).chain(200..=255) {
        assert_eq!(option::find(IPPROTO_IP, number), None, "netfilter or multicast router {number}");
    }
    for number in (200..=255).chain([64, 65, 68, 80]) {
        assert_eq!(option::find(IPPROTO_IPV6, number), None, "netfilter or multicast router {number}");
    }
    for (level, number) in [
        (SOL_TLS, TLS_TX),
        (SOL_PACKET, 4),
        (SOL_NETLINK, 13),
        (IPPROTO_SCTP, 100),
        (SOL_SOCKET, 0),
        (SOL_SOCKET, 1000),
        (i32::MIN, 0),
        (-1, -1),
        (i32::MAX, i32::MAX),
    ] {
        assert_eq!(option::find(level, number), None);
        assert_eq!(option::control(level, number), None);
    }
    assert_eq!(option::by_name("SOL_SOCKET", "IP_TTL"), None);
    assert_eq!(option::by_name("", ""), None);
}

#[test]
fn rights_and_credentials_are_not_options() {
    for number in [SCM_RIGHTS, SCM_CREDENTIALS, SCM_SECURITY, SCM_PIDFD, SCM_DEVMEM_DMABUF] {
        assert_eq!(option::control(SOL_SOCKET, number), None, "{number}");
    }
}

/// DESIGN's list of options that bind, connect, attach a program or raise privileges: none may be set without a grant.
#[test]
fn dangerous_options_need_a_grant() {
    let never_ordinary = [
        "SO_BINDTODEVICE",
        "SO_BINDTOIFINDEX",
        "SO_ATTACH_FILTER",
        "SO_ATTACH_BPF",
        "SO_ATTACH_REUSEPORT_CBPF",
        "SO_ATTACH_REUSEPORT_EBPF",
        "SO_DETACH_FILTER",
        "SO_REUSEPORT",
        "SO_MARK",
        "SO_PRIORITY",
        "SO_BUSY_POLL",
        "SO_SNDBUFFORCE",
        "SO_RCVBUFFORCE",
        "SO_TXTIME",
        "SO_ZEROCOPY",
        "SO_PEEK_OFF",
        "SO_PASSPIDFD",
        "TCP_REPAIR",
        "TCP_REPAIR_QUEUE",
        "TCP_REPAIR_OPTIONS",
        "TCP_REPAIR_WINDOW",
        "TCP_QUEUE_SEQ",
        "TCP_ULP",
        "TCP_MD5SIG",
        "TCP_MD5SIG_EXT",
        "TCP_FASTOPEN_CONNECT",
        "TCP_CONGESTION",
        "IP_TRANSPARENT",
        "IP_FREEBIND",
        "IP_OPTIONS",
        "IP_HDRINCL",
        "IP_UNICAST_IF",
        "IP_MULTICAST_IF",
        "IP_LOCAL_PORT_RANGE",
        "IP_ADD_MEMBERSHIP",
        "IP_ADD_SOURCE_MEMBERSHIP",
        "IP_XFRM_POLICY",
        "MCAST_JOIN_GROUP",
        "MCAST_JOIN_SOURCE_GROUP",
        "MCAST_MSFILTER",
        "IPV6_JOIN_GROUP",
        "IPV6_JOIN_ANYCAST",
        "IPV6_TRANSPARENT",
        "IPV6_FREEBIND",
        "IPV6_RTHDR",
        "IPV6_HOPOPTS",
        "IPV6_DSTOPTS",
        "IPV6_RTHDRDSTOPTS",
        "IPV6_PKTINFO",
        "IPV6_2292PKTOPTIONS",
        "IPV6_ADDRFORM",
        "UDP_ENCAP",
        "IPV6_HDRINCL",
        "PACKET_ADD_MEMBERSHIP",
        "PACKET_FANOUT",
        "PACKET_FANOUT_DATA",
        "PACKET_QDISC_BYPASS",
        "PACKET_RX_RING",
        "PACKET_TX_RING",
        "PACKET_VNET_HDR",
        "NETLINK_LISTEN_ALL_NSID",
        "NETLINK_RX_RING",
    ];
    for name in never_ordinary {
        let mut rows = OPTIONS.iter().filter(|o| o.name == name).peekable();
        assert!(rows.peek().is_some(), "{name} has no row");
        for o in rows {
            for access in [o.set.on(SOCK_STREAM), o.set.on(SOCK_DGRAM)] {
                let granted = matches!(access, Access::Granted | Access::Header | Access::Multicast);
                assert!(granted || matches!(access, Access::Refused(_)), "{o}: {access:?}");
            }
        }
    }
    for (level, name) in [
        ("SOL_SOCKET", "SO_MARK"),
        ("SOL_SOCKET", "SO_PRIORITY"),
        ("SOL_SOCKET", "SO_TXTIME"),
        ("IPPROTO_IP", "IP_PKTINFO"),
        ("IPPROTO_IP", "IP_RETOPTS"),
        ("IPPROTO_IPV6", "IPV6_PKTINFO"),
        ("IPPROTO_IPV6", "IPV6_2292PKTINFO"),
        ("IPPROTO_IPV6", "IPV6_RTHDR"),
        ("IPPROTO_IPV6", "IPV6_2292RTHDR"),
        ("IPPROTO_IPV6", "IPV6_HOPOPTS"),
        ("IPPROTO_IPV6", "IPV6_DSTOPTS"),
    ] {
        assert_eq!(row(level, name).control, Some(Access::Granted), "{level}/{name}");
    }
}

/// What every network program does must work with the family's grant alone.
#[test]
fn everyday_options_are_ordinary() {
    for (level, name) in [
        ("SOL_SOCKET", "SO_BROADCAST"),
        ("SOL_SOCKET", "SO_KEEPALIVE"),
        ("SOL_SOCKET", "SO_LINGER"),
        ("SOL_SOCKET", "SO_PASSCRED"),
        ("SOL_SOCKET", "SO_RCVBUF"),
        ("SOL_SOCKET", "SO_RCVTIMEO"),
        ("SOL_SOCKET", "SO_SNDBUF"),
        ("SOL_SOCKET", "SO_SNDTIMEO_NEW"),
        ("SOL_SOCKET", "SO_TIMESTAMPNS"),
        ("IPPROTO_TCP", "TCP_FASTOPEN"),
        ("IPPROTO_TCP", "TCP_KEEPIDLE"),
        ("IPPROTO_TCP", "TCP_NODELAY"),
        ("IPPROTO_TCP", "TCP_USER_TIMEOUT"),
        ("IPPROTO_UDP", "UDP_SEGMENT"),
        ("IPPROTO_IP", "IP_PKTINFO"),
        ("IPPROTO_IP", "IP_RECVERR"),
        ("IPPROTO_IP", "IP_RECVTOS"),
        ("IPPROTO_IP", "IP_TOS"),
        ("IPPROTO_IP", "IP_TTL"),
        ("IPPROTO_IPV6", "IPV6_RECVHOPLIMIT"),
        ("IPPROTO_IPV6", "IPV6_RECVPKTINFO"),
        ("IPPROTO_IPV6", "IPV6_RECVTCLASS"),
        ("IPPROTO_IPV6", "IPV6_TCLASS"),
        ("IPPROTO_IPV6", "IPV6_UNICAST_HOPS"),
        ("IPPROTO_IPV6", "IPV6_V6ONLY"),
        ("IPPROTO_UDPLITE", "UDPLITE_SEND_CSCOV"),
    ] {
        let o = row(level, name);
        assert_eq!((o.get, o.set), (Access::Ordinary, Access::Ordinary), "{o}");
    }
    for (level, name) in [("SOL_SOCKET", "SO_ERROR"), ("SOL_SOCKET", "SO_TYPE"), ("IPPROTO_TCP", "TCP_INFO")] {
        assert_eq!((row(level, name).get, row(level, name).set), (Access::Ordinary, Access::Absent));
    }
    for name in ["IPV6_HOPLIMIT", "IPV6_TCLASS"] {
        assert_eq!(row("IPPROTO_IPV6", name).control, Some(Access::Ordinary));
    }
}

#[test]
fn reuse_of_an_address_depends_on_the_socket() {
    let set = row("SOL_SOCKET", "SO_REUSEADDR").set;
    assert_eq!(set, Access::GrantedOnDatagrams);
    assert_eq!(set.on(SOCK_STREAM), Access::Ordinary);
    assert_eq!(set.on(SOCK_SEQPACKET), Access::Ordinary);
    for kind in [SOCK_DGRAM, SOCK_RAW, SOCK_RDM, 0, -1] {
        assert_eq!(set.on(kind), Access::Granted, "{kind}");
    }
    assert_eq!(Access::Absent.on(SOCK_DGRAM), Access::Absent);
}

/// What holds a pointer or a descriptor number must not reach the kernel as the guest made it.
#[test]
fn pointers_and_descriptor_numbers_never_pass() {
    for name in ["SO_ATTACH_BPF", "SO_ATTACH_REUSEPORT_EBPF"] {
        assert!(matches!(row("SOL_SOCKET", name).set, Access::Refused(_)), "{name}");
    }
    for name in ["SO_GET_FILTER", "SO_PEERPIDFD"] {
        assert!(matches!(row("SOL_SOCKET", name).get, Access::Refused(_)), "{name}");
    }
    assert!(matches!(row("IPPROTO_TCP", "TCP_ZEROCOPY_RECEIVE").get, Access::Refused(_)));
    for name in ["SO_ATTACH_FILTER", "SO_ATTACH_REUSEPORT_CBPF"] {
        assert_eq!(row("SOL_SOCKET", name).shape, option::Shape::Program, "{name}");
    }
}

#[test]
fn ioctls_are_sorted_and_found() {
    assert_ascending(&IOCTLS.iter().map(|row| row.number).collect::<Vec<_>>());
    assert_ascending(&ioctl::ALIASES.iter().map(|(alias, _)| *alias).collect::<Vec<_>>());
    for row in IOCTLS {
        assert_eq!((ioctl::find(row.number), ioctl::by_name(row.name)), (Some(row), Some(row)));
        assert!(matches!(row.access, Access::Ordinary | Access::Granted | Access::Refused(_)), "{}", row.name);
        // What changes the host, or tells of its interfaces, is never ordinary.
        assert!(row.shape != ioctl::Shape::Interface || row.access != Access::Ordinary, "{}", row.name);
    }
    for (alias, name) in ioctl::ALIASES {
        assert!(ioctl::by_name(alias).is_some_and(|row| row.name == *name), "{alias}");
    }
    for number in [0, 0x8946 + 0x1000, 0x89f0, u32::MAX] {
        assert_eq!(ioctl::find(number), None);
    }
}

/// Every option of the internet, of UNIX sockets and of all sockets that Python has a name for is in the table, as an option, a
/// control message or an alias.
#[test]
fn pythons_options_have_rows() {
    let prefixes = ["SO_", "IP_", "IPV6_", "TCP_", "UDP_", "UDPLITE_"];
    // Values, not options; and other families' own, whose rows are theirs.
    let none = ["IP_DEFAULT_MULTICAST_LOOP", "IP_DEFAULT_MULTICAST_TTL", "IP_MAX_MEMBERSHIPS", "IPV6_RTHDR_TYPE_0"];
    let others = ["SO_J1939_", "SO_VM_SOCKETS_", "SO_RDS_", "SO_BTH_", "SO_HCI_", "SO_L2CAP_", "SO_RFCOMM_", "SO_SCO_"];
    let mut count = 0;
    for (name, number) in SOCKET_MODULE {
        let ours = prefixes.iter().any(|prefix| name.starts_with(prefix));
        if !ours || none.contains(name) || others.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let of = ALIASES.iter().find(|(alias, _)| alias == name).map_or(*name, |(_, of)| of);
        let there = OPTIONS.iter().any(|row| row.name == of && i64::from(row.number) == *number);
        assert!(there, "{name} has no row");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn python_classes() {
    assert_eq!(python_class(errno::EWOULDBLOCK), "BlockingIOError");
    assert_eq!(python_class(errno::EINPROGRESS), "BlockingIOError");
    assert_eq!(python_class(errno::ESHUTDOWN), "BrokenPipeError");
    assert_eq!(python_class(errno::ETIMEDOUT), "TimeoutError");
    assert_eq!(python_class(errno::EADDRINUSE), "OSError");
    assert_eq!(python_class(0), "OSError");
}

#[test]
fn texts_of_look_ups() {
    assert_eq!(address_info_text(EAI_NONAME), Some("Name or service not known"));
    assert_eq!(address_info_text(EAI_OVERFLOW), None);
    assert_eq!(address_info_text(0), None);
    assert_eq!(host_text(HOST_NOT_FOUND), Some("Unknown host"));
    assert_eq!(host_text(5), None);
}
