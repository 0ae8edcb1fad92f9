//! Socket addresses, in a form that observers can read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::value::cut;
use crate::bindings::sandsock::socket::types::{
    Address, BluetoothAddress, CanDetail, InetAddress, UnixAddress,
};

/// The most bytes of an address that are copied. No address is longer (man 7 unix: sun_path has 108
/// bytes).
const ADDRESS: usize = 256;

/// A socket address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketAddress {
    /// AF_INET or AF_INET6.
    Ip(SocketAddr),
    /// AF_UNIX without a name.
    Unnamed,
    /// An AF_UNIX path. At most 256 bytes are copied, and no real path is longer.
    Path(Vec<u8>),
    /// An AF_UNIX abstract name, without its NUL.
    Abstract(Vec<u8>),
    /// An address of another family.
    Other {
        /// AF_*.
        family: i32,
        /// The parts of the address, as text.
        text: String,
    },
}

fn inet(address: &InetAddress) -> SocketAddr {
    let (a, b, c, d) = address.address;
    (IpAddr::from(Ipv4Addr::new(a, b, c, d)), address.port).into()
}

impl From<&Address> for SocketAddress {
    fn from(address: &Address) -> Self {
        let other = |family, text| Self::Other { family, text };
        let hardware = |bytes: &[u8]| {
            bytes
                .iter()
                .take(ADDRESS)
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join(":")
        };
        let device =
            |(a, b, c, d, e, f): &(u8, u8, u8, u8, u8, u8)| hardware(&[*a, *b, *c, *d, *e, *f]);
        match address {
            Address::Unspec => other(libc::AF_UNSPEC, String::new()),
            Address::Inet(address) => Self::Ip(inet(address)),
            Address::Inet6(address) => {
                let (a, b, c, d, e, f, g, h) = address.address;
                let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
                Self::Ip(
                    SocketAddrV6::new(ip, address.port, address.flow_info, address.scope_id).into(),
                )
            }
            Address::Unix(UnixAddress::Unnamed) => Self::Unnamed,
            Address::Unix(UnixAddress::Path(path)) => {
                Self::Path(path[..path.len().min(ADDRESS)].to_vec())
            }
            Address::Unix(UnixAddress::Abstract(name)) => {
                Self::Abstract(name[..name.len().min(ADDRESS)].to_vec())
            }
            Address::Netlink(address) => other(
                libc::AF_NETLINK,
                format!("port-id={}, groups={:#x}", address.port_id, address.groups),
            ),
            Address::Packet(address) => {
                let (interface, protocol) = (address.interface, address.protocol);
                let to = hardware(&address.hardware_address);
                other(
                    libc::AF_PACKET,
                    format!("interface={interface}, protocol={protocol:#06x}, address={to}"),
                )
            }
            Address::Can(address) => other(
                libc::AF_CAN,
                match &address.detail {
                    CanDetail::Plain => format!("interface={}", address.interface),
                    CanDetail::Isotp(ids) => {
                        format!(
                            "interface={}, rx={:#x}, tx={:#x}",
                            address.interface, ids.receive_id, ids.transmit_id
                        )
                    }
                    CanDetail::J1939(node) => format!(
                        "interface={}, name={:#x}, pgn={:#x}, address={:#x}",
                        address.interface, node.name, node.pgn, node.address
                    ),
                },
            ),
            Address::Alg(address) => other(
                libc::AF_ALG,
                format!("kind={:?}, name={:?}", cut(&address.kind), cut(&address.name)),
            ),
            Address::Tipc(address) => other(
                libc::AF_TIPC,
                format!(
                    "type={}, scope={}, {}, {}, {}",
                    address.address_type, address.scope, address.v1, address.v2, address.v3
                ),
            ),
            Address::Vsock(address) => {
                other(libc::AF_VSOCK, format!("cid={}, port={}", address.cid, address.port))
            }
            Address::Bluetooth(address) => other(
                libc::AF_BLUETOOTH,
                match address {
                    BluetoothAddress::L2cap(l2cap) => {
                        format!("{}, psm={}, cid={}", device(&l2cap.device), l2cap.psm, l2cap.cid)
                    }
                    BluetoothAddress::Rfcomm(rfcomm) => {
                        format!("{}, channel={}", device(&rfcomm.device), rfcomm.channel)
                    }
                    BluetoothAddress::Hci(hci) => {
                        format!("adapter={}, channel={}", hci.adapter, hci.channel)
                    }
                    BluetoothAddress::Sco(sco) => device(sco),
                },
            ),
            Address::Rds(address) => {
                other(sandsock_abi::constants::AF_RDS, inet(address).to_string())
            }
            Address::Qipcrtr(address) => other(
                sandsock_abi::constants::AF_QIPCRTR,
                format!("node={}, port={}", address.node, address.port),
            ),
            Address::Hyperv(address) => {
                other(-1, format!("hyperv {:?}, {:?}", address.vm_id, address.service_id))
            }
            Address::System(address) => {
                other(-1, format!("system id={}, unit={}", address.id, address.unit))
            }
            Address::Link(address) => {
                other(-1, format!("link interface={}, name={:?}", address.interface, address.name))
            }
            Address::Other(address) => other(i32::from(address.family), hardware(&address.data)),
        }
    }
}

impl std::fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unnamed => f.write_str("unnamed"),
            Self::Path(path) => path.escape_ascii().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Other { text, .. } => f.write_str(text),
        }
    }
}
