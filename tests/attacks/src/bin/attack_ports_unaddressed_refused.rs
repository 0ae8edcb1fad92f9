//! May receive or send datagrams, and may not bind. It sends without an address, before which the
//! kernel would bind the socket to the wildcard. With the argument `twin` it may bind there.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::types::{Address, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Result, Socket};

#[allow(dead_code)]
#[path = "../../../programs/src/attack.rs"]
mod attack;
use attack::{args, inet, raw, refused};

fn main() -> Result<()> {
    let twin = args().first().is_some_and(|word| word == "twin");
    let port = |socket: &Socket| socket.getsockname().map(|name| name.port().unwrap_or(0));
    let acts: [fn(&Socket) -> Result<()>; 5] = [
        |socket| socket.send(b"x", 0).map(drop),
        |socket| socket.send(b"", 0).map(drop),
        |socket| socket.sendall(b"x", 0),
        |socket| socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, None).map(drop),
        |socket| socket.send(b"x", MSG_MORE | MSG_DONTWAIT).map(drop),
    ];
    for (family, options) in [(AF_INET, false), (AF_INET6, false), (AF_INET6, true)] {
        for act in acts {
            let socket = Socket::new(family, SOCK_DGRAM, 0)?;
            if options {
                socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)?;
            }
            refused("a send to nobody", act(&socket), sandsock::errno::EDESTADDRREQ);
            assert_eq!(port(&socket)? != 0, twin, "the port after a send to nobody");
            // A second one finds it as the first one left it.
            refused("again", act(&socket), sandsock::errno::EDESTADDRREQ);
            assert_eq!(port(&socket)? != 0, twin);
        }
    }
    let d = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    let entry = transfers::BatchEntry { length: 1, address: None, control: &[] };
    refused(
        "a batch",
        raw(transfers::send_batch(&d, b"x", &[entry], 0, Wait::None)),
        sandsock::errno::EDESTADDRREQ,
    );
    // A socket that had a peer has a port. After its association is dissolved it has none, and a
    // send without a peer gives it none.
    let d = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    raw(connections::connect(&d, &inet([127, 0, 0, 1], 9), Wait::None))?;
    raw(transfers::send(&d, b"x", 0, Wait::None))?;
    raw(connections::connect(&d, &Address::Unspec, Wait::None))?;
    refused(
        "a send after a peer",
        raw(transfers::send(&d, b"x", 0, Wait::None)),
        sandsock::errno::EDESTADDRREQ,
    );
    let Some(Address::Inet(local)) = raw(syscalls::local_address(&d))? else {
        panic!("no address of IPv4")
    };
    assert_eq!(local.port != 0, twin, "the port after a peer");
    Ok(())
}
