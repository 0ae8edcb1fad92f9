//! Addresses: what Python takes as an address, and what it gives.

mod form;

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    path::{Path, PathBuf},
};

use sandsock_abi::{
    constants::{
        BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO, CAN_BCM, CAN_ISOTP, CAN_J1939,
        CAN_RAW, EAI_NONAME,
    },
    errno,
};

use crate::{
    Error, ErrorKind, Family, Result, Socket, idna, netdb,
    raw::{
        descriptors::Descriptor,
        syscalls,
        types::{
            self, BluetoothAddress, CanAddress, CanDetail, CanIsotp, CanJ1939, Inet6Address,
            InetAddress, L2capAddress, NetlinkAddress, PacketAddress, QipcrtrAddress,
            RfcommAddress, UnixAddress, VsockAddress,
        },
    },
};

/// The longest AF_UNIX name: `sun_path` (man 7 unix).
const SUN_PATH: usize = 108;

/// A socket's address, as a result.
///
/// It shows as Python shows it: `('127.0.0.1', 80)`, `('::1', 80, 0, 0)`, `'/run/app.sock'`,
/// `b'\x00abstract'`, `None`. It can be given back as an argument.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Address {
    /// Python's `None`: the kernel gave no address, as to `recvfrom` on a connected stream. As an
    /// argument it is a TypeError; what dissolves a datagram socket's association is
    /// `Other(raw::types::Address::Unspec)`.
    #[default]
    None,
    /// AF_INET (man 7 ip): host and port.
    Inet(Ipv4Addr, u16),
    /// AF_INET6 (man 7 ipv6): host, port, flow information, scope id.
    Inet6(Ipv6Addr, u16, u32, u32),
    /// AF_UNIX (man 7 unix): a path; or a NUL and an abstract name; or nothing, for a socket
    /// without a name.
    Unix(Vec<u8>),
    /// AF_NETLINK (man 7 netlink): port id and groups. Both 0 is the kernel.
    Netlink(u32, u32),
    /// AF_PACKET (man 7 packet): the interface's name, the protocol in host order, the packet's
    /// type (PACKET_HOST and its kin), the hardware's type, the hardware address.
    Packet(String, u16, u8, u16, Vec<u8>),
    /// AF_CAN (the kernel's Documentation/networking/can.rst): the interface's name, empty for any,
    /// and what the protocol adds: nothing for CAN_RAW and CAN_BCM, a pair of identifiers for
    /// CAN_ISOTP, NAME, group and node for CAN_J1939.
    Can(String, CanDetail),
    /// AF_VSOCK (man 7 vsock): context id and port.
    Vsock(u32, u32),
    /// AF_QIPCRTR (linux/qrtr.h): node and port.
    Qipcrtr(u32, u32),
    /// Any other, as the raw layer has it.
    Other(types::Address),
}

impl Address {
    /// The numeric host of an INET or INET6 address, as glibc writes it. It never holds a `%zone`.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match self {
            Self::Inet(host, ..) => Some(host.to_string()),
            Self::Inet6(host, ..) => Some(ipv6_text(*host)),
            _ => None,
        }
    }

    /// The port of an INET or INET6 address.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(_, port) | Self::Inet6(_, port, ..) => Some(*port),
            _ => None,
        }
    }

    /// The path of an AF_UNIX address; none for abstract names and sockets without a name.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Unix(name) if name.first().is_some_and(|&first| first != 0) => Some(name),
            _ => None,
        }
    }

    /// Whether Python would find it true: not None, and not the empty name.
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

/// Fails for every address that is not of the internet, and gives it back.
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

/// The tuple of a family that has no case of its own here.
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
            // As many elements as differ from the defaults, two at least.
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

