//! Uses addresses of another family than the socket's. Arguments: granted TCP and UDP ports, and
//! another UDP port.

use sandsock::constants::*;
use sandsock::errno::EAFNOSUPPORT;
use sandsock::raw::types::{Address, NetlinkAddress, OtherAddress, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{inet, inet6, ports, raw, refused};

fn main() -> sandsock::Result<()> {
    let [tcp, udp, other] = ports()[..] else { panic!("three ports") };
    let loopback: std::net::Ipv6Addr = "::1".parse().expect("an address");
    // sockaddr_in and sockaddr_in6 of the forbidden port, as bytes.
    let mut v4 = vec![0; 14];
    v4[..2].copy_from_slice(&other.to_be_bytes());
    v4[2..6].copy_from_slice(&[127, 0, 0, 1]);
    let mut v6 = vec![0; 26];
    v6[..2].copy_from_slice(&other.to_be_bytes());
    v6[21] = 1;
    let bytes = |family, data: &[u8]| Address::Other(OtherAddress { family, data: data.to_vec() });
    for (family, kind, port) in [
        (AF_INET, SOCK_STREAM, tcp),
        (AF_INET, SOCK_DGRAM, udp),
        (AF_INET6, SOCK_STREAM, tcp),
        (AF_INET6, SOCK_DGRAM, udp),
    ] {
        let mut addresses = vec![
            // Linux takes AF_UNSPEC for the socket's own family in bind and sendto.
            bytes(0, &v4),
            bytes(2, &v4),
            bytes(10, &v6),
            bytes(1, b"\0name"),
            bytes(0xffff, &v4),
            bytes(2, &[]),
            bytes(2, &[0xff; 1000]),
            Address::Unix(UnixAddress::Unnamed),
            Address::Unix(UnixAddress::Abstract(b"name".to_vec())),
            Address::Netlink(NetlinkAddress { port_id: 0, groups: 0 }),
        ];
        // The other family's, with the granted port as well.
        addresses.push(if family == AF_INET {
            inet6(loopback, port, 0)
        } else {
            inet([127, 0, 0, 1], port)
        });
        for address in &addresses {
            let what = format!("family {family}, type {kind}, {address:?}");
            let new = || raw(syscalls::socket(family, kind, 0));
            refused(&what, raw(syscalls::bind(&new()?, address)), EAFNOSUPPORT);
            refused(&what, raw(connections::connect(&new()?, address, Wait::None)), EAFNOSUPPORT);
            refused(
                &what,
                raw(transfers::send_to(&new()?, b"x", 0, address, Wait::None)),
                EAFNOSUPPORT,
            );
            let fast = raw(transfers::send_to(&new()?, b"x", MSG_FASTOPEN, address, Wait::None));
            refused(&what, fast, EAFNOSUPPORT);
            let message =
                transfers::send_message(&new()?, &[b"x"], &[], 0, Some(address), Wait::None);
            refused(&what, raw(message), EAFNOSUPPORT);
        }
        // AF_UNSPEC dissolves an association, and that is all that it does.
        let socket = raw(syscalls::socket(family, kind, 0))?;
        refused("bind", raw(syscalls::bind(&socket, &Address::Unspec)), EAFNOSUPPORT);
        refused(
            "send",
            raw(transfers::send_to(&socket, b"x", 0, &Address::Unspec, Wait::None)),
            EAFNOSUPPORT,
        );
        raw(connections::connect(&socket, &Address::Unspec, Wait::None))?;
        assert!(raw(syscalls::peer_address(&socket)).is_err());
    }
    Ok(())
}
