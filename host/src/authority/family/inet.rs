//! AF_INET (man 7 ip).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::io::Errno;

use super::{FamilyRules, Use, ip};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, InetAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;

pub(super) struct Inet;

pub(super) fn to_ip(address: &Address) -> Result<SocketAddr, Errno> {
    let Address::Inet(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let (a, b, c, d) = address.address;
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), address.port).into())
}

impl FamilyRules for Inet {
    const TYPES: &'static [i32] = ip::TYPES;

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        to_ip(address).map(RawAddress::from_ip)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let SocketAddr::V4(v4) = raw.to_ip()? else { return None };
        let [a, b, c, d] = v4.ip().octets();
        Some(Address::Inet(InetAddress { address: (a, b, c, d), port: v4.port() }))
    }

    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        ip::judge(gate, purpose, kind, to_ip(address)?)
    }

    fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()> {
        ip::judge_listen(gate, socket)
    }

    fn judge_bound(gate: &Gate, socket: &Handle, kind: SocketKind) -> CallResult<()> {
        ip::judge_bound(gate, socket, kind)
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        vec![
            Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 80 }),
            Address::Inet(InetAddress { address: (0, 0, 0, 0), port: 0 }),
            Address::Inet(InetAddress { address: (255, 254, 253, 252), port: 65535 }),
        ]
        .into_iter()
        .map(|address| (0, address))
        .collect()
    }
}
