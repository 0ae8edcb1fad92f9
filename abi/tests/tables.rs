//! Checks that the tables are in order and agree with each other, and that no access changes by
//! accident.

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

/// Names that CPython's documentation and its headers have, beyond the constants of one build:
/// those added after 3.6, those of families that a build may lack, and those of other systems.
const DOCUMENTED: &str = "
    TCP_FASTOPEN TCP_KEEPCNT CAN_ISOTP AF_VSOCK IOCTL_VM_SOCKETS_GET_LOCAL_CID VMADDR_CID_ANY VMADDR_CID_HOST
    VMADDR_PORT_ANY VM_SOCKETS_INVALID_VERSION SO_VM_SOCKETS_BUFFER_SIZE SO_VM_SOCKETS_BUFFER_MIN_SIZE
    SO_VM_SOCKETS_BUFFER_MAX_SIZE TCP_NOTSENT_LOWAT TCP_KEEPIDLE TCP_KEEPINTVL AF_QIPCRTR CAN_BCM_SETTIMER
    CAN_BCM_STARTTIMER CAN_BCM_TX_COUNTEVT CAN_BCM_TX_ANNOUNCE CAN_BCM_TX_CP_CAN_ID CAN_BCM_RX_FILTER_ID
    CAN_BCM_RX_CHECK_DLC CAN_BCM_RX_NO_AUTOTIMER CAN_BCM_RX_ANNOUNCE_RESUME CAN_BCM_TX_RESET_MULTI_IDX
    CAN_BCM_RX_RTR_FRAME CAN_BCM_CAN_FD_FRAME CAN_J1939 J1939_MAX_UNICAST_ADDR J1939_IDLE_ADDR J1939_NO_ADDR J1939_NO_NAME
    J1939_PGN_REQUEST J1939_PGN_ADDRESS_CLAIMED J1939_PGN_ADDRESS_COMMANDED J1939_PGN_PDU1_MAX J1939_PGN_MAX J1939_NO_PGN
    SO_J1939_FILTER SO_J1939_PROMISC SO_J1939_SEND_PRIO SO_J1939_ERRQUEUE SCM_J1939_DEST_ADDR SCM_J1939_DEST_NAME
    SCM_J1939_PRIO SCM_J1939_ERRQUEUE J1939_NLA_PAD J1939_NLA_BYTES_ACKED J1939_EE_INFO_NONE J1939_EE_INFO_TX_ABORT
    J1939_FILTER_MAX CAN_RAW_JOIN_FILTERS IPPROTO_UDPLITE UDPLITE_SEND_CSCOV UDPLITE_RECV_CSCOV IP_RECVTOS TCP_KEEPALIVE
    IPPROTO_MPTCP SO_INCOMING_CPU IP_BIND_ADDRESS_NO_PORT SCM_CREDS2 LOCAL_CREDS LOCAL_CREDS_PERSISTENT
    TCP_CONNECTION_INFO CAN_RAW_ERR_FILTER AF_HYPERV HV_PROTOCOL_RAW HVSOCKET_CONNECT_TIMEOUT HVSOCKET_CONNECT_TIMEOUT_MAX
    HVSOCKET_CONNECTED_SUSPEND HVSOCKET_ADDRESS_FLAG_PASSTHRU HV_GUID_ZERO HV_GUID_WILDCARD HV_GUID_BROADCAST
    HV_GUID_CHILDREN HV_GUID_LOOPBACK HV_GUID_PARENT ETH_P_ALL ETHERTYPE_ARP ETHERTYPE_IP ETHERTYPE_IPV6 ETHERTYPE_VLAN
    AF_DIVERT PF_DIVERT SO_RTABLE SO_USER_COOKIE TCP_MD5SIG TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK TCP_REPAIR
    TCP_REPAIR_QUEUE TCP_QUEUE_SEQ TCP_REPAIR_OPTIONS TCP_TIMESTAMP TCP_CC_INFO TCP_SAVE_SYN TCP_SAVED_SYN
    TCP_REPAIR_WINDOW TCP_FASTOPEN_CONNECT TCP_ULP TCP_MD5SIG_EXT TCP_FASTOPEN_KEY TCP_FASTOPEN_NO_COOKIE
    TCP_ZEROCOPY_RECEIVE TCP_INQ TCP_TX_DELAY IP_PKTINFO IP_UNBLOCK_SOURCE IP_BLOCK_SOURCE IP_ADD_SOURCE_MEMBERSHIP
    IP_DROP_SOURCE_MEMBERSHIP SO_BINDTOIFINDEX NI_IDN IP_FREEBIND IP_RECVERR IPV6_RECVERR IP_RECVTTL IP_RECVORIGDSTADDR
    SO_REUSEPORT_LB BDADDR_BREDR BDADDR_LE_PUBLIC BDADDR_LE_RANDOM HCI_DEV_NONE HCI_CHANNEL_RAW HCI_CHANNEL_USER
    HCI_CHANNEL_MONITOR HCI_CHANNEL_CONTROL HCI_CHANNEL_LOGGING SO_HCI_EVT_FILTER SO_HCI_PKT_FILTER SO_L2CAP_IMTU
    SO_L2CAP_FLUSH SO_L2CAP_OMTU SO_L2CAP_LM L2CAP_LM L2CAP_LM_MASTER L2CAP_LM_AUTH L2CAP_LM_ENCRYPT L2CAP_LM_TRUSTED
    L2CAP_LM_RELIABLE L2CAP_LM_SECURE SO_RFCOMM_MTU SO_RFCOMM_FC_INFO SO_RFCOMM_LM RFCOMM_LM RFCOMM_LM_MASTER
    RFCOMM_LM_AUTH RFCOMM_LM_ENCRYPT RFCOMM_LM_TRUSTED RFCOMM_LM_RELIABLE RFCOMM_LM_SECURE SO_SCO_MTU SO_SCO_HANDLE
    SO_BTH_ENCRYPT SO_BTH_MTU SO_BTH_MTU_MAX SO_BTH_MTU_MIN BT_SECURITY BT_SECURITY_SDP BT_SECURITY_LOW BT_SECURITY_MEDIUM
    BT_SECURITY_HIGH BT_SECURITY_FIPS BT_DEFER_SETUP BT_FLUSHABLE BT_FLUSHABLE_OFF BT_FLUSHABLE_ON BT_POWER
    BT_POWER_FORCE_ACTIVE_OFF BT_POWER_FORCE_ACTIVE_ON BT_CHANNEL_POLICY BT_CHANNEL_POLICY_BREDR_ONLY
    BT_CHANNEL_POLICY_BREDR_PREFERRED BT_CHANNEL_POLICY_AMP_PREFERRED BT_VOICE BT_VOICE_TRANSPARENT BT_VOICE_CVSD_16BIT
    BT_SNDMTU BT_RCVMTU BT_PHY BT_PHY_BR_1M_1SLOT BT_PHY_BR_1M_3SLOT BT_PHY_BR_1M_5SLOT BT_PHY_EDR_2M_1SLOT
    BT_PHY_EDR_2M_3SLOT BT_PHY_EDR_2M_5SLOT BT_PHY_EDR_3M_1SLOT BT_PHY_EDR_3M_3SLOT BT_PHY_EDR_3M_5SLOT BT_PHY_LE_1M_TX
    BT_PHY_LE_1M_RX BT_PHY_LE_2M_TX BT_PHY_LE_2M_RX BT_PHY_LE_CODED_TX BT_PHY_LE_CODED_RX BT_MODE BT_MODE_BASIC
    BT_MODE_ERTM BT_MODE_STREAMING BT_MODE_LE_FLOWCTL BT_MODE_EXT_FLOWCTL BT_PKT_STATUS BT_ISO_QOS BT_CODEC BT_ISO_BASE
    TCP_QUICKACK IPV6_HDRINCL SO_PASSRIGHTS IP_PORTRANGE IP_PORTRANGE_DEFAULT IP_PORTRANGE_HIGH IP_PORTRANGE_LOW AF_UNSPEC
    AF_PACKET PF_PACKET PACKET_BROADCAST PACKET_FASTROUTE PACKET_HOST PACKET_LOOPBACK PACKET_MULTICAST PACKET_OTHERHOST
    PACKET_OUTGOING SHUT_RD SHUT_WR SHUT_RDWR AF_BLUETOOTH BTPROTO_L2CAP BTPROTO_HCI BTPROTO_SCO BTPROTO_RFCOMM BDADDR_ANY
    BDADDR_LOCAL SOL_HCI SOL_L2CAP SOL_SCO SOL_RFCOMM SOL_BLUETOOTH HCI_DATA_DIR HCI_FILTER HCI_TIME_STAMP
    RDS_CANCEL_SENT_TO RDS_GET_MR RDS_FREE_MR RDS_RECVERR RDS_CONG_MONITOR RDS_GET_MR_FOR_DEST RDS_CMSG_RDMA_ARGS
    RDS_CMSG_RDMA_DEST RDS_CMSG_RDMA_MAP RDS_CMSG_RDMA_STATUS RDS_RDMA_READWRITE RDS_RDMA_FENCE RDS_RDMA_INVALIDATE
    RDS_RDMA_USE_ONCE RDS_RDMA_DONTWAIT RDS_RDMA_NOTIFY_ME SO_RDS_TRANSPORT RDS_TRANS_TCP SIO_RCVALL SIO_KEEPALIVE_VALS
    SIO_LOOPBACK_FAST_PATH RCVALL_OFF RCVALL_ON RCVALL_SOCKETLEVELONLY RCVALL_MAX PF_SYSTEM SYSPROTO_CONTROL AF_SYSTEM
    AF_LINK
