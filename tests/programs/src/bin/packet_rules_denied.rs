//! Has `packet=lo`, with which it may ask for that interface's number and name and send every
//! frame. Rules deny the number and ARP.

use sandsock::constants::*;
use sandsock::raw::syscalls::{ioctl, socket};
use sandsock::raw::transfers::send_to;
use sandsock::raw::types::{Address, PacketAddress, Wait};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_by_rule, denied_for, raw};

fn main() -> sandsock::Result<()> {
    let d = raw(socket(AF_PACKET, SOCK_RAW, 0))?;
    let mut request = [0; 40];
    request[..2].copy_from_slice(b"lo");
    denied_by_rule("the number", raw(ioctl(&d, 0x8933, &request)).map(|result| result.argument));
    // The name of number 1, which no rule denies.
    request[16] = 1;
    assert_eq!(raw(ioctl(&d, 0x8910, &request))?.argument[..3], *b"lo\0");
    // For an interface without a grant, the denial names the frames.
    request[16] = 2;
    denied_for(
        "another's name",
        raw(ioctl(&d, 0x8910, &request)).map(|result| result.argument),
        "packet=left",
    );

    let address = |protocol| {
        let (packet_type, hardware_type, hardware_address) = (0, 0, Vec::new());
        Address::Packet(PacketAddress {
            interface: 1,
            protocol,
            packet_type,
            hardware_type,
            hardware_address,
        })
    };
    let frame = |types: &[u16]| {
        let tagged: Vec<u8> =
            types.iter().flat_map(|kind| [&kind.to_be_bytes()[..], &[0, 0]].concat()).collect();
        [&[0; 12][..], &tagged[..], &[0; 46]].concat()
    };
    let send = |types: &[u16]| raw(send_to(&d, &frame(types), 0, &address(0x0800), Wait::Forever));
    // Tags do not hide what is denied: receivers take off that of VLAN 0, switches others.
    for types in [
        &[0x0806][..],
        &[0x8100, 0x0806],
        &[0x88a8, 0x8100, 0x0806],
        &[0x9100, 0x0806],
        &[0x8100; 8],
    ] {
        if types.len() < 8 {
            denied_by_rule("ARP", send(types));
        } else {
            send(types)?;
        }
    }
    for types in [&[0x0800][..], &[0x8100, 0x0800], &[0x8100, 0x8100, 0x88cc]] {
        send(types)?;
    }
    let cooked = raw(socket(AF_PACKET, SOCK_DGRAM, 0))?;
    let send =
        |protocol, bytes: &[u8]| raw(send_to(&cooked, bytes, 0, &address(protocol), Wait::Forever));
    send(0x0800, &[0; 46])?;
    denied_by_rule("ARP", send(0x0806, &[0; 46]));
    denied_by_rule("whatever is tagged", send(0x8100, &[0, 0, 8, 6, 0, 0, 0, 0]));
    Ok(())
}
