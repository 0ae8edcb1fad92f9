//! Addresses, in the forms in which Python takes and returns them.

mod encode;
mod form;
mod numeric;
mod repr;

pub(crate) use encode::encode_for;
#[cfg(test)]
pub(crate) use encode::{bluetooth, encode};
pub use numeric::{inet_aton, inet_ntoa, inet_ntop, inet_pton};

use numeric::ipv6_text;
use repr::{bytes_repr, str_repr};

use std::{
    borrow::Cow,
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    path::{Path, PathBuf},
};

use crate::{
    Result,
    raw::{
        descriptors::Descriptor,
        syscalls,
        types::{
            self, BluetoothAddress, CanAddress, CanDetail, CanIsotp, CanJ1939, Inet6Address,
            InetAddress, NetlinkAddress, QipcrtrAddress, UnixAddress, VsockAddress,
        },
    },
};

/// A socket's address, as a result.
///
/// It prints as in Python: `('127.0.0.1', 80)`, `('::1', 80, 0, 0)`, `'/run/app.sock'`,
/// `b'\x00abstract'`, `None`. A call that takes an address takes it as an argument.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Address {
    /// Python's `None`: the kernel gave no address, for example to `recvfrom` on a connected
    /// stream. As an argument it is a TypeError. To dissolve the association of a datagram socket,
    /// use `Other(raw::types::Address::Unspec)`.
    #[default]
    None,
    /// AF_INET (man 7 ip): host and port.
    Inet(Ipv4Addr, u16),
    /// AF_INET6 (man 7 ipv6): host, port, flow information, scope id.
    Inet6(Ipv6Addr, u16, u32, u32),
    /// AF_UNIX (man 7 unix): a path; or a NUL and an abstract name; or no bytes, for a socket
    /// without a name.
    Unix(Vec<u8>),
    /// AF_NETLINK (man 7 netlink): port id and groups. The kernel has 0 for both.
    Netlink(u32, u32),
    /// AF_PACKET (man 7 packet): the interface's name, the protocol in host order, the packet's
    /// type (PACKET_HOST and similar values), the hardware's type, the hardware address.
    Packet(String, u16, u8, u16, Vec<u8>),
    /// AF_CAN (the kernel's Documentation/networking/can.rst): the interface's name, empty for any,
    /// and the detail of the protocol: nothing for CAN_RAW and CAN_BCM, a pair of identifiers for
    /// CAN_ISOTP, NAME, group and node for CAN_J1939.
    Can(String, CanDetail),
    /// AF_VSOCK (man 7 vsock): context id and port.
    Vsock(u32, u32),
    /// AF_QIPCRTR (linux/qrtr.h): node and port.
    Qipcrtr(u32, u32),
    /// An address of any other family, as the raw layer has it.
    Other(types::Address),
}

impl Address {
    /// Returns the numeric host of an INET or INET6 address, as glibc writes it. It never has a
    /// `%zone`.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Inet(host, ..) => Some(host.to_string()),
            Self::Inet6(host, ..) => Some(ipv6_text(*host)),
            _ => None,
        }
    }

    /// Returns the port of an INET or INET6 address.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(_, port) | Self::Inet6(_, port, ..) => Some(*port),
            _ => None,
        }
    }

    /// Returns the path of an AF_UNIX address. None for an abstract name, and for a socket without
    /// a name.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Unix(name) if name.first().is_some_and(|&first| first != 0) => Some(name),
            _ => None,
        }
    }

    /// Whether the address is true in Python: it is not None, and not the empty name.
    pub(crate) const fn is_some(&self) -> bool {
        match self {
            Self::None => false,
            Self::Unix(name) => !name.is_empty(),
            _ => true,
        }
    }
}

impl From<types::Address> for Address {
    fn from(address: types::Address) -> Self {
        match address {
            types::Address::Inet(InetAddress { address: (a, b, c, d), port }) => {
                Self::Inet(Ipv4Addr::new(a, b, c, d), port)
            }
            types::Address::Inet6(Inet6Address {
                address: (a, b, c, d, e, f, g, h),
                port,
                flow_info,
                scope_id,
            }) => Self::Inet6(Ipv6Addr::new(a, b, c, d, e, f, g, h), port, flow_info, scope_id),
            types::Address::Unix(UnixAddress::Unnamed) => Self::Unix(Vec::new()),
            types::Address::Unix(UnixAddress::Path(path)) => Self::Unix(path),
            types::Address::Unix(UnixAddress::Abstract(mut name)) => {
                name.insert(0, 0);
                Self::Unix(name)
            }
            types::Address::Netlink(NetlinkAddress { port_id, groups }) => {
                Self::Netlink(port_id, groups)
            }
            types::Address::Vsock(VsockAddress { cid, port }) => Self::Vsock(cid, port),
            types::Address::Qipcrtr(QipcrtrAddress { node, port }) => Self::Qipcrtr(node, port),
            other => Self::Other(other),
        }
    }
}

