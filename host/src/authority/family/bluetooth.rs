//! AF_BLUETOOTH (BlueZ's `bluetooth.h`, `l2cap.h`, `rfcomm.h`, `sco.h`, `hci.h`). Each protocol has
//! its own layout of addresses.

use rustix::io::Errno;
use sandsock_abi::constants::{BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO};

use super::{Bytes, FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{
    Address, BluetoothAddress, BluetoothDevice, HciAddress, L2capAddress, RfcommAddress, SocketKind,
};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use sandsock_policy::{BluetoothTarget, FamilyTarget, Request};

pub(super) struct Bluetooth;

/// bdaddr_t: the least significant octet first.
fn device_bytes((a, b, c, d, e, f): BluetoothDevice) -> [u8; 6] {
    [f, e, d, c, b, a]
}

fn device(bytes: &Bytes<'_>, at: usize) -> Option<BluetoothDevice> {
    bytes.field(at).map(|[f, e, d, c, b, a]: [u8; 6]| (a, b, c, d, e, f))
}

/// Returns the address for the socket's protocol. EAFNOSUPPORT for an address of another protocol.
fn encode(protocol: i32, address: &Address) -> Result<RawAddress, Errno> {
    let Address::Bluetooth(address) = address else { return Err(Errno::AFNOSUPPORT) };
    let mut bytes = (libc::AF_BLUETOOTH as u16).to_ne_bytes().to_vec();
    match (protocol, address) {
        (BTPROTO_L2CAP, BluetoothAddress::L2cap(address)) => {
            bytes.extend(address.psm.to_le_bytes());
            bytes.extend(device_bytes(address.device));
            bytes.extend(address.cid.to_le_bytes());
            bytes.extend([address.device_type, 0]);
        }
        (BTPROTO_RFCOMM, BluetoothAddress::Rfcomm(address)) => {
            bytes.extend(device_bytes(address.device));
            bytes.extend([address.channel, 0]);
        }
        (BTPROTO_HCI, BluetoothAddress::Hci(address)) => {
            bytes.extend(address.adapter.to_ne_bytes());
            bytes.extend(address.channel.to_ne_bytes());
        }
        (BTPROTO_SCO, BluetoothAddress::Sco(address)) => bytes.extend(device_bytes(*address)),
        _ => return Err(Errno::AFNOSUPPORT),
    }
    Ok(RawAddress::from_bytes(&bytes))
}

impl FamilyRules for Bluetooth {
    const TYPES: &'static [i32] = &[libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];

    /// The host does not serve L2CAP streams or L2CAP's own retransmission. Their shutdown and
    /// close wait for the peer, up to ten seconds, whatever the socket's timeout is.
    fn serves(type_: i32, protocol: i32) -> bool {
        matches!(
            (type_, protocol),
            (libc::SOCK_SEQPACKET, BTPROTO_L2CAP | BTPROTO_SCO)
                | (libc::SOCK_STREAM, BTPROTO_RFCOMM)
                | (libc::SOCK_RAW, BTPROTO_HCI)
        )
    }

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        let protocol = match address {
            Address::Bluetooth(BluetoothAddress::L2cap(_)) => BTPROTO_L2CAP,
            Address::Bluetooth(BluetoothAddress::Rfcomm(_)) => BTPROTO_RFCOMM,
            Address::Bluetooth(BluetoothAddress::Hci(_)) => BTPROTO_HCI,
            _ => BTPROTO_SCO,
        };
        encode(protocol, address)
    }

    fn decode(raw: &RawAddress, kind: SocketKind) -> Option<Address> {
        let bytes = Bytes(raw.bytes());
        let two = |at| bytes.field(at).map(u16::from_le_bytes);
        Some(Address::Bluetooth(match kind.protocol {
            BTPROTO_L2CAP => BluetoothAddress::L2cap(L2capAddress {
                psm: two(2)?,
                device: device(&bytes, 4)?,
                cid: two(10)?,
                device_type: bytes.u8(12)?,
            }),
            BTPROTO_RFCOMM => BluetoothAddress::Rfcomm(RfcommAddress {
                device: device(&bytes, 2)?,
                channel: bytes.u8(8)?,
            }),
            BTPROTO_HCI => BluetoothAddress::Hci(HciAddress { adapter: two(2)?, channel: two(4)? }),
            BTPROTO_SCO => BluetoothAddress::Sco(device(&bytes, 2)?),
            _ => return None,
        }))
    }

    fn judge(
        gate: &Gate,
        _purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let raw = encode(kind.protocol, address)?;
        let target = match address {
            Address::Bluetooth(BluetoothAddress::L2cap(_)) => BluetoothTarget::L2cap,
            Address::Bluetooth(BluetoothAddress::Rfcomm(_)) => BluetoothTarget::Rfcomm,
            Address::Bluetooth(BluetoothAddress::Hci(HciAddress { channel, .. })) => {
                BluetoothTarget::Hci(*channel)
            }
            Address::Bluetooth(BluetoothAddress::Sco(_)) => BluetoothTarget::Sco,
            _ => return Err(Errno::AFNOSUPPORT.into()),
        };
        gate.decide(&Request::Family(FamilyTarget::Bluetooth(target)))?;
        Ok(Destination::plain(raw))
    }

    /// An unbound socket listens on every adapter.
    fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()> {
        let target = match socket.socket()?.protocol {
            BTPROTO_L2CAP => BluetoothTarget::L2cap,
            BTPROTO_RFCOMM => BluetoothTarget::Rfcomm,
            BTPROTO_SCO => BluetoothTarget::Sco,
            _ => return Err(Errno::OPNOTSUPP.into()),
        };
        gate.decide(&Request::Family(FamilyTarget::Bluetooth(target)))
    }

    #[cfg(test)]
    const FIXED: bool = true;

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let device = (0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc);
        [
            (
                BTPROTO_L2CAP,
                BluetoothAddress::L2cap(L2capAddress {
                    device,
                    psm: 0x1001,
                    cid: 0x40,
                    device_type: 2,
                }),
            ),
            (BTPROTO_RFCOMM, BluetoothAddress::Rfcomm(RfcommAddress { device, channel: 30 })),
            (BTPROTO_HCI, BluetoothAddress::Hci(HciAddress { adapter: 0xffff, channel: 3 })),
            (BTPROTO_SCO, BluetoothAddress::Sco(device)),
        ]
        .map(|(protocol, address)| (protocol, Address::Bluetooth(address)))
        .to_vec()
    }
}
