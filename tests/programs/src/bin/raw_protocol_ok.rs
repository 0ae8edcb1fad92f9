//! Packets of protocol 253 (RFC 3692: for experiments) to and from 127.0.0.1, by
//! `raw=253:127.0.0.1`.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_INET, SOCK_RAW, 253)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    socket.bind(("127.0.0.1", 0))?;
    println!("bound");
    let (packet, from) = socket.recvfrom(100, 0)?;
    assert_eq!(from.host().as_deref(), Some("127.0.0.1"));
    // The header is there: version 4, five words, the protocol.
    assert_eq!((packet[0], packet[9], &packet[20..]), (0x45, 253, &b"hello"[..]));
    socket.sendto(b"and back", 0, ("127.0.0.1", 0))?;
    let six = Socket::new(AF_INET6, SOCK_RAW, 253)?;
    six.settimeout(Some(Duration::from_secs(10)))?;
    six.setsockopt(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)?;
    six.sendto(b"six", 0, ("::1", 0))?;
    let got = six.recvmsg(100, 100, 0)?;
    assert_eq!(got.data, b"six");
    assert_eq!((got.ancillary[0].level, got.ancillary[0].kind), (IPPROTO_IPV6, IPV6_HOPLIMIT));
    Ok(())
}
