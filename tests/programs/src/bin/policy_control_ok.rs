//! Sends the control message that it was granted, and ordinary ones. Argument: a UDP port that it
//! may send to.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    // struct in_pktinfo: from 127.0.0.9, by any interface.
    let mut data = vec![0; 12];
    data[4..8].copy_from_slice(&[127, 0, 0, 9]);
    let source = Ancillary { level: IPPROTO_IP, kind: IP_PKTINFO, data };
    let ttl = Ancillary { level: IPPROTO_IP, kind: IP_TTL, data: vec![9, 0, 0, 0] };
    let to = ("127.0.0.1", attack::ports()[0]);
    socket.sendmsg(&[IoSlice::new(b"from 9")], &[ttl.clone(), source], 0, Some(&to))?;
    socket.sendmsg(&[IoSlice::new(b"from 1")], &[ttl], 0, Some(&to))?;
    Ok(())
}
