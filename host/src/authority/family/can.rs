//! AF_CAN (the kernel's Documentation/networking/can.rst, iso15765-2.rst and j1939.rst).

use rustix::io::Errno;

use sandsock_abi::constants::{
    CAN_BCM, CAN_BCM_CAN_FD_FRAME, CAN_BCM_RX_DELETE, CAN_BCM_RX_SETUP, CAN_BCM_TX_DELETE,
    CAN_BCM_TX_SETUP, CAN_ISOTP, CAN_J1939,
};

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{
    Address, CanAddress, CanDetail, CanIsotp, CanJ1939, SocketKind,
};
use crate::descriptor::Handle;
use crate::descriptor::buffers::Task;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::RawAddress;
use sandsock_policy::{CanInterface, CanRequest, Request};

pub(super) struct Can;

/// sockaddr_can: family, padding, interface, and the protocol's part, which begins at a multiple of
/// 8.
fn encode(address: &Address) -> Result<RawAddress, Errno> {
    let Address::Can(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let mut bytes = Vec::with_capacity(24);
    bytes.extend((libc::AF_CAN as u32).to_ne_bytes());
    bytes.extend(address.interface.to_ne_bytes());
    match &address.detail {
        // The shortest length that the kernel accepts.
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

/// The most bytes that one task of the broadcast manager takes in the kernel beside its frames
/// (net/can/bcm.c: struct bcm_op).
const TASK: u64 = 1024;

/// Returns the task that a message sets up, with the bytes that the kernel keeps for it. For a
/// message that deletes a task, the bytes are 0 (linux/can/bcm.h).
fn task(message: &[u8], interface: u32) -> Option<(Task, u64)> {
    let bytes = Bytes(message);
    let (opcode, flags) = (bytes.u32(0)?.cast_signed(), bytes.u32(4)?);
    // Before it are two times of two longs each, aligned to 8 bytes.
    let id = bytes.u32(48)?;
    let task = Task(
        matches!(opcode, CAN_BCM_RX_SETUP | CAN_BCM_RX_DELETE),
        interface,
        id,
        flags & CAN_BCM_CAN_FD_FRAME as u32 != 0,
    );
    match opcode {
        // The kernel keeps the frames to compare with and the last frames.
        CAN_BCM_TX_SETUP | CAN_BCM_RX_SETUP => Some((task, TASK + 2 * message.len() as u64)),
        CAN_BCM_TX_DELETE | CAN_BCM_RX_DELETE => Some((task, 0)),
        _ => None,
    }
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
            CAN_ISOTP => CanDetail::Isotp(CanIsotp {
                receive_id: bytes.u32(8)?,
                transmit_id: bytes.u32(12)?,
            }),
            CAN_J1939 => CanDetail::J1939(CanJ1939 {
                name: bytes.u64(8)?,
                pgn: bytes.u32(16)?,
                address: bytes.u8(20)?,
            }),
            // Some kernels return as many bytes as for the other protocols, without meaning.
            _ => CanDetail::Plain,
        };
        Some(Address::Can(CanAddress { interface: bytes.u32(4)?, detail }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(address)?;
        let Address::Can(CanAddress { interface, .. }) = *address else {
            return Err(Errno::AFNOSUPPORT.into());
        };
        // The kernel gets the index. Only the operator can rename interfaces while they are in use.
        let name = if interface == 0 { None } else { sys::own_interface_name(interface) };
        let interface = match (&name, interface) {
            (_, 0) => CanInterface::All,
            (Some(name), _) => CanInterface::Name(name),
            (None, index) => CanInterface::Unknown(index),
        };
        gate.decide(&Request::Can(CanRequest { interface, protocol: kind.protocol }))?;
        Ok(Destination::plain(raw))
    }

    /// The broadcast manager keeps tasks outside the buffers of any socket.
    fn is_inspected(kind: SocketKind) -> bool {
        kind.protocol == CAN_BCM
    }

    fn judge_contents(
        gate: &Gate,
        socket: &Handle,
        _: SocketKind,
        to: Option<&Address>,
        message: &[u8],
    ) -> CallResult<()> {
        let interface = match to {
            Some(Address::Can(address)) => address.interface,
            _ => 0,
        };
        match task(message, interface) {
            Some((task, 0)) => gate.buffers.forget(socket, task),
            Some((task, bytes)) => gate.buffers.keep(socket, task, bytes)?,
            None => {}
        }
        Ok(())
    }

    /// The kernel has no listen for this family, and returns its error.
    fn judge_listen(_gate: &Gate, _socket: &Handle) -> CallResult<()> {
        Ok(())
    }

    #[cfg(test)]
    const FIXED: bool = true;

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        use sandsock_abi::constants::CAN_RAW;

        let can = |interface, detail| Address::Can(CanAddress { interface, detail });
        vec![
            (CAN_RAW, can(0, CanDetail::Plain)),
            (CAN_BCM, can(u32::MAX, CanDetail::Plain)),
            (
                CAN_ISOTP,
                can(3, CanDetail::Isotp(CanIsotp { receive_id: 0x8000_0123, transmit_id: 0x321 })),
            ),
            (
                CAN_J1939,
                can(
                    4,
                    CanDetail::J1939(CanJ1939 {
                        name: 0x8123_4567_89ab_cdef,
                        pgn: 0x3ffff,
                        address: 0xfe,
                    }),
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_its_message() {
        // struct bcm_msg_head: opcode, flags, count, two times, identifier, number of frames; then
        // one frame.
        let message = |opcode: i32, flags: i32| {
            let mut bytes = vec![0; 72];
            bytes[..4].copy_from_slice(&opcode.to_ne_bytes());
            bytes[4..8].copy_from_slice(&flags.to_ne_bytes());
            bytes[48..52].copy_from_slice(&0x123u32.to_ne_bytes());
            bytes
        };
        let sends = Task(false, 3, 0x123, false);
        assert_eq!(task(&message(CAN_BCM_TX_SETUP, 0), 3), Some((sends, TASK + 144)));
        assert_eq!(task(&message(CAN_BCM_TX_DELETE, 0), 3), Some((sends, 0)));
        let receives = Task(true, 3, 0x123, true);
        assert_eq!(
            task(&message(CAN_BCM_RX_SETUP, CAN_BCM_CAN_FD_FRAME), 3),
            Some((receives, TASK + 144))
        );
        assert_eq!(task(&message(sandsock_abi::constants::CAN_BCM_TX_SEND, 0), 3), None);
        assert_eq!(task(&message(CAN_BCM_TX_SETUP, 0)[..51], 3), None);
    }
}