impl From<Option<types::Address>> for Address {
    fn from(address: Option<types::Address>) -> Self {
        address.map_or(Self::None, Self::from)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::Inet(*address.ip(), address.port()),
            SocketAddr::V6(address) => {
                Self::Inet6(*address.ip(), address.port(), address.flowinfo(), address.scope_id())
            }
        }
    }
}

/// Fails for an address of a family other than INET and INET6, and returns that address.
impl TryFrom<Address> for SocketAddr {
    type Error = Address;

    fn try_from(address: Address) -> Result<Self, Address> {
        match address {
            Address::Inet(host, port) => Ok(Self::from((host, port))),
            Address::Inet6(host, port, flow, scope) => {
                Ok(Self::V6(SocketAddrV6::new(host, port, flow, scope)))
            }
            other => Err(other),
        }
    }
}

/// As Python's `repr`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Inet(host, port) => write!(f, "('{host}', {port})"),
            Self::Inet6(host, port, flow, scope) => {
                write!(f, "('{}', {port}, {flow}, {scope})", ipv6_text(*host))
            }
            Self::Unix(name) if name.first() == Some(&0) => f.write_str(&bytes_repr(name)),
            Self::Unix(name) => f.write_str(&str_repr(name)),
            Self::Netlink(first, second)
            | Self::Vsock(first, second)
            | Self::Qipcrtr(first, second) => {
                write!(f, "({first}, {second})")
            }
            Self::Packet(interface, protocol, kind, hardware, address) => {
                let (interface, address) = (str_repr(interface.as_bytes()), bytes_repr(address));
                write!(f, "({interface}, {protocol}, {kind}, {hardware}, {address})")
            }
            Self::Can(interface, detail) => {
                let interface = str_repr(interface.as_bytes());
                match detail {
                    CanDetail::Plain => write!(f, "({interface},)"),
                    CanDetail::Isotp(CanIsotp { receive_id, transmit_id }) => {
                        write!(f, "({interface}, {receive_id}, {transmit_id})")
                    }
                    CanDetail::J1939(CanJ1939 { name, pgn, address }) => {
                        write!(f, "({interface}, {name}, {pgn}, {address})")
                    }
                }
            }
            Self::Other(address) => tuple(address, f),
        }
    }
}

/// Writes the tuple of a family without a case in [`Address`].
fn tuple(address: &types::Address, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use types::Address as Raw;
    let device = |(a, b, c, d, e, g): types::BluetoothDevice| {
        format!("'{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}'")
    };
    match address {
        Raw::Rds(InetAddress { address: (a, b, c, d), port }) => {
            write!(f, "('{}', {port})", Ipv4Addr::new(*a, *b, *c, *d))
        }
        Raw::Tipc(address) => {
            let types::TipcAddress { address_type, scope, v1, v2, v3 } = address;
            write!(f, "({address_type}, {v1}, {v2}, {v3}, {scope})")
        }
        Raw::Bluetooth(BluetoothAddress::L2cap(address)) => {
            // CPython: at least two elements, and no trailing defaults.
            write!(f, "({}, {}", device(address.device), address.psm)?;
            if address.cid != 0 || address.device_type != 0 {
                write!(f, ", {}", address.cid)?;
            }
            if address.device_type != 0 {
                write!(f, ", {}", address.device_type)?;
            }
            f.write_str(")")
        }
        Raw::Bluetooth(BluetoothAddress::Rfcomm(address)) => {
            write!(f, "({}, {})", device(address.device), address.channel)
        }
        Raw::Bluetooth(BluetoothAddress::Hci(address)) if address.channel == 0 => {
            write!(f, "{}", address.adapter)
        }
        Raw::Bluetooth(BluetoothAddress::Hci(address)) => {
            write!(f, "({}, {})", address.adapter, address.channel)
        }
        Raw::Bluetooth(BluetoothAddress::Sco(address)) => f.write_str(&device(*address)),
        Raw::Alg(address) => {
            let (kind, name) =
                (str_repr(address.kind.as_bytes()), str_repr(address.name.as_bytes()));
            write!(f, "({kind}, {name}, {}, {})", address.feature, address.mask)
        }
        Raw::Other(address) => write!(f, "({}, {})", address.family, bytes_repr(&address.data)),
        other => write!(f, "{other:?}"),
    }
}