";

#[test]
fn documented_names_are_there() {
    let foreign = |name: &str| FOREIGN.iter().any(|(known, _)| *known == name);
    let text = |name: &str| STRINGS.iter().chain(FOREIGN_STRINGS).any(|(known, _)| *known == name);
    let missing: Vec<_> = DOCUMENTED
        .split_whitespace()
        .filter(|name| constant(name).is_none() && !foreign(name) && !text(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(DOCUMENTED.split_whitespace().count() > 250);
}

/// The numbers that other systems document for their names. No header of Linux has them. 26 of the
/// names were compared with the tables that the crate libc has for the BSDs and macOS.
#[test]
fn foreign_numbers_do_not_change_by_accident() {
    let number =
        |name: &str| FOREIGN.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    for (name, wanted) in [
        ("AF_HYPERV", 34),
        ("AF_LINK", 18),
        ("AF_SYSTEM", 32),
        ("AF_DIVERT", 44),
        ("HVSOCKET_CONNECT_TIMEOUT_MAX", 300_000),
        ("IP_PORTRANGE", 19),
        ("IP_RECVDSTADDR", 7),
        ("LOCAL_CREDS_PERSISTENT", 3),
        ("MSG_EOF", 0x100),
        ("SCM_CREDS2", 8),
        ("SIO_RCVALL", 0x9800_0001),
        ("SIO_KEEPALIVE_VALS", 0x9800_0004),
        ("SIO_LOOPBACK_FAST_PATH", 0x9800_0010),
        ("SO_BTH_AUTHENTICATE", 0x8000_0001),
        ("SO_EXCLUSIVEADDRUSE", -5),
        ("SO_REUSEPORT_LB", 0x1_0000),
        ("SO_RTABLE", 0x1021),
        ("SO_SETFIB", 0x1014),
        ("TCP_CONNECTION_INFO", 0x106),
        ("TCP_KEEPALIVE", 0x10),
    ] {
        assert_eq!(number(name), Some(wanted), "{name}");
    }
    assert_ascending(&FOREIGN_STRINGS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn options_are_sorted_and_found() {
    assert_ascending(&OPTIONS.iter().map(|o| (o.level, o.number)).collect::<Vec<_>>());
    let mut names = HashSet::new();
    for o in OPTIONS {
        assert!(names.insert((o.level, o.name)), "{o} is there twice");
        assert_eq!(option::find(AF_INET, o.level, o.number), Some(o));
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
        assert_eq!(
            option::find(AF_INET, IPPROTO_IP, number),
            None,
            "netfilter or multicast router {number}"
        );
    }
    for number in (200..=255).chain([64, 65, 68, 80]) {
        assert_eq!(
            option::find(AF_INET, IPPROTO_IPV6, number),
            None,
            "netfilter or multicast router {number}"
        );
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
        assert_eq!(option::find(AF_INET, level, number), None);
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

/// Options that bind, connect, attach a program or raise privileges: none may be set without a
/// grant.
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
                let granted =
                    matches!(access, Access::Granted | Access::Header | Access::Multicast);
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

/// The options that every network program uses must need no grant of their own.
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
    for (level, name) in
        [("SOL_SOCKET", "SO_ERROR"), ("SOL_SOCKET", "SO_TYPE"), ("IPPROTO_TCP", "TCP_INFO")]
    {
        assert_eq!(
            (row(level, name).get, row(level, name).set),
            (Access::Ordinary, Access::Absent)
        );
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

/// A value with a pointer or a descriptor number must not reach the kernel as the guest made it.
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
        assert!(
            matches!(row.access, Access::Ordinary | Access::Granted | Access::Refused(_)),
            "{}",
            row.name
        );
        // A request that changes the host or reveals its interfaces is never ordinary.
        assert!(
            row.shape != ioctl::Shape::Interface || row.access != Access::Ordinary,
            "{}",
            row.name
        );
    }
    for (alias, name) in ioctl::ALIASES {
        assert!(ioctl::by_name(alias).is_some_and(|row| row.name == *name), "{alias}");
    }
    for number in [0, 0x8946 + 0x1000, 0x89f0, u32::MAX] {
        assert_eq!(ioctl::find(number), None);
    }
}

/// Levels 0, 6 and 17 are those of IP, TCP and UDP, and also levels of Bluetooth.
#[test]
fn bluetooth_has_rows_of_its_own() {
    assert_ascending(&option::BLUETOOTH.iter().map(|o| (o.level, o.number)).collect::<Vec<_>>());
    for o in option::BLUETOOTH {
        assert_eq!(option::find(AF_BLUETOOTH, o.level, o.number), Some(o));
        assert_eq!(option::by_name(o.level_name, o.name), Some(o));
        assert_eq!(constant(o.level_name), Some(i64::from(o.level)), "{o}");
        assert!(!OPTIONS.iter().any(|other| other.level_name == o.level_name), "{o}");
    }
    assert_eq!(option::find(AF_BLUETOOTH, IPPROTO_TCP, TCP_MD5SIG), None);
    assert_eq!(option::find(AF_BLUETOOTH, SOL_SOCKET, SO_MARK), Some(row("SOL_SOCKET", "SO_MARK")));
    assert_eq!(option::find(AF_INET, SOL_HCI, HCI_FILTER), Some(row("IPPROTO_IP", "IP_TTL")));
}

/// If Python has a name for an option of IP, TCP, UDP, UNIX sockets or all sockets, the table has
/// it as an option, a control message or an alias.
#[test]
fn pythons_options_have_rows() {
    let prefixes = ["SO_", "IP_", "IPV6_", "TCP_", "UDP_", "UDPLITE_"];
    // The first list has values, not options. The second has options of other families.
    let none = [
        "IP_DEFAULT_MULTICAST_LOOP",
        "IP_DEFAULT_MULTICAST_TTL",
        "IP_MAX_MEMBERSHIPS",
        "IPV6_RTHDR_TYPE_0",
    ];
    let others = [
        "SO_J1939_",
        "SO_VM_SOCKETS_",
        "SO_RDS_",
        "SO_BTH_",
        "SO_HCI_",
        "SO_L2CAP_",
        "SO_RFCOMM_",
        "SO_SCO_",
    ];
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
