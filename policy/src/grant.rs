//! One rule: a verb and what it names, `VERB=TARGET`.

use std::fmt;
use std::str::FromStr;

use sandsock_abi::ioctl::{self, Ioctl};
use sandsock_abi::option::{self, Access, SocketOption};

use super::families::{CanPattern, FamilyPattern};
use super::netlink::NetlinkPattern;
use super::packet::PacketPattern;
use super::pattern::{
    EndpointPattern, HostPattern, ParseError, ResolvePattern, UnixPattern, decimal, parse_lone_host,
};
use super::raw::{MulticastPattern, RawPattern};

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
    fn examples(self) -> String {
        let info = self.info();
        info.examples
            .iter()
            .map(|target| format!("{}={target}", info.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn by_name(word: &str) -> Option<Self> {
        Self::TABLE.iter().find(|info| info.name == word).map(|info| info.verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What `ancillary` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ancillary {
    /// `rights:send`: send descriptors.
    RightsSend,
    /// `rights:receive`: receive sockets of families that are granted.
    RightsReceive,
    /// `rights:receive,any`: receive descriptors of any kind. It includes `rights:receive`.
    RightsReceiveAny,
    /// `credentials:forge`: send credentials other than the host's own.
    CredentialsForge,
}

impl Ancillary {
    const ALL: [Self; 4] =
        [Self::RightsSend, Self::RightsReceive, Self::RightsReceiveAny, Self::CredentialsForge];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::RightsSend => "rights:send",
            Self::RightsReceive => "rights:receive",
            Self::RightsReceiveAny => "rights:receive,any",
            Self::CredentialsForge => "credentials:forge",
        }
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

fn unknown_target(text: &str, words: &[&str]) -> ParseError {
    ParseError::new(
        0,
        format!("unknown target `{}`", text.escape_debug()),
        format!("targets are {}{}", words.join(", "), suggestion(text, words.iter().copied())),
    )
}

/// What `hostname` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// `read`: see the real one.
    Read,
    /// `set`: set the real one.
    Set,
}

impl Hostname {
    const ALL: [Self; 2] = [Self::Read, Self::Set];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Set => "set",
        }
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

/// The number under which a descriptor was handed over: `fd:N`, or `stdin` for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorNumber(pub i32);

impl DescriptorNumber {
    const MAX: i32 = 1 << 20;

    fn parse(text: &str) -> Result<Self, ParseError> {
        let hint = "write fd:NUMBER, as in fd:3, or stdin";
        if text == "stdin" {
            return Ok(Self(0));
        }
        let Some(number) = text.strip_prefix("fd:") else {
            return Err(ParseError::new(
                0,
                format!("`{}` is no descriptor", text.escape_debug()),
                hint,
            ));
        };
        match decimal(number).and_then(|number| i32::try_from(number).ok()) {
            Some(number) if number <= Self::MAX => Ok(Self(number)),
            _ => Err(ParseError::new(
                3,
                format!("`{}` is no number of a descriptor", number.escape_debug()),
                hint,
            )),
        }
    }
}

impl FromStr for DescriptorNumber {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text).map_err(|fault| GrantError::new(text, fault))
    }
}

impl fmt::Display for DescriptorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.pad("stdin"),
            number => write!(f, "fd:{number}"),
        }
    }
}

fn parse_option(text: &str) -> Result<&'static SocketOption, ParseError> {
    let Some((level, name)) = text.split_once('/') else {
        return Err(ParseError::new(
            0,
            "the level is missing",
            format!("write LEVEL/NAME{}", near_options(text)),
        ));
    };
    option::by_name(level, name).ok_or_else(|| {
        let what = format!("unknown option `{}`", text.escape_debug());
        ParseError::new(
            0,
            what,
            format!("write LEVEL/NAME, as in SOL_SOCKET/SO_MARK{}", near_options(name)),
        )
    })
}

fn parse_ioctl(text: &str) -> Result<&'static Ioctl, ParseError> {
    let granted =
        || ioctl::IOCTLS.iter().filter(|row| row.access == Access::Granted).map(|row| row.name);
    match ioctl::by_name(text) {
        Some(row) if row.access == Access::Granted => Ok(row),
        Some(row) => {
            let why = if let Access::Refused(why) = row.access { why } else { "it needs no grant" };
            Err(ParseError::new(0, format!("`{}` takes no rule: {why}", row.name), "leave it out"))
        }
        None => Err(ParseError::new(
            0,
            format!("unknown ioctl `{}`", text.escape_debug()),
            format!("write a request's name, as in SIOCGIFADDR{}", suggestion(text, granted())),
        )),
    }
}

