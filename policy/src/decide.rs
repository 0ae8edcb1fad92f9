//! The policy itself: what was allowed and denied, and the one decision about each request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sandsock_abi::constants::{SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET};
use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option::{self, Access, SocketOption};

use super::families::{CanInterface, CanPattern, FamilyPattern, FamilyTarget, can_protocol};
use super::file::{self, PolicyFileError};
use super::grant::{Ancillary, DescriptorNumber, Grant, GrantError, Hostname, Verb};
use super::index::{Endpoints, Names, Ports, RuleId, any_left};
use super::limits::Limits;
use super::netlink::{NetlinkPattern, NetlinkRequest};
use super::packet::{self, PacketPattern};
use super::pattern::{
    EndpointPattern, HostPattern, ParseError, PortRange, ResolvePattern, UnixPattern, canonical,
    destination, ends_in_number, escape_abstract, is_private, normalise_name,
};
use super::pins::{ADDRESSES, Pin, Pins};
use super::publish::Published;
use super::raw::{self, RawPattern};
use super::senders;
use super::unix::{RealPath, UnixRoute, UnixRules, absolute, path_grant, show};

/// The rule that allows everything, as decisions name it.
pub(super) const EVERYTHING: &str = "allow-all";

/// How much of a name or a path that a guest made up stands in a sentence.
const SHOWN: usize = 256;

/// A local address for a bind or a listen, and what the kernel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: SocketAddr,
    /// Whether the socket has IPV6_V6ONLY, so that the wildcard `::` leaves IPv4 alone.
    pub v6only: bool,
    /// Whether the kernel chose the port, so that a grant of port 0 covers it. Deny rules are asked
    /// about the port that it is.
    pub kernel_chosen: bool,
    /// The host's address that the socket has in truth, where `address` is published.
    pub published: Option<SocketAddr>,
}

impl From<SocketAddr> for LocalAddress {
    /// The strictest reading: dual-stack, and the port is the guest's choice.
    fn from(address: SocketAddr) -> Self {
        Self { address, v6only: false, kernel_chosen: false, published: None }
    }
}

/// The name of a UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixTarget<'a> {
    /// A path, relative ones from the policy's base directory.
    Path(&'a [u8]),
    /// An abstract name, without its NUL.
    Abstract(&'a [u8]),
    /// None: for a bind, an abstract name that the kernel chooses.
    Unnamed,
}

/// What a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Connect a TCP socket.
    TcpConnect(SocketAddr),
    /// Bind a TCP socket, or listen on it.
    TcpListen(LocalAddress),
    /// Bind a UDP socket.
    UdpBind(LocalAddress),
    /// Send a datagram, or connect a UDP socket.
    UdpSend(SocketAddr),
    /// Get a datagram from this source. [`Policy::udp_source_allowed`] answers the same faster.
    UdpReceive(SocketAddr),
    /// Connect or send to a UNIX socket. Paths are judged as they are written;
    /// [`Policy::unix_route`] says where to walk.
    UnixConnect(UnixTarget<'a>),
    /// Bind a UNIX socket. As for `UnixConnect`.
    UnixBind(UnixTarget<'a>),
    /// Bind or connect to a CAN interface, or send through it.
    Can {
        /// The interface.
        interface: CanInterface<'a>,
        /// CAN_*.
        protocol: i32,
    },
    /// Bind or connect in a family that has no verb of its own, or send.
    Family(FamilyTarget<'a>),
    /// Look up a name.
    Resolve(&'a str),
    /// Ask for the name of an address.
    ReverseResolve(IpAddr),
    /// See the network interfaces.
    Interfaces,
    /// Read or set this host's name.
    Hostname(Hostname),
    /// Read an option.
    GetOption {
        /// The socket's family.
        family: i32,
        /// The level's number.
        level: i32,
        /// The option's number.
        number: i32,
    },
    /// Set an option.
    SetOption {
        /// The socket's family.
        family: i32,
        /// The level's number.
        level: i32,
        /// The option's number.
        number: i32,
        /// Whether the socket is anything but SOCK_STREAM or SOCK_SEQPACKET.
        datagram: bool,
    },
    /// Send a control message other than SCM_RIGHTS. SCM_CREDENTIALS pass: they carry the host's
    /// ids, unless `CredentialsForge` passes too.
    Control {
        /// The level's number.
        level: i32,
        /// The message's type.
        number: i32,
    },
    /// Send descriptors.
    RightsSend,
    /// Receive a descriptor.
    RightsReceive {
        /// Whether it is of a kind that is not granted: no socket, or a socket that [no
        /// grant](Policy::has_grant_for) is about.
        any: bool,
    },
    /// Send credentials that are not the host's own.
    CredentialsForge,
    /// Take the descriptor that was handed over under this number.
    Inherit(DescriptorNumber),
    /// Send an IP packet by a raw or a ping socket, or connect one: the address, with the protocol
    /// in place of the port. [`Policy::raw_source_allowed`] answers for packets that come in.
    RawSend(SocketAddr),
    /// Send frames on an interface, or get them.
    Packet {
        /// The interface's name; none is every interface.
        interface: Option<&'a str>,
        /// The Ethernet protocol; 0 is some protocol, ETH_P_ALL every one.
        protocol: u16,
    },
    /// Ask the kernel by netlink.
    Netlink(NetlinkRequest<'a>),
    /// Join a multicast group; none is some group.
    Multicast(Option<IpAddr>),
    /// Ask by ioctl.
    Ioctl(&'static Ioctl),
}

impl Request<'_> {
    /// The verb that decides.
    pub fn verb(&self) -> Verb {
        match self {
            Self::TcpConnect(_) => Verb::TcpConnect,
            Self::TcpListen(_) => Verb::TcpListen,
            Self::UdpBind(_) => Verb::UdpBind,
            Self::UdpSend(_) => Verb::UdpSend,
            Self::UdpReceive(_) => Verb::UdpReceive,
            Self::UnixConnect(_) => Verb::UnixConnect,
            Self::UnixBind(_) => Verb::UnixBind,
            Self::Can { .. } => Verb::Can,
            Self::Family(_) => Verb::Family,
            Self::Resolve(_) => Verb::Resolve,
            Self::ReverseResolve(_) => Verb::ReverseResolve,
            Self::Interfaces => Verb::Interfaces,
            Self::Hostname(_) => Verb::Hostname,
            Self::GetOption { .. } | Self::SetOption { .. } | Self::Control { .. } => Verb::Option,
            Self::RightsSend | Self::RightsReceive { .. } | Self::CredentialsForge => {
                Verb::Ancillary
            }
            Self::Inherit(_) => Verb::Inherit,
            Self::RawSend(_) => Verb::Raw,
            Self::Packet { .. } => Verb::Packet,
            Self::Netlink(_) => Verb::Netlink,
            Self::Multicast(_) => Verb::Multicast,
            Self::Ioctl(_) => Verb::Ioctl,
        }
    }
}

/// The target, as denials and the log show it. What a guest chose is escaped.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TcpConnect(address) | Self::UdpSend(address) | Self::UdpReceive(address) => {
                address.fmt(f)
            }
            Self::TcpListen(local) | Self::UdpBind(local) => local.address.fmt(f),
            Self::UnixConnect(target) | Self::UnixBind(target) => match target {
                UnixTarget::Path(path) => f.write_str(&show(&path[..path.len().min(SHOWN)])),
                UnixTarget::Abstract(name) => write!(f, "@{}", escape_abstract(name)),
                UnixTarget::Unnamed => f.write_str("an unnamed address"),
            },
            Self::Can { interface, protocol } => match can_protocol(protocol) {
                Some(word) => write!(f, "{interface}:{word}"),
                None => write!(f, "{interface}:{protocol}"),
            },
            Self::Family(target) => target.fmt(f),
            Self::Resolve(name) => {
                let shown: String = name.chars().take(256).flat_map(char::escape_debug).collect();
                f.write_str(&shown)
            }
            Self::ReverseResolve(address) => address.fmt(f),
            Self::Interfaces => Ok(()),
            Self::Hostname(what) => f.write_str(what.name()),
            Self::GetOption { level, number, .. }
            | Self::SetOption { level, number, .. }
            | Self::Control { level, number } => {
                let family = match *self {
                    Self::GetOption { family, .. } | Self::SetOption { family, .. } => family,
                    _ => 0,
                };
                match option::find(family, level, number) {
                    Some(option) => option.fmt(f),
                    None => write!(f, "{level}/{number}"),
                }
            }
            Self::RightsSend => f.write_str(Ancillary::RightsSend.name()),
            Self::RightsReceive { any: false } => f.write_str(Ancillary::RightsReceive.name()),
            Self::RightsReceive { any: true } => f.write_str(Ancillary::RightsReceiveAny.name()),
            Self::CredentialsForge => f.write_str(Ancillary::CredentialsForge.name()),
            Self::Inherit(number) => number.fmt(f),
            Self::RawSend(address) => f.write_str(&raw::show_packet(address)),
            Self::Packet { interface, protocol } => f.write_str(&packet::show(interface, protocol)),
            Self::Netlink(asked) => asked.fmt(f),
            Self::Multicast(Some(group)) => group.fmt(f),
            Self::Multicast(None) => f.write_str("*"),
            Self::Ioctl(row) => f.write_str(row.name),
        }
    }
}

/// That a request is allowed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'p> {
    /// The rule; `allow-all` where everything is allowed; none where no rule is needed.
    pub rule: Option<&'p str>,
}

