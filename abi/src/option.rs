//! The table of socket options and control messages, with the access that each needs.
//!
//! **A pair of level and number without a row is denied.** A new option gets a row only once
//! somebody has studied it. So netfilter's options (IPPROTO_IP and IPPROTO_IPV6, 64 to 83) are
//! denied, the multicast router's (200 and up), TLS keys, and all that a later kernel adds.
//!
//! [`OPTIONS`] has the rows of AF_INET, AF_INET6, AF_UNIX, AF_PACKET, AF_NETLINK, AF_CAN, AF_ALG,
//! AF_TIPC, AF_VSOCK and AF_RDS sockets, and those of SOL_SOCKET for all families. AF_BLUETOOTH has
//! a table of its own, [`BLUETOOTH`], because its levels SOL_HCI, SOL_L2CAP and SOL_SCO have the
//! numbers 0, 6 and 17 of IP, TCP and UDP.
//!
//! `SCM_RIGHTS` and `SCM_CREDENTIALS` have no row as control messages, because the verb `ancillary`
//! decides on them. At SOL_SOCKET their numbers, 1 and 2, are also those of the unrelated options
//! `SO_DEBUG` and `SO_REUSEADDR`.

use core::fmt;

use crate::constants::*;

/// The access that a guest needs for one use of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No more than what it took to get the socket.
    Ordinary,
    /// The grant `option=LEVEL/NAME`, but on SOCK_STREAM and SOCK_SEQPACKET it is ordinary. See
    /// [`Access::on`].
    GrantedOnDatagrams,
    /// The grant `option=LEVEL/NAME`.
    Granted,
    /// The grant `raw=header`: the guest writes the whole IP header.
    Header,
    /// The grant `multicast=GROUP` for the group in the value. If the value names no group, any
    /// such grant.
    Multicast,
    /// Linux has no such use, for example setting a read-only option. There is nothing to guard, so
    /// the call fails with ENOPROTOOPT, as in the kernel. (On AF_UNIX the kernel's error is
    /// EOPNOTSUPP for every level but SOL_SOCKET.)
    Absent,
    /// No grant allows it. The text says why.
    Refused(&'static str),
}

impl Access {
    /// The access on a socket of this type. [`Access::GrantedOnDatagrams`] becomes
    /// [`Access::Ordinary`] or [`Access::Granted`], and any other access stays.
    #[must_use]
    pub const fn on(self, socket_type: i32) -> Self {
        match self {
            Self::GrantedOnDatagrams if matches!(socket_type, SOCK_STREAM | SOCK_SEQPACKET) => {
                Self::Ordinary
            }
            Self::GrantedOnDatagrams => Self::Granted,
            other => other,
        }
    }
}

/// The form of an option's value in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A 4-byte integer. A few IP options take one byte as well.
    Integer,
    /// Bytes in the option's own layout, without a pointer or a descriptor number.
    Bytes,
    /// An unsigned 8-byte integer.
    Long,
    /// A name, with or without its NUL.
    Text,
    /// `struct linger`: two 4-byte integers.
    Linger,
    /// `struct timeval`: seconds and microseconds, 8 bytes each.
    Timeval,
    /// Bytes that begin with an IPv4 multicast group: `ip_mreq`, `ip_mreqn`, `ip_mreq_source`,
    /// `ip_msfilter`.
    GroupV4,
    /// Bytes that begin with an IPv6 multicast group: `ipv6_mreq`.
    GroupV6,
    /// An interface index of 4 bytes, 4 bytes of padding and a multicast group as a socket address:
    /// `group_req`, `group_source_req`, `group_filter`.
    GroupAddress,
    /// `struct packet_mreq`: an interface index, a type, a length and 8 bytes of address. The
    /// policy also checks the interface.
    PacketMembership,
    /// The number of a netlink group. The policy checks it by the socket's protocol.
    NetlinkGroup,
    /// A classic BPF program. The guest gives its instructions, 8 bytes each. The kernel's `struct
    /// sock_fprog` has a pointer, so the host always builds it and never takes it from a guest.
    Program,
}

impl Shape {
    /// Whether the value names a multicast group.
    #[must_use]
    pub const fn names_group(self) -> bool {
        matches!(self, Self::GroupV4 | Self::GroupV6 | Self::GroupAddress)
    }
}

/// One row: an option, a control message, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOption {
    /// The level's name as a policy spells it, for example `SOL_SOCKET`.
    pub level_name: &'static str,
    /// The option's name, for example `SO_MARK`.
    pub name: &'static str,
    /// The level's number.
    pub level: i32,
    /// The option's number.
    pub number: i32,
    /// The form of the value.
    pub shape: Shape,
    /// The access that reading it needs.
    pub get: Access,
    /// The access that setting it needs.
    pub set: Access,
    /// The access that sending it as a control message needs. None if the kernel takes no such
    /// message. Receiving one needs nothing.
    pub control: Option<Access>,
}

/// The target of the grant that allows the option: `LEVEL/NAME`.
impl fmt::Display for SocketOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level_name, self.name)
    }
}

/// The row of an option on a socket of this family.
#[must_use]
pub fn find(family: i32, level: i32, number: i32) -> Option<&'static SocketOption> {
    let rows = if family == AF_BLUETOOTH && level != SOL_SOCKET { BLUETOOTH } else { OPTIONS };
    let at = rows.binary_search_by_key(&(level, number), |row| (row.level, row.number)).ok()?;
    rows.get(at)
}

