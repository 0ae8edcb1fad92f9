//! The requests that a policy decides on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option;

use crate::path::escape_abstract;
use crate::target::{Ancillary, DescriptorNumber, Hostname};
use crate::unix::show;
use crate::verbs::Verb;
use crate::verbs::can::{CanInterface, can_protocol};
use crate::verbs::family::FamilyTarget;
use crate::verbs::netlink::NetlinkRequest;
use crate::verbs::{packet, raw};

/// How much of a name or a path that a guest made up stands in a sentence.
pub(crate) const SHOWN: usize = 256;

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
