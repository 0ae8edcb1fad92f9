//! Writes the IP header itself, by `raw=header`: `raw_header_ok PORT PORT6`, UDP ports of the
//! loopbacks.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::argument;

/// A UDP header without a checksum, and its data.
fn udp(port: u16, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let mut bytes =
        [4242u16.to_be_bytes(), port.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    bytes.extend(data);
    bytes
}

/// An IPv4 packet of UDP from an address that no machine has.
fn v4(port: u16) -> Vec<u8> {
    let payload = udp(port, b"spoofed");
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 9, 9, 9, 127, 0, 0, 1]);
    packet.extend(payload);
    packet
}

/// An IPv6 packet whose UDP checksum is of the pseudo header (RFC 8200, 8.1).
fn v6(port: u16) -> Vec<u8> {
    let mut payload = udp(port, b"spoofed");
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([17, 64]);
    let mut one = [0; 16];
    one[15] = 1;
    packet.extend([one, one].concat());
    let mut sum: u32 = 1 + 1 + 17 + payload.len() as u32;
    sum += payload
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)))
        .sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn main() -> Result<(), Error> {
    let (port, port6): (u16, u16) = (argument(0), argument(1));
    // IPPROTO_RAW has the header on by itself.
    let raw = Socket::new(AF_INET, SOCK_RAW, IPPROTO_RAW)?;
    assert_eq!(raw.getsockopt(IPPROTO_IP, IP_HDRINCL)?, 1);
    raw.sendto(&v4(port), 0, ("127.0.0.1", 0))?;
    // And a socket of a protocol gets it.
    let icmp = Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP)?;
    icmp.setsockopt(IPPROTO_IP, IP_HDRINCL, 1)?;
    icmp.sendto(&v4(port), 0, ("127.0.0.1", 0))?;
    let six = Socket::new(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)?;
    six.setsockopt(IPPROTO_IPV6, IPV6_HDRINCL, 1)?;
    six.sendto(&v6(port6), 0, ("::1", 0))?;
    Ok(())
}