/// All rows of all families.
pub fn all() -> impl Iterator<Item = &'static SocketOption> {
    OPTIONS.iter().chain(BLUETOOTH)
}

/// The row of an option by its level's name and its own. Aliases count (`SOL_IP`,
/// `IPV6_ADD_MEMBERSHIP`).
#[must_use]
pub fn by_name(level_name: &str, name: &str) -> Option<&'static SocketOption> {
    let level_name = match level_name {
        "SOL_IP" => "IPPROTO_IP",
        "SOL_IPV6" => "IPPROTO_IPV6",
        "SOL_TCP" => "IPPROTO_TCP",
        "SOL_UDP" => "IPPROTO_UDP",
        "SOL_UDPLITE" => "IPPROTO_UDPLITE",
        other => other,
    };
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    all().find(|row| row.level_name == level_name && row.name == name)
}

/// The row of a control message that may be sent. None for a message that the kernel does not take
/// or that has no row. None also for `SCM_RIGHTS` and `SCM_CREDENTIALS`, on which the verb
/// `ancillary` decides.
#[must_use]
pub fn control(level: i32, number: i32) -> Option<&'static SocketOption> {
    find(AF_UNSPEC, level, number).filter(|row| row.control.is_some())
}

/// Other names of a row's number: `(alias, name)`.
pub static ALIASES: &[(&str, &str)] = &[
    ("IPV6_ADD_MEMBERSHIP", "IPV6_JOIN_GROUP"),
    ("IPV6_DROP_MEMBERSHIP", "IPV6_LEAVE_GROUP"),
    ("IPV6_ORIGDSTADDR", "IPV6_RECVORIGDSTADDR"),
    ("IP_ORIGDSTADDR", "IP_RECVORIGDSTADDR"),
    ("IP_RECVRETOPTS", "IP_RETOPTS"),
    ("SCM_TIMESTAMPING", "SO_TIMESTAMPING"),
    ("SCM_TXTIME", "SO_TXTIME"),
    ("SO_DETACH_BPF", "SO_DETACH_FILTER"),
    ("SO_GET_FILTER", "SO_ATTACH_FILTER"),
    ("SO_RCVTIMEO_OLD", "SO_RCVTIMEO"),
    ("SO_SNDTIMEO_OLD", "SO_SNDTIMEO"),
    ("SO_TIMESTAMPING_OLD", "SO_TIMESTAMPING"),
    ("SO_TIMESTAMPNS_OLD", "SO_TIMESTAMPNS"),
    ("SO_TIMESTAMP_OLD", "SO_TIMESTAMP"),
    ("SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD", "SO_VM_SOCKETS_CONNECT_TIMEOUT"),
];

const WAITS_FOR_PEER: Access = Access::Refused(
    "it can select a mode in which shutdown and close wait for the peer, regardless of the timeout",
);
const DESCRIPTOR_NUMBER: Access =
    Access::Refused("its value is a descriptor number of the host process");
const NEW_DESCRIPTOR: Access =
    Access::Refused("the kernel would open a descriptor in the host process");
const READS_BUFFER: Access =
    Access::Refused("the kernel would read a request from the buffer for the result");
const FRAME_HEADER: Access =
    Access::Refused("a header in front of the frame would hide what the frame is");
const HOST_MEMORY: Access =
    Access::Refused("the kernel would map or pin memory of the host process");

/// One row for each line: `NAME: shape, get, set;`, with `, control = access` if it may be sent.
macro_rules! options {
    ($($level:ident { $($name:ident: $shape:ident, $get:expr, $set:expr $(, control = $control:expr)?;)* })*) => {{
        #[allow(unused_imports, reason = "not every table uses all of them")]
        use Access::{Absent, Granted, GrantedOnDatagrams, Header, Multicast, Ordinary, Refused};
        &[$($(SocketOption {
            level_name: stringify!($level),
            name: stringify!($name),
            level: $level,
            number: $name,
            shape: Shape::$shape,
            get: $get,
            set: $set,
            control: options!(@control $($control)?),
        },)*)*]
    }};
    (@control) => { None };
    (@control $control:expr) => { Some($control) };
}

