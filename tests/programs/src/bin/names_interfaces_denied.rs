//! Sees no interface, and can't find one by zones.

use sandsock::constants::*;
use sandsock::{
    Family, Result, Socket, getaddrinfo, getnameinfo, if_indextoname, if_nameindex, if_nametoindex,
};
use sandsock_test_programs::fails;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::denied_for;

fn main() -> Result<()> {
    denied_for("if_nameindex", if_nameindex(), "interfaces");
    for name in ["lo", "none", ""] {
        denied_for("if_nametoindex", if_nametoindex(name), "interfaces");
    }
    for index in [0, 1, 0x7fff_ffff] {
        denied_for("if_indextoname", if_indextoname(index), "interfaces");
    }
    // The error for an interface that exists is the same as for one that does not.
    let ask = |host: &str| getaddrinfo(host, 80, Family::UNSPEC, SOCK_STREAM, 0, AI_NUMERICHOST);
    for host in ["fe80::1%lo", "fe80::1%none", "ff02::1%lo", "ff01::1%none", "fe80::1%1x"] {
        denied_for(host, ask(host), "interfaces");
        denied_for(host, getaddrinfo(host, (), Family::INET6, 0, 0, 0), "interfaces");
    }
    denied_for(
        "an address",
        Socket::new(AF_INET6, SOCK_STREAM, 0)?.bind(("fe80::1%lo", 0)),
        "interfaces",
    );
    // Numbers reveal nothing. A name that glibc would not look up is an error, without a grant too.
    assert_eq!(ask("fe80::1%7")?[0].address.to_string(), "('fe80::1', 80, 0, 7)");
    for host in ["::1%lo", "2001:db8::1%lo", "fe80::1%"] {
        fails(ask(host), "gaierror", "[Errno -2] Name or service not known");
        fails(
            getaddrinfo(host, 80, Family::UNSPEC, 0, 0, 0),
            "gaierror",
            "[Errno -2] Name or service not known",
        );
    }
    let flags = NI_NUMERICHOST | NI_NUMERICSERV;
    assert_eq!(getnameinfo(("fe80::1", 80, 0, 1), flags)?.0, "fe80::1%1");
    assert_eq!(getnameinfo(("fe80::1", 80, 0, 4_000_000_000_u32), flags)?.0, "fe80::1%4000000000");
    assert_eq!(getnameinfo(("::1", 80, 0, 1), flags)?.0, "::1%1");
    Ok(())
}
