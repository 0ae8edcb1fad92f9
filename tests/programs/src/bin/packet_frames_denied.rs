//! Has `packet=lo:arp` and, for the interface of its argument, `packet=INTERFACE:lldp`. It tries
//! other protocols, other interfaces, and other programs' frames.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::errno::{ENXIO, ESOCKTNOSUPPORT};
use sandsock::raw::syscalls;
use sandsock::raw::transfers;
use sandsock::raw::types::{self, PacketAddress, Wait};
use sandsock::{Error, OptionValue, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, denied, denied_for, raw, refused};

const ARP: u16 = 0x0806;
const IP: u16 = 0x0800;
const LLDP: u16 = 0x88cc;

fn htons(number: u16) -> i32 {
    i32::from(number.to_be())
}

fn frame(protocol: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend(protocol.to_be_bytes());
    frame.extend([0; 46]);
    frame
}

fn main() -> Result<(), Error> {
    let other = args()[0].clone();
    // Made for ARP, on whichever interface is granted; for no other protocol.
    for protocol in [IP, ETH_P_ALL as u16, 0x86dd] {
        let error = denied("another protocol", Socket::new(AF_PACKET, SOCK_RAW, htons(protocol)));
        assert!(error.to_string().contains("packet=INTERFACE"), "{error}");
    }
    refused("SOCK_PACKET", Socket::new(AF_PACKET, 10, htons(ARP)), ESOCKTNOSUPPORT);
    let socket = Socket::new(AF_PACKET, SOCK_RAW, htons(ARP))?;
    let cooked = Socket::new(AF_PACKET, SOCK_DGRAM, htons(ARP))?;
    // Before the bind it must get nothing, of any interface.
    println!("made");
    socket.settimeout(Some(Duration::from_millis(500)))?;
    assert_eq!(socket.recv(2000, 0).expect_err("nothing is bound").class(), "TimeoutError");

    for socket in [&socket, &cooked] {
        denied_for("bind to IP", socket.bind(("lo", IP)), "packet=lo:ip");
        denied_for("bind to all", socket.bind(("lo", ETH_P_ALL)), "packet=lo");
        denied_for(
            "another interface",
            socket.bind((other.as_str(), ARP)),
            &format!("packet={other}:arp"),
        );
        // The number alone is no way around the name.
        for (interface, grant) in
            [(0, "packet=*:arp".to_owned()), (2, format!("packet={other}:arp"))]
        {
            let address = types::Address::Packet(PacketAddress {
                interface,
                protocol: ARP,
                packet_type: 0,
                hardware_type: 0,
                hardware_address: Vec::new(),
            });
            let d = syscalls::socket(AF_PACKET, SOCK_RAW, htons(ARP))?;
            let result = raw(syscalls::bind(&d, &address));
            if interface == 0 || result.as_ref().is_err_and(|error| error.grant().is_some()) {
                denied_for("bind by number", result, &grant);
            }
            let sent = raw(transfers::send_to(&d, &frame(ARP), 0, &address, Wait::Forever));
            match interface {
                0 => refused("no interface", sent, ENXIO),
                _ => drop(denied("send by number", sent)),
            }
        }
    }
    // A bind without a protocol keeps the last one.
    let moving = Socket::new(AF_PACKET, SOCK_RAW, htons(LLDP))?;
    denied_for("the protocol of socket(2)", moving.bind(("lo", 0)), "packet=lo:lldp");
    moving.bind((other.as_str(), 0))?;
    denied_for("the protocol of the last bind", moving.bind(("lo", 0)), "packet=lo:lldp");
    moving.bind(("lo", ARP))?;
    denied_for(
        "the protocol of the last bind",
        moving.bind((other.as_str(), 0)),
        &format!("packet={other}:arp"),
    );
    socket.bind(("lo", 0))?;
    cooked.bind(("lo", 0))?;
    // Every way to send: the frame itself says what it is.
    for (what, bytes, grant) in [
        ("an IP frame", frame(IP), "packet=lo:ip"),
        ("a VLAN frame", frame(0x8100), "packet=lo:vlan"),
        ("a length", frame(46), "packet=lo"),
        ("a short frame", vec![0; 13], "packet=lo"),
        ("nothing", Vec::new(), "packet=lo"),
    ] {
        denied_for(what, socket.send(&bytes, 0), grant);
        denied_for(what, socket.sendto(&bytes, 0, ("lo", ARP)), grant);
        let (head, tail) = bytes.split_at(bytes.len().min(13));
        let parts = [std::io::IoSlice::new(head), std::io::IoSlice::new(tail)];
        denied_for(what, socket.sendmsg(&parts, &[], 0, None), grant);
        denied_for(what, socket.sendmsg(&parts, &[], 0, Some(&("lo", ARP))), grant);
        // The second of a batch.
        let data = [frame(ARP), bytes.clone()].concat();
        let entry = |length: usize| transfers::BatchEntry {
            length: length as u32,
            address: None,
            control: &[],
        };
        let entries = [entry(60), entry(bytes.len())];
        assert_eq!(
            transfers::send_batch(&socket.alias()?, &data, &entries, 0, Wait::Forever),
            Ok(1)
        );
        let alone =
            raw(transfers::send_batch(&socket.alias()?, &bytes, &entries[1..], 0, Wait::Forever));
        denied_for(what, alone, grant);
    }
    denied_for("IP by its address", cooked.sendto(&[0; 40], 0, ("lo", IP)), "packet=lo:ip");
    denied_for("no protocol", cooked.sendto(&[0; 40], 0, ("lo", 0)), "packet=lo");
    // Frames with a grant are sent.
    socket.send(&frame(ARP), 0)?;
    cooked.sendto(&[0; 28], 0, ("lo", ARP))?;

    let index: u32 = 1;
    let membership = [&index.to_ne_bytes()[..], &1u16.to_ne_bytes(), &[0; 10]].concat();
    let bytes = OptionValue::Bytes(&membership);
    for (level, name, value, text) in [
        (SOL_PACKET, PACKET_ADD_MEMBERSHIP, bytes, "SOL_PACKET/PACKET_ADD_MEMBERSHIP"),
        (SOL_PACKET, PACKET_FANOUT, OptionValue::Integer(7), "SOL_PACKET/PACKET_FANOUT"),
        (
            SOL_PACKET,
            PACKET_QDISC_BYPASS,
            OptionValue::Integer(1),
            "SOL_PACKET/PACKET_QDISC_BYPASS",
        ),
        (SOL_SOCKET, SO_ATTACH_FILTER, bytes, "SOL_SOCKET/SO_ATTACH_FILTER"),
    ] {
        denied_for(text, socket.setsockopt(level, name, value), &format!("option={text}"));
    }
    for name in
        [PACKET_RX_RING, PACKET_TX_RING, PACKET_VNET_HDR, PACKET_FANOUT_DATA, PACKET_VERSION, 24]
    {
        assert_eq!(
            denied("a ring, a pointer", socket.setsockopt(SOL_PACKET, name, bytes)).grant(),
            None
        );
    }
    Ok(())
}
