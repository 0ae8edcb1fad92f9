//! AF_CAN (the kernel's Documentation/networking/can.rst, iso15765-2.rst and j1939.rst).

use rustix::io::Errno;

use sandsock_abi::constants::{CAN_ISOTP, CAN_J1939};

use super::{Bytes, FamilyRules, Use};
use crate::address::RawAddress;
use crate::bindings::sandsock::socket::types::{Address, CanAddress, CanDetail, CanIsotp, CanJ1939, SocketKind};
use crate::descriptor::Handle;
use crate::error::Outcome;
use crate::permit::{Destination, Judge};
use crate::policy::{CanInterface, Request};
use crate::sys;

pub(super) struct Can;

/// sockaddr_can: family, padding, interface, and the part of the protocol, which begins at a multiple of 8.
fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Can(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let mut bytes = Vec::with_capacity(24);
    bytes.extend((libc::AF_CAN as u32).to_ne_bytes());
    bytes.extend(address.interface.to_ne_bytes());
    match &address.detail {
        // As long as the kernel wants it at least.
        CanDetail::Plain => {}
        CanDetail::Isotp(CanIsotp { receive_id, transmit_id }) => {
            bytes.extend(receive_id.to_ne_bytes());
            bytes.extend(transmit_id.to_ne_bytes());
        }
        CanDetail::J1939(CanJ1939 { name, pgn, address }) => {
            bytes.extend(name.to_ne_bytes());
            bytes.extend(pgn.to_ne_bytes());
            bytes.extend(u32::from(*address).to_le_bytes());
        }
    }
    Ok(RawAddress::from_bytes(&bytes))
}

impl FamilyRules for Can {
    const TYPES: &'static [i32] = &[libc::SOCK_RAW, libc::SOCK_DGRAM];

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        encode(address)
    }

    fn decode(raw: &RawAddress, kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        let detail = match kind.protocol {
            CAN_ISOTP => CanDetail::Isotp(CanIsotp { receive_id: bytes.u32(8)?, transmit_id: bytes.u32(12)? }),
            CAN_J1939 => CanDetail::J1939(CanJ1939 { name: bytes.u64(8)?, pgn: bytes.u32(16)?, address: bytes.u8(20)? }),
            // Some kernels give as many bytes as the others have; they say nothing.
            _ => CanDetail::Plain,
        };
        Some(Address::Can(CanAddress { interface: bytes.u32(4)?, detail }))
    }

    fn judge(judge: &Judge<'_>, _purpose: Use<'_>, kind: SocketKind, address: &Address) -> Outcome<Destination> {
        let raw = encode(address)?;
        let Address::Can(CanAddress { interface, .. }) = *address else { return Err(Errno::AFNOSUPPORT.into()) };
        // The kernel gets the index. Whoever renames interfaces while they are in use is the operator.
        let name = if interface == 0 { None } else { sys::own_interface_name(interface) };
        let interface = match (&name, interface) {
            (_, 0) => CanInterface::All,
            (Some(name), _) => CanInterface::Name(name),
            (None, index) => CanInterface::Unknown(index),
        };
        judge.decide(&Request::Can { interface, protocol: kind.protocol })?;
        Ok(Destination::plain(raw))
    }

    /// The kernel has no listen for it, and says so.
    fn judge_listen(_judge: &Judge<'_>, _socket: &Handle) -> Outcome<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<(i32, Address)> {
    use sandsock_abi::constants::{CAN_BCM, CAN_RAW};

    let can = |interface, detail| Address::Can(CanAddress { interface, detail });
    vec![
        (CAN_RAW, can(0, CanDetail::Plain)),
        (CAN_BCM, can(u32::MAX, CanDetail::Plain)),
        (CAN_ISOTP, can(3, CanDetail::Isotp(CanIsotp { receive_id: 0x8000_0123, transmit_id: 0x321 }))),
        (CAN_J1939, can(4, CanDetail::J1939(CanJ1939 { name: 0x8123_4567_89ab_cdef, pgn: 0x3ffff, address: 0xfe }))),
    ]
}
