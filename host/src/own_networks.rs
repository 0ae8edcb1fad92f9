//! This host's own addresses and the networks that it is in, for the set `public` of a policy.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use rustix::io::Errno;
use sandsock_abi::constants::NETLINK_ROUTE;

use crate::authority::family::netlink::{HEADER, Message, attributes, messages};
use crate::sys;

/// `sizeof(struct ifaddrmsg)`: family, length of the prefix, flags, scope, index.
const ADDRESS_HEADER: usize = 8;
/// `sizeof(struct rtmsg)`: family, lengths of the destination and the source, TOS, table, protocol,
/// scope, type, flags.
const ROUTE_HEADER: usize = 12;
/// linux/rtnetlink.h: RTPROT_RA, a route of a router's advertisement.
const RTPROT_RA: u8 = 9;
/// linux/rtnetlink.h: RTA_VIA and RTA_NH_ID, by which a route names a router.
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

/// Returns this host's own addresses, each with the length of its prefix, and the networks that it
/// reaches without a router. They are those of the network namespace of this thread, at this
/// moment.
///
/// An address that only a router in front of the host has, such as that of a NAT, is not known.
///
/// # Errors
///
/// The kernel does not list them (man 7 rtnetlink).
pub fn own_networks() -> io::Result<Vec<IpNet>> {
    let addresses = dump(libc::RTM_GETADDR, ADDRESS_HEADER)?;
    let mut own: Vec<IpNet> = read(&addresses, libc::RTM_NEWADDR).flat_map(address).collect();
    let routes = dump(libc::RTM_GETROUTE, ROUTE_HEADER)?;
    own.extend(read(&routes, libc::RTM_NEWROUTE).filter_map(on_link));
    Ok(own)
}

/// Asks for all of one table.
fn dump(kind: u16, header: usize) -> Result<Vec<u8>, Errno> {
    let mut request = vec![0; HEADER + header];
    let length = request.len() as u32;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    sys::netlink_dump(NETLINK_ROUTE, &request, |part| {
        let is_last = |message: Message<'_>| {
            [libc::NLMSG_DONE, libc::NLMSG_ERROR].contains(&i32::from(message.kind))
        };
        messages(part).any(|message| message.is_ok_and(is_last))
    })
}

/// Returns the bodies of the messages of a kind.
fn read(dump: &[u8], kind: u16) -> impl Iterator<Item = &[u8]> {
    let of_kind = messages(dump).filter_map(Result::ok).filter(move |message| message.kind == kind);
    of_kind.map(|message| message.body)
}

/// Reads an address as an attribute has it.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Reads an address of an interface with the length of its prefix (`struct ifaddrmsg`). On a
/// point-to-point link IFA_ADDRESS has the peer's, with its prefix, and IFA_LOCAL the own one.
fn address(body: &[u8]) -> impl Iterator<Item = IpNet> {
    let length = body.get(1).copied();
    let all = attributes(body.get(ADDRESS_HEADER..).unwrap_or_default());
    all.filter_map(move |(kind, value)| match kind {
        libc::IFA_LOCAL => Some(ip(value)?.into()),
        libc::IFA_ADDRESS => IpNet::new(ip(value)?, length?).ok(),
        _ => None,
    })
}

/// Reads a network that is reached without a router (`struct rtmsg`): one that the kernel added with
/// an address, or that a router advertised.
fn on_link(body: &[u8]) -> Option<IpNet> {
    let header = body.get(..ROUTE_HEADER)?;
    let (length, protocol, kind) = (header[1], header[5], header[7]);
    let own = matches!(protocol, libc::RTPROT_KERNEL | RTPROT_RA) && kind == libc::RTN_UNICAST;
    let by_router =
        |kind: u16| [libc::RTA_GATEWAY, libc::RTA_MULTIPATH, RTA_VIA, RTA_NH_ID].contains(&kind);
    let all = || attributes(body.get(ROUTE_HEADER..).unwrap_or_default());
    if !own || length == 0 || all().any(|(kind, _)| by_router(kind)) {
        return None;
    }
    let (_, destination) = all().find(|(kind, _)| *kind == libc::RTA_DST)?;
    IpNet::new(ip(destination)?, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(header: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = header.to_vec();
        for (kind, value) in attributes {
            body.extend(((value.len() + 4) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    #[test]
    fn own_networks_have_the_loopback_of_this_host() {
        let own = own_networks().unwrap();
        assert!(own.iter().any(|net| net.addr() == IpAddr::from([127, 0, 0, 1])), "{own:?}");
    }

    #[test]
    fn address_is_read_with_its_prefix_and_with_its_peer() {
        let header = [2, 24, 0, 0, 1, 0, 0, 0];
        let both = [(libc::IFA_ADDRESS, &[192, 0, 2, 7][..]), (libc::IFA_LOCAL, &[192, 0, 2, 7])];
        let nets = |texts: [&str; 2]| texts.map(|text| text.parse::<IpNet>().unwrap());
        let found: Vec<_> = address(&body(&header, &both)).collect();
        assert_eq!(found, nets(["192.0.2.7/24", "192.0.2.7/32"]));
        let peer = [(libc::IFA_ADDRESS, &[10, 0, 0, 1][..]), (libc::IFA_LOCAL, &[192, 0, 2, 7])];
        let found: Vec<_> = address(&body(&header, &peer)).collect();
        assert_eq!(found, nets(["10.0.0.1/24", "192.0.2.7/32"]));
        for short in 0..header.len() {
            assert_eq!(address(&header[..short]).count(), 0);
        }
    }

    #[test]
    fn route_counts_if_no_router_is_in_it() {
        let header =
            |length, protocol, kind| [2, length, 0, 0, 254, protocol, 253, kind, 0, 0, 0, 0];
        let to = (libc::RTA_DST, &[192, 0, 2, 0][..]);
        let by = (libc::RTA_GATEWAY, &[192, 0, 2, 1][..]);
        let (kernel, unicast) = (libc::RTPROT_KERNEL, libc::RTN_UNICAST);
        let found = on_link(&body(&header(24, kernel, unicast), &[to]));
        assert_eq!(found, "192.0.2.0/24".parse().ok());
        for other in [
            body(&header(24, kernel, unicast), &[to, by]),
            body(&header(24, libc::RTPROT_STATIC, unicast), &[to]),
            body(&header(32, kernel, libc::RTN_LOCAL), &[to]),
            body(&header(0, kernel, unicast), &[]),
            body(&header(24, kernel, unicast), &[(libc::RTA_DST, &[1, 2])]),
        ] {
            assert_eq!(on_link(&other), None);
        }
    }
}