/// An address as an argument, before it is looked up: what [`ToAddress`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AddressArgument<'a> {
    /// A tuple of Python's: `(host, port)`, `(host, port, flowinfo)` or `(host, port, flowinfo,
    /// scope_id)`.
    Host {
        /// A name, a numeric address, `<broadcast>`, or nothing for the wildcard.
        host: Cow<'a, [u8]>,
        /// The port, 0 to 65535.
        port: i64,
        /// The flow information, 0 to 1048575, where it was given.
        flow_info: Option<i64>,
        /// The scope id, cut to 32 bits, where it was given.
        scope_id: Option<i64>,
    },
    /// A tuple of five: `(interface, protocol, packet type, hardware type, hardware address)` of
    /// AF_PACKET.
    Packet {
        /// The interface's name.
        interface: Cow<'a, [u8]>,
        /// The Ethernet protocol, 0 to 65535.
        protocol: i64,
        /// PACKET_HOST and its kin.
        packet_type: i64,
        /// The hardware's type.
        hardware_type: i64,
        /// The hardware address, at most 8 bytes.
        hardware_address: Cow<'a, [u8]>,
    },
    /// A tuple of one, `(interface,)`, or an address that some call gave: an AF_CAN address.
    Can {
        /// The interface's name; empty for any.
        interface: Cow<'a, [u8]>,
        /// What the protocol adds.
        detail: CanDetail,
    },
    /// A text or bytes: the name of an AF_UNIX address.
    Name(Cow<'a, [u8]>),
    /// An address of known form, which goes to the host as it is on a socket of its family.
    Known(types::Address),
    /// No address, which no call takes.
    None,
}

impl AddressArgument<'_> {
    /// The same, with nothing borrowed.
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

