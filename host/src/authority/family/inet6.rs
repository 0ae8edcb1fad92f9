//! AF_INET6 (man 7 ipv6).

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::io::Errno;

use super::{FamilyRules, Use, ip};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, Inet6Address, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;

pub(super) struct Inet6;

pub(super) fn to_ip(address: &Address) -> Result<SocketAddr, Errno> {
    let Address::Inet6(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let (a, b, c, d, e, f, g, h) = address.address;
    let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
    Ok(SocketAddrV6::new(ip, address.port, address.flow_info, address.scope_id).into())
}

impl FamilyRules for Inet6 {
    const TYPES: &'static [i32] = ip::TYPES;

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        to_ip(address).map(RawAddress::from_ip)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let SocketAddr::V6(v6) = raw.to_ip()? else { return None };
        let [a, b, c, d, e, f, g, h] = v6.ip().segments();
        Some(Address::Inet6(Inet6Address {
            address: (a, b, c, d, e, f, g, h),
            port: v6.port(),
            flow_info: v6.flowinfo(),
            scope_id: v6.scope_id(),
        }))
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
        let address = (0xfe80, 0, 0, 0, 1, 2, 3, 0xffff);
        vec![
            Address::Inet6(Inet6Address { address, port: 80, flow_info: 0xfffff, scope_id: 7 }),
            Address::Inet6(Inet6Address {
                address: (0, 0, 0, 0, 0, 0, 0, 0),
                port: 0,
                flow_info: 0,
                scope_id: 0,
            }),
        ]
        .into_iter()
        .map(|address| (0, address))
        .collect()
    }
}