/// That a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    /// The grant that would allow it; none where no single grant can.
    pub grant: Option<String>,
    /// The whole decision as one sentence.
    pub reason: String,
    /// The rule that denies, where one does.
    pub rule: Option<String>,
    /// A granted name that had this address until its pin expired: look it up once more, pin the
    /// answer and ask again.
    pub expired_name: Option<String>,
}

impl Denial {
    /// A denial with its reason, which names the grant that is missing.
    pub fn new(reason: String) -> Self {
        Self { grant: None, reason, rule: None, expired_name: None }
    }

    /// `what` (a verb and its object) is denied by a rule.
    pub(super) fn by_rule(what: impl fmt::Display, rule: &str) -> Self {
        Self {
            rule: Some(rule.into()),
            ..Self::new(format!("{what} is denied by the rule {rule}"))
        }
    }

    /// `what` (a verb and its object) is not granted; `grant` would do, if it is a rule: what a
    /// guest asks for may be nothing that a rule can name.
    pub(super) fn missing(what: String, grant: Option<String>) -> Self {
        let grant = grant.filter(|grant| grant.parse::<Grant>().is_ok());
        let reason = match &grant {
            Some(grant) => {
                format!("{what} is not granted; allow it with --allow {}", quoted(grant))
            }
            None => format!("{what} is not granted"),
        };
        Self { grant, ..Self::new(reason) }
    }
}

/// A grant as a shell takes it.
fn quoted(grant: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+".contains(c);
    if grant.chars().all(plain) {
        Cow::Borrowed(grant)
    } else {
        Cow::Owned(format!("'{}'", grant.replace('\'', r"'\''")))
    }
}

/// What became of a look-up's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedAnswers {
    /// The addresses that the guest may have and that are to be pinned, as the look-up gave them.
    pub kept: Vec<IpAddr>,
    /// The others.
    pub dropped: Vec<DroppedAnswer>,
}

impl JudgedAnswers {
    /// The denial to answer with where nothing was kept: the first one.
    pub fn denial(&self) -> Option<&Denial> {
        if self.kept.is_empty() {
            self.dropped.first().map(|dropped| &dropped.denial)
        } else {
            None
        }
    }
}

/// An answer that the guest may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedAnswer {
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub denial: Denial,
}

/// Names that `resolve` rules hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolves {
    any: Option<RuleId>,
    pub(super) names: Names,
}

impl Resolves {
    pub(super) fn find(&self, name: &str) -> Option<RuleId> {
        self.any.or_else(|| self.names.find(name, 0).map(|found| found.rule))
    }
}

/// One side of a policy, allow or deny.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    grants: Vec<Grant>,
    texts: Vec<Arc<str>>,
    pub(super) tcp_connect: Endpoints,
    pub(super) tcp_listen: Endpoints,
    pub(super) udp_bind: Endpoints,
    pub(super) udp_send: Endpoints,
    pub(super) udp_receive: Endpoints,
    /// What `tcp-listen` and `udp-bind` say about some ports and not about every one.
    pub(super) tcp_ports: Endpoints,
    pub(super) udp_ports: Endpoints,
    /// With the protocol in place of the port.
    pub(super) raw: Endpoints,
    pub(super) raw_header: Option<RuleId>,
    pub(super) multicast: Endpoints,
    pub(super) packet: Vec<(PacketPattern, RuleId)>,
    pub(super) netlink: Vec<(NetlinkPattern, RuleId)>,
    ioctls: HashMap<u32, RuleId>,
    pub(super) unix_connect: Arc<UnixRules>,
    pub(super) unix_bind: Arc<UnixRules>,
    pub(super) can: Vec<(CanPattern, RuleId)>,
    pub(super) families: Vec<(FamilyPattern, RuleId)>,
    pub(super) resolve: Resolves,
    /// Ports have no meaning here: every rule holds for port 0.
    pub(super) reverse_resolve: Endpoints,
    interfaces: Option<RuleId>,
    hostname_read: Option<RuleId>,
    hostname_set: Option<RuleId>,
    /// By the level's name and the number: levels of Bluetooth have the numbers of other levels.
    options: HashMap<(&'static str, i32), RuleId>,
    rights_send: Option<RuleId>,
    rights_receive: Option<RuleId>,
    rights_receive_any: Option<RuleId>,
    credentials_forge: Option<RuleId>,
    inherit: HashMap<DescriptorNumber, RuleId>,
}