/// One rule: `VERB=TARGET`, or `VERB` where it stands alone. Parsed from text, and printed in the
/// form in which denials name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// `tcp-connect=HOST:PORT`.
    TcpConnect(EndpointPattern),
    /// `tcp-listen=ADDRESS:PORT`.
    TcpListen(EndpointPattern),
    /// `udp-bind=ADDRESS:PORT`.
    UdpBind(EndpointPattern),
    /// `udp-send=HOST:PORT`.
    UdpSend(EndpointPattern),
    /// `udp-receive=HOST:PORT`.
    UdpReceive(EndpointPattern),
    /// `unix-connect=PATH` or `unix-connect=@NAME`.
    UnixConnect(UnixPattern),
    /// `unix-bind=PATH` or `unix-bind=@NAME`.
    UnixBind(UnixPattern),
    /// `can=INTERFACE` or `can=INTERFACE:PROTOCOL`.
    Can(CanPattern),
    /// `family=FAMILY` or `family=FAMILY:PART`.
    Family(FamilyPattern),
    /// `resolve=NAME`.
    Resolve(ResolvePattern),
    /// `reverse-resolve=HOST`.
    ReverseResolve(HostPattern),
    /// `interfaces`.
    Interfaces,
    /// `hostname=WHAT`.
    Hostname(Hostname),
    /// `option=LEVEL/NAME`.
    Option(&'static SocketOption),
    /// `ancillary=WHAT`.
    Ancillary(Ancillary),
    /// `inherit=fd:N` or `inherit=stdin`.
    Inherit(DescriptorNumber),
    /// `raw=PROTOCOL:HOST`.
    Raw(RawPattern),
    /// `packet=INTERFACE:PROTOCOL`.
    Packet(PacketPattern),
    /// `netlink=WHAT`.
    Netlink(NetlinkPattern),
    /// `multicast=GROUP`.
    Multicast(MulticastPattern),
    /// `ioctl=NAME`.
    Ioctl(&'static Ioctl),
}

impl Grant {
    /// Its verb.
    pub fn verb(&self) -> Verb {
        match self {
            Self::TcpConnect(_) => Verb::TcpConnect,
            Self::TcpListen(_) => Verb::TcpListen,
            Self::UdpBind(_) => Verb::UdpBind,
            Self::UdpSend(_) => Verb::UdpSend,
            Self::UdpReceive(_) => Verb::UdpReceive,
            Self::UnixConnect(_) => Verb::UnixConnect,
            Self::UnixBind(_) => Verb::UnixBind,
            Self::Can(_) => Verb::Can,
            Self::Family(_) => Verb::Family,
            Self::Resolve(_) => Verb::Resolve,
            Self::ReverseResolve(_) => Verb::ReverseResolve,
            Self::Interfaces => Verb::Interfaces,
            Self::Hostname(_) => Verb::Hostname,
            Self::Option(_) => Verb::Option,
            Self::Ancillary(_) => Verb::Ancillary,
            Self::Inherit(_) => Verb::Inherit,
            Self::Raw(_) => Verb::Raw,
            Self::Packet(_) => Verb::Packet,
            Self::Netlink(_) => Verb::Netlink,
            Self::Multicast(_) => Verb::Multicast,
            Self::Ioctl(_) => Verb::Ioctl,
        }
    }

    fn parse(text: &str) -> Result<Self, ParseError> {
        let (word, target) = match text.split_once('=') {
            Some((word, target)) => (word, Some(target)),
            None => (text, None),
        };
        let Some(verb) = Verb::by_name(word) else {
            return Err(unknown_verb(word));
        };
        let target = match (verb.info().form, target) {
            (TargetForm::Alone, None) => "",
            (TargetForm::Alone, Some(_)) => {
                return Err(ParseError::new(
                    word.len(),
                    format!("`{word}` takes no target"),
                    format!("write {word} alone"),
                ));
            }
            (_, None | Some("")) => {
                let hint = format!("examples: {}", verb.examples());
                return Err(ParseError::new(text.len(), format!("`{word}` needs a target"), hint));
            }
            (_, Some(target)) => target,
        };
        let parsed = match verb {
            Verb::TcpConnect => remote(target).map(Self::TcpConnect),
            Verb::TcpListen => local(target).map(Self::TcpListen),
            Verb::UdpBind => local(target).map(Self::UdpBind),
            Verb::UdpSend => remote(target).map(Self::UdpSend),
            Verb::UdpReceive => EndpointPattern::parse(target).map(Self::UdpReceive),
            Verb::UnixConnect => UnixPattern::parse(target).map(Self::UnixConnect),
            Verb::UnixBind => UnixPattern::parse(target).map(Self::UnixBind),
            Verb::Can => CanPattern::parse(target).map(Self::Can),
            Verb::Family => FamilyPattern::parse(target).map(Self::Family),
            Verb::Resolve => ResolvePattern::parse(target).map(Self::Resolve),
            Verb::ReverseResolve => parse_lone_host(target).map(Self::ReverseResolve),
            Verb::Interfaces => Ok(Self::Interfaces),
            Verb::Hostname => Hostname::parse(target).map(Self::Hostname),
            Verb::Option => parse_option(target).map(Self::Option),
            Verb::Ancillary => Ancillary::parse(target).map(Self::Ancillary),
            Verb::Inherit => DescriptorNumber::parse(target).map(Self::Inherit),
            Verb::Raw => RawPattern::parse(target).map(Self::Raw),
            Verb::Packet => PacketPattern::parse(target).map(Self::Packet),
            Verb::Netlink => NetlinkPattern::parse(target).map(Self::Netlink),
            Verb::Multicast => MulticastPattern::parse(target).map(Self::Multicast),
            Verb::Ioctl => parse_ioctl(target).map(Self::Ioctl),
        };
        parsed.map_err(|fault| fault.shifted(word.len() + 1))
    }
}

/// A destination: the unspecified address is none, it would quietly stand for the loopback.
fn remote(target: &str) -> Result<EndpointPattern, ParseError> {
    let pattern = EndpointPattern::parse(target)?;
    match &pattern.host {
        HostPattern::Net(net)
            if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len() =>
        {
            Err(ParseError::new(
                0,
                format!("{} is no destination", net.addr()),
                "it is judged as the loopback: write 127.0.0.1 or [::1], or `*` for any address",
            ))
        }
        HostPattern::Any | HostPattern::Net(_) | HostPattern::Name(_) => Ok(pattern),
    }
}

/// A local address. A name would let a name server choose where to listen.
fn local(target: &str) -> Result<EndpointPattern, ParseError> {
    let pattern = EndpointPattern::parse(target)?;
    match &pattern.host {
        HostPattern::Name(name) => Err(ParseError::new(
            0,
            format!("`{name}` is a name"),
            "one's own side is granted by its address, as in 127.0.0.1:8000, [::1]:8000 or *:8000",
        )),
        HostPattern::Any | HostPattern::Net(_) => Ok(pattern),
    }
}

fn unknown_verb(word: &str) -> ParseError {
    let shown = word.escape_debug();
    let what = if word.is_empty() {
        "the verb is missing".into()
    } else {
        format!("unknown verb `{shown}`")
    };
    // `TCP-CONNECT`, `tcp-connect:HOST`, `tcp-connect HOST`: the verb is there.
    let start = word.trim_start().to_ascii_lowercase();
    let (verb, more) = start.find([':', ' ']).map_or((&*start, ""), |end| start.split_at(end));
    let near = match Verb::by_name(verb) {
        Some(verb) if !more.is_empty() => format!("; write {verb}=TARGET"),
        _ => suggestion(verb, Verb::TABLE.iter().map(|info| info.name)),
    };
    ParseError::new(0, what, format!("verbs are {}{near}", verbs()))
}

fn verbs() -> String {
    Verb::TABLE.iter().map(|info| info.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text).map_err(|fault| GrantError::new(text, fault))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verb().fmt(f)?;
        if self.verb().info().form != TargetForm::Alone {
            f.write_str("=")?;
        }
        match self {
            Self::TcpConnect(pattern)
            | Self::TcpListen(pattern)
            | Self::UdpBind(pattern)
            | Self::UdpSend(pattern)
            | Self::UdpReceive(pattern) => pattern.fmt(f),
            Self::UnixConnect(pattern) | Self::UnixBind(pattern) => pattern.fmt(f),
            Self::Can(pattern) => pattern.fmt(f),
            Self::Family(pattern) => pattern.fmt(f),
            Self::Resolve(pattern) => pattern.fmt(f),
            Self::ReverseResolve(pattern) => pattern.fmt(f),
            Self::Interfaces => Ok(()),
            Self::Hostname(what) => f.write_str(what.name()),
            Self::Option(name) => name.fmt(f),
            Self::Ancillary(what) => f.write_str(what.name()),
            Self::Inherit(number) => number.fmt(f),
            Self::Raw(pattern) => pattern.fmt(f),
            Self::Packet(pattern) => pattern.fmt(f),
            Self::Netlink(pattern) => pattern.fmt(f),
            Self::Multicast(pattern) => pattern.fmt(f),
            Self::Ioctl(row) => f.write_str(row.name),
        }
    }
}