/// The rows of AF_BLUETOOTH, sorted by level and number.
pub static BLUETOOTH: &[SocketOption] = options! {
    SOL_HCI {
        HCI_DATA_DIR: Integer, Ordinary, Ordinary;
        // Selects among the packets that the kernel lets a raw socket see.
        HCI_FILTER: Bytes, Ordinary, Ordinary;
        HCI_TIME_STAMP: Integer, Ordinary, Ordinary;
    }
    SOL_L2CAP {
        L2CAP_OPTIONS: Bytes, Ordinary, WAITS_FOR_PEER;
        L2CAP_CONNINFO: Bytes, Ordinary, Absent;
        L2CAP_LM: Integer, Ordinary, Ordinary;
    }
    SOL_SCO {
        SCO_OPTIONS: Bytes, Ordinary, Absent;
        SCO_CONNINFO: Bytes, Ordinary, Absent;
    }
    SOL_RFCOMM {
        RFCOMM_CONNINFO: Bytes, Ordinary, Absent;
        RFCOMM_LM: Integer, Ordinary, Ordinary;
    }
    SOL_BLUETOOTH {
        BT_SECURITY: Bytes, Ordinary, Ordinary;
        BT_DEFER_SETUP: Integer, Ordinary, Ordinary;
        BT_FLUSHABLE: Integer, Ordinary, Ordinary;
        BT_POWER: Bytes, Ordinary, Ordinary;
        BT_CHANNEL_POLICY: Integer, Ordinary, Ordinary;
        BT_VOICE: Bytes, Ordinary, Ordinary;
        BT_SNDMTU: Integer, Ordinary, Ordinary;
        BT_RCVMTU: Integer, Ordinary, Ordinary;
        BT_PHY: Integer, Ordinary, Absent;
        BT_MODE: Integer, Ordinary, WAITS_FOR_PEER;
        BT_PKT_STATUS: Integer, Ordinary, Ordinary;
        // Changes the path of the controller's audio data.
        BT_CODEC: Bytes, Ordinary, Granted;
    }
};