impl Rules {
    /// `add_path` is [`UnixRules::add_path`] or, for rules that deny,
    /// [`UnixRules::add_path_and_real`].
    fn build(grants: Vec<Grant>, base: Option<&[u8]>, real_path: RealPath<'_>, deny: bool) -> Self {
        let texts: Vec<Arc<str>> = grants.iter().map(|grant| grant.to_string().into()).collect();
        let mut endpoints: [Vec<(RuleId, &EndpointPattern)>; 7] = Default::default();
        let mut reverse: Vec<(RuleId, EndpointPattern)> = Vec::new();
        let (mut unix_connect, mut unix_bind) = (UnixRules::default(), UnixRules::default());
        let mut rules = Self::default();
        let add_unix = |rules: &mut UnixRules, pattern: &UnixPattern, text: &Arc<str>| match pattern
        {
            UnixPattern::Path(path) if deny => rules.add_path_and_real(path, base, real_path, text),
            UnixPattern::Path(path) => rules.add_path(path, base, real_path, text),
            UnixPattern::Abstract(name) => rules.add_abstract(name, text),
        };
        for ((id, grant), text) in (0..).zip(&grants).zip(&texts) {
            match grant {
                Grant::TcpConnect(pattern) => endpoints[0].push((id, pattern)),
                Grant::TcpListen(pattern) => endpoints[1].push((id, pattern)),
                Grant::UdpBind(pattern) => endpoints[2].push((id, pattern)),
                Grant::UdpSend(pattern) => endpoints[3].push((id, pattern)),
                Grant::UdpReceive(pattern) => endpoints[4].push((id, pattern)),
                Grant::UnixConnect(pattern) => add_unix(&mut unix_connect, pattern, text),
                Grant::UnixBind(pattern) => add_unix(&mut unix_bind, pattern, text),
                Grant::Can(pattern) => rules.can.push((pattern.clone(), id)),
                Grant::Family(pattern) => rules.families.push((pattern.clone(), id)),
                Grant::Resolve(ResolvePattern::Any) => rules.resolve.any = Some(id),
                Grant::Resolve(ResolvePattern::Name(name)) => {
                    rules.resolve.names.add(name, PortRange::ANY, id)
                }
                Grant::ReverseResolve(host) => {
                    reverse
                        .push((id, EndpointPattern { host: host.clone(), ports: PortRange::ANY }));
                }
                Grant::Interfaces => rules.interfaces = Some(id),
                Grant::Hostname(Hostname::Read) => rules.hostname_read = Some(id),
                Grant::Hostname(Hostname::Set) => rules.hostname_set = Some(id),
                Grant::Option(option) => {
                    rules.options.insert((option.level_name, option.number), id);
                }
                Grant::Ancillary(Ancillary::RightsSend) => rules.rights_send = Some(id),
                Grant::Ancillary(Ancillary::RightsReceive) => rules.rights_receive = Some(id),
                Grant::Ancillary(Ancillary::RightsReceiveAny) => {
                    rules.rights_receive_any = Some(id)
                }
                Grant::Ancillary(Ancillary::CredentialsForge) => rules.credentials_forge = Some(id),
                Grant::Inherit(number) => {
                    rules.inherit.insert(*number, id);
                }
                Grant::Raw(RawPattern::Packets(pattern)) => endpoints[5].push((id, pattern)),
                Grant::Raw(RawPattern::Header) => rules.raw_header = Some(id),
                Grant::Packet(pattern) => rules.packet.push((pattern.clone(), id)),
                Grant::Netlink(pattern) => rules.netlink.push((pattern.clone(), id)),
                Grant::Multicast(pattern) => endpoints[6].push((id, &pattern.0)),
                Grant::Ioctl(row) => {
                    rules.ioctls.insert(row.number, id);
                }
            }
        }
        let some_ports = |rules: &[(RuleId, &EndpointPattern)]| {
            Endpoints::build(
                rules.iter().copied().filter(|(_, pattern)| pattern.ports != PortRange::ANY),
            )
        };
        (rules.tcp_ports, rules.udp_ports) = (some_ports(&endpoints[1]), some_ports(&endpoints[2]));
        let [connect, listen, bind, send, receive, raw, multicast] =
            endpoints.map(|list| Endpoints::build(list.into_iter()));
        (rules.tcp_connect, rules.tcp_listen, rules.udp_bind, rules.udp_send, rules.udp_receive) =
            (connect, listen, bind, send, receive);
        (rules.raw, rules.multicast) = (raw, multicast);
        (rules.unix_connect, rules.unix_bind) = (Arc::new(unix_connect), Arc::new(unix_bind));
        rules.reverse_resolve =
            Endpoints::build(reverse.iter().map(|(id, pattern)| (*id, pattern)));
        rules.resolve.names.finish();
        rules.grants = grants;
        rules.texts = texts;
        rules
    }

    pub(super) fn text(&self, rule: RuleId) -> &str {
        self.texts.get(rule as usize).map_or("", |text| text)
    }

    pub(super) fn has_family(&self, family: i32) -> bool {
        self.families.iter().any(|(rule, _)| rule.family() == family)
    }

    /// Those by which an address may be used.
    pub(super) fn endpoints(&self) -> [&Endpoints; 6] {
        [
            &self.tcp_connect,
            &self.tcp_listen,
            &self.udp_bind,
            &self.udp_send,
            &self.udp_receive,
            &self.raw,
        ]
    }
}

/// Addresses given to names with `--resolve`.
#[derive(Clone, Debug, Default)]
struct Fixed {
    names: HashMap<Box<str>, (Vec<IpAddr>, Box<str>)>,
    addresses: HashMap<IpAddr, Vec<Box<str>>>,
}

/// What an instance may do. Immutable: a change makes a new one, see [`Policy::following`].
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) allow: Rules,
    pub(super) deny: Rules,
    pub(super) everything: bool,
    fixed: Fixed,
    pub(super) published: Published,
    limits: Limits,
    base: Option<Box<[u8]>>,
    generation: u64,
    pub(super) senders: senders::Cache,
}

/// Collects the rules of a [`Policy`]. Without any, the policy denies everything.
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    allow: Vec<Grant>,
    deny: Vec<Grant>,
    everything: bool,
    fixed: Fixed,
    published: Published,
    limits: Limits,
    base: Option<Box<[u8]>>,
}

impl PolicyBuilder {
    /// Adds a rule that allows.
    ///
    /// # Errors
    ///
    /// The text is no rule, or names a relative path before
    /// [`base_directory`](Self::base_directory) was called.
    pub fn allow(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let grant = self.parse(text)?;
        self.allow.push(grant);
        Ok(self)
    }