/// What can be given as an address.
///
/// * `("host", port)`, and for AF_INET6 `("host", port, flowinfo)` and `("host", port, flowinfo,
///   scope_id)`, the host as text or bytes;
/// * for AF_PACKET `("interface", protocol)`, with packet type, hardware type and hardware address
///   as a third to a fifth part;
/// * [`Address::Netlink`] for AF_NETLINK, [`Address::Vsock`] for AF_VSOCK, [`Address::Qipcrtr`] for
///   AF_QIPCRTR;
/// * for AF_CAN `("interface",)`, with CAN_ISOTP `("interface", receive id, transmit id)`, with
///   CAN_J1939 `("interface", name, pgn, address)`;
/// * for AF_BLUETOOTH with BTPROTO_L2CAP `("12:34:56:78:9A:BC", psm)`, with channel id and type of
///   the device address as a third and fourth part, with BTPROTO_RFCOMM `("12:34:56:78:9A:BC",
///   channel)`, with BTPROTO_SCO the device address alone, and with BTPROTO_HCI [`Address::Other`]
///   with the raw layer's address;
/// * [`Address::Other`] with an ALG or TIPC address of the raw layer;
/// * a path or bytes for AF_UNIX: a leading NUL makes an abstract name, nothing lets `bind` choose
///   one;
/// * an [`Address`] that some call gave, or a [`SocketAddr`]; on a socket of another family it is
///   the tuple that Python makes of it. Those of the raw layer that are bytes, or no address, go to
///   the host as they are.
///
/// What does not fit the socket's family is Python's `TypeError`.
pub trait ToAddress {
    /// The argument.
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
            // A name has one form, which is judged once more.
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

/// Linux's ioctls between an interface's name and its number, and where `struct ifreq` has the
/// number (man 7 netdevice).
const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFINDEX: u32 = 0x8933;
const IFREQ: usize = 40;
const IFNAMSIZ: usize = 16;

/// The number of an interface, as the socket's namespace has it. CPython asks the socket too.
fn interface_index(descriptor: &Descriptor, name: &[u8]) -> Result<u32> {
    let mut request = [0; IFREQ];
    // As strncpy does it: a longer name is cut, and a NUL ends it.
    for (to, from) in request[..IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.split(|&byte| byte == 0).next().unwrap_or_default())
    {
        *to = *from;
    }
    let answer = syscalls::ioctl(descriptor, SIOCGIFINDEX, &request)?.argument;
    let number = answer
        .get(IFNAMSIZ..IFNAMSIZ + 4)
        .and_then(|four| four.try_into().ok())
        .map(u32::from_ne_bytes);
    number.ok_or_else(|| Error::from_errno(errno::ENODEV))
}

/// The name of an interface; nothing where it has none.
fn interface_name(descriptor: &Descriptor, index: u32) -> String {
    let mut request = [0; IFREQ];
    request[IFNAMSIZ..IFNAMSIZ + 4].copy_from_slice(&index.to_ne_bytes());
    let Ok(answer) = syscalls::ioctl(descriptor, SIOCGIFNAME, &request) else {
        return String::new();
    };
    let name = answer.argument.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// What the host gave for a socket, as Python shows it: numbers of interfaces become names.
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

/// CPython's rules for AF_PACKET: the interface first, then the hardware address, then the
/// protocol.
fn packet(
    socket: &Socket,
    method: &str,
    interface: &[u8],
    protocol: i64,
    kinds: (i64, i64),
    hardware_address: &[u8],
) -> Result<types::Address> {
    // C's int: what does not fit is refused before anything else.
    let int = |value: i64| {
        i32::try_from(value)
            .map_err(|_| overflow(format!("{method}(): address argument out of range")))
    };
    let (protocol, packet_type, hardware_type) = (int(protocol)?, int(kinds.0)?, int(kinds.1)?);
    if interface.contains(&0) {
        return Err(Error::text(ErrorKind::Value, "embedded null character"));
    }
    let interface = interface_index(&*socket.descriptor()?, interface)?;
    if hardware_address.len() > 8 {
        return Err(Error::text(ErrorKind::Value, "Hardware address must be 8 bytes or less"));
    }
    let protocol = u16::try_from(protocol)
        .map_err(|_| overflow(format!("{method}(): proto must be 0-65535.")))?;
    Ok(types::Address::Packet(PacketAddress {
        interface,
        protocol,
        // C cuts them so.
        packet_type: packet_type as u8,
        hardware_type: hardware_type as u16,
        hardware_address: hardware_address.to_vec(),
    }))
}

/// CPython's rules for AF_CAN: the protocol says how long the tuple is; then comes the interface.
/// The numbers are cut to their width, as C does it.
fn can(socket: &Socket, method: &str, interface: &[u8], numbers: &[i64]) -> Result<types::Address> {
    let detail = match (socket.proto(), numbers) {
        (CAN_RAW | CAN_BCM, []) => CanDetail::Plain,
        (CAN_ISOTP, [receive_id, transmit_id]) => CanDetail::Isotp(CanIsotp {
            receive_id: *receive_id as u32,
            transmit_id: *transmit_id as u32,
        }),
        (CAN_J1939, [name, pgn, address]) => CanDetail::J1939(CanJ1939 {
            name: *name as u64,
            pgn: *pgn as u32,
            address: *address as u8,
        }),
        (CAN_RAW | CAN_BCM, _) => {
            return Err(type_error("AF_CAN address must be a tuple (interface, )"));
        }
        (CAN_ISOTP, _) => return Err(wrong_count("3 arguments", numbers)),
        (CAN_J1939, _) => return Err(wrong_count("4 arguments", numbers)),
        _ => {
            return Err(Error::text(
                ErrorKind::Os,
                format!("{method}(): unsupported CAN protocol"),
            ));
        }
    };
    if interface.contains(&0) {
        return Err(Error::text(ErrorKind::Value, "embedded null byte"));
    }
    let interface = match interface.len() {
        0 => 0,
        1..IFNAMSIZ => interface_index(&*socket.descriptor()?, interface)?,
        _ => return Err(Error::text(ErrorKind::Os, "AF_CAN interface name too long")),
    };
    Ok(types::Address::Can(CanAddress { interface, detail }))
}

/// What PyArg_ParseTuple says of a tuple of an interface and these numbers.
fn wrong_count(wanted: &str, numbers: &[i64]) -> Error {
    type_error(format!("function takes exactly {wanted} ({} given)", numbers.len() + 1))
}

/// Turns an argument into an address of a socket's family: names of interfaces become numbers,
/// which the socket is asked for.
pub(crate) fn encode_for(
    socket: &Socket,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    let argument = form::conform(socket.family(), socket.proto(), argument)?;
    match (socket.family(), argument) {
        (Family::PACKET, AddressArgument::Host { host, port, flow_info, scope_id }) => packet(
            socket,
            method,
            &host,
            port,
            (flow_info.unwrap_or(0), scope_id.unwrap_or(0)),
            &[],
        ),
        (
            Family::PACKET,
            AddressArgument::Packet {
                interface,
                protocol,
                packet_type,
                hardware_type,
                hardware_address,
            },
        ) => packet(
            socket,
            method,
            &interface,
            protocol,
            (packet_type, hardware_type),
            &hardware_address,
        ),
        (Family::CAN, AddressArgument::Can { interface, detail }) => match detail {
            CanDetail::Plain => can(socket, method, &interface, &[]),
            CanDetail::Isotp(ids) => {
                can(socket, method, &interface, &[ids.receive_id.into(), ids.transmit_id.into()])
            }
            CanDetail::J1939(CanJ1939 { name, pgn, address }) => {
                can(socket, method, &interface, &[name as i64, pgn.into(), address.into()])
            }
        },
        (Family::CAN, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            let numbers: Vec<i64> =
                [Some(port), flow_info, scope_id].into_iter().flatten().collect();
            can(socket, method, &host, &numbers)
        }
        (Family::CAN, AddressArgument::Packet { protocol, packet_type, hardware_type, .. }) => {
            can(socket, method, &[], &[protocol, packet_type, hardware_type, 0])
        }
        (Family::BLUETOOTH, argument) => bluetooth(socket.proto(), method, argument),
        (family, argument) => encode_form(family, method, argument),
    }
}

/// CPython's rules for AF_BLUETOOTH: the protocol says what the form is. The numbers are cut to
/// their width, as C does it.
pub(crate) fn bluetooth(
    protocol: i32,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    let wrong_format = || Error::text(ErrorKind::Os, format!("{method}(): wrong format"));
    Ok(types::Address::Bluetooth(match (protocol, argument) {
        (_, AddressArgument::Known(address)) => return Ok(address),
        (BTPROTO_L2CAP, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            BluetoothAddress::L2cap(L2capAddress {
                device: device(&host)?,
                psm: port as u16,
                cid: flow_info.unwrap_or(0) as u16,
                device_type: scope_id.unwrap_or(0) as u8,
            })
        }
        (BTPROTO_RFCOMM, AddressArgument::Host { host, port, flow_info: None, scope_id: None }) => {
            BluetoothAddress::Rfcomm(RfcommAddress { device: device(&host)?, channel: port as u8 })
        }
        (BTPROTO_SCO, AddressArgument::Name(name)) => BluetoothAddress::Sco(device(&name)?),
        (BTPROTO_L2CAP | BTPROTO_RFCOMM | BTPROTO_SCO | BTPROTO_HCI, _) => {
            return Err(wrong_format());
        }
        _ => {
            return Err(Error::text(
                ErrorKind::Os,
                format!("{method}(): unknown Bluetooth protocol"),
            ));
        }
    }))
}

/// A Bluetooth device address, `12:34:56:78:9A:BC`. As `sscanf` reads it for CPython, each number
/// may have leading white space, a sign, and `0x`.
fn device(text: &[u8]) -> Result<types::BluetoothDevice> {
    let number = |part: &str| {
        let part = part.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let part = part.strip_prefix('+').unwrap_or(part);
        let part = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")).unwrap_or(part);
        // `from_str_radix` takes a sign once more.
        u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))
    };
    let numbers: Option<Vec<u8>> =
        str::from_utf8(text).ok().and_then(|text| text.split(':').map(number).collect());
    match numbers.as_deref() {
        Some(&[a, b, c, d, e, f]) => Ok((a, b, c, d, e, f)),
        _ => Err(Error::text(ErrorKind::Os, "bad bluetooth address")),
    }
}

