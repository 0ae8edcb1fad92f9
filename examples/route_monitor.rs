//! Prints the machine's links and addresses, and then COUNT changes of links, addresses, routes and
//! neighbours: `route_monitor COUNT`.

use std::net::{Ipv4Addr, Ipv6Addr};

use sandsock::constants::{AF_INET, AF_INET6, AF_NETLINK, NETLINK_ROUTE, SOCK_RAW};
use sandsock::{Address, Error, Flags, Socket};

/// linux/rtnetlink.h: the types of messages, and the groups of events as bits.
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const LINKS: u32 = 1;
const NEIGHBOURS: u32 = 4;
const IPV4_ADDRESSES: u32 = 0x10;
const IPV4_ROUTES: u32 = 0x40;
const IPV6_ADDRESSES: u32 = 0x100;
const IPV6_ROUTES: u32 = 0x400;
/// NLMSG_ERROR and NLMSG_DONE end a dump.
const ERROR: u16 = 2;
const DONE: u16 = 3;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(count) =
        args.first().filter(|_| args.len() == 1).and_then(|count| count.parse::<u64>().ok())
    else {
        eprintln!("usage: route_monitor COUNT");
        std::process::exit(1);
    };

    // Dumps and events need the grant `netlink=route:read`. A message that changes something would
    // need `netlink=route:write`.
    let events = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    let groups = LINKS | NEIGHBOURS | IPV4_ADDRESSES | IPV4_ROUTES | IPV6_ADDRESSES | IPV6_ROUTES;
    events.bind(Address::Netlink(0, groups))?;
    for kind in [GET_LINK, GET_ADDRESS] {
        dump(kind)?;
    }
    println!("waiting for events");
    let mut seen = 0;
    while seen < count {
        let data = events.recv(64 * 1024, Flags::NONE)?;
        for (kind, body) in messages(&data) {
            seen += 1;
            println!("{}", describe(kind, body));
        }
    }
    Ok(())
}

/// Prints everything of one kind.
fn dump(kind: u16) -> Result<(), Error> {
    let socket = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    // struct nlmsghdr: length, type, flags (a request for everything), sequence, port. The zeros
    // after it mean every family.
    let mut request = 32u32.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend(0x301u16.to_ne_bytes());
    request.resize(32, 0);
    socket.send(&request, Flags::NONE)?;
    loop {
        let data = socket.recv(64 * 1024, Flags::NONE)?;
        for (kind, body) in messages(&data) {
            if matches!(kind, ERROR | DONE) {
                return Ok(());
            }
            println!("{}", describe(kind, body));
        }
    }
}

/// Returns the messages of a datagram: the type of each, and the bytes after its header.
fn messages(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while let Some(header) = rest.get(..16) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(body) = rest.get(16..length) else { break };
        all.push((u16::from_ne_bytes([header[4], header[5]]), body));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Returns the value of an attribute. Attributes are a length, a type, and the value.
fn attribute(body: &[u8], at: usize, wanted: u16) -> Option<&[u8]> {
    let mut rest = body.get(at..)?;
    loop {
        let header = rest.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        if u16::from_ne_bytes([header[2], header[3]]) == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.next_multiple_of(4).max(4)..)?;
    }
}

/// Returns the text of an IPv4 or IPv6 address, depending on its length.
fn address(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(v4).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| "?".into(), |v6| Ipv6Addr::from(v6).to_string())
}

/// Returns one line about a message. For links, addresses, routes and neighbours, the type of
/// "gone" is the type of "new" plus one.
fn describe(kind: u16, body: &[u8]) -> String {
    let number = |at: usize| {
        body.get(at..at + 4)
            .map_or(0, |four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
    };
    let gone = if kind % 4 == 1 { "gone: " } else { "" };
    match kind & !3 {
        NEW_LINK => {
            let name = attribute(body, 16, 3).unwrap_or_default();
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            let state = if number(8) & 1 == 1 { "up" } else { "down" };
            format!("{gone}link {} {name} {state}", number(4))
        }
        20 => {
            let of = attribute(body, 8, 2)
                .or_else(|| attribute(body, 8, 1))
                .map_or_else(|| "?".into(), address);
            format!(
                "{gone}address {of}/{} on link {}",
                body.get(1).copied().unwrap_or_default(),
                number(4)
            )
        }
        24 => {
            let any = match body.first().map(|&family| i32::from(family)) {
                Some(AF_INET) => "0.0.0.0",
                Some(AF_INET6) => "::",
                _ => "?",
            };
            let to = attribute(body, 12, 1).map_or_else(|| any.into(), address);
            format!("{gone}route to {to}/{}", body.get(1).copied().unwrap_or_default())
        }
        28 => {
            let of = attribute(body, 12, 1).map_or_else(|| "?".into(), address);
            format!("{gone}neighbour {of} on link {}", number(4))
        }
        _ => format!("message {kind}"),
    }
}