    /// Adds a rule that denies, whatever allows.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn deny(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        let grant = self.parse(text)?;
        self.deny.push(grant);
        Ok(self)
    }

    fn parse(&self, text: &str) -> Result<Grant, GrantError> {
        let grant: Grant = text.parse()?;
        match &grant {
            Grant::UnixConnect(UnixPattern::Path(path))
            | Grant::UnixBind(UnixPattern::Path(path))
                if !path.absolute && self.base.is_none() =>
            {
                let at = grant.verb().name().len() + 1;
                let fault = ParseError::new(
                    at,
                    "a relative path",
                    "there is no directory that it starts from; write the whole path",
                );
                Err(GrantError::new(text, fault))
            }
            _ => Ok(grant),
        }
    }

    /// Sets a limit from `NAME=N`.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the number is none or out of range.
    pub fn limit(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        self.limits.parse(text)?;
        Ok(self)
    }

    /// The limits, to be set field by field.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Adds what the text of a policy file says. If the text has a fault, nothing is added. `path`
    /// only names the file in errors.
    ///
    /// # Errors
    ///
    /// The text is no TOML, or says something that no policy can. The error has the file, the line
    /// and the column.
    pub fn file_text(&mut self, path: &Path, text: &str) -> Result<&mut Self, PolicyFileError> {
        let mut next = self.clone();
        file::apply(&mut next, path, text)?;
        *self = next;
        Ok(self)
    }

    /// Allows everything that no rule denies.
    pub fn allow_all(&mut self) -> &mut Self {
        self.everything = true;
        self
    }

    /// Fixes an address of a name, from `NAME=ADDRESS`: look-ups of the name are answered with it,
    /// and grants by the name hold for it for ever, be it private. Repeated, it adds addresses.
    ///
    /// # Errors
    ///
    /// The text is not a name, `=` and an address.
    pub fn resolve(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        const HINT: &str = "write NAME=ADDRESS, as in db.example=10.0.0.5";
        let error =
            |offset, what: String| GrantError::new(text, ParseError::new(offset, what, HINT));
        let Some((name, address)) = text.split_once('=') else {
            return Err(error(text.len(), "the address is missing".into()));
        };
        self.fix(name, address)
            .map_err(|(half, what)| error(if half { name.len() + 1 } else { 0 }, what))?;
        Ok(self)
    }

    /// As `resolve`. The fault says whether it is in the second half, the address.
    pub(super) fn fix(&mut self, name: &str, address: &str) -> Result<(), (bool, String)> {
        let shown = name.escape_debug();
        let known =
            normalise_name(name).map_err(|e| (false, format!("`{shown}` is no host name: {e}")))?;
        if ends_in_number(&known) {
            return Err((false, format!("`{shown}` is no host name: it ends in a number")));
        }
        let inside =
            address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let Ok(ip) = inside.parse::<IpAddr>() else {
            return Err((true, format!("`{}` is no address", address.escape_debug())));
        };
        let ip = canonical(ip);
        let name: Box<str> = known.into();
        let names = self.fixed.addresses.entry(ip).or_default();
        if !names.contains(&name) {
            names.push(name.clone());
        }
        let rule = format!("resolve={name}").into();
        let (addresses, _) = self.fixed.names.entry(name).or_insert((Vec::new(), rule));
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
        Ok(())
    }

    /// Publishes an address, from `HOST:PORT=GUEST:PORT`: a guest that binds GUEST:PORT is granted
    /// it, and listens at HOST:PORT. `/tcp` or `/udp` behind it leaves out the other protocol. To
    /// receive and to answer over UDP takes its grants as ever.
    ///
    /// # Errors
    ///
    /// The text is no such pair, or the guest's address is published already.
    pub fn publish(&mut self, text: &str) -> Result<&mut Self, GrantError> {
        self.published.add(text)?;
        Ok(self)
    }

    /// The directory where relative UNIX paths start, those of rules and those of guests. Must be
    /// called before rules with such paths are added.
    ///
    /// # Errors
    ///
    /// It is not absolute, or has `..` in it.
    pub fn base_directory(
        &mut self,
        directory: impl Into<PathBuf>,
    ) -> Result<&mut Self, GrantError> {
        use std::os::unix::ffi::OsStrExt;
        let directory = directory.into();
        let bytes = directory.as_os_str().as_bytes();
        let fault = |what: &str| {
            let text = directory.to_string_lossy();
            Err(GrantError::new(
                &text,
                ParseError::new(0, what, "write an absolute path without `..`"),
            ))
        };
        // The root keeps no slash: a component follows with one.
        if bytes.first() == Some(&b'/')
            && bytes.iter().all(|b| matches!(b, b'/' | b'.'))
            && !bytes.windows(2).any(|w| w == b"..")
        {
            self.base = Some(Box::default());
            return Ok(self);
        }
        if bytes.first() != Some(&b'/') {
            return fault("the directory is not absolute");
        }
        match absolute(bytes, None) {
            Ok(base) => self.base = Some(base.into()),
            Err(_) => return fault("no directory to start from"),
        }
        Ok(self)
    }

    /// Makes the policy. `real_path` returns the real path of a path, every link followed.
    ///
    /// The policy asks it about the directories that rules spell out: a deny rule also holds for
    /// the real place of its directory, and a directory that has become a link since is refused.
    pub fn build_with(self, real_path: RealPath<'_>) -> Policy {
        let base = self.base.as_deref();
        Policy {
            allow: Rules::build(self.allow, base, real_path, false),
            deny: Rules::build(self.deny, base, real_path, true),
            everything: self.everything,
            fixed: self.fixed,
            published: self.published,
            limits: self.limits,
            base: self.base,
            generation: 0,
            senders: senders::Cache::default(),
        }
    }

    /// As [`build_with`](Self::build_with), by this machine's file system.
    #[cfg(test)]
    pub(crate) fn build(self) -> Policy {
        self.build_with(&|path| std::fs::canonicalize(path))
    }
}

impl Policy {
    /// A builder without any rule.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Which version of an instance's policy this is: 0 for the first.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// This policy as the one that takes the place of `previous`: its generation is one higher, so
    /// that decisions made before are made anew.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        self.generation = previous.generation + 1;
        self
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether everything is allowed that no rule denies.
    pub fn allows_all(&self) -> bool {
        self.everything
    }

    /// The rules that allow, in the order in which they were given.
    pub fn allowed(&self) -> &[Grant] {
        &self.allow.grants
    }

    /// The rules that deny.
    pub fn denied(&self) -> &[Grant] {
        &self.deny.grants
    }

    /// The directory where relative UNIX paths start; none where there are none.
    pub fn start_of_paths(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt;
        let base = self.base.as_deref()?;
        Some(if base.is_empty() {
            Path::new("/")
        } else {
            Path::new(std::ffi::OsStr::from_bytes(base))
        })
    }

    /// The folder that each rule about UNIX paths fixes, absolute, with the rule's text and whether
    /// it denies.
    ///
    /// Paths are judged by their names. A guest that can rename or link files in, above or below
    /// such a folder by other means, for example in a folder of WASI, can evade the rule.
    pub fn unix_folders(&self) -> impl Iterator<Item = (PathBuf, &str, bool)> {
        [(&self.allow, false), (&self.deny, true)].into_iter().flat_map(|(rules, deny)| {
            let both = rules.unix_connect.folders().chain(rules.unix_bind.folders());
            both.map(move |(folder, rule)| (folder, rule, deny))
        })
    }

    /// The addresses that `--resolve` gave a name, to be answered without a look-up. They are
    /// judged as answers are.
    pub fn fixed(&self, name: &str) -> Option<&[IpAddr]> {
        let name = normalise_name(name).ok()?;
        self.fixed.names.get(&*name).map(|(addresses, _)| addresses.as_slice())
    }

    /// The host's address that takes the place of one that a guest binds, where that is published.
    pub fn published(&self, verb: Verb, guest: SocketAddr) -> Option<SocketAddr> {
        self.published.find(verb, guest).map(|(host, _)| host)
    }