/// Turns an argument into an address of a family, looking up its host. `method` is the caller's name,
/// for the texts.
pub(crate) fn encode(
    family: Family,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    encode_form(family, method, form::conform(family, 0, argument)?)
}

/// Turns an argument of the right form into an address of a family.
fn encode_form(
    family: Family,
    method: &str,
    argument: AddressArgument<'_>,
) -> Result<types::Address> {
    match (family, argument) {
        (Family::ALG, AddressArgument::Known(types::Address::Alg(address))) => {
            // linux/if_alg.h: 14 and 64 bytes, the last a NUL.
            if address.kind.len() > 13 {
                return Err(Error::text(ErrorKind::Value, "AF_ALG type too long."));
            }
            if address.name.len() > 63 {
                return Err(Error::text(ErrorKind::Value, "AF_ALG name too long."));
            }
            Ok(types::Address::Alg(address))
        }
        (Family::TIPC, AddressArgument::Known(types::Address::Tipc(address)))
            if !(1..=3).contains(&address.address_type) =>
        {
            Err(type_error("Invalid address type"))
        }
        (_, AddressArgument::Known(address)) => Ok(address),
        (Family::RDS, argument @ AddressArgument::Host { .. }) => {
            match encode(Family::INET, method, argument)? {
                types::Address::Inet(address) => Ok(types::Address::Rds(address)),
                other => Ok(other),
            }
        }
        (Family::UNIX, AddressArgument::Name(name)) => unix(&name).map(types::Address::Unix),
        (Family::UNIX, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("a bytes-like object is required, not '{found}'")))
        }
        (Family::INET, AddressArgument::Host { host, port, flow_info: None, scope_id: None }) => {
            let host = host_text(&host)?;
            let port = narrow(method, port)?;
            let IpAddr::V4(host) = resolve(Family::INET, &host)? else {
                return Err(other_family());
            };
            Ok(inet(host, port_number(method, port)?))
        }
        (Family::INET6, AddressArgument::Host { host, port, flow_info, scope_id }) => {
            let host = host_text(&host)?;
            let port = narrow(method, port)?;
            let IpAddr::V6(host) = resolve(Family::INET6, &host)? else {
                return Err(other_family());
            };
            let port = port_number(method, port)?;
            // C's unsigned int: the bits above the 32nd are lost.
            let flow_info = flow_info.unwrap_or(0) as u32;
            if flow_info > 0xf_ffff {
                return Err(overflow(format!("{method}(): flowinfo must be 0-1048575.")));
            }
            // The tuple's scope id takes the place of the one that a %zone has, even when it is
            // left out.
            Ok(inet6(host, port, flow_info, scope_id.unwrap_or(0) as u32))
        }
        (Family::INET | Family::INET6, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("{method}(): {family:?} address must be tuple, not {found}")))
        }
        // CPython: AF_RDS is read as AF_INET.
        (Family::RDS, argument) => encode(Family::INET, method, argument),
        (Family::PACKET | Family::NETLINK | Family::CAN | Family::ALG | Family::TIPC, argument) => {
            let found = python_type(&argument);
            Err(type_error(format!("{method}(): {family:?} address must be tuple, not {found}")))
        }
        (_, _) => Err(Error::text(ErrorKind::Os, format!("{method}(): bad family"))),
    }
}