/// As Python's `repr`.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address as an argument, before its look-up: the result of [`ToAddress`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AddressArgument<'a> {
    /// A tuple of Python: `(host, port)`, `(host, port, flowinfo)` or `(host, port, flowinfo,
    /// scope_id)`.
    Host {
        /// A name, a numeric address, `<broadcast>`, or an empty text for the wildcard.
        host: Cow<'a, [u8]>,
        /// The port, 0 to 65535.
        port: i64,
        /// The flow information, 0 to 1048575, if it was given.
        flow_info: Option<i64>,
        /// The scope id, cut to 32 bits, if it was given.
        scope_id: Option<i64>,
    },
    /// A tuple of five: `(interface, protocol, packet type, hardware type, hardware address)` of
    /// AF_PACKET.
    Packet {
        /// The interface's name.
        interface: Cow<'a, [u8]>,
        /// The Ethernet protocol, 0 to 65535.
        protocol: i64,
        /// PACKET_HOST and similar values.
        packet_type: i64,
        /// The hardware's type.
        hardware_type: i64,
        /// The hardware address, at most 8 bytes.
        hardware_address: Cow<'a, [u8]>,
    },
    /// A tuple of one, `(interface,)`, or an AF_CAN address that a call returned.
    Can {
        /// The interface's name; empty for any.
        interface: Cow<'a, [u8]>,
        /// The detail of the protocol.
        detail: CanDetail,
    },
    /// A text or bytes: the name of an AF_UNIX address.
    Name(Cow<'a, [u8]>),
    /// An address of the raw layer. On a socket of its family it goes to the host unchanged.
    Known(types::Address),
    /// No address, which no call takes.
    None,
}

/// Returns whether a host is a name, and not an address, the wildcard or `<broadcast>`.
pub(crate) fn is_name(host: &str) -> bool {
    !host.is_empty() && host != "<broadcast>" && !host.contains(':') && inet_aton(host).is_err()
}

impl AddressArgument<'_> {
    /// Returns the host if it is a name.
    pub(crate) fn host_name(&self) -> Option<&str> {
        match self {
            Self::Host { host, .. } => std::str::from_utf8(host).ok().filter(|host| is_name(host)),
            _ => None,
        }
    }

    /// Returns the same argument, with nothing borrowed.
    #[must_use]
    pub fn into_owned(self) -> AddressArgument<'static> {
        match self {
            Self::Host { host, port, flow_info, scope_id } => AddressArgument::Host {
                host: Cow::Owned(host.into_owned()),
                port,
                flow_info,
                scope_id,
            },
            Self::Packet { interface, protocol, packet_type, hardware_type, hardware_address } => {
                AddressArgument::Packet {
                    interface: Cow::Owned(interface.into_owned()),
                    protocol,
                    packet_type,
                    hardware_type,
                    hardware_address: Cow::Owned(hardware_address.into_owned()),
                }
            }
            Self::Can { interface, detail } => {
                AddressArgument::Can { interface: Cow::Owned(interface.into_owned()), detail }
            }
            Self::Name(name) => AddressArgument::Name(Cow::Owned(name.into_owned())),
            Self::Known(address) => AddressArgument::Known(address),
            Self::None => AddressArgument::None,
        }
    }
}

/// As Python's `repr` of the argument.
impl fmt::Display for AddressArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port, flow_info, scope_id } => {
                write!(f, "({}, {port}", str_repr(host))?;
                for number in [flow_info, scope_id].into_iter().flatten() {
                    write!(f, ", {number}")?;
                }
                f.write_str(")")
            }
            Self::Packet { interface, protocol, packet_type, hardware_type, hardware_address } => {
                let (interface, address) = (str_repr(interface), bytes_repr(hardware_address));
                write!(f, "({interface}, {protocol}, {packet_type}, {hardware_type}, {address})")
            }
            Self::Can { interface, detail } => {
                Address::Can(String::from_utf8_lossy(interface).into_owned(), *detail).fmt(f)
            }
            Self::Name(name) => f.write_str(&str_repr(name)),
            Self::Known(address) => Address::from(address.clone()).fmt(f),
            Self::None => f.write_str("None"),
        }
    }
}

