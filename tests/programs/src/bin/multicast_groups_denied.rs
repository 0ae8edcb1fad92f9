//! Has `multicast=239.1.2.3` and `multicast=ff02::1234`, or with the argument `none` no group, and
//! tries others.

use sandsock::constants::*;
use sandsock::errno::EINVAL;
use sandsock::{OptionValue, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, denied_for, refused};

fn storage(address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    let (family, at) = if address.len() == 4 { (AF_INET, 4) } else { (AF_INET6, 8) };
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    bytes[at..at + address.len()].copy_from_slice(address);
    bytes
}

fn main() -> sandsock::Result<()> {
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let six = Socket::new(AF_INET6, SOCK_DGRAM, 0)?;
    if args()[0] == "none" {
        // Which interface multicast leaves by is for those that may have some.
        denied_for("interface", socket.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, 1), "multicast=*");
        denied_for("interface", six.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, 1), "multicast=*");
    }
    let group = [239, 1, 2, 4];
    let here = [127, 0, 0, 1];
    let grant = "multicast=239.1.2.4";
    let two = [group, here].concat();
    let three = [group, here, here].concat();
    let filter = [group, here, [0; 4], [0; 4]].concat();
    for (name, value) in [
        (IP_ADD_MEMBERSHIP, &two),
        (IP_ADD_MEMBERSHIP, &three),
        (IP_ADD_SOURCE_MEMBERSHIP, &three),
        (IP_BLOCK_SOURCE, &three),
        (IP_UNBLOCK_SOURCE, &three),
        (41, &filter),
    ] {
        // IPv4's options on a socket of IPv6's too.
        for socket in [&socket, &six] {
            denied_for(
                "a group",
                socket.setsockopt(IPPROTO_IP, name, OptionValue::Bytes(value)),
                grant,
            );
            refused(
                "too short",
                socket.setsockopt(IPPROTO_IP, name, OptionValue::Bytes(&value[..3])),
                EINVAL,
            );
            refused("no value", socket.setsockopt(IPPROTO_IP, name, OptionValue::Null(8)), EINVAL);
        }
    }
    let group6 = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x35];
    let request = [&group6[..], &1u32.to_ne_bytes()].concat();
    let joined = six.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, OptionValue::Bytes(&request));
    denied_for("a group", joined, "multicast=ff02::1235");
    // 42 to 48: MCAST_JOIN_GROUP and its kin, at both levels, for both families.
    for (address, grant) in [(&group[..], grant), (&group6[..], "multicast=ff02::1235")] {
        let value =
            [&[1, 0, 0, 0, 0, 0, 0, 0][..], &storage(address), &storage(&here), &[0; 8]].concat();
        for name in [42, 43, 44, 46, 48] {
            for (socket, level) in [(&socket, IPPROTO_IP), (&six, IPPROTO_IP), (&six, IPPROTO_IPV6)]
            {
                denied_for(
                    "a group",
                    socket.setsockopt(level, name, OptionValue::Bytes(&value)),
                    grant,
                );
                refused(
                    "too short",
                    socket.setsockopt(level, name, OptionValue::Bytes(&value[..11])),
                    EINVAL,
                );
            }
        }
    }
    // v4-mapped is IPv4.
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 239, 1, 2, 4, 0, 0, 0, 0];
    let joined = six.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, OptionValue::Bytes(&mapped));
    denied_for("a mapped group", joined, grant);
    // An address of its own is no way around.
    let anycast = six.setsockopt(IPPROTO_IPV6, 27, OptionValue::Bytes(&request));
    denied_for("anycast", anycast, "option=IPPROTO_IPV6/IPV6_JOIN_ANYCAST");
    Ok(())
}