/// What Python would call the type of an argument.
const fn python_type(argument: &AddressArgument<'_>) -> &'static str {
    match argument {
        AddressArgument::Host { .. }
        | AddressArgument::Packet { .. }
        | AddressArgument::Can { .. }
        | AddressArgument::Known(_) => "tuple",
        AddressArgument::Name(_) => "str",
        AddressArgument::None => "NoneType",
    }
}

fn type_error(text: impl Into<Cow<'static, str>>) -> Error {
    Error::text(ErrorKind::Type, text)
}

fn overflow(text: String) -> Error {
    Error::text(ErrorKind::Overflow, text)
}

/// What getaddrinfo should never give: an address of a family that was not asked for.
const fn other_family() -> Error {
    Error::from_errno(errno::EAFNOSUPPORT)
}

/// What does not fit a C int is refused before the host is looked up.
fn narrow(method: &str, port: i64) -> Result<i32> {
    i32::try_from(port).map_err(|_| bad_port(method))
}

/// What fits an int and is no port is refused after the host is looked up.
fn port_number(method: &str, port: i32) -> Result<u16> {
    u16::try_from(port).map_err(|_| bad_port(method))
}

fn bad_port(method: &str) -> Error {
    overflow(format!("{method}(): port must be 0-65535."))
}

/// The host of an address as it is looked up. CPython: ASCII is taken as it is, and only other
/// names are judged by IDNA.
fn host_text(host: &[u8]) -> Result<Cow<'_, [u8]>> {
    let host = match str::from_utf8(host) {
        Ok(name) if !name.is_ascii() => {
            let name = idna::encode(name).map_err(|_| type_error("encoding of hostname failed"))?;
            Cow::Owned(name.into_owned().into_bytes())
        }
        _ => Cow::Borrowed(host),
    };
    if host.contains(&0) {
        Err(type_error("host name must not contain null character"))
    } else {
        Ok(host)
    }
}

