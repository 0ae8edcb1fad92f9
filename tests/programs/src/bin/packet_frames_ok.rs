//! Frames on `lo` by `packet=lo`, with its filter, its group and its memberships granted: raw and
//! cooked.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, OptionValue, Socket};

/// A protocol that no program answers (IEEE 802 experimental).
const OURS: u16 = 0x88b5;

/// socket(2) takes the protocol in network order.
fn htons(number: u16) -> i32 {
    i32::from(number.to_be())
}

fn socket(kind: i32, protocol: u16) -> Result<Socket, Error> {
    let socket = Socket::new(AF_PACKET, kind, htons(protocol))?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    Ok(socket)
}

fn frame(data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend(OURS.to_be_bytes());
    frame.extend(data);
    frame
}

/// Receives until the kernel says that a frame came in; those that went out are seen too.
fn incoming(socket: &Socket) -> Result<(Vec<u8>, Address), Error> {
    loop {
        let (frame, from) = socket.recvfrom(2000, 0)?;
        let Address::Packet(interface, protocol, kind, hardware, address) = &from else {
            panic!("{from}")
        };
        assert_eq!((interface.as_str(), *protocol, *hardware, address.len()), ("lo", OURS, 772, 6));
        if i32::from(*kind) == PACKET_HOST {
            return Ok((frame, from));
        }
        assert_eq!(i32::from(*kind), PACKET_OUTGOING);
    }
}

fn main() -> Result<(), Error> {
    // Raw: the whole frame. The protocol of socket(2) is bind's where bind has none.
    let raw = socket(SOCK_RAW, ETH_P_ALL as u16)?;
    assert_eq!(raw.getsockname()?.to_string(), "('', 3, 0, 0, b'')");
    raw.bind(("lo", 0))?;
    assert_eq!(raw.getsockname()?.to_string(), r"('lo', 3, 0, 772, b'\x00\x00\x00\x00\x00\x00')");
    raw.bind(("lo", OURS))?;
    raw.send(&frame(b"raw"), 0)?;
    let (got, from) = incoming(&raw)?;
    assert_eq!(got, frame(b"raw"));
    assert_eq!(from.to_string(), r"('lo', 34997, 0, 772, b'\x00\x00\x00\x00\x00\x00')");
    // Send to an address, and by sendmsg.
    let other = socket(SOCK_RAW, 0)?;
    other.sendto(&frame(b"addressed"), 0, ("lo", 0))?;
    assert_eq!(incoming(&raw)?.0, frame(b"addressed"));
    let parts = frame(b"in parts");
    let parts = [std::io::IoSlice::new(&parts[..13]), std::io::IoSlice::new(&parts[13..])];
    other.sendmsg(&parts, &[], 0, Some(&from))?;
    assert_eq!(incoming(&raw)?.0, frame(b"in parts"));

    // Cooked: the kernel makes the header and takes it off.
    let cooked = socket(SOCK_DGRAM, OURS)?;
    cooked.bind(("lo", 0))?;
    cooked.sendto(b"cooked", 0, ("lo", OURS, PACKET_HOST, 0, [0, 0, 0, 0, 0, 0]))?;
    assert_eq!(incoming(&cooked)?.0, b"cooked");
    assert_eq!(incoming(&raw)?.0, frame(b"cooked"));

    // Auxiliary data: struct tpacket_auxdata has status, then the frame's length.
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)?;
    raw.send(&frame(b"auxiliary"), 0)?;
    loop {
        let got = raw.recvmsg(2000, 100, 0)?;
        if got.data != frame(b"auxiliary") {
            continue;
        }
        let [data] = &got.ancillary[..] else { panic!("{:?}", got.ancillary) };
        assert_eq!((data.level, data.kind), (SOL_PACKET, PACKET_AUXDATA));
        assert_eq!(data.data[4..8], (frame(b"auxiliary").len() as u32).to_ne_bytes());
        break;
    }
    // How many packets came, and how many were lost; reading sets both to 0.
    let statistics = raw.getsockopt_bytes(SOL_PACKET, PACKET_STATISTICS, 8)?;
    assert!(u32::from_ne_bytes(statistics[..4].try_into().expect("four")) >= 4, "{statistics:?}");
    assert_eq!(raw.getsockopt_bytes(SOL_PACKET, PACKET_STATISTICS, 8)?, [0; 8]);

    // struct packet_mreq: interface, type (1 promiscuous, 2 all multicast), length, address.
    let Some(Address::Packet(..)) = Some(raw.getsockname()?) else { panic!("an address") };
    for kind in [1u16, 2] {
        let mut request = interface_number(&raw)?.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend([0; 10]);
        raw.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, OptionValue::Bytes(&request))?;
        raw.setsockopt(SOL_PACKET, PACKET_DROP_MEMBERSHIP, OptionValue::Bytes(&request))?;
    }

    // A filter: two bytes at 14 must be `go`. Code, jumps, operand.
    let program: [(u16, u8, u8, u32); 4] =
        [(0x28, 0, 0, 14), (0x15, 0, 1, 0x676f), (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)];
    let program: Vec<u8> = program
        .iter()
        .flat_map(|(code, jt, jf, k)| {
            [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()[..]].concat()
        })
        .collect();
    let filtered = socket(SOCK_RAW, 0)?;
    filtered.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&program))?;
    filtered.bind(("lo", OURS))?;
    filtered.send(&frame(b"stop here"), 0)?;
    filtered.send(&frame(b"go on"), 0)?;
    assert_eq!(incoming(&filtered)?.0, frame(b"go on"));

    // Two sockets of one group share the frames (type 0: by a hash of the flow; 1: in turn).
    let group = || {
        let socket = socket(SOCK_RAW, 0)?;
        socket.bind(("lo", OURS))?;
        socket.setsockopt(SOL_PACKET, PACKET_FANOUT, 4242 | 1 << 16)?;
        Ok::<_, Error>(socket)
    };
    let (a, b) = (group()?, group()?);
    for _ in 0..8 {
        other.sendto(&frame(b"shared"), 0, ("lo", 0))?;
    }
    let mut counts = [0u32; 2];
    for (socket, count) in [&a, &b].into_iter().zip(&mut counts) {
        socket.settimeout(Some(Duration::from_millis(300)))?;
        while socket.recv(2000, 0).is_ok() {
            *count += 1;
        }
    }
    assert_eq!(counts, [4, 4]);
    Ok(())
}

/// The number of `lo`: the raw layer's address has it.
fn interface_number(socket: &Socket) -> Result<u32, Error> {
    use sandsock::raw::{syscalls, types};
    let d = syscalls::socket(AF_PACKET, SOCK_RAW, 0)?;
    let mut request = [0; 40];
    request[..2].copy_from_slice(b"lo");
    let answer = syscalls::ioctl(&d, 0x8933, &request)?;
    let number = u32::from_ne_bytes(answer.argument[16..20].try_into().expect("four"));
    let address = types::PacketAddress {
        interface: number,
        protocol: 0,
        packet_type: 0,
        hardware_type: 0,
        hardware_address: Vec::new(),
    };
    syscalls::bind(&d, &types::Address::Packet(address))?;
    assert_eq!(socket.family(), AF_PACKET.into());
    Ok(number)
}