/// A text that is no rule, limit or fixed address: what is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {what}; {hint}", self.character())]
pub struct GrantError {
    text: Box<str>,
    offset: usize,
    what: Box<str>,
    hint: Box<str>,
}

impl GrantError {
    pub(super) fn new(text: &str, fault: ParseError) -> Self {
        Self {
            text: text.into(),
            offset: fault.offset,
            what: fault.what.into(),
            hint: fault.hint.into(),
        }
    }

    /// What is wrong and what would be right, without the place.
    pub fn reason(&self) -> String {
        format!("{}; {}", self.what, self.hint)
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the fault is, in bytes from the start.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the fault is, in characters, the first being 1.
    pub fn character(&self) -> usize {
        self.text.char_indices().take_while(|(at, _)| *at < self.offset).count() + 1
    }
}

/// How many letters to change, insert or leave out, or swap with the next, to make one word of the
/// other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `; did you mean ...?`, or nothing.
pub(super) fn suggestion<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    // A word this long is no slip of the hand, and the work is its length times the table's.
    if word.len() > 64 {
        return String::new();
    }
    let nearest = words.into_iter().map(|candidate| (distance(word, candidate), candidate)).min();
    match nearest {
        Some((far, candidate)) if far * 3 <= candidate.len() => {
            format!("; did you mean {candidate}?")
        }
        _ => String::new(),
    }
}

