//! The verbs: what a rule can allow or deny.

pub(crate) mod can;
pub(crate) mod family;
pub(crate) mod netlink;
pub(crate) mod packet;
pub(crate) mod raw;
mod unix_paths;

use std::fmt;

/// What a rule allows or denies to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Connect a TCP socket, its implicit bind included.
    TcpConnect,
    /// Bind a TCP socket, and listen on it.
    TcpListen,
    /// Bind a UDP socket.
    UdpBind,
    /// Send datagrams, and get the replies; the implicit bind included.
    UdpSend,
    /// Get datagrams from somebody.
    UdpReceive,
    /// Connect or send to a UNIX socket.
    UnixConnect,
    /// Bind a UNIX socket.
    UnixBind,
    /// Use a CAN interface.
    Can,
    /// Use a family that has no verb of its own.
    Family,
    /// Look up a name.
    Resolve,
    /// Ask for the name of an address.
    ReverseResolve,
    /// See this host's network interfaces.
    Interfaces,
    /// Read and set this host's name.
    Hostname,
    /// Get and set an option that is not ordinary, as an option or a control message.
    Option,
    /// Pass descriptors or forge credentials.
    Ancillary,
    /// Take a descriptor that was handed over at the start.
    Inherit,
    /// Send and get IP packets of a protocol, by raw and ping sockets.
    Raw,
    /// Send and get the frames of an interface.
    Packet,
    /// Ask the kernel for its own tables, and change them.
    Netlink,
    /// Join a multicast group.
    Multicast,
    /// Ask for what is not ordinary by ioctl.
    Ioctl,
}

/// What a verb's target looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `HOST:PORT` of another host.
    Remote,
    /// `HOST:PORT` of this host: an address, no name.
    Local,
    /// A path, or `@` and an abstract name.
    Unix,
    /// An interface of AF_CAN, and `:` and a protocol.
    Can,
    /// A family, and `:` and what of it.
    Family,
    /// A host name.
    Name,
    /// An address, a network or a host name, without a port.
    Host,
    /// None: the verb stands alone.
    Alone,
    /// One of [`Hostname`]'s words.
    Hostname,
    /// `LEVEL/NAME` of a socket option.
    Option,
    /// One of [`Ancillary`]'s words.
    Ancillary,
    /// `fd:N`, or `stdin` for `fd:0`.
    Descriptor,
    /// `PROTOCOL`, `PROTOCOL:HOST` or `header`: see [`RawPattern`].
    Raw,
    /// `INTERFACE` or `INTERFACE:PROTOCOL`: see [`PacketPattern`].
    Packet,
    /// One of [`NetlinkPattern`]'s words.
    Netlink,
    /// A multicast address or network.
    Multicast,
    /// An ioctl's name.
    Ioctl,
}

/// A row of [`Verb::TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct VerbInfo {
    /// The verb.
    pub verb: Verb,
    /// Its word.
    pub name: &'static str,
    /// What its target looks like.
    pub form: TargetForm,
    /// Targets, for help and errors. None where the verb stands alone.
    pub examples: &'static [&'static str],
    /// What it grants, as the end of a sentence, for help.
    pub about: &'static str,
}

const fn row(
    verb: Verb,
    name: &'static str,
    form: TargetForm,
    examples: &'static [&'static str],
    about: &'static str,
) -> VerbInfo {
    VerbInfo { verb, name, form, examples, about }
}

