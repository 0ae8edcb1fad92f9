//! AF_PACKET (man 7 packet): frames of an interface, seen and sent below IP.
//!
//! What a grant permits: a guest with an interface reads everything that passes there, including
//! other programs' traffic, and sends any frame with any sender. A grant for one protocol
//! (`packet=lo:arp`) limits what the kernel delivers. For sends, this file reads the frame's own
//! header.

use rustix::io::Errno;

use super::{FamilyRules, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::{Address, PacketAddress, SocketKind};
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::RawAddress;
use sandsock_policy::{EVERY_PROTOCOL, PacketRequest, Request};

/// `sizeof(struct sockaddr_ll)`.
const SIZE: usize = 20;
/// The longest link-layer address of `sockaddr_ll`.
const HARDWARE_MAX: usize = 8;
/// Ethernet: two addresses and a type.
const ETHERNET_HEADER: usize = 14;
/// Lower numbers are lengths of IEEE 802.3, which name no protocol.
const FIRST_TYPE: u16 = 0x600;

/// The types of VLAN tags (IEEE 802.1Q): two bytes of type, two bytes of VLAN, then the frame's own
/// type.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

pub(super) struct Packet;

fn encode(address: &PacketAddress, protocol: u16) -> Result<RawAddress, Errno> {
    let hardware = &address.hardware_address;
    let length = u8::try_from(hardware.len())
        .ok()
        .filter(|&length| usize::from(length) <= HARDWARE_MAX)
        .ok_or(Errno::INVAL)?;
    let mut bytes = [0; SIZE];
    bytes[0..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&protocol.to_be_bytes());
    bytes[4..8].copy_from_slice(&address.interface.to_ne_bytes());
    bytes[8..10].copy_from_slice(&address.hardware_type.to_ne_bytes());
    bytes[10] = address.packet_type;
    bytes[11] = length;
    bytes[12..][..hardware.len()].copy_from_slice(hardware);
    Ok(RawAddress::from_bytes(&bytes))
}

fn decoded(raw: &RawAddress) -> Option<PacketAddress> {
    let bytes = raw.bytes();
    let two = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
    let length = usize::from(*bytes.get(11)?).min(HARDWARE_MAX).min(bytes.len() - 12);
    Some(PacketAddress {
        interface: u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?),
        protocol: u16::from_be_bytes(two(2)?),
        packet_type: bytes[10],
        hardware_type: u16::from_ne_bytes(two(8)?),
        hardware_address: bytes.get(12..)?.get(..length)?.to_vec(),
    })
}

/// Returns the name of an interface in the socket's own namespace. ENODEV if there is none.
fn name_of(socket: &Handle, interface: u32) -> Result<String, Errno> {
    rustix::net::netdevice::index_to_name(socket.fd(), interface)
}

/// Returns the protocol that a bind without one keeps (man 7 packet): the protocol of the last
/// bind, or the one that the guest asked for at creation, which the host may not have given to the
/// kernel yet.
fn protocol_of(socket: &Handle) -> Result<u16, Errno> {
    let own = decoded(&sys::local_address(socket.fd())?).map_or(0, |address| address.protocol);
    Ok(if own == 0 { socket.packet_protocol() } else { own })
}

/// Asks for the frames of an interface by its index. Index 0 means every interface.
fn decide(gate: &Gate, socket: &Handle, interface: u32, protocol: u16) -> CallResult<()> {
    let name = if interface == 0 { None } else { Some(name_of(socket, interface)?) };
    gate.decide(&Request::Packet(PacketRequest { interface: name.as_deref(), protocol }))
}

