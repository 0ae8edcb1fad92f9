//! Joins 239.1.2.3 and ff02::1234 in every way and receives the datagrams for them. It sends to a
//! group and to the broadcast address. A peer sends to both groups all the time. Arguments: the
//! interface's index, its address, the peer's address.

use std::net::Ipv4Addr;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};
use sandsock_test_programs::argument;

const PORT: u16 = 5007;
const GROUP: [u8; 4] = [239, 1, 2, 3];
const GROUP6: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34];

/// A socket address in the room of `sockaddr_storage`.
fn storage(address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    let (family, at) = if address.len() == 4 { (AF_INET, 4) } else { (AF_INET6, 8) };
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    bytes[at..at + address.len()].copy_from_slice(address);
    bytes
}

/// `group_req`, or with a source `group_source_req`.
fn group_request(index: u32, addresses: &[&[u8]]) -> Vec<u8> {
    let mut bytes = index.to_ne_bytes().to_vec();
    bytes.extend([0; 4]);
    addresses.iter().for_each(|address| bytes.extend(storage(address)));
    bytes
}

/// Receives one datagram; after `leave`, waits until none comes any more.
fn member(
    socket: &Socket,
    join: (i32, i32),
    leave: (i32, i32),
    request: &[u8],
    text: &[u8],
) -> Result<(), Error> {
    socket.setsockopt(join.0, join.1, OptionValue::Bytes(request))?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    assert_eq!(socket.recv(100, 0)?, text, "{join:?}");
    socket.setsockopt(leave.0, leave.1, OptionValue::Bytes(request))?;
    silence(socket);
    Ok(())
}

/// Takes what is still in the queue, and demands that nothing more comes.
fn silence(socket: &Socket) {
    socket.settimeout(Some(Duration::from_millis(200))).expect("is set");
    for _ in 0..1000 {
        if let Err(error) = socket.recv(100, 0) {
            assert_eq!(error.class(), "TimeoutError");
            return;
        }
    }
    panic!("it goes on after the group was left");
}

fn main() -> Result<(), Error> {
    let index: u32 = argument(0);
    let (own, peer): (Ipv4Addr, Ipv4Addr) = (argument(1), argument(2));
    let (own, peer) = (own.octets(), peer.octets());
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    socket.bind(("", PORT))?;
    let (ip, ip6) = (IPPROTO_IP, IPPROTO_IPV6);
    let (join, leave) = ((ip, IP_ADD_MEMBERSHIP), (ip, IP_DROP_MEMBERSHIP));
    member(&socket, join, leave, &[GROUP, own].concat(), b"four")?;
    member(&socket, join, leave, &[GROUP, [0; 4], index.to_ne_bytes()].concat(), b"four")?;
    let (join, leave) = ((ip, MCAST_JOIN_GROUP), (ip, MCAST_LEAVE_GROUP));
    member(&socket, join, leave, &group_request(index, &[&GROUP]), b"four")?;
    // Join for one source: struct ip_mreq_source is group, interface, source.
    let (join, leave) = ((ip, IP_ADD_SOURCE_MEMBERSHIP), (ip, IP_DROP_SOURCE_MEMBERSHIP));
    member(&socket, join, leave, &[GROUP, own, peer].concat(), b"four")?;
    let other = [GROUP, own, [10, 77, 0, 99]].concat();
    socket.setsockopt(ip, IP_ADD_SOURCE_MEMBERSHIP, OptionValue::Bytes(&other))?;
    silence(&socket);
    socket.setsockopt(ip, IP_DROP_SOURCE_MEMBERSHIP, OptionValue::Bytes(&other))?;
    let (join, leave) = ((ip, MCAST_JOIN_SOURCE_GROUP), (ip, MCAST_LEAVE_SOURCE_GROUP));
    member(&socket, join, leave, &group_request(index, &[&GROUP, &peer]), b"four")?;
    // A source that is blocked, and let in again.
    socket.setsockopt(ip, IP_ADD_MEMBERSHIP, OptionValue::Bytes(&[GROUP, own].concat()))?;
    let source = [GROUP, own, peer].concat();
    socket.setsockopt(ip, IP_BLOCK_SOURCE, OptionValue::Bytes(&source))?;
    silence(&socket);
    socket.setsockopt(ip, IP_UNBLOCK_SOURCE, OptionValue::Bytes(&source))?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    assert_eq!(socket.recv(100, 0)?, b"four");

    let six = Socket::new(AF_INET6, SOCK_DGRAM, 0)?;
    six.setsockopt(ip6, IPV6_V6ONLY, 1)?;
    six.bind(("::", PORT))?;
    let request = [&GROUP6[..], &index.to_ne_bytes()].concat();
    member(&six, (ip6, IPV6_JOIN_GROUP), (ip6, IPV6_LEAVE_GROUP), &request, b"six")?;
    let request = group_request(index, &[&GROUP6]);
    member(&six, (ip6, MCAST_JOIN_GROUP), (ip6, MCAST_LEAVE_GROUP), &request, b"six")?;

    // Out: the interface, the hops, the copy for oneself.
    let out = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    out.setsockopt(
        ip,
        IP_MULTICAST_IF,
        OptionValue::Bytes(&[[0; 4], [0; 4], index.to_ne_bytes()].concat()),
    )?;
    out.setsockopt(ip, IP_MULTICAST_TTL, 4)?;
    out.setsockopt(ip, IP_MULTICAST_LOOP, 0)?;
    assert_eq!(
        (out.getsockopt(ip, IP_MULTICAST_TTL)?, out.getsockopt(ip, IP_MULTICAST_LOOP)?),
        (4, 0)
    );
    out.sendto(b"to the group", 0, ("239.1.2.3", 5008))?;
    let out6 = Socket::new(AF_INET6, SOCK_DGRAM, 0)?;
    out6.setsockopt(ip6, IPV6_MULTICAST_IF, index as i32)?;
    out6.setsockopt(ip6, IPV6_MULTICAST_HOPS, 3)?;
    out6.setsockopt(ip6, IPV6_MULTICAST_LOOP, 0)?;
    assert_eq!(out6.getsockopt(ip6, IPV6_MULTICAST_HOPS)?, 3);

    // Everybody: the kernel wants SO_BROADCAST, and says so itself.
    for host in ["<broadcast>", "10.77.0.255"] {
        let all = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
        let refused = all.sendto(b"no", 0, (host, 5009)).expect_err("SO_BROADCAST is off");
        assert_eq!((refused.errno(), refused.grant()), (Some(13), None), "{refused}");
        all.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)?;
        all.sendto(host.as_bytes(), 0, (host, 5009))?;
    }
    Ok(())
}
