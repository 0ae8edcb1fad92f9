//! Sends echo requests to an address, over IPv4 or IPv6, and prints the answers: `ping HOST
//! [COUNT]`.
//!
//! It uses a ping socket, which needs no privilege. If the system does not allow ping sockets, it
//! uses a raw socket.

use std::time::{Duration, Instant};

use sandsock::constants::{AF_INET, AF_INET6, IPPROTO_ICMP, IPPROTO_ICMPV6, SOCK_DGRAM, SOCK_RAW};
use sandsock::{AddressInfoFlags, Error, ErrorKind, Family, Flags, Socket, getaddrinfo};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, count)) = parse(&args) else {
        eprintln!("usage: ping HOST [COUNT]");
        std::process::exit(1);
    };

    let answers = getaddrinfo(host, (), Family::UNSPEC, SOCK_DGRAM, 0, AddressInfoFlags::NONE)?;
    let Some(answer) = answers.into_iter().next() else { std::process::exit(1) };
    let v6 = answer.family == Family::INET6;
    let (family, protocol) = if v6 { (AF_INET6, IPPROTO_ICMPV6) } else { (AF_INET, IPPROTO_ICMP) };
    let socket = match Socket::new(family, SOCK_DGRAM, protocol) {
        // The system decides which users may have ping sockets (net.ipv4.ping_group_range).
        Err(error) if error.kind() != ErrorKind::Denied => Socket::new(family, SOCK_RAW, protocol)?,
        socket => socket?,
    };
    let address = answer.address.host().unwrap_or_default();
    let mut answered = 0;
    for sequence in 1..=count {
        let start = Instant::now();
        // This needs the grant `raw=icmp:ADDRESS` or `raw=icmp6:ADDRESS`, which covers the answer.
        socket.sendto(&request(v6, sequence), Flags::NONE, (address.as_str(), 0))?;
        match reply(&socket, v6, sequence, start + Duration::from_secs(1)) {
            Ok(length) => {
                answered += 1;
                println!(
                    "{length} bytes from {address}: sequence {sequence}, {:.3} ms",
                    start.elapsed().as_secs_f64() * 1e3
                );
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                println!("no answer from {address}: sequence {sequence}")
            }
            Err(error) => return Err(error),
        }
    }
    println!("{count} sent, {answered} answered");
    std::process::exit(i32::from(answered == 0));
}

/// Makes an echo request (RFC 792, RFC 4443). For ICMPv6 the kernel computes the checksum.
fn request(v6: bool, sequence: u16) -> Vec<u8> {
    let mut bytes = vec![if v6 { 128 } else { 8 }, 0, 0, 0, 0x5a, 0x5a];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(*b"sandsock sandsock sandsock sandsock sandsock sandsock 56");
    let sum: u32 = bytes.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(folded as u16 + (folded >> 16) as u16);
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Waits for the answer with this sequence number. A raw socket also gets all other ICMP packets
/// from that address.
fn reply(socket: &Socket, v6: bool, sequence: u16, deadline: Instant) -> Result<usize, Error> {
    loop {
        // At least 1 ms, because a timeout of 0 would make the socket non-blocking.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.settimeout(Some(left))?;
        let (packet, _) = socket.recvfrom(2048, Flags::NONE)?;
        // A raw IPv4 socket also receives the IP header, whose length is in words of four bytes.
        let header = if !v6 && socket.kind() == SOCK_RAW.into() {
            usize::from(packet[0] & 15) * 4
        } else {
            0
        };
        let icmp = packet.get(header..).unwrap_or_default();
        let wanted = if v6 { 129 } else { 0 };
        if icmp.first() == Some(&wanted) && icmp.get(6..8) == Some(&sequence.to_be_bytes()) {
            return Ok(icmp.len());
        }
    }
}

fn parse(args: &[String]) -> Option<(&str, u16)> {
    match args {
        [host] => Some((host, 4)),
        [host, count] => Some((host, count.parse().ok()?)),
        _ => None,
    }
}