/// A type whose values a call takes as an address:
///
/// * `("host", port)`, and for AF_INET6 `("host", port, flowinfo)` and `("host", port, flowinfo,
///   scope_id)`, the host as text or bytes;
/// * for AF_PACKET `("interface", protocol)`, with the packet type, hardware type and hardware
///   address as a third to a fifth element;
/// * [`Address::Netlink`] for AF_NETLINK, [`Address::Vsock`] for AF_VSOCK, [`Address::Qipcrtr`] for
///   AF_QIPCRTR;
/// * for AF_CAN `("interface",)`, with CAN_ISOTP `("interface", receive id, transmit id)`, with
///   CAN_J1939 `("interface", name, pgn, address)`;
/// * for AF_BLUETOOTH with BTPROTO_L2CAP `("12:34:56:78:9A:BC", psm)`, with the channel id and the
///   type of the device address as a third and fourth element; with BTPROTO_RFCOMM
///   `("12:34:56:78:9A:BC", channel)`; with BTPROTO_SCO the device address alone; with BTPROTO_HCI
///   [`Address::Other`] with the raw layer's address;
/// * [`Address::Other`] with an ALG or TIPC address of the raw layer;
/// * a path or bytes for AF_UNIX: a leading NUL makes an abstract name, and with no bytes `bind`
///   chooses a name;
/// * an [`Address`] that a call returned, or a [`SocketAddr`]. A socket of another family takes it
///   as Python's tuple of it. An address of the raw layer that is only bytes, or no address, goes
///   to the host unchanged.
///
/// An argument that does not fit the socket's family is a `TypeError`, as in Python.
pub trait ToAddress {
    /// Returns the argument.
    fn to_address(&self) -> AddressArgument<'_>;
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> AddressArgument<'_> {
        (**self).to_address()
    }
}

impl<H: AsRef<[u8]>, P: Copy + Into<i64>> ToAddress for (H, P) {
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Host {
            host: Cow::Borrowed(self.0.as_ref()),
            port: self.1.into(),
            flow_info: None,
            scope_id: None,
        }
    }
}

impl<H: AsRef<[u8]>, P: Copy + Into<i64>, F: Copy + Into<i64>> ToAddress for (H, P, F) {
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Host {
            host: Cow::Borrowed(self.0.as_ref()),
            port: self.1.into(),
            flow_info: Some(self.2.into()),
            scope_id: None,
        }
    }
}

impl<H, P, F, S> ToAddress for (H, P, F, S)
where
    H: AsRef<[u8]>,
    P: Copy + Into<i64>,
    F: Copy + Into<i64>,
    S: Copy + Into<i64>,
{
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Host {
            host: Cow::Borrowed(self.0.as_ref()),
            port: self.1.into(),
            flow_info: Some(self.2.into()),
            scope_id: Some(self.3.into()),
        }
    }
}

impl<H, P, T, W, A> ToAddress for (H, P, T, W, A)
where
    H: AsRef<[u8]>,
    P: Copy + Into<i64>,
    T: Copy + Into<i64>,
    W: Copy + Into<i64>,
    A: AsRef<[u8]>,
{
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Packet {
            interface: Cow::Borrowed(self.0.as_ref()),
            protocol: self.1.into(),
            packet_type: self.2.into(),
            hardware_type: self.3.into(),
            hardware_address: Cow::Borrowed(self.4.as_ref()),
        }
    }
}

impl<H: AsRef<[u8]>> ToAddress for (H,) {
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Can { interface: Cow::Borrowed(self.0.as_ref()), detail: CanDetail::Plain }
    }
}

macro_rules! names {
    ($($type:ty: $name:ident => $bytes:expr;)*) => {
        $(
            impl ToAddress for $type {
                fn to_address(&self) -> AddressArgument<'_> {
                    let $name = self;
                    AddressArgument::Name(Cow::Borrowed($bytes))
                }
            }
        )*
    };
}

names! {
    str: name => name.as_bytes();
    String: name => name.as_bytes();
    [u8]: name => name;
    Vec<u8>: name => name;
    Path: name => name.as_os_str().as_encoded_bytes();
    PathBuf: name => name.as_os_str().as_encoded_bytes();
}

impl<const N: usize> ToAddress for [u8; N] {
    fn to_address(&self) -> AddressArgument<'_> {
        AddressArgument::Name(Cow::Borrowed(self))
    }
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> AddressArgument<'_> {
        Address::from(*self).into_argument()
    }
}

impl ToAddress for SocketAddrV4 {
    fn to_address(&self) -> AddressArgument<'_> {
        Address::from(SocketAddr::V4(*self)).into_argument()
    }
}

impl ToAddress for SocketAddrV6 {
    fn to_address(&self) -> AddressArgument<'_> {
        Address::from(SocketAddr::V6(*self)).into_argument()
    }
}