/// Python's rules for a host: the wildcard, broadcast, a numeric address, a name, in this order.
/// AF_UNSPEC is either family.
pub(crate) fn resolve(family: Family, host: &[u8]) -> Result<IpAddr> {
    let (v4, v6) = (family != Family::INET6, family != Family::INET);
    let host = &*host_text(host)?;
    match host {
        b"" if v4 && v6 => {
            return Err(Error::text(ErrorKind::Os, "wildcard resolved to multiple address"));
        }
        b"" if v6 => return Ok(Ipv6Addr::UNSPECIFIED.into()),
        b"" => return Ok(Ipv4Addr::UNSPECIFIED.into()),
        b"<broadcast>" | b"255.255.255.255" if !v4 => {
            return Err(Error::text(ErrorKind::Os, "address family mismatched"));
        }
        b"<broadcast>" => return Ok(Ipv4Addr::BROADCAST.into()),
        _ => {}
    }
    // Bytes that are no text are the name of nothing.
    let host = str::from_utf8(host).map_err(|_| Error::address_info(EAI_NONAME))?;
    // A %zone is for getaddrinfo to read; `Ipv6Addr` takes none.
    if v6 && let Ok(address) = host.parse::<Ipv6Addr>() {
        return Ok(address.into());
    }
    if v4 && let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(address.into());
    }
    match netdb::first_address(host, family)? {
        Address::Inet(host, _) => Ok(host.into()),
        Address::Inet6(host, ..) => Ok(host.into()),
        _ => Err(other_family()),
    }
}

/// The name of an AF_UNIX address, by Linux's rules.
fn unix(name: &[u8]) -> Result<UnixAddress> {
    let too_long = || Error::text(ErrorKind::Os, "AF_UNIX path too long");
    match name {
        [] => Ok(UnixAddress::Unnamed),
        [0, rest @ ..] if name.len() <= SUN_PATH => Ok(UnixAddress::Abstract(rest.to_vec())),
        [0, ..] => Err(too_long()),
        // A path ends with a NUL, for which there must be room; one inside of it ends it earlier.
        _ if name.len() < SUN_PATH => {
            Ok(UnixAddress::Path(name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()))
        }
        _ => Err(too_long()),
    }
}

/// glibc's text of an IPv6 address: as the standard library's, but for v4-compatible addresses.
fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}

/// The quote that Python chooses for a text: `'`, but for one that holds it and no `"`.
fn quote(text: &[u8]) -> char {
    if text.contains(&b'\'') && !text.contains(&b'"') { '"' } else { '\'' }
}

/// Python's `repr` of a text in the file system's encoding; bytes that are no UTF-8 are lone
/// surrogates.
fn str_repr(text: &[u8]) -> String {
    let quote = quote(text);
    let mut out = String::from(quote);
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                c if c == quote => out.extend(['\\', c]),
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\udc{byte:02x}"));
        }
    }
    out.push(quote);
    out
}

