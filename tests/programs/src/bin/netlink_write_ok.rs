//! Takes `lo` up by `netlink=route:write`, and reads that it is, by `netlink=route:read`.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};

#[allow(dead_code)]
#[path = "../nl.rs"]
mod nl;
use nl::{dump, messages, request};

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    // RTM_NEWLINK with NLM_F_ACK of a struct ifinfomsg: family, type, index 1, flags IFF_UP, and
    // the mask of what changes.
    let body = [0u32, 1, 1, 1].map(u32::to_ne_bytes).concat();
    socket.send(&request(16, 4, &body), 0)?;
    let answer = socket.recv(4096, 0)?;
    assert_eq!(
        (messages(&answer)[0].0, &messages(&answer)[0].1[..4]),
        (2, &[0; 4][..]),
        "no error"
    );
    let links = dump(&socket, 18)?;
    let lo =
        links.iter().find(|(_, body)| body[4..8] == 1u32.to_ne_bytes()).expect("the first is lo");
    assert_eq!(lo.1[8] & 1, 1, "it is up");
    Ok(())
}
