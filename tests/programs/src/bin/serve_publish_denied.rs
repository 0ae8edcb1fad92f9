//! A published address opens nothing else: no other address, not the host's own, and not the other
//! protocol.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

use attack::{denied_by_rule, denied_for, refused};
use sandsock::constants::*;
use sandsock::raw::types::{Address, Wait};
use sandsock::raw::{connections, syscalls};
use sandsock::{Result, Socket, errno};

fn main() -> Result<()> {
    let (host, taken, denied): (u16, u16, u16) = (
        sandsock_test_programs::argument(0),
        sandsock_test_programs::argument(1),
        sandsock_test_programs::argument(2),
    );
    let tcp = || Socket::new(AF_INET, SOCK_STREAM, 0);
    denied_for("another port", tcp()?.bind(("10.9.8.7", 81)), "tcp-listen=10.9.8.7:81");
    denied_for("the wildcard", tcp()?.bind(("0.0.0.0", 80)), "tcp-listen=0.0.0.0:80");
    denied_for(
        "the host's own",
        tcp()?.bind(("127.0.0.1", host)),
        &format!("tcp-listen=127.0.0.1:{host}"),
    );
    denied_for("a peer", tcp()?.connect(("10.9.8.7", 80)), "tcp-connect=10.9.8.7:80");
    let udp = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    denied_for("the other protocol", udp.bind(("10.9.8.7", 80)), "udp-bind=10.9.8.7:80");
    // The kernel's error for the host's address.
    refused("a port that is taken", tcp()?.bind(("10.9.8.7", taken)), errno::EADDRINUSE);
    denied_by_rule("the host's side", tcp()?.bind(("10.9.8.7", denied)));

    // Once it has let go of what it bound, it has no part in it.
    let raw = attack::raw(syscalls::socket(AF_INET, SOCK_STREAM, 0))?;
    attack::raw(syscalls::bind(&raw, &attack::inet([10, 9, 8, 7], 82)))?;
    attack::raw(syscalls::listen(&raw, 1))?;
    attack::raw(connections::connect(&raw, &Address::Unspec, Wait::None))?;
    let error = attack::denied("listen", attack::raw(syscalls::listen(&raw, 1)));
    assert!(
        error.grant().is_some_and(|grant| grant.starts_with("tcp-listen=127.0.0.1:")),
        "{error}"
    );
    Ok(())
}
