//! Asks a real name server by every function. The arguments are a name of 253 characters and the
//! addresses that two names have.

use std::collections::HashSet;

use sandsock::constants::*;
use sandsock::raw::{
    netdb,
    types::{NameError, Wait},
};
use sandsock::{
    ErrorKind, Family, Result, Socket, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname,
    gethostbyname_ex, getnameinfo,
};
use sandsock_test_programs::fails;

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::denied;

fn hosts(name: &str, family: Family, flags: i32) -> Result<Vec<String>> {
    let answers = getaddrinfo(name, 80, family, SOCK_STREAM, 0, flags)?;
    Ok(answers.iter().filter_map(|answer| answer.address.host()).collect())
}

fn main() -> Result<()> {
    let args = attack::args();
    let (longest, all) = (&args[0], &args[1..]);
    let (any, v4, v6) = (Family::UNSPEC, Family::INET, Family::INET6);

    // A chain of aliases: the name that was asked for is the one that was granted.
    let answers = getaddrinfo("w3.example", 80, any, SOCK_STREAM, 0, AI_CANONNAME)?;
    assert_eq!((answers.len(), answers[0].canonical_name.as_str()), (1, "web.example"));
    assert_eq!(answers[0].address.host().as_deref(), Some("93.184.216.34"));
    assert_eq!(gethostbyname("w3.example")?, "93.184.216.34");
    let entry = gethostbyname_ex("W3.Example.")?;
    assert_eq!(
        (entry.name.as_str(), entry.addresses),
        ("web.example", vec!["93.184.216.34".to_owned()])
    );
    assert!(entry.aliases.contains(&"w3.example".to_owned()), "{:?}", entry.aliases);
    assert_eq!(
        denied("the canonical name", gethostbyname("web.example")).grant(),
        Some("resolve=web.example")
    );

    // Both families, and what the flags make of them.
    let both = hosts("both.example", any, 0)?;
    assert_eq!(
        both.iter().map(String::as_str).collect::<HashSet<_>>(),
        HashSet::from(["93.184.216.35", "2606:2800::5"])
    );
    assert_eq!(hosts("both.example", v6, AI_V4MAPPED)?, ["2606:2800::5"]);
    let mapped = hosts("both.example", v6, AI_V4MAPPED | AI_ALL)?;
    assert_eq!(
        mapped.iter().map(String::as_str).collect::<HashSet<_>>(),
        HashSet::from(["2606:2800::5", "::ffff:93.184.216.35"])
    );
    assert_eq!(hosts("w3.example", v6, AI_V4MAPPED)?, ["::ffff:93.184.216.34"]);
    assert_eq!(gethostbyname("both.example")?, "93.184.216.35");
    let raw = |name: &str, family: i32| netdb::get_host_by_name(name, family, Wait::Forever);
    assert_eq!(raw("both.example", AF_INET6).expect("an entry").addresses, ["2606:2800::5"]);

    // Names without an address of the family, without any, and texts that are none.
    assert_eq!(hosts("six.example", v4, 0).expect_err("no IPv4").kind(), ErrorKind::AddressInfo);
    assert_eq!(raw("six.example", AF_INET).err(), Some(NameError::Host(NO_DATA)));
    fails(hosts("none.example", any, 0), "gaierror", "[Errno -2] Name or service not known");
    fails(gethostbyname_ex("none.example"), "gaierror", "[Errno -2] Name or service not known");
    assert_eq!(raw("none.example", AF_INET).err(), Some(NameError::Host(HOST_NOT_FOUND)));
    for text in ["1.2.3.4.5", "0x7f.1", "::1"] {
        assert_eq!(raw(text, AF_INET).err(), Some(NameError::Host(HOST_NOT_FOUND)), "{text}");
    }

    // The longest name, and what is longer: no server hears of that.
    assert_eq!(longest.len(), 253);
    assert_eq!(gethostbyname(longest)?, "93.184.216.36");
    assert_eq!(hosts(&format!("{longest}."), v4, 0)?, ["93.184.216.36"]);
    let longer = longest.replacen('d', "dd", 1);
    assert_eq!(hosts(&longer, any, 0).expect_err("no name").errno(), Some(13));

    // Many addresses: 64 of them are the name's, the others are not.
    for (name, found) in [
        ("many.example", hosts("many.example", v4, 0)?),
        ("lots.example", gethostbyname_ex("lots.example")?.addresses),
    ] {
        let found: HashSet<_> = found.into_iter().collect();
        assert_eq!(found.len(), 64, "{name}");
        for address in all.iter().filter(|address| {
            address.starts_with(if name == "many.example" { "198.51" } else { "203.0" })
        }) {
            let result = Socket::new(AF_INET, SOCK_DGRAM, 0)?.connect((address, 9));
            // Here is no way to them, says the kernel.
            let expected = if found.contains(address) { ErrorKind::Os } else { ErrorKind::Denied };
            assert_eq!(result.expect_err("no network").kind(), expected, "{name} {address}");
        }
    }

    // Answers in private space are left out, by whatever function.
    assert_eq!(gethostbyname_ex("mixed.example")?.addresses, ["93.184.216.34"]);
    for (what, result) in [
        ("getaddrinfo", hosts("private.example", any, 0).map(|_| ())),
        ("gethostbyname", gethostbyname("private.example").map(|_| ())),
        ("gethostbyname_ex", gethostbyname_ex("private.example").map(|_| ())),
        ("gethostbyaddr", gethostbyaddr("private.example").map(|_| ())),
        ("raw", raw("private.example", AF_INET).map(|_| ()).map_err(Into::into)),
    ] {
        let error = denied(what, result);
        assert!(
            error.to_string().contains("private.example leads to 10.0.0.7, which is private"),
            "{what}: {error}"
        );
    }

    // From addresses to names.
    let entry = gethostbyaddr("93.184.216.34")?;
    assert_eq!(
        (entry.name.as_str(), entry.addresses),
        ("web.example", vec!["93.184.216.34".to_owned()])
    );
    assert_eq!(gethostbyaddr("w3.example")?.name, "web.example");
    assert_eq!(gethostbyaddr("2606:2800::5")?.name, "both.example");
    assert_eq!(getfqdn("93.184.216.34")?, "web.example");
    fails(gethostbyaddr("93.184.216.200"), "herror", "[Errno 1] Unknown host");
    assert_eq!(getfqdn("93.184.216.200")?, "93.184.216.200");
    let pair = |(host, service): (&str, &str)| (host.to_owned(), service.to_owned());
    assert_eq!(getnameinfo(("93.184.216.34", 80), 0)?, pair(("web.example", "http")));
    assert_eq!(
        getnameinfo(("2606:2800::5", 53, 0, 0), NI_DGRAM)?,
        pair(("both.example", "domain"))
    );
    assert_eq!(getnameinfo(("93.184.216.200", 1), NI_NUMERICSERV)?, pair(("93.184.216.200", "1")));
    fails(
        getnameinfo(("93.184.216.200", 1), NI_NAMEREQD),
        "gaierror",
        "[Errno -2] Name or service not known",
    );
    // The name that an address has opens nothing.
    denied("the name of an address", gethostbyname("web.example"));
    denied(
        "an address that has a name",
        Socket::new(AF_INET, SOCK_DGRAM, 0)?.connect(("93.184.216.34", 80)),
    );
    // International names are asked for in ASCII, and shown as asked for.
    assert_eq!(gethostbyname("bücher.example")?, "93.184.216.36");
    let canonical = |flags: i32| -> Result<String> {
        Ok(getaddrinfo("BÜCHER.example", (), v4, SOCK_STREAM, 0, flags)?[0].canonical_name.clone())
    };
    assert_eq!(canonical(AI_CANONNAME | AI_IDN)?, "xn--bcher-kva.example");
    assert_eq!(canonical(AI_CANONNAME | AI_CANONIDN)?, "bücher.example");
    assert_eq!(
        getnameinfo(("93.184.216.36", 0), NI_IDN | NI_NUMERICSERV)?,
        pair(("bücher.example", "0"))
    );
    assert_eq!(
        getnameinfo(("93.184.216.36", 0), NI_NUMERICSERV)?,
        pair(("xn--bcher-kva.example", "0"))
    );
    Ok(())
}
