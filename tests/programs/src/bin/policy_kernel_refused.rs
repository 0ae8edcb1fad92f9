//! The kernel refuses acts that were granted. This is no denial. Argument: a TCP port without a
//! listener.

use sandsock::constants::*;
use sandsock::errno::{EACCES, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED};
use sandsock::{Error, ErrorKind, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, ports, refused};

fn main() -> sandsock::Result<()> {
    let port = ports()[0];
    let stream = || Socket::new(AF_INET, SOCK_STREAM, 0);
    refused("connect", stream()?.connect(("127.0.0.1", port)), ECONNREFUSED);
    assert_eq!(stream()?.connect_ex(("127.0.0.1", port))?, ECONNREFUSED);
    let first = stream()?;
    first.bind(("127.0.0.1", port))?;
    first.listen(None)?;
    refused("bind", stream()?.bind(("127.0.0.1", port)), EADDRINUSE);
    refused("bind", stream()?.bind(("192.0.2.1", port)), EADDRNOTAVAIL);
    // The class and the number are the same. Only the text and the grant differ.
    let datagrams = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let kernel: Error =
        datagrams.sendto(b"x", 0, ("255.255.255.255", 9)).expect_err("SO_BROADCAST is off");
    assert_eq!(
        (kernel.class(), kernel.errno(), kernel.kind()),
        ("PermissionError", Some(EACCES), ErrorKind::Os)
    );
    assert_eq!(
        (kernel.to_string().as_str(), kernel.grant()),
        ("[Errno 13] Permission denied", None)
    );
    let policy = denied("sendto", datagrams.sendto(b"x", 0, ("255.255.255.255", 10)));
    assert_eq!(policy.grant(), Some("udp-send=255.255.255.255:10"));
    assert_ne!(policy.to_string(), kernel.to_string());
    assert!(policy.to_string().contains("--allow udp-send=255.255.255.255:10"), "{policy}");
    assert_eq!(std::io::Error::from(policy).kind(), std::io::ErrorKind::PermissionDenied);
    Ok(())
}