    /// Decides on a request.
    ///
    /// `now` is the time of the request; a pin that allows it is used at that time. Nothing is
    /// allocated where it is allowed.
    ///
    /// # Errors
    ///
    /// The denial. Where its `expired_name` is set, the caller may look that name up, pin the
    /// answers and ask once more.
    pub fn decide(
        &self,
        request: &Request<'_>,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let (allow, deny) = (&self.allow, &self.deny);
        match *request {
            Request::TcpConnect(address) => {
                self.remote(request, address, &allow.tcp_connect, &deny.tcp_connect, pins, now)
            }
            Request::UdpSend(address) => {
                self.remote(request, address, &allow.udp_send, &deny.udp_send, pins, now)
            }
            Request::UdpReceive(source) => {
                if let Some(rule) = self.source(source, pins, now) {
                    return rule;
                }
                Err(Denial::missing(
                    format!("udp-receive from {source}"),
                    Some(endpoint_grant(Verb::UdpReceive, source)),
                ))
            }
            Request::TcpListen(local) => {
                self.local(request, local, &allow.tcp_listen, &deny.tcp_listen)
            }
            Request::UdpBind(local) => self.local(request, local, &allow.udp_bind, &deny.udp_bind),
            Request::UnixConnect(target) => {
                self.unix(request, target, &allow.unix_connect, &deny.unix_connect)
            }
            Request::UnixBind(target) => {
                self.unix(request, target, &allow.unix_bind, &deny.unix_bind)
            }
            Request::Can { interface, protocol } => {
                let denied =
                    find(&deny.can, |rule| rule.speaks(protocol) && rule.touches(interface));
                let allowed =
                    find(&allow.can, |rule| rule.speaks(protocol) && rule.holds(interface));
                // Of an interface that is not there nothing can be granted but all. A `*` in a name
                // would be a pattern, and what is shown of it has escapes, which a rule has not.
                let grant = match interface {
                    CanInterface::Name(name)
                        if name.contains('*') || !name.escape_debug().eq(name.chars()) =>
                    {
                        None
                    }
                    CanInterface::All | CanInterface::Name(_) => Some(request.to_string()),
                    CanInterface::Unknown(_) => None,
                };
                self.listed(request, denied, allowed, grant)
            }
            Request::Family(target) => {
                let denied = find(&deny.families, |rule| rule.touches(target));
                self.listed(
                    request,
                    denied,
                    find(&allow.families, |rule| rule.holds(target)),
                    target.grant(),
                )
            }
            Request::Resolve(name) => self.resolve(name),
            Request::ReverseResolve(address) => self.reverse_resolve(address, pins, now),
            Request::Interfaces => {
                self.plain("interfaces", Verb::Interfaces.name(), allow.interfaces, deny.interfaces)
            }
            Request::Hostname(Hostname::Read) => self.plain(
                "hostname read",
                "hostname=read",
                allow.hostname_read,
                deny.hostname_read,
            ),
            Request::Hostname(Hostname::Set) => {
                self.plain("hostname set", "hostname=set", allow.hostname_set, deny.hostname_set)
            }
            Request::GetOption { family, level, number } => {
                self.option(family, level, number, |row| row.get)
            }
            Request::SetOption { family, level, number, datagram } => {
                self.option(family, level, number, |row| match row.set {
                    Access::GrantedOnDatagrams if datagram => Access::Granted,
                    Access::GrantedOnDatagrams => Access::Ordinary,
                    access => access,
                })
            }
            Request::Control { level, number } => self.control(level, number),
            Request::RightsSend => self.ancillary(
                Ancillary::RightsSend,
                [allow.rights_send, None],
                [deny.rights_send, None],
            ),
            Request::RightsReceive { any: false } => self.ancillary(
                Ancillary::RightsReceive,
                [allow.rights_receive, allow.rights_receive_any],
                [deny.rights_receive, None],
            ),
            Request::RightsReceive { any: true } => self.ancillary(
                Ancillary::RightsReceiveAny,
                [allow.rights_receive_any, None],
                [deny.rights_receive, deny.rights_receive_any],
            ),
            Request::CredentialsForge => self.ancillary(
                Ancillary::CredentialsForge,
                [allow.credentials_forge, None],
                [deny.credentials_forge, None],
            ),
            Request::Inherit(number) => self.inherit(number),
            Request::RawSend(address) => self.raw(request, address, pins, now),
            Request::Packet { interface, protocol } => self.packet(interface, protocol),
            Request::Netlink(asked) => self.netlink(asked),
            Request::Multicast(group) => self.multicast(group),
            Request::Ioctl(row) => self.ioctl(row),
        }
    }

    /// Whether a rule allows to use this network interface, so that its name and index may be
    /// looked up without `interfaces`.
    pub fn names_interface(&self, name: &str) -> bool {
        let target = CanInterface::Name(name);
        self.deny.interfaces.is_none() && find(&self.allow.can, |rule| rule.holds(target)).is_some()
    }

