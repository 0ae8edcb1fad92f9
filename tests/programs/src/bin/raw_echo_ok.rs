//! ICMP and ICMPv6 echo by raw and by ping sockets: `raw_echo_ok KIND` where KIND is `raw` or
//! `ping`.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::transfers;
use sandsock::raw::types::Wait;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, loopback};

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// An echo request: type, code, checksum, identifier, sequence, data.
fn request(family: i32, id: u16, sequence: u16) -> Vec<u8> {
    let mut bytes = vec![if family == AF_INET { 8 } else { 128 }, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(b"sandsock");
    if family == AF_INET {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Receives until the reply with this sequence is there; a raw socket gets the request too.
fn reply(socket: &Socket, family: i32, sequence: u16) -> Result<Vec<u8>, Error> {
    loop {
        let (packet, from) = socket.recvfrom(1500, 0)?;
        assert_eq!(from.host().as_deref(), Some(loopback(family)));
        // A raw IPv4 socket gives the IP header too (man 7 raw).
        let whole = family == AF_INET && socket.kind() == SOCK_RAW.into();
        let icmp = if whole { &packet[usize::from(packet[0] & 15) * 4..] } else { &packet[..] };
        if icmp[0] == (if family == AF_INET { 0 } else { 129 })
            && icmp[6..8] == sequence.to_be_bytes()
        {
            return Ok(icmp.to_vec());
        }
    }
}

fn main() -> Result<(), Error> {
    let word: String = argument(0);
    let kind = if word == "raw" { SOCK_RAW } else { SOCK_DGRAM };
    for (family, protocol) in [(AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6)] {
        let socket = Socket::new(family, kind, protocol)?;
        socket.settimeout(Some(Duration::from_secs(10)))?;
        socket.sendto(&request(family, 77, 1), 0, (loopback(family), 0))?;
        assert_eq!(reply(&socket, family, 1)?[8..], *b"sandsock");
        let buffers = [
            std::io::IoSlice::new(&request(family, 77, 2)[..5]).to_vec(),
            request(family, 77, 2)[5..].to_vec(),
        ];
        let buffers: Vec<_> = buffers.iter().map(|buffer| std::io::IoSlice::new(buffer)).collect();
        socket.sendmsg(&buffers, &[], 0, Some(&(loopback(family), 0)))?;
        reply(&socket, family, 2)?;
        socket.connect((loopback(family), 0))?;
        socket.send(&request(family, 77, 3), 0)?;
        reply(&socket, family, 3)?;
        // A batch.
        let data = [request(family, 77, 4), request(family, 77, 5)].concat();
        let entry = || transfers::BatchEntry {
            length: (data.len() / 2) as u32,
            address: None,
            control: &[],
        };
        assert_eq!(
            transfers::send_batch(&socket.alias()?, &data, &[entry(), entry()], 0, Wait::Forever),
            Ok(2)
        );
        reply(&socket, family, 4)?;
        reply(&socket, family, 5)?;
        if kind == SOCK_RAW {
            // Only what is asked for: echo replies (man 7 raw, RFC 3542).
            let (level, name, filter) = match family {
                AF_INET => (SOL_RAW, ICMP_FILTER, (!1u32).to_ne_bytes().to_vec()),
                _ => (IPPROTO_ICMPV6, ICMPV6_FILTER, [[0xff; 16], [0xff; 16]].concat().to_vec()),
            };
            socket.setsockopt(level, name, sandsock::OptionValue::Bytes(&filter))?;
            assert_eq!(socket.getsockopt_bytes(level, name, filter.len())?, filter);
        }
    }
    Ok(())
}