impl Verb {
    /// Every verb, in the order of the enum.
    pub const TABLE: &[VerbInfo] = &[
        row(
            Self::TcpConnect,
            "tcp-connect",
            TargetForm::Remote,
            &[
                "127.0.0.1:8000",
                "10.0.0.0/8:443",
                "db.example:5432",
                "*.example.com:443",
                "[::1]:*",
            ],
            "connect to HOST:PORT over TCP; a name may be looked up too",
        ),
        row(
            Self::TcpListen,
            "tcp-listen",
            TargetForm::Local,
            &["127.0.0.1:8000", "127.0.0.1:0", "[::]:443", "*:8000-8999"],
            "bind and listen on HOST:PORT over TCP",
        ),
        row(
            Self::UdpBind,
            "udp-bind",
            TargetForm::Local,
            &["127.0.0.1:5353", "0.0.0.0:0", "*:50007"],
            "bind HOST:PORT over UDP; receiving takes udp-receive or udp-send",
        ),
        row(
            Self::UdpSend,
            "udp-send",
            TargetForm::Remote,
            &["127.0.0.1:53", "time.example:123", "192.0.2.0/24:*"],
            "send to HOST:PORT over UDP and get its replies; a name may be looked up too",
        ),
        row(
            Self::UdpReceive,
            "udp-receive",
            TargetForm::Remote,
            &["127.0.0.1:*", "192.0.2.0/24:*", "*:*"],
            "get datagrams from HOST:PORT over UDP",
        ),
        row(
            Self::UnixConnect,
            "unix-connect",
            TargetForm::Unix,
            &["/run/app/*.sock", "/run/**/notify", "@name"],
            "connect and send to a UNIX socket",
        ),
        row(
            Self::UnixBind,
            "unix-bind",
            TargetForm::Unix,
            &["/run/app/*.sock", "@name-*"],
            "bind a UNIX socket",
        ),
        row(
            Self::Can,
            "can",
            TargetForm::Can,
            &["vcan0", "vcan0:raw", "can0:bcm", "*:isotp"],
            "see and send everything on a CAN interface, by one protocol (raw, bcm, isotp, j1939) or all",
        ),
        row(
            Self::Family,
            "family",
            TargetForm::Family,
            &[
                "alg:hash:sha256",
                "alg:skcipher:*(aes)",
                "alg",
                "vsock:connect:host:1024",
                "vsock:listen:any:1024-2047",
                "bluetooth:l2cap",
                "bluetooth:hci:raw",
                "tipc",
                "rds",
                "qipcrtr",
            ],
            "use a family without a verb of its own; of AF_ALG, the algorithms, of AF_VSOCK, the addresses that are named",
        ),
        row(
            Self::Resolve,
            "resolve",
            TargetForm::Name,
            &["db.example", "*.example.com", "*"],
            "look up a name",
        ),
        row(
            Self::ReverseResolve,
            "reverse-resolve",
            TargetForm::Host,
            &["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "db.example", "*"],
            "ask for the name of an address; of a name, of the addresses that it was looked up to",
        ),
        row(
            Self::Interfaces,
            "interfaces",
            TargetForm::Alone,
            &[],
            "see this host's network interfaces, their names and numbers",
        ),
        row(
            Self::Hostname,
            "hostname",
            TargetForm::Hostname,
            &["read", "set"],
            "read this host's own name, or set it",
        ),
        row(
            Self::Option,
            "option",
            TargetForm::Option,
            &["SOL_SOCKET/SO_MARK", "IPPROTO_IP/IP_PKTINFO"],
            "use a socket option that is not ordinary",
        ),
        row(
            Self::Ancillary,
            "ancillary",
            TargetForm::Ancillary,
            &["rights:send", "rights:receive", "rights:receive,any", "credentials:forge"],
            "pass descriptors, forge credentials",
        ),
        row(
            Self::Inherit,
            "inherit",
            TargetForm::Descriptor,
            &["fd:3", "stdin"],
            "take a descriptor that was handed over at the start",
        ),
        row(
            Self::Raw,
            "raw",
            TargetForm::Raw,
            &["icmp", "icmp6:2001:db8::/32", "89:10.0.0.0/8", "17:host.example", "header"],
            "send and get IP packets of a protocol; header is all of IP, with forged senders",
        ),
        row(
            Self::Packet,
            "packet",
            TargetForm::Packet,
            &["eth0", "lo:arp", "*:0x88f7"],
            "send and get the frames of an interface: whatever passes there, with forged senders",
        ),
        row(
            Self::Netlink,
            "netlink",
            TargetForm::Netlink,
            &["route:read", "route:write", "generic:nl80211", "sock-diag:read", "uevent"],
            "read the kernel's own tables; route:write changes the host's network",
        ),
        row(
            Self::Multicast,
            "multicast",
            TargetForm::Multicast,
            &["239.1.2.3", "239.0.0.0/8", "ff02::/16", "*"],
            "join a multicast group",
        ),
        row(
            Self::Ioctl,
            "ioctl",
            TargetForm::Ioctl,
            &["SIOCGIFADDR", "SIOCGIFCONF"],
            "ask for, or set, what is not the socket's own, by ioctl",
        ),
    ];

    /// This verb's row.
    pub fn info(self) -> &'static VerbInfo {
        &Self::TABLE[self as usize]
    }

    /// This verb's word.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Rules of this verb with its targets.
    pub(crate) fn examples(self) -> String {
        let info = self.info();
        info.examples
            .iter()
            .map(|target| format!("{}={target}", info.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) fn by_name(word: &str) -> Option<Self> {
        Self::TABLE.iter().find(|info| info.name == word).map(|info| info.verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
