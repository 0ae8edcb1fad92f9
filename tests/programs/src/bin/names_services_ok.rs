//! Services and protocols, which need no grant.

use sandsock::constants::*;
use sandsock::{
    Family, Result, getaddrinfo, getnameinfo, getprotobyname, getservbyname, getservbyport,
};
use sandsock_test_programs::fails;

fn main() -> Result<()> {
    assert_eq!((getservbyname("http", None)?, getservbyname("domain", "udp")?), (80, 53));
    assert_eq!(
        (getservbyport(80, "tcp")?, getservbyport(53, None)?),
        ("http".to_owned(), "domain".to_owned())
    );
    assert_eq!(
        (getprotobyname("icmp")?, getprotobyname("tcp")?, getprotobyname("udp")?),
        (1, 6, 17)
    );
    for protocol in [Some("tcp"), Some("none"), None] {
        fails(getservbyname("no-such-service", protocol), "OSError", "service/proto not found");
        fails(getservbyport(1025, protocol), "OSError", "port/proto not found");
    }
    fails(getservbyname("http", "udp-lite"), "OSError", "service/proto not found");
    fails(getprotobyname("no-such-protocol"), "OSError", "protocol not found");
    fails(getservbyname(&"x".repeat(1 << 20), None), "OSError", "service/proto not found");
    // With a numeric host: the service goes in by name and comes out by name.
    assert_eq!(
        getaddrinfo("192.0.2.1", "http", Family::INET, SOCK_STREAM, 0, 0)?[0].address.port(),
        Some(80)
    );
    assert_eq!(
        getnameinfo(("192.0.2.1", 80), NI_NUMERICHOST)?,
        ("192.0.2.1".into(), "http".into())
    );
    assert_eq!(
        getnameinfo(("192.0.2.1", 1025), NI_NUMERICHOST)?,
        ("192.0.2.1".into(), "1025".into())
    );
    // A call that may not wait still reads a file.
    let hints = sandsock::raw::types::AddressHints {
        family: AF_INET,
        type_: SOCK_STREAM,
        protocol: 0,
        flags: 0,
    };
    let wait = sandsock::raw::types::Wait::None;
    assert!(
        sandsock::raw::netdb::get_address_info(Some("192.0.2.1"), Some("http"), hints, wait)
            .is_ok()
    );
    Ok(())
}