impl ToAddress for Address {
    fn to_address(&self) -> AddressArgument<'_> {
        self.clone().into_argument()
    }
}

impl ToAddress for AddressArgument<'_> {
    fn to_address(&self) -> AddressArgument<'_> {
        match self {
            Self::Host { host, port, flow_info, scope_id } => AddressArgument::Host {
                host: Cow::Borrowed(host),
                port: *port,
                flow_info: *flow_info,
                scope_id: *scope_id,
            },
            Self::Packet { interface, protocol, packet_type, hardware_type, hardware_address } => {
                AddressArgument::Packet {
                    interface: Cow::Borrowed(interface),
                    protocol: *protocol,
                    packet_type: *packet_type,
                    hardware_type: *hardware_type,
                    hardware_address: Cow::Borrowed(hardware_address),
                }
            }
            Self::Can { interface, detail } => {
                AddressArgument::Can { interface: Cow::Borrowed(interface), detail: *detail }
            }
            Self::Name(name) => AddressArgument::Name(Cow::Borrowed(name)),
            Self::Known(address) => AddressArgument::Known(address.clone()),
            Self::None => AddressArgument::None,
        }
    }
}

impl Address {
    fn into_argument(self) -> AddressArgument<'static> {
        match self {
            Self::None => AddressArgument::None,
            Self::Inet(host, port) => AddressArgument::Known(inet(host, port)),
            Self::Inet6(host, port, flow_info, scope_id) => {
                AddressArgument::Known(inet6(host, port, flow_info, scope_id))
            }
            // A name is an argument of its own, which is checked again.
            Self::Unix(name) => AddressArgument::Name(Cow::Owned(name)),
            Self::Netlink(port_id, groups) => {
                AddressArgument::Known(types::Address::Netlink(NetlinkAddress { port_id, groups }))
            }
            Self::Vsock(cid, port) => {
                AddressArgument::Known(types::Address::Vsock(VsockAddress { cid, port }))
            }
            Self::Qipcrtr(node, port) => {
                AddressArgument::Known(types::Address::Qipcrtr(QipcrtrAddress { node, port }))
            }
            Self::Packet(interface, protocol, packet_type, hardware_type, address) => {
                AddressArgument::Packet {
                    interface: Cow::Owned(interface.into_bytes()),
                    protocol: protocol.into(),
                    packet_type: packet_type.into(),
                    hardware_type: hardware_type.into(),
                    hardware_address: Cow::Owned(address),
                }
            }
            Self::Can(interface, detail) => {
                AddressArgument::Can { interface: Cow::Owned(interface.into_bytes()), detail }
            }
            Self::Other(address) => AddressArgument::Known(address),
        }
    }
}

pub(crate) fn inet(host: Ipv4Addr, port: u16) -> types::Address {
    let [a, b, c, d] = host.octets();
    types::Address::Inet(InetAddress { address: (a, b, c, d), port })
}

pub(crate) fn inet6(host: Ipv6Addr, port: u16, flow_info: u32, scope_id: u32) -> types::Address {
    let [a, b, c, d, e, f, g, h] = host.segments();
    types::Address::Inet6(Inet6Address {
        address: (a, b, c, d, e, f, g, h),
        port,
        flow_info,
        scope_id,
    })
}

/// Linux's ioctl from an interface's number to its name, and the layout of `struct ifreq`, in which
/// the number follows the name (man 7 netdevice).
const SIOCGIFNAME: u32 = 0x8910;
const IFREQ: usize = 40;
const IFNAMSIZ: usize = 16;

/// Returns the name of an interface, or an empty text if it has none.
fn interface_name(descriptor: &Descriptor, index: u32) -> String {
    let mut request = [0; IFREQ];
    request[IFNAMSIZ..IFNAMSIZ + 4].copy_from_slice(&index.to_ne_bytes());
    let Ok(answer) = syscalls::ioctl(descriptor, SIOCGIFNAME, &request) else {
        return String::new();
    };
    let name = answer.argument.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Returns an address from the host in Python's form. Numbers of interfaces become names.
pub(crate) fn decode(descriptor: &Descriptor, address: Option<types::Address>) -> Address {
    let name = |index| if index == 0 { String::new() } else { interface_name(descriptor, index) };
    match address {
        Some(types::Address::Can(CanAddress { interface, detail })) => {
            Address::Can(name(interface), detail)
        }
        Some(types::Address::Packet(packet)) => Address::Packet(
            name(packet.interface),
            packet.protocol,
            packet.packet_type,
            packet.hardware_type,
            packet.hardware_address,
        ),
        address => address.into(),
    }
}
