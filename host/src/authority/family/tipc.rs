//! AF_TIPC (linux/tipc.h): addresses are services, ranges of them, or sockets.

use rustix::io::Errno;

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, SocketKind, TipcAddress};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use sandsock_policy::{FamilyTarget, Request};

/// TIPC_ADDR_ID: in the kernel's layout, the reference comes before the node.
const ID: u8 = 3;

pub(super) struct Tipc;

fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Tipc(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let (first, second) = if address.address_type == ID {
        (address.v2, address.v1)
    } else {
        (address.v1, address.v2)
    };
    let mut bytes = Vec::with_capacity(16);
    bytes.extend((libc::AF_TIPC as u16).to_ne_bytes());
    bytes.push(address.address_type);
    bytes.extend(address.scope.to_ne_bytes());
    [first, second, address.v3].iter().for_each(|value| bytes.extend(value.to_ne_bytes()));
    Ok(RawAddress::from_bytes(&bytes))
}

impl FamilyRules for Tipc {
    const TYPES: &'static [i32] =
        &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RDM];

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        let address_type = bytes.u8(2)?;
        let (first, second) = (bytes.u32(4)?, bytes.u32(8)?);
        let (v1, v2) = if address_type == ID { (second, first) } else { (first, second) };
        let scope = bytes.u8(3)?.cast_signed();
        Some(Address::Tipc(TipcAddress { address_type, scope, v1, v2, v3: bytes.u32(12)? }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        gate.decide(&Request::Family(FamilyTarget::Tipc))?;
        Ok(Destination::plain(raw))
    }

    fn judge_listen(gate: &Gate, _socket: &Handle) -> CallResult<()> {
        gate.decide(&Request::Family(FamilyTarget::Tipc))
    }

    #[cfg(test)]
    const FIXED: bool = true;

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let tipc = |address_type, scope, v1, v2, v3| {
            Address::Tipc(TipcAddress { address_type, scope, v1, v2, v3 })
        };
        vec![
            (0, tipc(1, 2, 18888, 0, 100)),
            (0, tipc(2, 3, u32::MAX, 1, 0)),
            (0, tipc(3, -1, 7, 9, 0)),
        ]
    }
}