/// Python's `repr` of bytes.
fn bytes_repr(bytes: &[u8]) -> String {
    let quote = quote(bytes);
    let mut out = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' if char::from(byte) == quote => out.extend(['\\', quote]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}

/// The bytes of a numeric address, in network order: inet_pton(3).
///
/// IPv4 takes four decimal numbers without leading zeros, IPv6 no `%zone`. Python:
/// `socket.inet_pton(family, text)`.
///
/// # Errors
/// `OSError` without an errno for a text that is no such address; EAFNOSUPPORT for another family
/// than INET and INET6.
///
/// ```
/// use sandsock::{Family, inet_pton};
///
/// assert_eq!(inet_pton(Family::INET, "127.0.0.1")?, [127, 0, 0, 1]);
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn inet_pton(family: impl Into<Family>, text: &str) -> Result<Vec<u8>> {
    let bytes = match family.into() {
        Family::INET => text.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
        Family::INET6 => text.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec()),
        _ => return Err(Error::from_errno(errno::EAFNOSUPPORT)),
    };
    bytes.ok_or_else(|| Error::text(ErrorKind::Os, "illegal IP address string passed to inet_pton"))
}

/// The text of a numeric address: inet_ntop(3), in glibc's form.
///
/// Python: `socket.inet_ntop(family, bytes)`.
///
/// # Errors
/// `ValueError` for another length than 4 (INET) or 16 (INET6), and for another family.
pub fn inet_ntop(family: impl Into<Family>, bytes: &[u8]) -> Result<String> {
    let wrong_length =
        |_| Error::text(ErrorKind::Value, "invalid length of packed IP address string");
    match family.into() {
        Family::INET => <[u8; 4]>::try_from(bytes)
            .map(|bytes| Ipv4Addr::from(bytes).to_string())
            .map_err(wrong_length),
        Family::INET6 => {
            <[u8; 16]>::try_from(bytes).map(|bytes| ipv6_text(bytes.into())).map_err(wrong_length)
        }
        Family(family) => {
            Err(Error::text(ErrorKind::Value, format!("unknown address family {family}")))
        }
    }
}

/// The four bytes of an IPv4 address in one of its old forms: inet_aton(3).
///
/// One to four numbers, decimal, octal (`0177`) or hexadecimal (`0x7f`); the last one fills the
/// bytes that are left. White space ends the text. Python: `socket.inet_aton(text)`.
///
/// # Errors
/// `OSError` without an errno for a text that is no such address.
///
/// ```
/// assert_eq!(sandsock::inet_aton("127.1")?, [127, 0, 0, 1]);
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn inet_aton(text: &str) -> Result<[u8; 4]> {
    let illegal = || Error::text(ErrorKind::Os, "illegal IP address string passed to inet_aton");
    if text.contains('\0') {
        return Err(Error::text(ErrorKind::Value, "embedded null character"));
    }
    let text = text.split([' ', '\t', '\n', '\x0b', '\x0c', '\r']).next().unwrap_or_default();
    let parts: Vec<u32> =
        text.split('.').map(c_number).collect::<Option<_>>().ok_or_else(illegal)?;
    let Some((&last, leading)) = parts.split_last() else {
        return Err(illegal());
    };
    if leading.len() > 3 {
        return Err(illegal());
    }
    let mut bytes = [0; 4];
    for (byte, part) in bytes.iter_mut().zip(leading) {
        *byte = u8::try_from(*part).map_err(|_| illegal())?;
    }
    let room = 32 - 8 * leading.len() as u32;
    if u64::from(last) >> room != 0 {
        return Err(illegal());
    }
    for (byte, value) in bytes.iter_mut().zip(last.to_be_bytes()).skip(leading.len()) {
        *byte = value;
    }
    Ok(bytes)
}

/// A number as C writes it: decimal, octal or hexadecimal.
fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` takes a sign; C's parser here does not.
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// The text of four bytes: inet_ntoa(3).
///
/// Python: `socket.inet_ntoa(bytes)`.
///
/// # Errors
/// `OSError` without an errno for another length.
pub fn inet_ntoa(bytes: &[u8]) -> Result<String> {
    <[u8; 4]>::try_from(bytes)
        .map(|bytes| Ipv4Addr::from(bytes).to_string())
        .map_err(|_| Error::text(ErrorKind::Os, "packed IP wrong length for inet_ntoa"))
}
