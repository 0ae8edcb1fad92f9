//! Reads links, addresses, routes and neighbours, and gets events, by `netlink=route:read`. The
//! argument is the name of an interface that the test adds while the guest waits.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, OptionValue, Socket};

#[allow(dead_code)]
#[path = "../nl.rs"]
mod nl;
use nl::{attribute, dump, messages, request};

fn main() -> Result<(), Error> {
    let coming = std::env::args().nth(1).expect("a name");
    let socket = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    socket.bind(Address::Netlink(0, 0))?;
    let Address::Netlink(port, 0) = socket.getsockname()? else { panic!("an address") };
    assert_ne!(port, 0, "the kernel chose one");
    // RTM_GETLINK, GETADDR, GETROUTE, GETNEIGH; IFLA_IFNAME is 3, IFA_LABEL 3.
    let links = dump(&socket, 18)?;
    assert!(
        links.iter().any(|(kind, body)| *kind == 16 && attribute(&body[16..], 3) == Some(b"lo\0")),
        "no lo"
    );
    let addresses = dump(&socket, 22)?;
    assert!(
        addresses
            .iter()
            .any(|(kind, body)| *kind == 20 && attribute(&body[8..], 3) == Some(b"lo\0"))
    );
    dump(&socket, 26)?;
    dump(&socket, 30)?;
    // Two questions in one datagram, each with its answer: links by number 1 twice.
    let mut two = request(18, 1, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    two.extend(request(18, 1, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    socket.sendto(&two, 0, Address::Netlink(0, 0))?;
    for _ in 0..2 {
        let (answer, from) = socket.recvfrom(65536, 0)?;
        assert_eq!(from, Address::Netlink(0, 0), "from the kernel");
        assert_eq!(messages(&answer)[0].0, 16, "a link");
    }
    // Events: RTMGRP_LINK 1 by bind, RTNLGRP_IPV4_IFADDR 5 by option.
    let events = Socket::new(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE)?;
    events.settimeout(Some(Duration::from_secs(10)))?;
    events.bind(Address::Netlink(0, 1))?;
    events.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 5)?;
    events.setsockopt(SOL_NETLINK, NETLINK_PKTINFO, OptionValue::Integer(1))?;
    println!("waiting");
    let (mut link, mut address) = (false, false);
    while !(link && address) {
        let got = events.recvmsg(65536, 100, 0)?;
        assert!(
            got.ancillary
                .iter()
                .any(|item| (item.level, item.kind) == (SOL_NETLINK, NETLINK_PKTINFO))
        );
        for (kind, body) in messages(&got.data) {
            let name = format!("{coming}\0");
            link |= kind == 16 && attribute(&body[16..], 3) == Some(name.as_bytes());
            address |= kind == 20 && attribute(&body[8..], 3) == Some(name.as_bytes());
        }
    }
    Ok(())
}