/// `; near it are ...`: up to five options with names like this one.
fn near_options(name: &str) -> String {
    if name.len() > 64 {
        return String::new();
    }
    let name = name.to_ascii_uppercase();
    let mut near: Vec<_> = option::all()
        .map(|option| {
            let part =
                name.len() >= 3 && (option.name.contains(&*name) || name.contains(option.name));
            (if part { 1 } else { distance(&name, option.name) }, option)
        })
        .filter(|(far, option)| far * 3 <= option.name.len())
        .collect();
    near.sort_by_key(|(far, option)| (*far, option.level, option.number));
    let names: Vec<_> = near.iter().take(5).map(|(_, option)| option.to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; near it are {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Grant>().expect_err(text).to_string()
    }

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for info in Verb::TABLE {
            assert_eq!(info.verb.info().name, info.name);
            assert_eq!(Verb::by_name(info.name), Some(info.verb));
        }
    }

    #[test]
    fn every_example_is_a_grant_and_prints_as_itself() {
        for info in Verb::TABLE {
            let alone = (info.form == TargetForm::Alone).then(|| info.name.to_owned());
            assert_eq!(info.examples.is_empty(), alone.is_some(), "{}", info.name);
            for text in
                info.examples.iter().map(|target| format!("{}={target}", info.name)).chain(alone)
            {
                let grant: Grant = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
                assert_eq!(grant.verb(), info.verb);
                assert_eq!(grant.to_string(), text);
            }
        }
    }

    #[test]
    fn unknown_verb_lists_the_verbs_and_the_nearest() {
        let text = error("tcp-conect=127.0.0.1:80");
        assert!(
            text.starts_with("at character 1: unknown verb `tcp-conect`; verbs are tcp-connect, tcp-listen, udp-bind"),
            "{text}"
        );
        assert!(text.ends_with("did you mean tcp-connect?"), "{text}");
        assert!(!error("frobnicate=1").contains("did you mean"));
        assert!(error("").starts_with("at character 1: the verb is missing"));
        assert!(error("TCP-CONNECT=127.0.0.1:80").starts_with("at character 1: unknown verb"));
        assert!(error(" tcp-connect=127.0.0.1:80").contains("did you mean tcp-connect?"));
    }

    #[test]
    fn verb_that_stands_alone_takes_no_target() {
        for text in ["interfaces=", "interfaces=eth0", "interfaces=*"] {
            assert_eq!(
                error(text),
                "at character 11: `interfaces` takes no target; write interfaces alone",
                "{text}"
            );
        }
        assert!(error("interface").ends_with("did you mean interfaces?"));
    }

    #[test]
    fn verb_without_its_target_shows_examples() {
        for info in Verb::TABLE.iter().filter(|info| info.form != TargetForm::Alone) {
            for text in [info.name.to_owned(), format!("{}=", info.name)] {
                let message = error(&text);
                assert!(
                    message.starts_with(&format!(
                        "at character {}: `{}` needs a target",
                        text.len() + 1,
                        info.name
                    )),
                    "{message}"
                );
                assert!(
                    message.contains(&format!("{}={}", info.name, info.examples[0])),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn fault_is_told_by_its_character() {
        assert!(error("tcp-connect=127.0.0.1:80x").contains("at character 23: `80x` is no port;"));
        // Two bytes of ü are one character.
        assert!(
            error("tcp-connect=bücher.example:x").starts_with("at character 28: "),
            "{}",
            error("tcp-connect=bücher.example:x")
        );
        let found = "tcp-connect=[fe80::1%2]:80".parse::<Grant>().unwrap_err();
        assert_eq!(
            (found.offset(), found.character(), found.text()),
            (20, 21, "tcp-connect=[fe80::1%2]:80")
        );
    }

    #[test]
    fn own_side_by_a_name_is_refused() {
        for text in ["tcp-listen=localhost:80", "udp-bind=*.example:80"] {
            assert!(error(text).contains("is granted by its address"), "{text}");
        }
        assert!("udp-receive=db.example:80".parse::<Grant>().is_ok());
    }

    #[test]
    fn destination_unspecified_is_refused() {
        for text in
            ["tcp-connect=0.0.0.0:80", "udp-send=[::]:80", "tcp-connect=[::ffff:0.0.0.0]:80"]
        {
            assert!(error(text).contains("write 127.0.0.1"), "{text}");
        }
        for text in ["tcp-connect=0.0.0.0/0:80", "udp-receive=0.0.0.0:68", "tcp-listen=0.0.0.0:80"]
        {
            assert!(text.parse::<Grant>().is_ok(), "{text}");
        }
    }

    #[test]
    fn option_unknown_lists_near_names() {
        let text = error("option=SOL_SOCKET/SO_MARKS");
        assert!(
            text.contains("unknown option `SOL_SOCKET/SO_MARKS`")
                && text.contains("SOL_SOCKET/SO_MARK"),
            "{text}"
        );
        let text = error("option=SO_MARK");
        assert!(
            text.contains("the level is missing") && text.contains("SOL_SOCKET/SO_MARK"),
            "{text}"
        );
        assert!(error("option=SOL_SOCKET/zzzzzzzzzzzzzz").ends_with("as in SOL_SOCKET/SO_MARK"));
    }

    #[test]
    fn ancillary_unknown_lists_the_words() {
        let text = error("ancillary=rights:recieve");
        assert!(
            text.contains("rights:receive,any") && text.ends_with("did you mean rights:receive?"),
            "{text}"
        );
    }

    #[test]
    fn inherit_of_no_number_is_refused() {
        assert_eq!("inherit=fd:0".parse::<Grant>().unwrap().to_string(), "inherit=stdin");
        assert!(
            error("inherit=stdout")
                .contains("at character 9: `stdout` is no descriptor; write fd:NUMBER")
        );
        for text in ["inherit=fd:", "inherit=fd:-1", "inherit=fd:9999999", "inherit=fd:3-5"] {
            let error = error(text);
            assert!(
                error.starts_with("at character 12: ")
                    && error.contains("is no number of a descriptor"),
                "{error}"
            );
        }
    }

    #[test]
    fn resolve_of_an_address_or_with_a_port_is_refused() {
        assert!(error("resolve=127.0.0.1").contains("need no resolve"));
        assert!(error("resolve=::1").contains("need no resolve"));
        assert!(error("resolve=db.example:80").contains("a name alone"));
    }

    #[test]
    fn reverse_resolve_takes_addresses_networks_and_names() {
        for (text, printed) in [
            ("192.0.2.7/32", "192.0.2.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::/32]", "2001:db8::/32"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::1", "::1"),
            ("::/0", "::/0"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("Bücher.Example.", "xn--bcher-kva.example"),
            ("*.example.com", "*.example.com"),
        ] {
            let grant: Grant = format!("reverse-resolve={text}").parse().unwrap();
            assert_eq!(grant.to_string(), format!("reverse-resolve={printed}"));
        }
        for (text, part) in [
            ("192.0.2.7:53", "no port"),
            ("[::1]:53", "no port"),
            ("db.example:53", "no port"),
            ("192.0.2.1/24", "write 192.0.2.0/24 or 192.0.2.1"),
            ("2001:db8::/129", "0 to 128"),
            ("fe80::1%eth0", "every interface"),
            ("127.1", "four decimal numbers"),
            ("[::1", "not closed"),
            ("a.*", "only at the start"),
        ] {
            let text = error(&format!("reverse-resolve={text}"));
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn hostname_unknown_lists_the_words() {
        assert_eq!(
            error("hostname=write"),
            "at character 10: unknown target `write`; targets are read, set"
        );
        assert!(error("hostname=reed").ends_with("did you mean read?"));
    }

    fn host() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            any::<std::net::Ipv4Addr>()
                .prop_filter("a destination", |a| !a.is_unspecified())
                .prop_map(|a| a.to_string()),
            any::<std::net::Ipv6Addr>()
                .prop_filter("a destination", |a| !a.to_canonical().is_unspecified())
                .prop_map(|a| format!("[{a}]")),
            (any::<std::net::Ipv4Addr>(), 0u8..32)
                .prop_map(|(a, n)| ipnet::Ipv4Net::new(a, n).unwrap().trunc().to_string()),
            (any::<std::net::Ipv6Addr>(), 0u8..128)
                .prop_map(|(a, n)| format!("[{}]", ipnet::Ipv6Net::new(a, n).unwrap().trunc())),
            "(\\*\\.)?[A-Za-zü][a-zA-Z0-9]{0,8}(\\.[a-zA-Z]{1,8}){0,3}\\.?",
        ]
    }

    fn ports() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            any::<u16>().prop_map(|p| p.to_string()),
            (0u16..100, 100u16..).prop_map(|(a, b)| format!("{a}-{b}"))
        ]
    }

    proptest! {
        #[test]
        fn grant_of_an_endpoint_comes_back_from_its_print(verb in prop::sample::select(vec!["tcp-connect", "udp-send", "udp-receive"]), host in host(), ports in ports()) {
            let text = format!("{verb}={host}:{ports}");
            let grant: Grant = text.parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            let printed = grant.to_string();
            prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
        }

        #[test]
        fn grant_of_a_lone_host_comes_back_from_its_print(host in host()) {
            let text = format!("reverse-resolve={host}");
            let grant: Grant = text.parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            let printed = grant.to_string();
            prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
        }

        #[test]
        fn grant_of_a_path_comes_back_from_its_print(path in "/?([a-z*?.@ü\\\\]{1,5}/){0,3}[a-z*?ü]{1,5}") {
            if let Ok(grant) = format!("unix-connect={path}").parse::<Grant>() {
                let printed = grant.to_string();
                prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
            }
        }

        #[test]
        fn grant_of_an_abstract_name_comes_back_from_its_print(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5)) {
            let parts: Vec<String> = parts.iter().map(|part| super::super::pattern::escape_abstract(part)).collect();
            let grant: Grant = format!("unix-bind=@{}", parts.join("*")).parse().map_err(|e: GrantError| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }

        #[test]
        fn grant_of_any_text_never_panics(text in any::<String>()) {
            check_any(&text)?;
        }

        #[test]
        fn grant_of_a_verb_and_any_text_never_panics(at in 0..Verb::TABLE.len(), text in "[\\x00-\\x7fü*:/\\[\\]%@.0-9a-z-]{0,30}") {
            check_any(&format!("{}={text}", Verb::TABLE[at].name))?;
        }
    }

    fn check_any(text: &str) -> Result<(), TestCaseError> {
        match text.parse::<Grant>() {
            Ok(grant) => prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant)),
            Err(e) => {
                prop_assert!(e.offset() <= text.len());
                prop_assert!(!e.to_string().is_empty());
                prop_assert!(e.character() <= text.chars().count() + 1);
            }
        }
        Ok(())
    }
}
