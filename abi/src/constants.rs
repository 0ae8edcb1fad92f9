//! The numbers of the socket API, by name: families, types, protocols, levels, options, flags,
//! events, codes of look-ups.
//!
//! All of them are Linux's generic values. If an option has two numbers, its plain name has the one
//! of 64-bit systems (`SO_RCVTIMEO` is 20, `SO_RCVTIMEO_NEW` 66). They are `i32`, as most calls
//! take them. Numbers that use bit 31, or are unsigned by nature, are `u32`.
//!
//! * [`SOCKET_MODULE`] has the numbers of the newest CPython's `socket` module on Linux, built with
//!   every header.
//! * [`CONSTANTS`] has these and more: poll and epoll events, h_errno codes, and numbers for which
//!   the `socket` module has no names.
//! * [`FOREIGN`] has the numbers that the module has only on other systems.
#![allow(non_upper_case_globals)] // C and Python spell AF_DECnet like this.

/// Defines constants in groups, and a table of them. A test checks that the names are sorted.
macro_rules! constants {
    (
        $(#[$doc:meta])*
        $table:ident:
        $($group:literal, $kind:ty { $($name:ident = $value:expr),* $(,)? })*
    ) => {
        $($(
            #[doc = concat!($group, ": `", stringify!($name), "` is ", stringify!($value), ".")]
            pub const $name: $kind = $value;
        )*)*

        $(#[$doc])*
        pub const $table: &[(&str, i64)] = &[$($((stringify!($name), $name as i64),)*)*];
    };
}

constants! {
    /// The integers of the newest CPython's `socket` module on Linux, sorted by name. The module's
    /// `has_ipv6` is [`HAS_IPV6`]. Its `EBADF`, `EAGAIN` and `EWOULDBLOCK` are in
    /// [`crate::errno`].
    SOCKET_MODULE:
    "Address family", i32 {
        AF_ALG = 38, AF_APPLETALK = 5, AF_ASH = 18, AF_ATMPVC = 8, AF_ATMSVC = 20, AF_AX25 = 3, AF_BLUETOOTH = 31, AF_BRIDGE = 7,
        AF_CAN = 29, AF_DECnet = 12, AF_ECONET = 19, AF_INET = 2, AF_INET6 = 10, AF_IPX = 4, AF_IRDA = 23, AF_KEY = 15, AF_LLC = 26,
        AF_NETBEUI = 13, AF_NETLINK = 16, AF_NETROM = 6, AF_PACKET = 17, AF_PPPOX = 24, AF_QIPCRTR = 42, AF_RDS = 21, AF_ROSE = 11,
        AF_ROUTE = 16, AF_SECURITY = 14, AF_SNA = 22, AF_TIPC = 30, AF_UNIX = 1, AF_UNSPEC = 0, AF_VSOCK = 40, AF_WANPIPE = 25,
        AF_X25 = 9,
    }
    "Flag of getaddrinfo's hints", i32 {
        AI_ADDRCONFIG = 0x20, AI_ALL = 0x10, AI_CANONNAME = 2, AI_NUMERICHOST = 4, AI_NUMERICSERV = 0x400, AI_PASSIVE = 1,
        AI_V4MAPPED = 8,
    }
    "AF_ALG option or operation", i32 {
        ALG_OP_DECRYPT = 0, ALG_OP_ENCRYPT = 1, ALG_OP_SIGN = 2, ALG_OP_VERIFY = 3, ALG_SET_AEAD_ASSOCLEN = 4, ALG_SET_AEAD_AUTHSIZE = 5,
        ALG_SET_IV = 2, ALG_SET_KEY = 1, ALG_SET_OP = 3, ALG_SET_PUBKEY = 6,
    }
    "Kind of Bluetooth device address", i32 {
        BDADDR_BREDR = 0, BDADDR_LE_PUBLIC = 1, BDADDR_LE_RANDOM = 2,
    }
    "Protocol of AF_BLUETOOTH", i32 {
        BTPROTO_HCI = 1, BTPROTO_L2CAP = 0, BTPROTO_RFCOMM = 3, BTPROTO_SCO = 2,
    }
    "Bluetooth option or value, of level SOL_BLUETOOTH", i32 {
        BT_CHANNEL_POLICY = 10, BT_CHANNEL_POLICY_AMP_PREFERRED = 2, BT_CHANNEL_POLICY_BREDR_ONLY = 0,
        BT_CHANNEL_POLICY_BREDR_PREFERRED = 1, BT_CODEC = 19, BT_DEFER_SETUP = 7, BT_FLUSHABLE = 8, BT_FLUSHABLE_OFF = 0,
        BT_FLUSHABLE_ON = 1, BT_MODE = 15, BT_MODE_BASIC = 0, BT_MODE_ERTM = 1, BT_MODE_EXT_FLOWCTL = 4, BT_MODE_LE_FLOWCTL = 3,
        BT_MODE_STREAMING = 2, BT_PHY = 14, BT_PHY_BR_1M_1SLOT = 1, BT_PHY_BR_1M_3SLOT = 2, BT_PHY_BR_1M_5SLOT = 4,
        BT_PHY_EDR_2M_1SLOT = 8, BT_PHY_EDR_2M_3SLOT = 0x10, BT_PHY_EDR_2M_5SLOT = 0x20, BT_PHY_EDR_3M_1SLOT = 0x40,
        BT_PHY_EDR_3M_3SLOT = 0x80, BT_PHY_EDR_3M_5SLOT = 0x100, BT_PHY_LE_1M_RX = 0x400, BT_PHY_LE_1M_TX = 0x200,
        BT_PHY_LE_2M_RX = 0x1000, BT_PHY_LE_2M_TX = 0x800, BT_PHY_LE_CODED_RX = 0x4000, BT_PHY_LE_CODED_TX = 0x2000, BT_POWER = 9,
        BT_POWER_FORCE_ACTIVE_OFF = 0, BT_POWER_FORCE_ACTIVE_ON = 1, BT_RCVMTU = 13, BT_SECURITY = 4, BT_SECURITY_FIPS = 4,
        BT_SECURITY_HIGH = 3, BT_SECURITY_LOW = 1, BT_SECURITY_MEDIUM = 2, BT_SECURITY_SDP = 0, BT_SNDMTU = 12, BT_VOICE = 11,
        BT_VOICE_CVSD_16BIT = 96, BT_VOICE_TRANSPARENT = 3, BT_VOICE_TRANSPARENT_16BIT = 99,
    }
    "AF_CAN protocol, option, flag or mask", i32 {
        CAN_BCM = 2, CAN_BCM_CAN_FD_FRAME = 2048, CAN_BCM_RX_ANNOUNCE_RESUME = 256, CAN_BCM_RX_CHANGED = 12, CAN_BCM_RX_CHECK_DLC = 64,
        CAN_BCM_RX_DELETE = 6, CAN_BCM_RX_FILTER_ID = 32, CAN_BCM_RX_NO_AUTOTIMER = 128, CAN_BCM_RX_READ = 7,
        CAN_BCM_RX_RTR_FRAME = 1024, CAN_BCM_RX_SETUP = 5, CAN_BCM_RX_STATUS = 10, CAN_BCM_RX_TIMEOUT = 11, CAN_BCM_SETTIMER = 1,
        CAN_BCM_STARTTIMER = 2, CAN_BCM_TX_ANNOUNCE = 8, CAN_BCM_TX_COUNTEVT = 4, CAN_BCM_TX_CP_CAN_ID = 16, CAN_BCM_TX_DELETE = 2,
        CAN_BCM_TX_EXPIRED = 9, CAN_BCM_TX_READ = 3, CAN_BCM_TX_RESET_MULTI_IDX = 512, CAN_BCM_TX_SEND = 4, CAN_BCM_TX_SETUP = 1,
        CAN_BCM_TX_STATUS = 8,
    }
    "AF_CAN protocol, option, flag or mask", u32 {
        CAN_EFF_FLAG = 0x80000000, CAN_EFF_MASK = 0x1fffffff, CAN_ERR_FLAG = 0x20000000, CAN_ERR_MASK = 0x1fffffff,
    }
    "AF_CAN protocol, option, flag or mask", i32 {
        CAN_ISOTP = 6, CAN_J1939 = 7, CAN_RAW = 1, CAN_RAW_ERR_FILTER = 2, CAN_RAW_FD_FRAMES = 5, CAN_RAW_FILTER = 1,
        CAN_RAW_JOIN_FILTERS = 6, CAN_RAW_LOOPBACK = 3, CAN_RAW_RECV_OWN_MSGS = 4,
    }
    "AF_CAN protocol, option, flag or mask", u32 {
        CAN_RTR_FLAG = 0x40000000, CAN_SFF_MASK = 0x7ff,
    }
    "Error code of getaddrinfo and getnameinfo", i32 {
        EAI_ADDRFAMILY = -9, EAI_AGAIN = -3, EAI_BADFLAGS = -1, EAI_FAIL = -4, EAI_FAMILY = -6, EAI_MEMORY = -10, EAI_NODATA = -5,
        EAI_NONAME = -2, EAI_OVERFLOW = -12, EAI_SERVICE = -8, EAI_SOCKTYPE = -7, EAI_SYSTEM = -11,
    }
    "Ethernet protocol", i32 {
        ETHERTYPE_ARP = 0x806, ETHERTYPE_IP = 0x800, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_VLAN = 0x8100,
    }
    "Ethernet protocol of AF_PACKET", i32 {
        ETH_P_ALL = 3,
    }
    "Bluetooth HCI option, device or channel", i32 {
        HCI_CHANNEL_CONTROL = 3, HCI_CHANNEL_LOGGING = 4, HCI_CHANNEL_MONITOR = 2, HCI_CHANNEL_RAW = 0, HCI_CHANNEL_USER = 1,
        HCI_DATA_DIR = 1, HCI_DEV_NONE = 65535, HCI_FILTER = 2, HCI_TIME_STAMP = 3,
    }
    "IPv4 address in host byte order", u32 {
        INADDR_ALLHOSTS_GROUP = 0xe0000001, INADDR_ANY = 0, INADDR_BROADCAST = 0xffffffff, INADDR_LOOPBACK = 0x7f000001,
        INADDR_MAX_LOCAL_GROUP = 0xe00000ff, INADDR_NONE = 0xffffffff, INADDR_UNSPEC_GROUP = 0xe0000000,
    }
    "Request of ioctl", i32 {
        IOCTL_VM_SOCKETS_GET_LOCAL_CID = 1977,
    }
    "Bound of reserved IP ports", i32 {
        IPPORT_RESERVED = 1024, IPPORT_USERRESERVED = 5000,
    }
    "IP protocol", i32 {
        IPPROTO_AH = 51, IPPROTO_DSTOPTS = 60, IPPROTO_EGP = 8, IPPROTO_ESP = 50, IPPROTO_FRAGMENT = 44, IPPROTO_GRE = 47,
        IPPROTO_HOPOPTS = 0, IPPROTO_ICMP = 1, IPPROTO_ICMPV6 = 58, IPPROTO_IDP = 22, IPPROTO_IGMP = 2, IPPROTO_IP = 0, IPPROTO_IPIP = 4,
        IPPROTO_IPV6 = 41, IPPROTO_MPTCP = 262, IPPROTO_NONE = 59, IPPROTO_PIM = 103, IPPROTO_PUP = 12, IPPROTO_RAW = 255,
        IPPROTO_ROUTING = 43, IPPROTO_RSVP = 46, IPPROTO_SCTP = 132, IPPROTO_TCP = 6, IPPROTO_TP = 29, IPPROTO_UDP = 17,
        IPPROTO_UDPLITE = 136,
    }
    "Option, control message or value of level IPPROTO_IPV6", i32 {
        IPV6_CHECKSUM = 7, IPV6_DONTFRAG = 62, IPV6_DSTOPTS = 59, IPV6_HDRINCL = 36, IPV6_HOPLIMIT = 52, IPV6_HOPOPTS = 54,
        IPV6_JOIN_GROUP = 20, IPV6_LEAVE_GROUP = 21, IPV6_MULTICAST_HOPS = 18, IPV6_MULTICAST_IF = 17, IPV6_MULTICAST_LOOP = 19,
        IPV6_NEXTHOP = 9, IPV6_PATHMTU = 61, IPV6_PKTINFO = 50, IPV6_RECVDSTOPTS = 58, IPV6_RECVERR = 25, IPV6_RECVHOPLIMIT = 51,
        IPV6_RECVHOPOPTS = 53, IPV6_RECVPATHMTU = 60, IPV6_RECVPKTINFO = 49, IPV6_RECVRTHDR = 56, IPV6_RECVTCLASS = 66, IPV6_RTHDR = 57,
        IPV6_RTHDRDSTOPTS = 55, IPV6_RTHDR_TYPE_0 = 0, IPV6_TCLASS = 67, IPV6_UNICAST_HOPS = 16, IPV6_V6ONLY = 26,
    }
    "Option, control message or value of level IPPROTO_IP", i32 {
        IP_ADD_MEMBERSHIP = 35, IP_ADD_SOURCE_MEMBERSHIP = 39, IP_BIND_ADDRESS_NO_PORT = 24, IP_BLOCK_SOURCE = 38,
        IP_DEFAULT_MULTICAST_LOOP = 1, IP_DEFAULT_MULTICAST_TTL = 1, IP_DROP_MEMBERSHIP = 36, IP_DROP_SOURCE_MEMBERSHIP = 40,
        IP_FREEBIND = 15, IP_HDRINCL = 3, IP_MAX_MEMBERSHIPS = 20, IP_MULTICAST_IF = 32, IP_MULTICAST_LOOP = 34, IP_MULTICAST_TTL = 33,
        IP_OPTIONS = 4, IP_PKTINFO = 8, IP_RECVERR = 11, IP_RECVOPTS = 6, IP_RECVORIGDSTADDR = 20, IP_RECVRETOPTS = 7, IP_RECVTOS = 13,
        IP_RECVTTL = 12, IP_RETOPTS = 7, IP_TOS = 1, IP_TRANSPARENT = 19, IP_TTL = 2, IP_UNBLOCK_SOURCE = 37,
    }
    "Number of the CAN protocol J1939", i32 {
        J1939_EE_INFO_NONE = 0, J1939_EE_INFO_TX_ABORT = 1, J1939_FILTER_MAX = 512, J1939_IDLE_ADDR = 254, J1939_MAX_UNICAST_ADDR = 253,
        J1939_NLA_BYTES_ACKED = 1, J1939_NLA_PAD = 0, J1939_NO_ADDR = 255, J1939_NO_NAME = 0, J1939_NO_PGN = 262144,
        J1939_PGN_ADDRESS_CLAIMED = 60928, J1939_PGN_ADDRESS_COMMANDED = 65240, J1939_PGN_MAX = 262143, J1939_PGN_PDU1_MAX = 261888,
        J1939_PGN_REQUEST = 59904,
    }
    "Bluetooth L2CAP option or link mode", i32 {
        L2CAP_LM = 3, L2CAP_LM_AUTH = 2, L2CAP_LM_ENCRYPT = 4, L2CAP_LM_MASTER = 1, L2CAP_LM_RELIABLE = 0x10, L2CAP_LM_SECURE = 0x20,
        L2CAP_LM_TRUSTED = 8,
    }
    "Flag of a transfer", i32 {
        MSG_CMSG_CLOEXEC = 0x40000000, MSG_CONFIRM = 0x800, MSG_CTRUNC = 8, MSG_DONTROUTE = 4, MSG_DONTWAIT = 0x40, MSG_EOR = 0x80,
        MSG_ERRQUEUE = 0x2000, MSG_FASTOPEN = 0x20000000, MSG_MORE = 0x8000, MSG_NOSIGNAL = 0x4000, MSG_OOB = 1, MSG_PEEK = 2,
        MSG_TRUNC = 0x20, MSG_WAITALL = 0x100,
    }
    "Protocol of AF_NETLINK, or option of level SOL_NETLINK", i32 {
        NETLINK_CRYPTO = 21, NETLINK_DNRTMSG = 14, NETLINK_FIREWALL = 3, NETLINK_IP6_FW = 13, NETLINK_NFLOG = 5, NETLINK_ROUTE = 0,
        NETLINK_USERSOCK = 2, NETLINK_XFRM = 6,
    }
    "Flag or buffer size of getnameinfo", i32 {
        NI_DGRAM = 16, NI_IDN = 32, NI_MAXHOST = 1025, NI_MAXSERV = 32, NI_NAMEREQD = 8, NI_NOFQDN = 4, NI_NUMERICHOST = 1,
        NI_NUMERICSERV = 2,
    }
    "AF_PACKET packet type, or option of level SOL_PACKET", i32 {
        PACKET_BROADCAST = 1, PACKET_FASTROUTE = 6, PACKET_HOST = 0, PACKET_LOOPBACK = 5, PACKET_MULTICAST = 2, PACKET_OTHERHOST = 3,
        PACKET_OUTGOING = 4,
    }
    "Protocol family", i32 {
        PF_CAN = 29, PF_PACKET = 17, PF_RDS = 21,
    }
    "AF_RDS option, control message or flag", i32 {
        RDS_CANCEL_SENT_TO = 1, RDS_CMSG_RDMA_ARGS = 1, RDS_CMSG_RDMA_DEST = 2, RDS_CMSG_RDMA_MAP = 3, RDS_CMSG_RDMA_STATUS = 4,
        RDS_CONG_MONITOR = 6, RDS_FREE_MR = 3, RDS_GET_MR = 2, RDS_GET_MR_FOR_DEST = 7, RDS_RDMA_DONTWAIT = 16, RDS_RDMA_FENCE = 2,
        RDS_RDMA_INVALIDATE = 4, RDS_RDMA_NOTIFY_ME = 32, RDS_RDMA_READWRITE = 1, RDS_RDMA_USE_ONCE = 8, RDS_RECVERR = 5,
    }
    "Bluetooth RFCOMM option or link mode", i32 {
        RFCOMM_LM = 3, RFCOMM_LM_AUTH = 2, RFCOMM_LM_ENCRYPT = 4, RFCOMM_LM_MASTER = 1, RFCOMM_LM_RELIABLE = 0x10,
        RFCOMM_LM_SECURE = 0x20, RFCOMM_LM_TRUSTED = 8,
    }
    "Type of a control message", i32 {
        SCM_CREDENTIALS = 2, SCM_J1939_DEST_ADDR = 1, SCM_J1939_DEST_NAME = 2, SCM_J1939_ERRQUEUE = 4, SCM_J1939_PRIO = 3,
        SCM_RIGHTS = 1,
    }
    "Direction of shutdown", i32 {
        SHUT_RD = 0, SHUT_RDWR = 2, SHUT_WR = 1,
    }
    "Socket type, or flag beside one", i32 {
        SOCK_CLOEXEC = 0x80000, SOCK_DGRAM = 2, SOCK_NONBLOCK = 0x800, SOCK_RAW = 3, SOCK_RDM = 4, SOCK_SEQPACKET = 5, SOCK_STREAM = 1,
    }
    "Level of options and control messages", i32 {
        SOL_ALG = 279, SOL_BLUETOOTH = 274, SOL_CAN_BASE = 100, SOL_CAN_RAW = 101, SOL_HCI = 0, SOL_IP = 0, SOL_L2CAP = 6, SOL_RDS = 276,
        SOL_RFCOMM = 18, SOL_SCO = 17, SOL_SOCKET = 1, SOL_TCP = 6, SOL_TIPC = 271, SOL_UDP = 17,
    }
    "Upper bound of listen's backlog", i32 {
        SOMAXCONN = 4096,
    }
    "Option of level SOL_SOCKET, or of the family that its name holds", i32 {
        SO_ACCEPTCONN = 30, SO_BINDTODEVICE = 25, SO_BINDTOIFINDEX = 62, SO_BROADCAST = 6, SO_DEBUG = 1, SO_DOMAIN = 39,
        SO_DONTROUTE = 5, SO_ERROR = 4, SO_INCOMING_CPU = 49, SO_J1939_ERRQUEUE = 4, SO_J1939_FILTER = 1, SO_J1939_PROMISC = 2,
        SO_J1939_SEND_PRIO = 3, SO_KEEPALIVE = 9, SO_LINGER = 13, SO_MARK = 36, SO_OOBINLINE = 10, SO_PASSCRED = 16, SO_PASSRIGHTS = 83,
        SO_PASSSEC = 34, SO_PEERCRED = 17, SO_PEERSEC = 31, SO_PRIORITY = 12, SO_PROTOCOL = 38, SO_RCVBUF = 8, SO_RCVLOWAT = 18,
        SO_RCVTIMEO = 20, SO_REUSEADDR = 2, SO_REUSEPORT = 15, SO_SNDBUF = 7, SO_SNDLOWAT = 19, SO_SNDTIMEO = 21, SO_TYPE = 3,
        SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2, SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1, SO_VM_SOCKETS_BUFFER_SIZE = 0,
    }
    "Option of level IPPROTO_TCP", i32 {
        TCP_CC_INFO = 26, TCP_CONGESTION = 13, TCP_CORK = 3, TCP_DEFER_ACCEPT = 9, TCP_FASTOPEN = 23, TCP_FASTOPEN_CONNECT = 30,
        TCP_FASTOPEN_KEY = 33, TCP_FASTOPEN_NO_COOKIE = 34, TCP_INFO = 11, TCP_INQ = 36, TCP_KEEPCNT = 6, TCP_KEEPIDLE = 4,
        TCP_KEEPINTVL = 5, TCP_LINGER2 = 8, TCP_MAXSEG = 2, TCP_MD5SIG = 14, TCP_MD5SIG_EXT = 32, TCP_NODELAY = 1,
        TCP_NOTSENT_LOWAT = 25, TCP_QUEUE_SEQ = 21, TCP_QUICKACK = 12, TCP_REPAIR = 19, TCP_REPAIR_OPTIONS = 22, TCP_REPAIR_QUEUE = 20,
        TCP_REPAIR_WINDOW = 29, TCP_SAVED_SYN = 28, TCP_SAVE_SYN = 27, TCP_SYNCNT = 7, TCP_THIN_DUPACK = 17,
        TCP_THIN_LINEAR_TIMEOUTS = 16, TCP_TIMESTAMP = 24, TCP_TX_DELAY = 37, TCP_ULP = 31, TCP_USER_TIMEOUT = 18, TCP_WINDOW_CLAMP = 10,
        TCP_ZEROCOPY_RECEIVE = 35,
    }
    "AF_TIPC address type, scope, option or event", i32 {
        TIPC_ADDR_ID = 3, TIPC_ADDR_NAME = 2, TIPC_ADDR_NAMESEQ = 1, TIPC_CFG_SRV = 0, TIPC_CLUSTER_SCOPE = 2, TIPC_CONN_TIMEOUT = 130,
        TIPC_CRITICAL_IMPORTANCE = 3, TIPC_DEST_DROPPABLE = 129, TIPC_HIGH_IMPORTANCE = 2, TIPC_IMPORTANCE = 127,
        TIPC_LOW_IMPORTANCE = 0, TIPC_MEDIUM_IMPORTANCE = 1, TIPC_NODE_SCOPE = 3, TIPC_PUBLISHED = 1, TIPC_SRC_DROPPABLE = 128,
        TIPC_SUBSCR_TIMEOUT = 3, TIPC_SUB_CANCEL = 4, TIPC_SUB_PORTS = 1, TIPC_SUB_SERVICE = 2, TIPC_TOP_SRV = 1, TIPC_WAIT_FOREVER = -1,
        TIPC_WITHDRAWN = 2, TIPC_ZONE_SCOPE = 1,
    }
    "Option of level IPPROTO_UDPLITE", i32 {
        UDPLITE_RECV_CSCOV = 11, UDPLITE_SEND_CSCOV = 10,
    }
    "AF_VSOCK context or port", u32 {
        VMADDR_CID_ANY = 0xffffffff, VMADDR_CID_HOST = 2, VMADDR_CID_LOCAL = 1, VMADDR_PORT_ANY = 0xffffffff,
    }
    "AF_VSOCK version", u32 {
        VM_SOCKETS_INVALID_VERSION = 0xffffffff,
    }
}

constants! {
    /// The integers that the `socket` module does not have, sorted by name.
    MORE:
    "Address family", i32 {
        AF_CAIF = 37, AF_IB = 27, AF_IEEE802154 = 36, AF_ISDN = 34, AF_IUCV = 32, AF_KCM = 41, AF_LOCAL = 1, AF_MCTP = 45, AF_MPLS = 28,
        AF_NFC = 39, AF_PHONET = 35, AF_RXRPC = 33, AF_SMC = 43, AF_XDP = 44,
    }
    "Flag of getaddrinfo's hints", i32 {
        AI_CANONIDN = 0x80, AI_IDN = 0x40,
    }
    "AF_ALG option or operation", i32 {
        ALG_SET_DRBG_ENTROPY = 6, ALG_SET_KEY_BY_KEY_SERIAL = 7,
    }
    "Part of an instruction of a socket filter (classic BPF)", u32 {
        BPF_ABS = 0x20, BPF_ALU = 4, BPF_B = 0x10, BPF_H = 8, BPF_IMM = 0, BPF_JA = 0, BPF_JEQ = 0x10, BPF_JGT = 0x20, BPF_JMP = 5,
        BPF_K = 0, BPF_LD = 0, BPF_LDX = 1, BPF_RET = 6, BPF_RSH = 0x70, BPF_W = 0,
    }
    "Protocol of AF_BLUETOOTH", i32 {
        BTPROTO_AVDTP = 7, BTPROTO_BNEP = 4, BTPROTO_CMTP = 5, BTPROTO_HIDP = 6, BTPROTO_ISO = 8,
    }
    "Bluetooth option or value, of level SOL_BLUETOOTH", i32 {
        BT_ISO_BASE = 20, BT_ISO_QOS = 17, BT_PKT_STATUS = 16, BT_SCM_ERROR = 4, BT_SCM_PKT_STATUS = 3,
    }
    "AF_CAN protocol, option, flag or mask", i32 {
        CAN_ISOTP_LL_OPTS = 5, CAN_ISOTP_OPTS = 1, CAN_ISOTP_RECV_FC = 2, CAN_ISOTP_RX_STMIN = 4, CAN_ISOTP_TX_STMIN = 3,
        CAN_ISOTP_WAIT_TX_DONE = 0x400, CAN_RAW_XL_FRAMES = 7,
    }
    "Error code of getaddrinfo and getnameinfo", i32 {
        EAI_ALLDONE = -103, EAI_CANCELED = -101, EAI_IDN_ENCODE = -105, EAI_INPROGRESS = -100, EAI_INTR = -104, EAI_NOTCANCELED = -102,
    }
    "Event or flag of epoll", u32 {
        EPOLLERR = 8, EPOLLET = 0x80000000, EPOLLEXCLUSIVE = 0x10000000, EPOLLHUP = 0x10, EPOLLIN = 1, EPOLLMSG = 0x400,
        EPOLLONESHOT = 0x40000000, EPOLLOUT = 4, EPOLLPRI = 2, EPOLLRDBAND = 0x80, EPOLLRDHUP = 0x2000, EPOLLRDNORM = 0x40,
        EPOLLWAKEUP = 0x20000000, EPOLLWRBAND = 0x200, EPOLLWRNORM = 0x100, EPOLL_CLOEXEC = 0x80000,
    }
    "h_errno of the gethostby functions", i32 {
        HOST_NOT_FOUND = 1,
    }
    "Option of a raw ICMPv6 socket", i32 {
        ICMPV6_FILTER = 1,
    }
    "Option of a raw ICMP socket", i32 {
        ICMP_FILTER = 1,
    }
    "IP protocol", i32 {
        IPPROTO_BEETPH = 94, IPPROTO_COMP = 108, IPPROTO_DCCP = 33, IPPROTO_ENCAP = 98, IPPROTO_ETHERNET = 143, IPPROTO_L2TP = 115,
        IPPROTO_MH = 135, IPPROTO_MPLS = 137, IPPROTO_MTP = 92, IPPROTO_SMC = 256,
    }
    "Option, control message or value of level IPPROTO_IPV6", i32 {
        IPV6_2292DSTOPTS = 4, IPV6_2292HOPLIMIT = 8, IPV6_2292HOPOPTS = 3, IPV6_2292PKTINFO = 2, IPV6_2292PKTOPTIONS = 6,
        IPV6_2292RTHDR = 5, IPV6_ADDRFORM = 1, IPV6_ADDR_PREFERENCES = 72, IPV6_ADD_MEMBERSHIP = 20, IPV6_AUTHHDR = 10,
        IPV6_AUTOFLOWLABEL = 70, IPV6_DROP_MEMBERSHIP = 21, IPV6_FLOWINFO = 11, IPV6_FLOWINFO_SEND = 33, IPV6_FLOWLABEL_MGR = 32,
        IPV6_FREEBIND = 78, IPV6_IPSEC_POLICY = 34, IPV6_JOIN_ANYCAST = 27, IPV6_LEAVE_ANYCAST = 28, IPV6_MINHOPCOUNT = 73,
        IPV6_MTU = 24, IPV6_MTU_DISCOVER = 23, IPV6_MULTICAST_ALL = 29, IPV6_ORIGDSTADDR = 74, IPV6_PMTUDISC_DO = 2,
        IPV6_PMTUDISC_DONT = 0, IPV6_PMTUDISC_INTERFACE = 4, IPV6_PMTUDISC_OMIT = 5, IPV6_PMTUDISC_PROBE = 3, IPV6_PMTUDISC_WANT = 1,
        IPV6_RECVERR_RFC4884 = 31, IPV6_RECVFRAGSIZE = 77, IPV6_RECVORIGDSTADDR = 74, IPV6_ROUTER_ALERT = 22,
        IPV6_ROUTER_ALERT_ISOLATE = 30, IPV6_TRANSPARENT = 75, IPV6_UNICAST_IF = 76, IPV6_USE_MIN_MTU = 63, IPV6_XFRM_POLICY = 35,
    }
    "Option, control message or value of level IPPROTO_IP", i32 {
        IP_CHECKSUM = 23, IP_IPSEC_POLICY = 16, IP_LOCAL_PORT_RANGE = 51, IP_MINTTL = 21, IP_MSFILTER = 41, IP_MTU = 14,
        IP_MTU_DISCOVER = 10, IP_MULTICAST_ALL = 49, IP_NODEFRAG = 22, IP_ORIGDSTADDR = 20, IP_PASSSEC = 18, IP_PKTOPTIONS = 9,
        IP_PMTUDISC_DO = 2, IP_PMTUDISC_DONT = 0, IP_PMTUDISC_INTERFACE = 4, IP_PMTUDISC_OMIT = 5, IP_PMTUDISC_PROBE = 3,
        IP_PMTUDISC_WANT = 1, IP_PROTOCOL = 52, IP_RECVERR_RFC4884 = 26, IP_RECVFRAGSIZE = 25, IP_ROUTER_ALERT = 5, IP_UNICAST_IF = 50,
        IP_XFRM_POLICY = 17,
    }
    "Bluetooth L2CAP option or link mode", i32 {
        L2CAP_CONNINFO = 2, L2CAP_OPTIONS = 1,
    }
    "Multicast option of levels IPPROTO_IP and IPPROTO_IPV6", i32 {
        MCAST_BLOCK_SOURCE = 43, MCAST_JOIN_GROUP = 42, MCAST_JOIN_SOURCE_GROUP = 46, MCAST_LEAVE_GROUP = 45,
        MCAST_LEAVE_SOURCE_GROUP = 47, MCAST_MSFILTER = 48, MCAST_UNBLOCK_SOURCE = 44,
    }
    "Flag of a transfer", i32 {
        MSG_BATCH = 0x40000, MSG_FIN = 0x200, MSG_PROXY = 0x10, MSG_RST = 0x1000, MSG_SOCK_DEVMEM = 0x2000000, MSG_SYN = 0x400,
        MSG_WAITFORONE = 0x10000, MSG_ZEROCOPY = 0x4000000,
    }
    "h_errno of the gethostby functions", i32 {
        NETDB_INTERNAL = -1, NETDB_SUCCESS = 0,
    }
    "Protocol of AF_NETLINK, or option of level SOL_NETLINK", i32 {
        NETLINK_ADD_MEMBERSHIP = 1, NETLINK_AUDIT = 9, NETLINK_BROADCAST_ERROR = 4, NETLINK_CAP_ACK = 10, NETLINK_CONNECTOR = 11,
        NETLINK_DROP_MEMBERSHIP = 2, NETLINK_ECRYPTFS = 19, NETLINK_EXT_ACK = 11, NETLINK_FIB_LOOKUP = 10, NETLINK_GENERIC = 16,
        NETLINK_GET_STRICT_CHK = 12, NETLINK_ISCSI = 8, NETLINK_KOBJECT_UEVENT = 15, NETLINK_LISTEN_ALL_NSID = 8,
        NETLINK_LIST_MEMBERSHIPS = 9, NETLINK_NETFILTER = 12, NETLINK_NO_ENOBUFS = 5, NETLINK_PKTINFO = 3, NETLINK_RDMA = 20,
        NETLINK_RX_RING = 6, NETLINK_SCSITRANSPORT = 18, NETLINK_SELINUX = 7, NETLINK_SMC = 22, NETLINK_SOCK_DIAG = 4,
        NETLINK_TX_RING = 7,
    }
    "h_errno of the gethostby functions", i32 {
        NO_ADDRESS = 4, NO_DATA = 4, NO_RECOVERY = 3,
    }
    "AF_PACKET packet type, or option of level SOL_PACKET", i32 {
        PACKET_ADD_MEMBERSHIP = 1, PACKET_AUXDATA = 8, PACKET_COPY_THRESH = 7, PACKET_DROP_MEMBERSHIP = 2, PACKET_FANOUT = 18,
        PACKET_FANOUT_DATA = 22, PACKET_HDRLEN = 11, PACKET_IGNORE_OUTGOING = 23, PACKET_KERNEL = 7, PACKET_LOSS = 14,
        PACKET_ORIGDEV = 9, PACKET_QDISC_BYPASS = 20, PACKET_RECV_OUTPUT = 3, PACKET_RESERVE = 12, PACKET_ROLLOVER_STATS = 21,
        PACKET_RX_RING = 5, PACKET_STATISTICS = 6, PACKET_TIMESTAMP = 17, PACKET_TX_HAS_OFF = 19, PACKET_TX_RING = 13,
        PACKET_TX_TIMESTAMP = 16, PACKET_USER = 6, PACKET_VERSION = 10, PACKET_VNET_HDR = 15, PACKET_VNET_HDR_SZ = 24,
    }
    "Event of poll", i32 {
        POLLERR = 8, POLLHUP = 0x10, POLLIN = 1, POLLMSG = 0x400, POLLNVAL = 0x20, POLLOUT = 4, POLLPRI = 2, POLLRDBAND = 0x80,
        POLLRDHUP = 0x2000, POLLRDNORM = 0x40, POLLWRBAND = 0x200, POLLWRNORM = 0x100,
    }
    "AF_RDS option, control message or flag", i32 {
        RDS_TRANS_IB = 0, RDS_TRANS_TCP = 2,
    }
    "Bluetooth RFCOMM option or link mode", i32 {
        RFCOMM_CONNINFO = 2,
    }
    "Type of a control message", i32 {
        SCM_DEVMEM_DMABUF = 79, SCM_DEVMEM_LINEAR = 78, SCM_INQ = 84, SCM_PIDFD = 4, SCM_SECURITY = 3, SCM_TIMESTAMP = 29,
        SCM_TIMESTAMPING = 37, SCM_TIMESTAMPING_OPT_STATS = 54, SCM_TIMESTAMPING_PKTINFO = 58, SCM_TIMESTAMPNS = 35, SCM_TS_OPT_ID = 81,
        SCM_TXTIME = 61, SCM_WIFI_STATUS = 41,
    }
    "Bluetooth SCO option", i32 {
        SCO_CONNINFO = 2, SCO_OPTIONS = 1,
    }
    "Socket type, or flag beside one", i32 {
        SOCK_DCCP = 6, SOCK_PACKET = 10,
    }
    "Level of options and control messages", i32 {
        SOL_AAL = 265, SOL_ATM = 264, SOL_CAIF = 278, SOL_CAN_BCM = 102, SOL_CAN_ISOTP = 106, SOL_CAN_J1939 = 107, SOL_DCCP = 269,
        SOL_DECNET = 261, SOL_ICMPV6 = 58, SOL_IPV6 = 41, SOL_IRDA = 266, SOL_IUCV = 277, SOL_KCM = 281, SOL_LLC = 268, SOL_MCTP = 285,
        SOL_MPTCP = 284, SOL_NETBEUI = 267, SOL_NETLINK = 270, SOL_NFC = 280, SOL_PACKET = 263, SOL_PNPIPE = 275, SOL_PPPOL2TP = 273,
        SOL_RAW = 255, SOL_RXRPC = 272, SOL_SCTP = 132, SOL_SMC = 286, SOL_TLS = 282, SOL_UDPLITE = 136, SOL_VSOCK = 287, SOL_X25 = 262,
        SOL_XDP = 283,
    }
    "Option of level SOL_SOCKET, or of the family that its name holds", i32 {
        SO_ATTACH_BPF = 50, SO_ATTACH_FILTER = 26, SO_ATTACH_REUSEPORT_CBPF = 51, SO_ATTACH_REUSEPORT_EBPF = 52, SO_BPF_EXTENSIONS = 48,
        SO_BSDCOMPAT = 14, SO_BUF_LOCK = 72, SO_BUSY_POLL = 46, SO_BUSY_POLL_BUDGET = 70, SO_CNX_ADVICE = 53, SO_COOKIE = 57,
        SO_DETACH_BPF = 27, SO_DETACH_FILTER = 27, SO_DETACH_REUSEPORT_BPF = 68, SO_DEVMEM_DMABUF = 79, SO_DEVMEM_DONTNEED = 80,
        SO_DEVMEM_LINEAR = 78, SO_GET_FILTER = 26, SO_INCOMING_NAPI_ID = 56, SO_INQ = 84, SO_LOCK_FILTER = 44, SO_MAX_PACING_RATE = 47,
        SO_MEMINFO = 55, SO_NETNS_COOKIE = 71, SO_NOFCS = 43, SO_NO_CHECK = 11, SO_PASSPIDFD = 76, SO_PEEK_OFF = 42, SO_PEERGROUPS = 59,
        SO_PEERNAME = 28, SO_PEERPIDFD = 77, SO_PREFER_BUSY_POLL = 69, SO_RCVBUFFORCE = 33, SO_RCVMARK = 75, SO_RCVPRIORITY = 82,
        SO_RCVTIMEO_NEW = 66, SO_RCVTIMEO_OLD = 20, SO_RDS_MSG_RXPATH_LATENCY = 10, SO_RDS_TRANSPORT = 8, SO_RESERVE_MEM = 73,
        SO_RXQ_OVFL = 40, SO_SELECT_ERR_QUEUE = 45, SO_SNDBUFFORCE = 32, SO_SNDTIMEO_NEW = 67, SO_SNDTIMEO_OLD = 21, SO_TIMESTAMP = 29,
        SO_TIMESTAMPING = 37, SO_TIMESTAMPING_NEW = 65, SO_TIMESTAMPING_OLD = 37, SO_TIMESTAMPNS = 35, SO_TIMESTAMPNS_NEW = 64,
        SO_TIMESTAMPNS_OLD = 35, SO_TIMESTAMP_NEW = 63, SO_TIMESTAMP_OLD = 29, SO_TXREHASH = 74, SO_TXTIME = 61,
        SO_VM_SOCKETS_CONNECT_TIMEOUT = 6, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6,
        SO_VM_SOCKETS_NONBLOCK_TXRX = 7, SO_VM_SOCKETS_PEER_HOST_VM_ID = 3, SO_VM_SOCKETS_TRUSTED = 5, SO_WIFI_STATUS = 41,
        SO_ZEROCOPY = 60,
    }
    "Option of level IPPROTO_TCP", i32 {
        TCP_AO_ADD_KEY = 38, TCP_AO_DEL_KEY = 39, TCP_AO_GET_KEYS = 41, TCP_AO_INFO = 40, TCP_AO_REPAIR = 42, TCP_DELACK_MAX_US = 46,
        TCP_IS_MPTCP = 43, TCP_RTO_MAX_MS = 44, TCP_RTO_MIN_US = 45,
    }
    "Option of level SOL_TLS", i32 {
        TLS_RX = 2, TLS_TX = 1,
    }
    "h_errno of the gethostby functions", i32 {
        TRY_AGAIN = 2,
    }
    "Option of level IPPROTO_UDP", i32 {
        UDP_CORK = 1, UDP_ENCAP = 100, UDP_GRO = 104, UDP_NO_CHECK6_RX = 102, UDP_NO_CHECK6_TX = 101, UDP_SEGMENT = 103,
    }
    "AF_VSOCK context or port", u32 {
        VMADDR_CID_HYPERVISOR = 0,
    }
}

constants! {
    /// The integers that the newest CPython's `socket` module has only on Windows, macOS or a BSD,
    /// with their values there, sorted by name. On Linux a call that takes one fails with
    /// EOPNOTSUPP, EAFNOSUPPORT or ENOPROTOOPT, or the number means something else.
    FOREIGN:
    "Address family of another system", i32 {
        AF_DIVERT = 44, AF_HYPERV = 34, AF_LINK = 18, AF_SYSTEM = 32,
    }
    "Error code of getaddrinfo on the BSDs and macOS", i32 {
        EAI_BADHINTS = 12, EAI_MAX = 15, EAI_PROTOCOL = 13,
    }
    "Socket of Windows' AF_HYPERV", i32 {
        HVSOCKET_ADDRESS_FLAG_PASSTHRU = 1, HVSOCKET_CONNECTED_SUSPEND = 4, HVSOCKET_CONNECT_TIMEOUT = 1,
        HVSOCKET_CONNECT_TIMEOUT_MAX = 300000, HV_PROTOCOL_RAW = 1,
    }
    "IP protocol of another system", i32 {
        IPPROTO_EON = 80, IPPROTO_GGP = 3, IPPROTO_HELLO = 63, IPPROTO_IPCOMP = 108, IPPROTO_IPV4 = 4, IPPROTO_MAX = 256,
        IPPROTO_ND = 77, IPPROTO_XTP = 36,
    }
    "Option of level IPPROTO_IP on the BSDs and macOS", i32 {
        IP_PORTRANGE = 19, IP_PORTRANGE_DEFAULT = 0, IP_PORTRANGE_HIGH = 1, IP_PORTRANGE_LOW = 2, IP_RECVDSTADDR = 7,
    }
    "Option of AF_UNIX on the BSDs and macOS", i32 {
        LOCAL_CREDS = 2, LOCAL_CREDS_PERSISTENT = 3, LOCAL_PEERCRED = 1,
    }
    "Flag of a transfer on another system", i32 {
        MSG_BCAST = 0x400, MSG_EOF = 0x100, MSG_MCAST = 0x800,
    }
    "Protocol family of another system", i32 {
        PF_DIVERT = 44, PF_SYSTEM = 32,
    }
    "Value of Windows' SIO_RCVALL", i32 {
        RCVALL_MAX = 3, RCVALL_OFF = 0, RCVALL_ON = 1, RCVALL_SOCKETLEVELONLY = 2,
    }
    "Type of a control message on the BSDs and macOS", i32 {
        SCM_CREDS = 3, SCM_CREDS2 = 8,
    }
    "Request of Windows' ioctl", u32 {
        SIO_KEEPALIVE_VALS = 0x98000004, SIO_LOOPBACK_FAST_PATH = 0x98000010, SIO_RCVALL = 0x98000001,
    }
    "Socket option of another system", u32 {
        SO_BTH_AUTHENTICATE = 0x80000001, SO_BTH_ENCRYPT = 2, SO_BTH_MTU = 0x80000007, SO_BTH_MTU_MAX = 0x80000008,
        SO_BTH_MTU_MIN = 0x8000000a,
    }
    "Socket option of another system", i32 {
        SO_EXCLUSIVEADDRUSE = -5, SO_HCI_DIRECTION = 3, SO_HCI_EVT_FILTER = 1, SO_HCI_PKT_FILTER = 2, SO_L2CAP_FLUSH = 5,
        SO_L2CAP_IMTU = 1, SO_L2CAP_LM = 6, SO_L2CAP_OMTU = 2, SO_REUSEPORT_LB = 0x10000, SO_RFCOMM_FC_INFO = 2, SO_RFCOMM_LM = 3,
        SO_RFCOMM_MTU = 1, SO_RTABLE = 0x1021, SO_SCO_HANDLE = 2, SO_SCO_MTU = 1, SO_SETFIB = 0x1014, SO_USELOOPBACK = 0x40,
        SO_USER_COOKIE = 0x1015,
    }
    "Protocol of macOS' PF_SYSTEM", i32 {
        SYSPROTO_CONTROL = 2,
    }
    "Option of level IPPROTO_TCP on macOS", i32 {
        TCP_CONNECTION_INFO = 0x106, TCP_KEEPALIVE = 0x10,
    }
}

/// Every name that Linux has with its number, sorted by name.
pub static CONSTANTS: &[(&str, i64)] =
    &merged::<{ SOCKET_MODULE.len() + MORE.len() }>(SOCKET_MODULE, MORE);

/// The number of a name, for example 2 for `AF_INET`.
#[must_use]
pub fn constant(name: &str) -> Option<i64> {
    let at = CONSTANTS.binary_search_by_key(&name, |&(name, _)| name).ok()?;
    CONSTANTS.get(at).map(|&(_, number)| number)
}

/// `BDADDR_ANY`: the Bluetooth device address that stands for any adapter.
pub const BDADDR_ANY: &str = "00:00:00:00:00:00";
/// `BDADDR_LOCAL`: the Bluetooth device address that stands for the local host.
pub const BDADDR_LOCAL: &str = "00:00:00:FF:FF:FF";

/// The names of the `socket` module whose values are strings, sorted by name.
pub static STRINGS: &[(&str, &str)] = &[("BDADDR_ANY", BDADDR_ANY), ("BDADDR_LOCAL", BDADDR_LOCAL)];

/// The strings that the module has only on Windows: identifiers of AF_HYPERV's partitions, sorted
/// by name.
pub static FOREIGN_STRINGS: &[(&str, &str)] = &[
    ("HV_GUID_BROADCAST", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
    ("HV_GUID_CHILDREN", "90DB8B89-0D35-4F79-8CE9-49EA0AC8B7CD"),
    ("HV_GUID_LOOPBACK", "E0E16197-DD56-4A10-9195-5EE7A155A838"),
    ("HV_GUID_PARENT", "A42E7CDA-D03F-480C-9CC2-A4DE20ABB878"),
    ("HV_GUID_WILDCARD", "00000000-0000-0000-0000-000000000000"),
    ("HV_GUID_ZERO", "00000000-0000-0000-0000-000000000000"),
];

/// Python's `has_ipv6`: the library was built for IPv6. It does not say whether the machine has it.
pub const HAS_IPV6: bool = true;

/// glibc's `gai_strerror` text of an `EAI_*` code. None for every other code, and for
/// `EAI_OVERFLOW`, which has no text in glibc. There `gai_strerror` returns `Unknown error`.
#[must_use]
pub fn address_info_text(code: i32) -> Option<&'static str> {
    Some(match code {
        EAI_BADFLAGS => "Bad value for ai_flags",
        EAI_NONAME => "Name or service not known",
        EAI_AGAIN => "Temporary failure in name resolution",
        EAI_FAIL => "Non-recoverable failure in name resolution",
        EAI_NODATA => "No address associated with hostname",
        EAI_FAMILY => "ai_family not supported",
        EAI_SOCKTYPE => "ai_socktype not supported",
        EAI_SERVICE => "Servname not supported for ai_socktype",
        EAI_ADDRFAMILY => "Address family for hostname not supported",
        EAI_MEMORY => "Memory allocation failure",
        EAI_SYSTEM => "System error",
        EAI_INPROGRESS => "Processing request in progress",
        EAI_CANCELED => "Request canceled",
        EAI_NOTCANCELED => "Request not canceled",
        EAI_ALLDONE => "All requests done",
        EAI_INTR => "Interrupted by a signal",
        EAI_IDN_ENCODE => "Parameter string not correctly encoded",
        _ => return None,
    })
}

/// glibc's `hstrerror` text of an `h_errno`. None for any other number, for which glibc returns
/// `Unknown resolver error`, or below -1 `Resolver internal error`.
#[must_use]
pub fn host_text(code: i32) -> Option<&'static str> {
    Some(match code {
        NETDB_INTERNAL => "Resolver internal error",
        NETDB_SUCCESS => "Resolver Error 0 (no error)",
        HOST_NOT_FOUND => "Unknown host",
        TRY_AGAIN => "Host name lookup failure",
        NO_RECOVERY => "Unknown server error",
        NO_DATA => "No address associated with name",
        _ => return None,
    })
}

/// Merges two sorted tables at compile time, so that each number is written down once.
const fn merged<const N: usize>(
    left: &[(&'static str, i64)],
    right: &[(&'static str, i64)],
) -> [(&'static str, i64); N] {
    let mut rows = [("", 0); N];
    let (mut l, mut r) = (0, 0);
    while l + r < N {
        let from_left = r == right.len() || (l < left.len() && is_before(left[l].0, right[r].0));
        rows[l + r] = if from_left { left[l] } else { right[r] };
        if from_left {
            l += 1;
        } else {
            r += 1;
        }
    }
    rows
}

/// `left < right`, for a constant context.
const fn is_before(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}
