//! Asks for each address of a small network by ARP, and prints the machines that answer: `arp_scan
//! INTERFACE OWN-ADDRESS`. The network has 254 addresses, whose first three bytes are those of
//! OWN-ADDRESS.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use sandsock::constants::{AF_PACKET, SOCK_RAW};
use sandsock::{Address, Error, ErrorKind, Flags, Socket};

/// linux/if_ether.h: ETH_P_ARP.
const ARP: u16 = 0x0806;
const BROADCAST: [u8; 6] = [0xff; 6];

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((interface, own)) = parse(&args) else {
        eprintln!("usage: arp_scan INTERFACE OWN-ADDRESS");
        std::process::exit(1);
    };

    let socket = Socket::new(AF_PACKET, SOCK_RAW, 0)?;
    // The grant `packet=INTERFACE:arp` covers this bind, and sending frames whose header says ARP.
    socket.bind((interface, ARP))?;
    let Address::Packet(.., hardware) = socket.getsockname()? else { std::process::exit(1) };
    let Ok(hardware) = <[u8; 6]>::try_from(hardware) else {
        eprintln!("{interface} is not an Ethernet interface");
        std::process::exit(1);
    };
    let [a, b, c, _] = own.octets();
    for last in 1..=254 {
        let wanted = Ipv4Addr::new(a, b, c, last);
        if wanted != own {
            socket.send(&request(hardware, own, wanted), Flags::NONE)?;
        }
    }
    let mut found = BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(1);
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        socket.settimeout(Some(left))?;
        match socket.recv(2048, Flags::NONE) {
            Ok(frame) => found.extend(reply(&frame)),
            Err(error) if error.kind() == ErrorKind::TimedOut => break,
            Err(error) => return Err(error),
        }
    }
    for (address, hardware) in &found {
        let shown: Vec<String> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{address} is at {}", shown.join(":"));
    }
    println!("{} found", found.len());
    Ok(())
}

/// Makes an ARP request in its Ethernet frame (RFC 826).
fn request(hardware: [u8; 6], own: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let mut frame = [&BROADCAST[..], &hardware, &ARP.to_be_bytes()].concat();
    // Ethernet, IPv4, the lengths of their addresses, and a request.
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(hardware);
    frame.extend(own.octets());
    frame.extend([0; 6]);
    frame.extend(wanted.octets());
    frame
}

/// Returns the addresses of the machine that answers, or None if the frame is not an answer.
fn reply(frame: &[u8]) -> Option<(Ipv4Addr, [u8; 6])> {
    let arp = frame.get(14..42).filter(|arp| arp[..8] == [0, 1, 8, 0, 6, 4, 0, 2])?;
    let address: [u8; 4] = arp[14..18].try_into().ok()?;
    Some((address.into(), arp[8..14].try_into().ok()?))
}

fn parse(args: &[String]) -> Option<(&str, Ipv4Addr)> {
    match args {
        [interface, own] => Some((interface, own.parse().ok()?)),
        _ => None,
    }
}
