//! AF_RDS (the kernel's Documentation/networking/rds.rst). Its addresses are those of IPv4,
//! including the family number.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::io::Errno;

use super::{FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, InetAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use sandsock_policy::{FamilyTarget, Request};

pub(super) struct Rds;

fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Rds(InetAddress { address: (a, b, c, d), port }) = *address else {
        return Err(Errno::AFNOSUPPORT);
    };
    Ok(RawAddress::from_ip(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()))
}

impl FamilyRules for Rds {
    const TYPES: &'static [i32] = &[libc::SOCK_SEQPACKET];
    const TAKES_NOSIGNAL: bool = false;

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let SocketAddr::V4(v4) = raw.to_ip()? else { return None };
        let [a, b, c, d] = v4.ip().octets();
        Some(Address::Rds(InetAddress { address: (a, b, c, d), port: v4.port() }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        gate.decide(&Request::Family(FamilyTarget::Rds))?;
        Ok(Destination::plain(raw))
    }

    /// The kernel has no listen for this family, and returns its error.
    fn judge_listen(_gate: &Gate, _socket: &Handle) -> CallResult<()> {
        Ok(())
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        vec![(0, Address::Rds(InetAddress { address: (127, 0, 0, 1), port: 4000 }))]
    }
}
