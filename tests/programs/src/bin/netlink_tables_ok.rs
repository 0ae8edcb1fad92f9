//! Lists sockets by `sock-diag:read`, talks to a generic family by `generic:nlctrl`, and gets the
//! events of devices by `uevent`. The argument is a port with a listener.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::argument;

#[allow(dead_code)]
#[path = "../nl.rs"]
mod nl;
use nl::{attribute, dump_of, request};

fn socket(protocol: i32, groups: u32) -> Result<Socket, Error> {
    let socket = Socket::new(AF_NETLINK, SOCK_RAW, protocol)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    socket.bind(Address::Netlink(0, groups))?;
    Ok(socket)
}

fn main() -> Result<(), Error> {
    let port: u16 = argument(0);
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states (all), and no socket
    // in particular.
    let mut body = vec![AF_INET as u8, IPPROTO_TCP as u8, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend([0; 48]);
    let sockets = dump_of(&socket(NETLINK_SOCK_DIAG, 0)?, &request(20, nl::DUMP, &body))?;
    // struct inet_diag_msg: four bytes, then the source port in network order.
    assert!(
        sockets.iter().any(|(_, body)| body[4..6] == port.to_be_bytes()),
        "port {port} is not listed"
    );

    // CTRL_CMD_GETFAMILY of `nlctrl` by its name; the answer has its number, which is 16.
    let mut body = vec![3, 1, 0, 0, 11, 0, 2, 0];
    body.extend(b"nlctrl\0\0");
    let generic = socket(NETLINK_GENERIC, 0)?;
    generic.send(&request(16, 0, &body), 0)?;
    let answer = generic.recv(65536, 0)?;
    let (kind, body) = nl::messages(&answer)[0];
    assert_eq!((kind, attribute(&body[4..], 1)), (16, Some(&16u16.to_ne_bytes()[..])));
    // Its group of events, which a generic socket joins by number.
    let groups = attribute(&body[4..], 7).expect("groups");
    let first = attribute(groups, 1).expect("a group");
    let number =
        u32::from_ne_bytes(attribute(first, 2).expect("its number").try_into().expect("four"));
    generic.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number as i32)?;

    let events = socket(NETLINK_KOBJECT_UEVENT, 1)?;
    println!("waiting");
    let event = events.recv(65536, 0)?;
    assert!(event.starts_with(b"change@/devices/virtual/net/lo\0"), "{}", event.escape_ascii());
    Ok(())
}
