//! Asks for the names of addresses without a grant. `reverse-resolve` covers only 192.0.2.0/24,
//! without 192.0.2.128/25.

use sandsock::constants::*;
use sandsock::raw::netdb;
use sandsock::raw::types::{Address, Inet6Address, InetAddress, NameError, Wait};
use sandsock::{Result, getfqdn, gethostbyaddr, getnameinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_by_rule, denied_for};

fn main() -> Result<()> {
    for (address, grant) in [
        ("93.184.216.34", "reverse-resolve=93.184.216.34"),
        ("127.0.0.1", "reverse-resolve=127.0.0.1"),
        ("0.0.0.0", "reverse-resolve=0.0.0.0"),
        ("127.1", "reverse-resolve=127.0.0.1"),
        ("0x7f.1", "reverse-resolve=127.0.0.1"),
        ("::ffff:93.184.216.34", "reverse-resolve=93.184.216.34"),
        // The resolver would ask for the IPv4 address inside, which is granted; the one that is
        // asked for is not.
        ("::192.0.2.1", "reverse-resolve=::192.0.2.1"),
        ("2001:db8::1", "reverse-resolve=2001:db8::1"),
    ] {
        // In Rust's form.
        let grant =
            grant.replace("::192.0.2.1", &std::net::Ipv6Addr::from(0xc000_0201_u128).to_string());
        denied_for(address, gethostbyaddr(address), &grant);
        for flags in [0, NI_NAMEREQD, NI_NUMERICSERV, NI_DGRAM, NI_NOFQDN, NI_IDN] {
            denied_for(address, getnameinfo((address, 80), flags), &grant);
        }
        // Which hides it, as Python does.
        if !["0.0.0.0"].contains(&address) {
            assert_eq!(getfqdn(address)?, address);
        }
        // A number is no name.
        assert!(getnameinfo((address, 80), NI_NUMERICHOST | NI_NUMERICSERV).is_ok());
    }
    for address in ["192.0.2.200", "::ffff:192.0.2.200"] {
        denied_by_rule(address, gethostbyaddr(address));
        denied_by_rule(address, getnameinfo((address, 80), 0));
    }
    denied_by_rule("compatible", gethostbyaddr("::192.0.2.200"));
    // The raw layer, which takes what Python would not.
    let address = Address::Inet(InetAddress { address: (93, 184, 216, 34), port: 0 });
    let grant = "reverse-resolve=93.184.216.34";
    denied_for(
        "raw",
        netdb::get_host_by_address(&address, Wait::Forever).map_err(Into::into),
        grant,
    );
    denied_for(
        "raw",
        netdb::get_name_info(&address, NI_NAMEREQD, Wait::None).map_err(Into::into),
        grant,
    );
    let zone =
        Inet6Address { address: (0xfe80, 0, 0, 0, 0, 0, 0, 1), port: 0, flow_info: 0, scope_id: 1 };
    let zone = Address::Inet6(zone);
    denied_for(
        "a zone",
        netdb::get_host_by_address(&zone, Wait::Forever).map_err(Into::into),
        "reverse-resolve=fe80::1",
    );
    // Faults of the arguments come first, and no other family is asked for.
    assert_eq!(
        netdb::get_name_info(&address, 1 << 20, Wait::Forever).err(),
        Some(NameError::AddressInfo(EAI_BADFLAGS))
    );
    assert_eq!(
        netdb::get_name_info(&Address::Unspec, 0, Wait::Forever).err(),
        Some(NameError::AddressInfo(EAI_FAMILY))
    );
    // This address is granted, and has no name.
    let error = gethostbyaddr("192.0.2.1").expect_err("no name");
    assert_eq!((error.class(), error.errno()), ("herror", Some(1)));
    assert_eq!(gethostbyaddr("192.0.2.80")?.name, "files.example");
    Ok(())
}
