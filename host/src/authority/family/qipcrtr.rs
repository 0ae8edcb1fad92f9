//! AF_QIPCRTR (linux/qrtr.h).

use rustix::io::Errno;

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, QipcrtrAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use sandsock_policy::{FamilyTarget, Request};

pub(super) struct Qipcrtr;

fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Qipcrtr(QipcrtrAddress { node, port }) = *address else {
        return Err(Errno::AFNOSUPPORT);
    };
    let words = [sandsock_abi::constants::AF_QIPCRTR as u32, node, port];
    Ok(RawAddress::from_bytes(&words.map(u32::to_ne_bytes).concat()))
}

impl FamilyRules for Qipcrtr {
    const TYPES: &'static [i32] = &[libc::SOCK_DGRAM];
    const TAKES_NOSIGNAL: bool = false;

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        Some(Address::Qipcrtr(QipcrtrAddress { node: bytes.u32(4)?, port: bytes.u32(8)? }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        gate.decide(&Request::Family(FamilyTarget::Qipcrtr))?;
        Ok(Destination::plain(raw))
    }

    /// The kernel has no listen for this family, and returns its error.
    fn judge_listen(_gate: &Gate, _socket: &Handle) -> CallResult<()> {
        Ok(())
    }

    #[cfg(test)]
    const FIXED: bool = true;

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        vec![
            (0, Address::Qipcrtr(QipcrtrAddress { node: 1, port: 0xffff_fffe })),
            (0, Address::Qipcrtr(QipcrtrAddress { node: 0, port: 0 })),
        ]
    }
}