    /// Decides by two rules that name the whole of what is asked for.
    fn plain(
        &self,
        what: &str,
        grant: &str,
        allow: Option<RuleId>,
        deny: Option<RuleId>,
    ) -> Result<Allowed<'_>, Denial> {
        match (deny, allow) {
            (Some(rule), _) => Err(Denial::by_rule(what, self.deny.text(rule))),
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(self.by(rule)),
            (None, None) => Err(Denial::missing(what.to_owned(), Some(grant.to_owned()))),
        }
    }

    /// Decides by the rules that were found; `grant` is the target of the rule that would do.
    fn listed(
        &self,
        request: &Request<'_>,
        denied: Option<RuleId>,
        allowed: Option<RuleId>,
        grant: Option<String>,
    ) -> Result<Allowed<'_>, Denial> {
        let verb = request.verb();
        match (denied, allowed) {
            (Some(rule), _) => {
                Err(Denial::by_rule(format_args!("{verb} {request}"), self.deny.text(rule)))
            }
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(self.by(rule)),
            (None, None) => Err(Denial::missing(
                format!("{verb} {request}"),
                grant.map(|target| format!("{verb}={target}")),
            )),
        }
    }

    pub(super) fn by(&self, rule: RuleId) -> Allowed<'_> {
        Allowed { rule: Some(self.allow.text(rule)) }
    }

    /// The names of a canonical address: those with a fixed address first.
    pub(super) fn fixed_names(&self, address: IpAddr) -> &[Box<str>] {
        if self.fixed.addresses.is_empty() {
            &[]
        } else {
            self.fixed.addresses.get(&address).map_or(&[], Vec::as_slice)
        }
    }

    /// The addresses that `--resolve` gives to names.
    pub(super) fn fixed_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.fixed.addresses.keys().copied()
    }

    /// The deny rule about an address, by itself or by a name that has it. An expired pin counts:
    /// it makes nothing less denied.
    pub(super) fn denied_at(
        &self,
        deny: &Endpoints,
        address: IpAddr,
        port: u16,
        pins: &Pins,
    ) -> Option<Ports> {
        if deny.is_empty() {
            return None;
        }
        let by_name = || {
            if deny.names.is_empty() {
                return None;
            }
            let fixed =
                self.fixed_names(address).iter().find_map(|name| deny.names.find(name, port));
            fixed.or_else(|| {
                pins.at(address)
                    .iter()
                    .find_map(|pin| pin.any_name(|name| deny.names.find(name, port)))
            })
        };
        deny.touching(address, port).or_else(by_name)
    }

    /// The rule that allows an address by a name that has it, and the pin by which it has it.
    pub(super) fn named_at<'a>(
        &self,
        allow: &Endpoints,
        address: IpAddr,
        port: u16,
        pins: &'a Pins,
        now: Instant,
    ) -> Result<(RuleId, Option<&'a Pin>), Option<&'a Pin>> {
        if allow.names.is_empty() {
            return Err(None);
        }
        if let Some(found) =
            self.fixed_names(address).iter().find_map(|name| allow.names.find(name, port))
        {
            return Ok((found.rule, None));
        }
        // A name's own word is not enough for an address inside.
        if is_private(address) {
            return Err(None);
        }
        let mut expired = None;
        for pin in pins.at(address) {
            if let Some(found) = allow.names.find(pin.name(), port) {
                if pins.is_fresh(pin, now) {
                    return Ok((found.rule, Some(pin)));
                }
                expired = Some(pin);
            }
        }
        Err(expired)
    }

    /// Decides on a connect or a send.
    pub(super) fn remote(
        &self,
        request: &Request<'_>,
        given: SocketAddr,
        allow: &Endpoints,
        deny: &Endpoints,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let judged = destination(given);
        let (address, port) = (canonical(judged.ip()), judged.port());
        let denied = self.denied_at(deny, address, port, pins).or_else(|| {
            if judged == given { None } else { deny.touching(canonical(given.ip()), port) }
        });
        if let Some(rule) = denied {
            return Err(Denial::by_rule(
                format_args!("{} to {request}", request.verb()),
                self.deny.text(rule.rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(found) = allow.at(address, port) {
            return Ok(self.by(found.rule));
        }
        let expired = match self.named_at(allow, address, port, pins, now) {
            Ok((rule, pin)) => {
                if let Some(pin) = pin {
                    pins.touch(pin, now);
                }
                return Ok(self.by(rule));
            }
            Err(expired) => expired,
        };
        // A guest that asked by name is told the grant by name, where a name's word is enough.
        let fixed = self.fixed_names(address).first().map(|name| &**name);
        let pinned = || pins.at(address).first().filter(|_| !is_private(address)).map(Pin::name);
        // No rule can name what resolvers may read as an address.
        let name = fixed.or_else(pinned).filter(|name| !ends_in_number(name));
        let (grant, asked) = match (request, name) {
            // Beyond 8 bits there is no protocol of IP that a rule could name.
            (Request::RawSend(_), _) => {
                let packet = raw::show_packet(SocketAddr::new(address, port));
                (
                    u8::try_from(port).is_ok().then(|| format!("{}={packet}", Verb::Raw)),
                    String::new(),
                )
            }
            (request, Some(name)) => {
                (Some(format!("{}={name}:{port}", request.verb())), format!(" ({name})"))
            }
            (request, None) => (
                Some(endpoint_grant(request.verb(), SocketAddr::new(address, port))),
                String::new(),
            ),
        };
        let mut denial = Denial::missing(format!("{} to {request}{asked}", request.verb()), grant);
        denial.expired_name =
            expired.map(|pin| pin.name().to_owned()).filter(|name| self.resolve(name).is_ok());
        Err(denial)
    }

    /// Decides on a bind or a listen.
    pub(super) fn local(
        &self,
        request: &Request<'_>,
        local: LocalAddress,
        allow: &Endpoints,
        deny: &Endpoints,
    ) -> Result<Allowed<'_>, Denial> {
        let (address, port) = (canonical(local.address.ip()), local.address.port());
        // Where the kernel chose the port, the guest asked for port 0.
        let asked = if local.kernel_chosen { 0 } else { port };
        let denied = |address, port| denied_local(deny, address, port, local.v6only);
        let allowed = |port| match address {
            IpAddr::V4(v4) if v4.is_unspecified() => allow.wildcard_v4(port),
            IpAddr::V6(v6) if v6.is_unspecified() => allow.wildcard_v6(port, !local.v6only),
            address => allow.at(address, port),
        };
        let what = || format!("{} on {request}", request.verb());
        let in_truth =
            || local.published.and_then(|host| denied(canonical(host.ip()), host.port()));
        if let Some(rule) =
            denied(address, port).or_else(|| denied(address, asked)).or_else(in_truth)
        {
            return Err(Denial::by_rule(what(), self.deny.text(rule.rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        // With port 0 for the host the kernel chose it, at the bind.
        let stands = |host: SocketAddr, truth: SocketAddr| {
            host.ip() == truth.ip() && (host.port() == truth.port() || host.port() == 0)
        };
        let published = self.published.find(request.verb(), local.address);
        if let Some((_, rule)) =
            published.filter(|(host, _)| local.published.is_some_and(|truth| stands(*host, truth)))
        {
            return Ok(Allowed { rule: Some(rule) });
        }
        match allowed(asked).or_else(|| allowed(port)) {
            Some(found) => Ok(self.by(found.rule)),
            None => Err(Denial::missing(
                what(),
                Some(endpoint_grant(request.verb(), SocketAddr::new(address, asked))),
            )),
        }
    }

    /// Whether a datagram from `source` may be returned: `udp-receive` names it, or `udp-send`
    /// does, whose replies it is then.
    ///
    /// This is for the path of every datagram: it never allocates.
    pub fn udp_source_allowed(&self, source: SocketAddr, pins: &Pins, now: Instant) -> bool {
        let (address, port) = (canonical(source.ip()), source.port());
        if self.denied_at(&self.deny.udp_receive, address, port, pins).is_some() {
            return false;
        }
        self.everything || self.source_rule(address, port, pins, now).is_some()
    }

    /// The rule that lets a datagram in, its pin touched.
    fn source_rule(&self, address: IpAddr, port: u16, pins: &Pins, now: Instant) -> Option<RuleId> {
        let held = |rules: &Endpoints| {
            if let Some(found) = rules.at(address, port) {
                return Some(found.rule);
            }
            let (rule, pin) = self.named_at(rules, address, port, pins, now).ok()?;
            if let Some(pin) = pin {
                pins.touch(pin, now);
            }
            Some(rule)
        };
        held(&self.allow.udp_receive).or_else(|| {
            // Who may not be sent to has nothing to reply to.
            let send = &self.deny.udp_send;
            if self.denied_at(send, address, port, pins).is_some() {
                None
            } else {
                held(&self.allow.udp_send)
            }
        })
    }

    /// As `udp_source_allowed`, with the reason; none where a grant is missing.
    fn source(
        &self,
        source: SocketAddr,
        pins: &Pins,
        now: Instant,
    ) -> Option<Result<Allowed<'_>, Denial>> {
        let (address, port) = (canonical(source.ip()), source.port());
        if let Some(rule) = self.denied_at(&self.deny.udp_receive, address, port, pins) {
            return Some(Err(Denial::by_rule(
                format_args!("udp-receive from {source}"),
                self.deny.text(rule.rule),
            )));
        }
        if self.everything {
            return Some(Ok(Allowed { rule: Some(EVERYTHING) }));
        }
        self.source_rule(address, port, pins, now).map(|rule| Ok(self.by(rule)))
    }

    /// Decides on a UNIX name as it is written.
    fn unix<'p>(
        &'p self,
        request: &Request<'_>,
        target: UnixTarget<'_>,
        allow: &'p UnixRules,
        deny: &UnixRules,
    ) -> Result<Allowed<'p>, Denial> {
        let verb = request.verb();
        let what = || format!("{verb} to {request}");
        let (denied, allowed, grant): (_, _, Option<String>) = match target {
            UnixTarget::Path(path) => {
                let path = self.unix_path(verb, path)?;
                let (denied, allowed) = (deny.path(&path), allow.path(&path));
                (denied, allowed, if allowed.is_some() { None } else { path_grant(verb, &path) })
            }
            UnixTarget::Abstract(name) => {
                let (denied, allowed) = (deny.name(name), allow.name(name));
                (
                    denied,
                    allowed,
                    if allowed.is_some() {
                        None
                    } else {
                        Some(format!("{verb}=@{}", escape_abstract(name)))
                    },
                )
            }
            UnixTarget::Unnamed if verb == Verb::UnixBind => {
                let allowed = allow.every_name();
                (
                    deny.kernel_chosen_name(),
                    allowed,
                    if allowed.is_some() { None } else { Some(format!("{verb}=@*")) },
                )
            }
            UnixTarget::Unnamed => {
                return Err(Denial::new(format!("{} is denied: nobody has it", what())));
            }
        };
        match (denied, allowed) {
            (Some(rule), _) => Err(Denial::by_rule(what(), rule)),
            (None, _) if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            (None, Some(rule)) => Ok(Allowed { rule: Some(rule) }),
            (None, None) => Err(Denial::missing(what(), grant)),
        }
    }

    fn unix_path<'a>(&self, verb: Verb, path: &'a [u8]) -> Result<Cow<'a, [u8]>, Denial> {
        absolute(path, self.base.as_deref()).map_err(|why| {
            Denial::new(format!(
                "{verb} to {} is denied: {why}",
                show(&path[..path.len().min(SHOWN)])
            ))
        })
    }

    /// The ways to a path that rules allow. The caller walks one after the other until
    /// [`UnixRoute::permits`] agrees.
    ///
    /// `verb` is [`Verb::UnixConnect`] or [`Verb::UnixBind`].
    ///
    /// # Errors
    ///
    /// The path is denied as it is written, or no rule holds it, or the verb is another.
    pub fn unix_route(&self, verb: Verb, path: &[u8]) -> Result<Vec<UnixRoute>, Denial> {
        let target = UnixTarget::Path(path);
        let (request, allow, deny) = match verb {
            Verb::UnixConnect => {
                (Request::UnixConnect(target), &self.allow.unix_connect, &self.deny.unix_connect)
            }
            Verb::UnixBind => {
                (Request::UnixBind(target), &self.allow.unix_bind, &self.deny.unix_bind)
            }
            verb => return Err(Denial::new(format!("{verb} has no paths"))),
        };
        self.unix(&request, target, allow, deny)?;
        let path = self.unix_path(verb, path)?;
        if self.everything {
            return Ok(vec![UnixRoute::of_everything(verb, &path, deny)]);
        }
        Ok(allow.routes(verb, &path, deny))
    }

    /// Decides on a look-up.
    fn resolve(&self, name: &str) -> Result<Allowed<'_>, Denial> {
        if name.parse::<IpAddr>().is_ok() {
            return Ok(Allowed { rule: None });
        }
        let request = Request::Resolve(name);
        let known = match normalise_name(name) {
            Ok(known) => known,
            Err(e) => {
                return Err(Denial::new(format!(
                    "resolve of {request} is denied: it is no host name, {e}"
                )));
            }
        };
        if let Some(rule) = self.deny.resolve.find(&known) {
            return Err(Denial::by_rule(
                format_args!("resolve of {request}"),
                self.deny.text(rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(rule) = self.allow.resolve.find(&known) {
            return Ok(self.by(rule));
        }
        if let Some((_, rule)) = self.fixed.names.get(&*known) {
            return Ok(Allowed { rule: Some(rule) });
        }
        let (allow, deny) = (&self.allow, &self.deny);
        let implied = [
            (&allow.tcp_connect, &deny.tcp_connect),
            (&allow.udp_send, &deny.udp_send),
            (&allow.raw, &deny.raw),
        ];
        for (allow, deny) in implied {
            // A grant of which a deny rule leaves no port implies nothing.
            let left = |ports: &Ports| any_left(*ports, |port| deny.names.find(&known, port));
            if let Some(found) = allow.names.all(&known).find(left) {
                return Ok(self.by(found.rule));
            }
        }
        // No rule can name what resolvers may read as an address.
        let grant = (!ends_in_number(&known)).then(|| format!("{}={known}", Verb::Resolve));
        let mut denial = Denial::missing(format!("resolve of {request}"), grant);
        if denial.grant.is_some() {
            // Most look a name up to connect to it.
            denial.reason.push_str(&format!(
                ", or by what it is looked up for, as in {}={known}:443",
                Verb::TcpConnect
            ));
        }
        Err(denial)
    }

    /// Whether every name may be looked up that no rule denies, so that a text that is no name has
    /// nothing to be denied for.
    pub fn resolves_any(&self) -> bool {
        self.deny.resolve.any.is_none() && (self.everything || self.allow.resolve.any.is_some())
    }

    /// Decides on a reverse look-up. A rule by a name holds for what the guest looked that name up
    /// to, as it does for a connect: private addresses need a rule of their own, or `--resolve`,
    /// whose addresses may be asked for without any other rule.
    fn reverse_resolve(
        &self,
        given: IpAddr,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let (allow, deny) = (&self.allow.reverse_resolve, &self.deny.reverse_resolve);
        let address = canonical(given);
        let what = || format!("{} of {given}", Verb::ReverseResolve);
        if let Some(rule) = self.denied_at(deny, address, 0, pins) {
            return Err(Denial::by_rule(what(), self.deny.text(rule.rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(found) = allow.at(address, 0) {
            return Ok(self.by(found.rule));
        }
        let expired = match self.named_at(allow, address, 0, pins, now) {
            Ok((rule, pin)) => {
                if let Some(pin) = pin {
                    pins.touch(pin, now);
                }
                return Ok(self.by(rule));
            }
            Err(expired) => expired,
        };
        let fixed = self.fixed_names(address).first().and_then(|name| self.fixed.names.get(name));
        if let Some((_, rule)) = fixed {
            return Ok(Allowed { rule: Some(rule) });
        }
        let mut denial =
            Denial::missing(what(), Some(format!("{}={address}", Verb::ReverseResolve)));
        denial.expired_name =
            expired.map(|pin| pin.name().to_owned()).filter(|name| self.resolve(name).is_ok());
        Err(denial)
    }

    /// The names to which `--resolve` gave this address, in the order given: the answer to a
    /// reverse look-up, without asking any resolver. They are judged as any other.
    pub fn fixed_names_of(&self, address: IpAddr) -> &[Box<str>] {
        self.fixed_names(canonical(address))
    }

    /// Judges the answers to a look-up of `name`, or its fixed addresses.
    ///
    /// An address is dropped where nothing is left that it could be used for: it lies in private
    /// space and neither a rule that names addresses nor `--resolve` holds it, or deny rules take
    /// every port that grants by the name and by the address open. A name that may be looked up and
    /// no more keeps what could be connected or sent to. More than 64 are cut.
    pub fn judge_answers(&self, name: &str, addresses: Vec<IpAddr>) -> JudgedAnswers {
        self.judge_answers_of(name, &[], addresses)
    }

    /// As [`Self::judge_answers`], for a look-up that gave other names too: canonical names and
    /// aliases, for which deny rules hold.
    pub fn judge_answers_of(
        &self,
        name: &str,
        others: &[String],
        addresses: Vec<IpAddr>,
    ) -> JudgedAnswers {
        let mut judged = JudgedAnswers::default();
        let known = normalise_name(name).unwrap_or(Cow::Borrowed(""));
        let fixed = self.fixed.names.get(&*known).map_or(&[][..], |(addresses, _)| addresses);
        let others: Vec<_> = others.iter().filter_map(|other| normalise_name(other).ok()).collect();
        for address in addresses {
            let result = if judged.kept.len() < ADDRESSES {
                self.judge_answer(&known, &others, canonical(address), fixed)
            } else {
                Err(Denial::new(format!(
                    "{address} is left out: {known} has more than {ADDRESSES} addresses"
                )))
            };
            match result {
                Ok(()) => judged.kept.push(address),
                Err(denial) => judged.dropped.push(DroppedAnswer { address, denial }),
            }
        }
        judged
    }

    fn judge_answer(
        &self,
        name: &str,
        others: &[Cow<'_, str>],
        address: IpAddr,
        fixed: &[IpAddr],
    ) -> Result<(), Denial> {
        let (allow, deny) = (self.allow.endpoints(), self.deny.endpoints());
        // Where a connect to it leads: the unspecified address is the loopback, and rules name
        // that.
        let reached = canonical(destination(SocketAddr::new(address, 0)).ip());
        let held = |rules: &&Endpoints| rules.all_at(reached).next().is_some();
        let at = |deny: &Endpoints, port| {
            deny.touching(address, port).or_else(|| deny.touching(reached, port))
        };
        let names = || std::iter::once(name).chain(others.iter().map(|other| &**other));
        let taken = |deny: &Endpoints, port| {
            at(deny, port).or_else(|| names().find_map(|name| deny.names.find(name, port)))
        };
        let usable = |deny: &Endpoints, wanted: Ports| any_left(wanted, |port| taken(deny, port));
        let private = is_private(address)
            && !self.everything
            && !fixed.contains(&address)
            && !allow.iter().any(held);
        // The grants for the first ports that are open by the name: none is of use where deny rules
        // take them.
        let rules = [
            (Verb::TcpConnect, &self.allow.tcp_connect, &self.deny.tcp_connect),
            (Verb::UdpSend, &self.allow.udp_send, &self.deny.udp_send),
            (Verb::Raw, &self.allow.raw, &self.deny.raw),
        ];
        let named = || {
            rules.iter().flat_map(|(verb, allow, deny)| {
                allow.names.all(name).map(move |ports| (*verb, ports, *deny))
            })
        };
        let left = named().find(|(_, ports, deny)| usable(deny, *ports));
        if private && (left.is_some() || named().next().is_none()) {
            let grant = left.map(|(verb, ports, _)| {
                let pattern = EndpointPattern {
                    host: HostPattern::Net(reached.into()),
                    ports: ports.range(),
                };
                match verb {
                    Verb::Raw => format!("{verb}={}", RawPattern::Packets(pattern)),
                    verb => format!("{verb}={pattern}"),
                }
            });
            let also = grant
                .as_ref()
                .map(|grant| format!("--allow {} or ", quoted(grant)))
                .unwrap_or_default();
            let reason = format!(
                "{name} leads to {address}, which is private: a name alone does not open it; \
                 allow it with {also}--resolve {name}={reached}"
            );
            return Err(Denial { grant, ..Denial::new(reason) });
        }
        let mut granted = false;
        if !self.everything {
            for (allow, deny) in allow.into_iter().zip(deny) {
                for wanted in allow.all_at(reached).chain(allow.names.all(name)) {
                    granted = true;
                    if usable(deny, wanted) {
                        return Ok(());
                    }
                }
            }
        }
        let everywhere = Ports { low: 0, high: u16::MAX, rule: 0 };
        if !granted
            && [&self.deny.tcp_connect, &self.deny.udp_send]
                .into_iter()
                .any(|deny| usable(deny, everywhere))
        {
            return Ok(());
        }
        let any = |deny: &Endpoints| {
            let by_name = || names().find_map(|name| deny.names.all(name).next());
            deny.all_at(reached).next().or_else(by_name).or_else(|| at(deny, 0))
        };
        let rule = deny.into_iter().find_map(any).map_or("", |found| self.deny.text(found.rule));
        Err(Denial::by_rule(format_args!("{name}'s address {address}"), rule))
    }

    /// Decides on an option.
    fn option(
        &self,
        family: i32,
        level: i32,
        number: i32,
        access: impl Fn(&SocketOption) -> Access,
    ) -> Result<Allowed<'_>, Denial> {
        match option::find(family, level, number) {
            Some(row) => self.row(row, access(row)),
            // Not under `allow-all` either: an option's value can hold a pointer or a descriptor's
            // number, and those would be the host's. Only the table knows which don't.
            None => Err(Denial::new(format!(
                "option {level}/{number} is denied: it is not in the table of options"
            ))),
        }
    }

    fn row(&self, row: &'static SocketOption, access: Access) -> Result<Allowed<'_>, Denial> {
        if let Access::Refused(why) = access {
            return Err(Denial::new(format!("option {row} is denied: {why}")));
        }
        if let Some(rule) = self.deny.options.get(&(row.level_name, row.number)) {
            return Err(Denial::by_rule(format_args!("option {row}"), self.deny.text(*rule)));
        }
        match access {
            Access::Ordinary | Access::Absent | Access::Refused(_) => Ok(Allowed { rule: None }),
            Access::Header => self.raw_header(),
            // The group in the value is a request of its own.
            Access::Multicast if row.shape.names_group() => Ok(Allowed { rule: None }),
            Access::Multicast => self.multicast(None),
            Access::Granted | Access::GrantedOnDatagrams if self.everything => {
                Ok(Allowed { rule: Some(EVERYTHING) })
            }
            Access::Granted | Access::GrantedOnDatagrams => {
                match self.allow.options.get(&(row.level_name, row.number)) {
                    Some(rule) => Ok(self.by(*rule)),
                    None => Err(Denial::missing(
                        format!("option {row}"),
                        Some(format!("{}={row}", Verb::Option)),
                    )),
                }
            }
        }
    }

    /// Decides on an ioctl.
    fn ioctl(&self, row: &'static Ioctl) -> Result<Allowed<'_>, Denial> {
        if let Access::Refused(why) = row.access {
            return Err(Denial::new(format!("ioctl {} is denied: {why}", row.name)));
        }
        if let Some(rule) = self.deny.ioctls.get(&row.number) {
            return Err(Denial::by_rule(format_args!("ioctl {}", row.name), self.deny.text(*rule)));
        }
        match self.allow.ioctls.get(&row.number) {
            _ if row.access == Access::Ordinary => Ok(Allowed { rule: None }),
            _ if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            Some(rule) => Ok(self.by(*rule)),
            None => Err(Denial::missing(
                format!("ioctl {}", row.name),
                Some(format!("{}={}", Verb::Ioctl, row.name)),
            )),
        }
    }

    /// Decides on a control message to send.
    fn control(&self, level: i32, number: i32) -> Result<Allowed<'_>, Denial> {
        match (level, number) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                // As bytes they would be numbers of the host's own descriptors.
                Err(Denial::new(
                    "SCM_RIGHTS is denied as bytes: descriptors are sent as descriptors".into(),
                ))
            }
            (SOL_SOCKET, SCM_CREDENTIALS) => Ok(Allowed { rule: None }),
            _ => match option::control(level, number).and_then(|row| Some((row, row.control?))) {
                Some((row, access)) => self.row(row, access),
                None => {
                    let what = format!("control message {level}/{number}");
                    Err(Denial::new(format!(
                        "{what} is denied: it is not in the table of control messages"
                    )))
                }
            },
        }
    }

    fn ancillary(
        &self,
        what: Ancillary,
        allow: [Option<RuleId>; 2],
        deny: [Option<RuleId>; 2],
    ) -> Result<Allowed<'_>, Denial> {
        let name = format_args!("ancillary {}", what.name());
        if let Some(rule) = deny.into_iter().flatten().next() {
            return Err(Denial::by_rule(name, self.deny.text(rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match allow.into_iter().flatten().next() {
            Some(rule) => Ok(self.by(rule)),
            None => Err(Denial::missing(
                name.to_string(),
                Some(format!("{}={}", Verb::Ancillary, what.name())),
            )),
        }
    }

    /// Decides on taking what was handed over.
    fn inherit(&self, number: DescriptorNumber) -> Result<Allowed<'_>, Denial> {
        if let Some(rule) = self.deny.inherit.get(&number) {
            return Err(Denial::by_rule(
                format_args!("inherit of {number}"),
                self.deny.text(*rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match self.allow.inherit.get(&number) {
            Some(rule) => Ok(self.by(*rule)),
            None => Err(Denial::missing(
                format!("inherit of {number}"),
                Some(format!("{}={number}", Verb::Inherit)),
            )),
        }
    }
}

/// The deny rule about a local address, or about any address that a wildcard takes in.
pub(super) fn denied_local(
    deny: &Endpoints,
    address: IpAddr,
    port: u16,
    v6only: bool,
) -> Option<Ports> {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => deny.any_v4(port),
        IpAddr::V6(v6) if v6.is_unspecified() => {
            deny.any_v6(port).or_else(|| if v6only { None } else { deny.any_v4(port) })
        }
        address => deny.touching(address, port),
    }
}

/// The first rule of a list that fits. Such lists are short: nobody has thousands of CAN
/// interfaces.
fn find<P>(list: &[(P, RuleId)], fits: impl Fn(&P) -> bool) -> Option<RuleId> {
    list.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
}

fn endpoint_grant(verb: Verb, address: SocketAddr) -> String {
    // Without the zone, which no rule has.
    format!("{verb}={}", SocketAddr::new(canonical(address.ip()), address.port()))
}

#[cfg(test)]
mod tests;