/// The rows of the other families, sorted by level and number.
pub static OPTIONS: &[SocketOption] = options! {
    IPPROTO_IP {
        IP_TOS: Integer, Ordinary, Ordinary, control = Ordinary;
        IP_TTL: Integer, Ordinary, Ordinary, control = Ordinary;
        // Only for raw sockets.
        IP_HDRINCL: Integer, Ordinary, Header;
        // A source route leads around the destination that was checked.
        IP_OPTIONS: Bytes, Ordinary, Granted;
        // Receives packets of other programs.
        IP_ROUTER_ALERT: Integer, Ordinary, Granted;
        IP_RECVOPTS: Integer, Ordinary, Ordinary;
        // As an option it is a receive flag. As a control message it is IP_OPTIONS for one
        // datagram.
        IP_RETOPTS: Integer, Ordinary, Ordinary, control = Granted;
        // As an option it is a receive flag. As a control message it picks the source address and
        // the interface.
        IP_PKTINFO: Integer, Ordinary, Ordinary, control = Granted;
        IP_PKTOPTIONS: Bytes, Ordinary, Absent;
        IP_MTU_DISCOVER: Integer, Ordinary, Ordinary;
        IP_RECVERR: Integer, Ordinary, Ordinary;
        IP_RECVTTL: Integer, Ordinary, Ordinary;
        IP_RECVTOS: Integer, Ordinary, Ordinary;
        IP_MTU: Integer, Ordinary, Absent;
        // Allows a bind to an address that is not the host's.
        IP_FREEBIND: Integer, Ordinary, Granted;
        // An IPsec policy can switch encryption off.
        IP_IPSEC_POLICY: Bytes, Absent, Granted;
        IP_XFRM_POLICY: Bytes, Absent, Granted;
        // Security labels reveal facts about the host.
        IP_PASSSEC: Integer, Ordinary, Granted;
        IP_TRANSPARENT: Integer, Ordinary, Granted;
        IP_RECVORIGDSTADDR: Integer, Ordinary, Ordinary;
        IP_MINTTL: Integer, Ordinary, Ordinary;
        // Only for raw sockets.
        IP_NODEFRAG: Integer, Ordinary, Granted;
        IP_CHECKSUM: Integer, Ordinary, Ordinary;
        IP_BIND_ADDRESS_NO_PORT: Integer, Ordinary, Ordinary;
        IP_RECVFRAGSIZE: Integer, Ordinary, Ordinary;
        IP_RECVERR_RFC4884: Integer, Ordinary, Ordinary;
        // Leaving a group only narrows what is received, so it is ordinary. Blocking a source is
        // not, because it can turn an empty include list into an exclude list.
        IP_MULTICAST_IF: Bytes, Ordinary, Multicast;
        IP_MULTICAST_TTL: Integer, Ordinary, Ordinary;
        IP_MULTICAST_LOOP: Integer, Ordinary, Ordinary;
        IP_ADD_MEMBERSHIP: GroupV4, Absent, Multicast;
        IP_DROP_MEMBERSHIP: GroupV4, Absent, Ordinary;
        IP_UNBLOCK_SOURCE: GroupV4, Absent, Multicast;
        IP_BLOCK_SOURCE: GroupV4, Absent, Multicast;
        IP_ADD_SOURCE_MEMBERSHIP: GroupV4, Absent, Multicast;
        IP_DROP_SOURCE_MEMBERSHIP: GroupV4, Absent, Ordinary;
        IP_MSFILTER: GroupV4, READS_BUFFER, Multicast;
        MCAST_JOIN_GROUP: GroupAddress, Absent, Multicast;
        MCAST_BLOCK_SOURCE: GroupAddress, Absent, Multicast;
        MCAST_UNBLOCK_SOURCE: GroupAddress, Absent, Multicast;
        MCAST_LEAVE_GROUP: GroupAddress, Absent, Ordinary;
        MCAST_JOIN_SOURCE_GROUP: GroupAddress, Absent, Multicast;
        MCAST_LEAVE_SOURCE_GROUP: GroupAddress, Absent, Ordinary;
        MCAST_MSFILTER: GroupAddress, READS_BUFFER, Multicast;
        // Linux has it on by default.
        IP_MULTICAST_ALL: Integer, Ordinary, Ordinary;
        // Chooses the outgoing interface.
        IP_UNICAST_IF: Integer, Ordinary, Granted;
        // A range of one port amounts to a bind to that port.
        IP_LOCAL_PORT_RANGE: Integer, Ordinary, Granted;
        IP_PROTOCOL: Integer, Ordinary, Absent,
            control = Refused("it would send another protocol than the grant for the raw socket allows");
    }
    SOL_SOCKET {
        // Makes the kernel write to its log, and needs CAP_NET_ADMIN.
        SO_DEBUG: Integer, Ordinary, Granted;
        // A datagram socket can take over a bound port with it. A stream only ignores TIME_WAIT.
        SO_REUSEADDR: Integer, Ordinary, GrantedOnDatagrams;
        SO_TYPE: Integer, Ordinary, Absent;
        SO_ERROR: Integer, Ordinary, Absent;
        SO_DONTROUTE: Integer, Ordinary, Ordinary;
        // Sending to a broadcast address takes a `udp-send` grant for it.
        SO_BROADCAST: Integer, Ordinary, Ordinary;
        // The kernel bounds them by its wmem_max and rmem_max, and the host by `buffer-bytes`.
        SO_SNDBUF: Integer, Ordinary, Ordinary;
        SO_RCVBUF: Integer, Ordinary, Ordinary;
        SO_KEEPALIVE: Integer, Ordinary, Ordinary;
        SO_OOBINLINE: Integer, Ordinary, Ordinary;
        SO_NO_CHECK: Integer, Ordinary, Ordinary;
        // Priorities above 6 need CAP_NET_ADMIN, which the host may have.
        SO_PRIORITY: Integer, Ordinary, Granted, control = Granted;
        SO_LINGER: Linger, Ordinary, Ordinary;
        SO_BSDCOMPAT: Integer, Ordinary, Ordinary;
        // Can share a port that another program listens on.
        SO_REUSEPORT: Integer, Ordinary, Granted;
        SO_PASSCRED: Integer, Ordinary, Ordinary;
        // The process, user and group id of the peer. If the guest made both sockets, these are the
        // host's own ids. Without the grant the messages that SO_PASSCRED brings have no process id
        // and nobody's user and group.
        SO_PEERCRED: Bytes, Granted, Absent;
        SO_RCVLOWAT: Integer, Ordinary, Ordinary;
        SO_SNDLOWAT: Integer, Ordinary, Absent;
        SO_RCVTIMEO: Timeval, Ordinary, Ordinary;
        SO_SNDTIMEO: Timeval, Ordinary, Ordinary;
        SO_BINDTODEVICE: Text, Ordinary, Granted;
        // Reading this number is SO_GET_FILTER.
        SO_ATTACH_FILTER: Program,
            Refused("the kernel counts its length in instructions and would write beyond the buffer"), Granted;
        // An inherited socket may have a filter that confines the guest.
        SO_DETACH_FILTER: Integer, Absent, Granted;
        SO_PEERNAME: Bytes, Ordinary, Absent;
        SO_TIMESTAMP: Integer, Ordinary, Ordinary;
        SO_ACCEPTCONN: Integer, Ordinary, Absent;
        // Security labels reveal facts about the host.
        SO_PEERSEC: Text, Granted, Absent;
        SO_SNDBUFFORCE: Integer, Absent, Granted;
        SO_RCVBUFFORCE: Integer, Absent, Granted;
        SO_PASSSEC: Integer, Ordinary, Granted;
        SO_TIMESTAMPNS: Integer, Ordinary, Ordinary;
        // Can choose another route, and pass firewalls.
        SO_MARK: Integer, Ordinary, Granted, control = Granted;
        SO_TIMESTAMPING: Integer, Ordinary, Ordinary, control = Ordinary;
        SO_PROTOCOL: Integer, Ordinary, Absent;
        SO_DOMAIN: Integer, Ordinary, Absent;
        SO_RXQ_OVFL: Integer, Ordinary, Ordinary;
        SO_WIFI_STATUS: Integer, Ordinary, Ordinary;
        SO_PEEK_OFF: Integer, Ordinary,
            Refused("the host peeks at a datagram's sender or length, and would see another datagram");
        // Lets the sender write the frame's checksum.
        SO_NOFCS: Integer, Ordinary, Granted;
        SO_LOCK_FILTER: Integer, Ordinary, Ordinary;
        SO_SELECT_ERR_QUEUE: Integer, Ordinary, Ordinary;
        // Busy polling spends the host's CPU.
        SO_BUSY_POLL: Integer, Ordinary, Granted;
        SO_MAX_PACING_RATE: Bytes, Ordinary, Ordinary;
        SO_BPF_EXTENSIONS: Integer, Ordinary, Absent;
        SO_INCOMING_CPU: Integer, Ordinary, Ordinary;
        SO_ATTACH_BPF: Integer, Absent, DESCRIPTOR_NUMBER;
        SO_ATTACH_REUSEPORT_CBPF: Program, Absent, Granted;
        SO_ATTACH_REUSEPORT_EBPF: Integer, Absent, DESCRIPTOR_NUMBER;
        // Makes the host's kernel look for another route.
        SO_CNX_ADVICE: Integer, Absent, Granted;
        SO_MEMINFO: Bytes, Ordinary, Absent;
        SO_INCOMING_NAPI_ID: Integer, Ordinary, Absent;
        SO_COOKIE: Bytes, Ordinary, Absent;
        SO_PEERGROUPS: Bytes, Granted, Absent;
        SO_ZEROCOPY: Integer, Ordinary, Refused("the guest's memory would have to stay in place until the kernel is done with it");
        // Sends at a chosen time, regardless of the order of the queue.
        SO_TXTIME: Bytes, Ordinary, Granted, control = Granted;
        SO_BINDTOIFINDEX: Integer, Ordinary, Granted;
        SO_TIMESTAMP_NEW: Integer, Ordinary, Ordinary;
        SO_TIMESTAMPNS_NEW: Integer, Ordinary, Ordinary;
        SO_TIMESTAMPING_NEW: Integer, Ordinary, Ordinary, control = Ordinary;
        SO_RCVTIMEO_NEW: Timeval, Ordinary, Ordinary;
        SO_SNDTIMEO_NEW: Timeval, Ordinary, Ordinary;
        SO_DETACH_REUSEPORT_BPF: Integer, Absent, Granted;
        SO_PREFER_BUSY_POLL: Integer, Ordinary, Granted;
        SO_BUSY_POLL_BUDGET: Integer, Ordinary, Granted;
        // Identifies the host's network namespace.
        SO_NETNS_COOKIE: Bytes, Granted, Absent;
        SO_BUF_LOCK: Integer, Ordinary, Ordinary;
        // Reserves kernel memory for one socket.
        SO_RESERVE_MEM: Integer, Ordinary, Granted;
        SO_TXREHASH: Integer, Ordinary, Ordinary;
        // Marks reveal the host's routing and firewall rules.
        SO_RCVMARK: Integer, Ordinary, Granted;
        // Each message then brings a descriptor of its sender's process. The verb `ancillary`
        // decides whether it reaches the guest.
        SO_PASSPIDFD: Integer, Ordinary, Granted;
        SO_PEERPIDFD: Integer, NEW_DESCRIPTOR, Absent;
        SO_DEVMEM_DONTNEED: Bytes, Absent, HOST_MEMORY;
        // Only a control message: the number by which a send timestamp is returned.
        SCM_TS_OPT_ID: Integer, Absent, Absent, control = Ordinary;
        SO_RCVPRIORITY: Integer, Ordinary, Ordinary;
        // The verb `ancillary` decides whether descriptors arrive.
        SO_PASSRIGHTS: Integer, Ordinary, Ordinary;
        SO_INQ: Integer, Ordinary, Ordinary;
    }
    IPPROTO_TCP {
        TCP_NODELAY: Integer, Ordinary, Ordinary;
        TCP_MAXSEG: Integer, Ordinary, Ordinary;
        TCP_CORK: Integer, Ordinary, Ordinary;
        TCP_KEEPIDLE: Integer, Ordinary, Ordinary;
        TCP_KEEPINTVL: Integer, Ordinary, Ordinary;
        TCP_KEEPCNT: Integer, Ordinary, Ordinary;
        TCP_SYNCNT: Integer, Ordinary, Ordinary;
        TCP_LINGER2: Integer, Ordinary, Ordinary;
        TCP_DEFER_ACCEPT: Integer, Ordinary, Ordinary;
        TCP_WINDOW_CLAMP: Integer, Ordinary, Ordinary;
        TCP_INFO: Bytes, Ordinary, Absent;
        TCP_QUICKACK: Integer, Ordinary, Ordinary;
        // Can load a kernel module, and take more than its share of a link.
        TCP_CONGESTION: Text, Ordinary, Granted;
        TCP_MD5SIG: Bytes, Absent, Granted;
        TCP_THIN_LINEAR_TIMEOUTS: Integer, Ordinary, Ordinary;
        TCP_THIN_DUPACK: Integer, Ordinary, Ordinary;
        TCP_USER_TIMEOUT: Integer, Ordinary, Ordinary;
        // Repair mode makes a connection out of nothing, with any sequence numbers.
        TCP_REPAIR: Integer, Ordinary, Granted;
        TCP_REPAIR_QUEUE: Integer, Ordinary, Granted;
        TCP_QUEUE_SEQ: Integer, Ordinary, Granted;
        TCP_REPAIR_OPTIONS: Bytes, Absent, Granted;
        TCP_FASTOPEN: Integer, Ordinary, Ordinary;
        // Can be set only in repair mode.
        TCP_TIMESTAMP: Integer, Ordinary, Granted;
        TCP_NOTSENT_LOWAT: Integer, Ordinary, Ordinary;
        TCP_CC_INFO: Bytes, Ordinary, Absent;
        TCP_SAVE_SYN: Integer, Ordinary, Ordinary;
        TCP_SAVED_SYN: Bytes, Ordinary, Absent;
        TCP_REPAIR_WINDOW: Bytes, Ordinary, Granted;
        // Delays the connection to the first send.
        TCP_FASTOPEN_CONNECT: Integer, Ordinary, Granted;
        // Puts another protocol of the kernel on top of the connection.
        TCP_ULP: Text, Ordinary, Granted;
        TCP_MD5SIG_EXT: Bytes, Absent, Granted;
        // A listener without a key of its own reports the key of the whole network namespace.
        TCP_FASTOPEN_KEY: Bytes, Granted, Granted;
        // Without a cookie the kernel accepts data from forged senders.
        TCP_FASTOPEN_NO_COOKIE: Integer, Ordinary, Granted;
        TCP_ZEROCOPY_RECEIVE: Bytes, HOST_MEMORY, Absent;
        TCP_INQ: Integer, Ordinary, Ordinary;
        // The first use slows every socket of the machine.
        TCP_TX_DELAY: Integer, Ordinary, Granted;
        TCP_AO_ADD_KEY: Bytes, Absent, Granted;
        TCP_AO_DEL_KEY: Bytes, Absent, Granted;
        TCP_AO_INFO: Bytes, READS_BUFFER, Granted;
        TCP_AO_GET_KEYS: Bytes, READS_BUFFER, Absent;
        TCP_AO_REPAIR: Bytes, Granted, Granted;
        TCP_IS_MPTCP: Integer, Ordinary, Absent;
        TCP_RTO_MAX_MS: Integer, Ordinary, Ordinary;
        TCP_RTO_MIN_US: Integer, Ordinary, Ordinary;
        TCP_DELACK_MAX_US: Integer, Ordinary, Ordinary;
    }
    IPPROTO_UDP {
        UDP_CORK: Integer, Ordinary, Ordinary;
        // Hands datagrams to the kernel's IPsec and tunnel code.
        UDP_ENCAP: Integer, Ordinary, Granted;
        UDP_NO_CHECK6_TX: Integer, Ordinary, Ordinary;
        UDP_NO_CHECK6_RX: Integer, Ordinary, Ordinary;
        UDP_SEGMENT: Integer, Ordinary, Ordinary, control = Ordinary;
        UDP_GRO: Integer, Ordinary, Ordinary;
    }
    // The level of AF_VSOCK's options is the family's number (linux/vm_sockets.h).
    AF_VSOCK {
        SO_VM_SOCKETS_BUFFER_SIZE: Long, Ordinary, Ordinary;
        // They bound the buffer's size. Without bounds a peer could fill as much of the kernel's
        // memory as it sends.
        SO_VM_SOCKETS_BUFFER_MIN_SIZE: Long, Ordinary, Granted;
        SO_VM_SOCKETS_BUFFER_MAX_SIZE: Long, Ordinary, Granted;
        // Only for VMware's transport.
        SO_VM_SOCKETS_PEER_HOST_VM_ID: Integer, Ordinary, Absent;
        SO_VM_SOCKETS_TRUSTED: Integer, Ordinary, Absent;
        SO_VM_SOCKETS_CONNECT_TIMEOUT: Timeval, Ordinary, Ordinary;
        // Only inside VMware's own kernel.
        SO_VM_SOCKETS_NONBLOCK_TXRX: Integer, Absent, Absent;
        SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW: Timeval, Ordinary, Ordinary;
    }
    IPPROTO_IPV6 {
        IPV6_ADDRFORM: Integer, Absent, Refused("it would change the socket's family after the check");
        // RFC 2292. As options they are receive flags. As control messages they mean the same as
        // their RFC 3542 successors.
        IPV6_2292PKTINFO: Integer, Ordinary, Ordinary, control = Granted;
        IPV6_2292HOPOPTS: Integer, Ordinary, Ordinary, control = Granted;
        IPV6_2292DSTOPTS: Integer, Ordinary, Ordinary, control = Granted;
        IPV6_2292RTHDR: Integer, Ordinary, Ordinary, control = Granted;
        IPV6_2292PKTOPTIONS: Bytes, Ordinary, Refused("its value is a list of control messages, and each needs its own check");
        // Only for raw sockets.
        IPV6_CHECKSUM: Integer, Ordinary, Ordinary;
        IPV6_2292HOPLIMIT: Integer, Ordinary, Ordinary, control = Ordinary;
        // Linux does not have IPV6_NEXTHOP yet. A kernel that gets it then needs the grant.
        IPV6_NEXTHOP: Bytes, Ordinary, Granted, control = Granted;
        // As an option it is a receive flag. As a control message it is a flow label.
        IPV6_FLOWINFO: Integer, Ordinary, Ordinary, control = Ordinary;
        IPV6_UNICAST_HOPS: Integer, Ordinary, Ordinary;
        IPV6_MULTICAST_IF: Integer, Ordinary, Multicast;
        IPV6_MULTICAST_HOPS: Integer, Ordinary, Ordinary;
        IPV6_MULTICAST_LOOP: Integer, Ordinary, Ordinary;
        IPV6_JOIN_GROUP: GroupV6, Absent, Multicast;
        IPV6_LEAVE_GROUP: GroupV6, Absent, Ordinary;
        IPV6_ROUTER_ALERT: Integer, Ordinary, Granted;
        IPV6_MTU_DISCOVER: Integer, Ordinary, Ordinary;
        IPV6_MTU: Integer, Ordinary, Ordinary;
        IPV6_RECVERR: Integer, Ordinary, Ordinary;
        // If it is off, a wildcard bind includes IPv4. The check of bind takes that into account.
        IPV6_V6ONLY: Integer, Ordinary, Ordinary;
        IPV6_JOIN_ANYCAST: Bytes, Absent, Granted;
        IPV6_LEAVE_ANYCAST: Bytes, Absent, Ordinary;
        IPV6_MULTICAST_ALL: Integer, Ordinary, Ordinary;
        IPV6_ROUTER_ALERT_ISOLATE: Integer, Ordinary, Granted;
        IPV6_RECVERR_RFC4884: Integer, Ordinary, Ordinary;
        // Leases flow labels, to which extension headers can be attached.
        IPV6_FLOWLABEL_MGR: Bytes, READS_BUFFER, Granted;
        IPV6_FLOWINFO_SEND: Integer, Ordinary, Ordinary;
        IPV6_IPSEC_POLICY: Bytes, Absent, Granted;
        IPV6_XFRM_POLICY: Bytes, Absent, Granted;
        // Only for raw sockets.
        IPV6_HDRINCL: Integer, Ordinary, Header;
        // The protocol-independent multicast options, as at IPPROTO_IP.
        MCAST_JOIN_GROUP: GroupAddress, Absent, Multicast;
        MCAST_BLOCK_SOURCE: GroupAddress, Absent, Multicast;
        MCAST_UNBLOCK_SOURCE: GroupAddress, Absent, Multicast;
        MCAST_LEAVE_GROUP: GroupAddress, Absent, Ordinary;
        MCAST_JOIN_SOURCE_GROUP: GroupAddress, Absent, Multicast;
        MCAST_LEAVE_SOURCE_GROUP: GroupAddress, Absent, Ordinary;
        MCAST_MSFILTER: GroupAddress, READS_BUFFER, Multicast;
        IPV6_RECVPKTINFO: Integer, Ordinary, Ordinary;
        // Picks the source address and the interface.
        IPV6_PKTINFO: Bytes, Ordinary, Granted, control = Granted;
        IPV6_RECVHOPLIMIT: Integer, Ordinary, Ordinary;
        IPV6_HOPLIMIT: Integer, Ordinary, Ordinary, control = Ordinary;
        IPV6_RECVHOPOPTS: Integer, Ordinary, Ordinary;
        // Extension headers can reach further than the destination that was checked.
        IPV6_HOPOPTS: Bytes, Ordinary, Granted, control = Granted;
        IPV6_RTHDRDSTOPTS: Bytes, Ordinary, Granted, control = Granted;
        IPV6_RECVRTHDR: Integer, Ordinary, Ordinary;
        IPV6_RTHDR: Bytes, Ordinary, Granted, control = Granted;
        IPV6_RECVDSTOPTS: Integer, Ordinary, Ordinary;
        IPV6_DSTOPTS: Bytes, Ordinary, Granted, control = Granted;
        IPV6_RECVPATHMTU: Integer, Ordinary, Ordinary;
        IPV6_PATHMTU: Bytes, Ordinary, Absent;
        IPV6_DONTFRAG: Integer, Ordinary, Ordinary, control = Ordinary;
        IPV6_USE_MIN_MTU: Integer, Ordinary, Ordinary;
        IPV6_RECVTCLASS: Integer, Ordinary, Ordinary;
        IPV6_TCLASS: Integer, Ordinary, Ordinary, control = Ordinary;
        IPV6_AUTOFLOWLABEL: Integer, Ordinary, Ordinary;
        IPV6_ADDR_PREFERENCES: Integer, Ordinary, Ordinary;
        IPV6_MINHOPCOUNT: Integer, Ordinary, Ordinary;
        IPV6_RECVORIGDSTADDR: Integer, Ordinary, Ordinary;
        IPV6_TRANSPARENT: Integer, Ordinary, Granted;
        IPV6_UNICAST_IF: Integer, Ordinary, Granted;
        IPV6_RECVFRAGSIZE: Integer, Ordinary, Ordinary;
        IPV6_FREEBIND: Integer, Ordinary, Granted;
    }
    IPPROTO_ICMPV6 {
        // Selects the types that a raw ICMPv6 socket receives.
        ICMPV6_FILTER: Bytes, Ordinary, Ordinary;
    }
    SOL_CAN_RAW {
        // They select what is received from the granted interface, and how.
        CAN_RAW_FILTER: Bytes, Ordinary, Ordinary;
        CAN_RAW_ERR_FILTER: Integer, Ordinary, Ordinary;
        CAN_RAW_LOOPBACK: Integer, Ordinary, Ordinary;
        CAN_RAW_RECV_OWN_MSGS: Integer, Ordinary, Ordinary;
        CAN_RAW_FD_FRAMES: Integer, Ordinary, Ordinary;
        CAN_RAW_JOIN_FILTERS: Integer, Ordinary, Ordinary;
        CAN_RAW_XL_FRAMES: Integer, Ordinary, Ordinary;
    }
    SOL_CAN_ISOTP {
        // The host denies the flag CAN_ISOTP_WAIT_TX_DONE. With it a send waits in the kernel, even
        // if the call may not wait.
        CAN_ISOTP_OPTS: Bytes, Ordinary, Ordinary;
        CAN_ISOTP_RECV_FC: Bytes, Ordinary, Ordinary;
        CAN_ISOTP_TX_STMIN: Integer, Ordinary, Ordinary;
        CAN_ISOTP_RX_STMIN: Integer, Ordinary, Ordinary;
        CAN_ISOTP_LL_OPTS: Bytes, Ordinary, Ordinary;
    }
    SOL_CAN_J1939 {
        SO_J1939_FILTER: Bytes, Absent, Ordinary;
        // Receives messages that are meant for other nodes.
        SO_J1939_PROMISC: Integer, Ordinary, Granted;
        // Priorities 0 and 1 need CAP_NET_ADMIN, which the host may have.
        SO_J1939_SEND_PRIO: Integer, Ordinary, Granted;
        SO_J1939_ERRQUEUE: Integer, Ordinary, Ordinary;
    }
    IPPROTO_UDPLITE {
        UDPLITE_SEND_CSCOV: Integer, Ordinary, Ordinary;
        UDPLITE_RECV_CSCOV: Integer, Ordinary, Ordinary;
    }
    SOL_RAW {
        // Selects the types that a raw ICMP socket receives.
        ICMP_FILTER: Bytes, Ordinary, Ordinary;
    }
    SOL_PACKET {
        // Promiscuous and all-multicast mode belong to the interface. Everybody's frames come in.
        PACKET_ADD_MEMBERSHIP: PacketMembership, Absent, Granted;
        PACKET_DROP_MEMBERSHIP: PacketMembership, Absent, Ordinary;
        PACKET_RX_RING: Bytes, Absent, HOST_MEMORY;
        PACKET_STATISTICS: Bytes, Ordinary, Absent;
        PACKET_COPY_THRESH: Integer, Absent, Ordinary;
        PACKET_AUXDATA: Integer, Ordinary, Ordinary;
        PACKET_ORIGDEV: Integer, Ordinary, Ordinary;
        // Only for the rings.
        PACKET_VERSION: Integer, Ordinary, HOST_MEMORY;
        PACKET_HDRLEN: Integer, READS_BUFFER, Absent;
        PACKET_RESERVE: Integer, Ordinary, HOST_MEMORY;
        PACKET_TX_RING: Bytes, Absent, HOST_MEMORY;
        PACKET_LOSS: Integer, Ordinary, Ordinary;
        PACKET_VNET_HDR: Integer, Ordinary, FRAME_HEADER;
        PACKET_TX_TIMESTAMP: Integer, Absent, Ordinary;
        PACKET_TIMESTAMP: Integer, Ordinary, Ordinary;
        // Takes a share of the frames of another program's group.
        PACKET_FANOUT: Integer, Ordinary, Granted;
        PACKET_TX_HAS_OFF: Integer, Ordinary, HOST_MEMORY;
        // Bypasses the queue, with its order and its limits.
        PACKET_QDISC_BYPASS: Integer, Ordinary, Granted;
        PACKET_ROLLOVER_STATS: Bytes, Ordinary, Absent;
        PACKET_FANOUT_DATA: Bytes, Absent, Refused("its value is a pointer to a program, or a descriptor number of the host process");
        PACKET_IGNORE_OUTGOING: Integer, Ordinary, Ordinary;
        PACKET_VNET_HDR_SZ: Integer, Ordinary, FRAME_HEADER;
    }
    SOL_NETLINK {
        NETLINK_ADD_MEMBERSHIP: NetlinkGroup, Absent, Ordinary;
        NETLINK_DROP_MEMBERSHIP: NetlinkGroup, Absent, Ordinary;
        NETLINK_PKTINFO: Integer, Ordinary, Ordinary;
        NETLINK_BROADCAST_ERROR: Integer, Ordinary, Ordinary;
        NETLINK_NO_ENOBUFS: Integer, Ordinary, Ordinary;
        NETLINK_RX_RING: Bytes, Absent, HOST_MEMORY;
        NETLINK_TX_RING: Bytes, Absent, HOST_MEMORY;
        // Reports events of every network namespace that has an id.
        NETLINK_LISTEN_ALL_NSID: Integer, Ordinary, Granted;
        NETLINK_LIST_MEMBERSHIPS: Bytes, Ordinary, Absent;
        NETLINK_CAP_ACK: Integer, Ordinary, Ordinary;
        NETLINK_EXT_ACK: Integer, Ordinary, Ordinary;
        NETLINK_GET_STRICT_CHK: Integer, Ordinary, Ordinary;
    }
    SOL_TIPC {
        TIPC_IMPORTANCE: Integer, Ordinary, Ordinary;
        TIPC_SRC_DROPPABLE: Integer, Ordinary, Ordinary;
        TIPC_DEST_DROPPABLE: Integer, Ordinary, Ordinary;
        TIPC_CONN_TIMEOUT: Integer, Ordinary, Ordinary;
    }
    SOL_RDS {
        SO_RDS_TRANSPORT: Integer, Ordinary, Ordinary;
    }
    SOL_ALG {
        ALG_SET_KEY: Bytes, Absent, Ordinary;
        ALG_SET_IV: Bytes, Absent, Absent, control = Ordinary;
        ALG_SET_OP: Integer, Absent, Absent, control = Ordinary;
        ALG_SET_AEAD_ASSOCLEN: Integer, Absent, Absent, control = Ordinary;
        // The size is the length argument. There is no value.
        ALG_SET_AEAD_AUTHSIZE: Integer, Absent, Ordinary;
        ALG_SET_DRBG_ENTROPY: Bytes, Absent, Granted;
        ALG_SET_KEY_BY_KEY_SERIAL: Integer, Absent, Refused("it would use a key from the host's own keyring");
    }
};
