//! Looks names up by every function while their server changes its answers. The test changes them
//! when the guest has connected.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    Family, Result, Socket, getaddrinfo, gethostbyaddr, gethostbyname, gethostbyname_ex,
};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for};

fn connect(host: &str) -> Result<Socket> {
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    socket.connect((host, 8080))?;
    Ok(socket)
}

fn main() -> Result<()> {
    assert_eq!(gethostbyname("rebind.example")?, "93.184.216.34");
    let entry = gethostbyname_ex("rebind.example")?;
    assert_eq!(entry.addresses, ["93.184.216.34"]);
    // The host answers once the name leads elsewhere.
    assert_eq!(connect(&entry.addresses[0])?.recv(1, 0)?, b"1");
    for (what, result) in [
        ("gethostbyname", gethostbyname("rebind.example").map(|_| ())),
        ("gethostbyname_ex", gethostbyname_ex("rebind.example").map(|_| ())),
        ("gethostbyaddr", gethostbyaddr("rebind.example").map(|_| ())),
        (
            "getaddrinfo",
            getaddrinfo("rebind.example", 8080, Family::INET, SOCK_STREAM, 0, 0).map(|_| ()),
        ),
        ("connect", connect("rebind.example").map(|_| ())),
    ] {
        let error = denied(what, result);
        assert!(error.to_string().contains("169.254.169.254, which is private"), "{what}: {error}");
    }
    denied_for("the number", connect("169.254.169.254"), "tcp-connect=169.254.169.254:8080");
    // An address that was pinned stays the name's.
    assert_eq!(connect("93.184.216.34")?.recv(1, 0)?, b"2");
    // Another public address takes its place beside the first.
    assert_eq!(gethostbyname_ex("rebind.example")?.addresses, ["93.184.216.35"]);
    for address in ["93.184.216.34", "93.184.216.35"] {
        assert_eq!(connect(address)?.recv(1, 0)?, b"3", "{address}");
    }
    denied_for("what it never had", connect("93.184.216.36"), "tcp-connect=93.184.216.36:8080");
    Ok(())
}
