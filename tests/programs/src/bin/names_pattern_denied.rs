//! Looks up names that resemble the granted ones. The arguments are the granted names, which have
//! addresses.

use sandsock::constants::*;
use sandsock::{ErrorKind, Family, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() {
    let ask = |name: &str| getaddrinfo(name, 5432, Family::INET, SOCK_STREAM, 0, 0);
    for name in attack::args() {
        assert!(ask(&name).is_ok(), "{name}: {:?}", ask(&name));
    }
    for name in [
        // Half a label, the name above, the name as a part of another, and other characters for the
        // dot.
        "badexample.com",
        "example.com",
        "x.badexample.com",
        "a.example.com.evil.org",
        "a.example.comx",
        "a.example.co",
        "a.exampleXcom",
        "a-example.com",
        "example.com.",
        ".example.com",
        "a..example.com",
        "*.example.com.evil.org",
        "a.example.com:5432",
        "a.example.com/",
        "a.example.com ",
        " a.example.com",
        "a.example.com\n",
        "a.example.com\0.evil.org",
        "a.example.com@evil.org",
        "bucher.example",
        "xn--bcher-kva.example.org",
        "b%C3%BCcher.example",
        "db.internal.",
        "db.internal.evil.org",
        "evil.db.internal",
        "dbx.internal",
    ] {
        match ask(name) {
            // The trailing dot and a NUL, where C's strings end, are the granted name itself.
            Ok(_) => assert!(
                ["db.internal.", "a.example.com\0.evil.org"].contains(&name),
                "{name:?}: it was looked up"
            ),
            // Python's own word for an empty label; the raw layer is asked below.
            Err(error) if error.kind() == ErrorKind::Unicode => {
                assert!([".example.com", "a..example.com"].contains(&name), "{name:?}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Denied, "{name:?}: {error:?}");
                assert_eq!(
                    (error.class(), error.errno()),
                    ("PermissionError", Some(13)),
                    "{name:?}"
                );
            }
        }
    }
    // The raw layer's strings hold a NUL: such a name is none.
    let hints = sandsock::raw::types::AddressHints {
        family: AF_INET,
        type_: SOCK_STREAM,
        protocol: 0,
        flags: 0,
    };
    for name in [
        "a.example.com\0.evil.org",
        "\0a.example.com",
        "a.example.com\0",
        ".example.com",
        "a..example.com",
    ] {
        let answer = sandsock::raw::netdb::get_address_info(
            Some(name),
            None,
            hints,
            sandsock::raw::types::Wait::Forever,
        );
        let error = sandsock::Error::from(answer.expect_err("a NUL"));
        assert!(
            matches!(error.kind(), ErrorKind::Denied | ErrorKind::AddressInfo),
            "{name:?}: {error:?}"
        );
    }
}