/// Asks for a `packet_mreq`, which begins with an interface index.
pub(crate) fn judge_membership(gate: &Gate, socket: &Handle, value: &[u8]) -> CallResult<()> {
    let index = value
        .get(..16)
        .and_then(|value| value[..4].try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(Errno::INVAL)?;
    if index == 0 {
        return Err(Errno::NODEV.into());
    }
    decide(gate, socket, index, 0)
}

impl FamilyRules for Packet {
    const TYPES: &'static [i32] = &[libc::SOCK_RAW, libc::SOCK_DGRAM];

    fn is_inspected(_: SocketKind) -> bool {
        true
    }

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        let Address::Packet(address) = address else { return Err(Errno::AFNOSUPPORT) };
        encode(address, address.protocol)
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        decoded(raw).map(Address::Packet)
    }

    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let Address::Packet(address) = address else { return Err(Errno::AFNOSUPPORT.into()) };
        let protocol = match purpose {
            Use::Bind(socket) if address.protocol == 0 => protocol_of(socket)?,
            _ => address.protocol,
        };
        match purpose {
            Use::Bind(socket) => decide(gate, socket, address.interface, protocol)?,
            // The kernel has no connect for this family.
            Use::Connect => {}
            Use::Send(_) if address.interface == 0 => return Err(Errno::NXIO.into()),
            // A whole frame names its protocol itself: see `judge_contents`.
            Use::Send(socket) if kind.type_ == libc::SOCK_RAW => {
                decide(gate, socket, address.interface, 0)?
            }
            // The kernel makes the header, with this protocol in it. Protocol 0 is a number like
            // any other here, and no rule names it.
            Use::Send(socket) => {
                let protocol = if protocol == 0 { EVERY_PROTOCOL } else { protocol };
                decide(gate, socket, address.interface, protocol)?;
            }
        }
        Ok(Destination::plain(encode(address, protocol)?))
    }

    fn judge_listen(_: &Gate, _: &Handle) -> CallResult<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn judge_contents(
        gate: &Gate,
        socket: &Handle,
        kind: SocketKind,
        to: Option<&Address>,
        frame: &[u8],
    ) -> CallResult<()> {
        let (interface, protocol) = match to {
            Some(Address::Packet(address)) => (address.interface, address.protocol),
            Some(_) => return Err(Errno::AFNOSUPPORT.into()),
            None => decoded(&sys::local_address(socket.fd())?)
                .map_or((0, 0), |own| (own.interface, own.protocol)),
        };
        // The kernel makes the header, so the address names the protocol. Only a VLAN tag could
        // hide another one.
        if kind.type_ != libc::SOCK_RAW && !TAGS.contains(&protocol) {
            return Ok(());
        }
        if interface == 0 {
            // man 7 packet: there is no interface to send on.
            return Err(Errno::NXIO.into());
        }
        let name = name_of(socket, interface)?;
        let every =
            Request::Packet(PacketRequest { interface: Some(&name), protocol: EVERY_PROTOCOL });
        if kind.type_ != libc::SOCK_RAW {
            return gate.not_denied(&every);
        }
        if gate.grants(&every) {
            return gate.decide(&every);
        }
        match frame_protocol(frame) {
            Some(protocol) if sys::has_ethernet_header(socket.fd(), &name)? => {
                let of =
                    |protocol| Request::Packet(PacketRequest { interface: Some(&name), protocol });
                gate.decide(&of(protocol))?;
                // Switches remove tags, so a protocol that is denied is denied behind a tag as
                // well.
                behind_tags(frame).try_for_each(|protocol| gate.not_denied(&of(protocol)))
            }
            _ => gate.decide(&every),
        }
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        let address = |hardware: &[u8]| {
            Address::Packet(PacketAddress {
                interface: 7,
                protocol: 0x0806,
                packet_type: 4,
                hardware_type: 772,
                hardware_address: hardware.to_vec(),
            })
        };
        vec![address(&[]), address(&[1, 2, 3, 4, 5, 6]), address(&[255; 8])]
            .into_iter()
            .map(|address| (0, address))
            .collect()
    }
}

/// Returns the protocols behind an Ethernet frame's VLAN tags, without the tag's own type.
fn behind_tags(frame: &[u8]) -> impl Iterator<Item = u16> {
    let types = frame.get(ETHERNET_HEADER - 2..).unwrap_or_default().chunks_exact(4);
    let mut types = types.map(|tag| u16::from_be_bytes([tag[0], tag[1]]));
    let mut tagged = types.next().is_some_and(|kind| TAGS.contains(&kind));
    types
        .map_while(move |kind| std::mem::replace(&mut tagged, TAGS.contains(&kind)).then_some(kind))
}

/// Returns the protocol that an Ethernet frame names. None if it names none.
fn frame_protocol(frame: &[u8]) -> Option<u16> {
    let header = frame.get(..ETHERNET_HEADER)?;
    Some(u16::from_be_bytes([header[12], header[13]])).filter(|&protocol| protocol >= FIRST_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_protocol() {
        let mut frame = [0; 60];
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(frame_protocol(&frame), Some(0x0806));
        assert_eq!(frame_protocol(&frame[..13]), None);
        frame[12..14].copy_from_slice(&[0x00, 0x26]);
        assert_eq!(frame_protocol(&frame), None, "a length");
    }

    #[test]
    fn tags_are_looked_behind() {
        let behind = |types: &[u16]| {
            let tags: Vec<u8> =
                types.iter().flat_map(|kind| [&kind.to_be_bytes()[..], &[0, 7]].concat()).collect();
            behind_tags(&[&[0; 12][..], &tags, &[0; 2]].concat()).collect::<Vec<_>>()
        };
        assert!(behind(&[0x0800, 0x0806]).is_empty());
        assert_eq!(behind(&[0x8100, 0x0806, 0x0800]), [0x0806]);
        assert_eq!(behind(&[0x88a8, 0x8100, 0x86dd]), [0x8100, 0x86dd]);
        assert!(behind(&[0x8100]).is_empty());
        assert_eq!(behind_tags(&[0; 3]).count(), 0);
    }

    #[test]
    fn a_long_hardware_address_is_refused() {
        let Some((_, Address::Packet(mut address))) = Packet::samples().pop() else {
            panic!("a packet address")
        };
        address.hardware_address.push(0);
        assert!(matches!(encode(&address, 0), Err(Errno::INVAL)));
    }
}
