//! Looks up numbers, which needs no grant, with every flag and service. There is no grant.

use sandsock::constants::*;
use sandsock::{ErrorKind, Family, Service, getaddrinfo};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() {
    let hosts = |host: Option<&str>, family: Family, flags: i32| -> Vec<String> {
        let answers = getaddrinfo(host, 80, family, SOCK_STREAM, 0, flags);
        answers
            .map(|list| list.iter().map(|answer| answer.address.to_string()).collect())
            .unwrap_or_else(|error| vec![error.to_string()])
    };
    let (any, v4, v6) = (Family::UNSPEC, Family::INET, Family::INET6);
    for (host, family, flags, expected) in [
        (Some("127.0.0.1"), any, 0, "('127.0.0.1', 80)"),
        (Some("2130706433"), any, 0, "('127.0.0.1', 80)"),
        (Some("0x7f.1"), any, 0, "('127.0.0.1', 80)"),
        (Some("010.1"), any, 0, "('8.0.0.1', 80)"),
        (Some("::1"), any, AI_NUMERICHOST, "('::1', 80, 0, 0)"),
        (Some("::ffff:1.2.3.4"), any, 0, "('::ffff:1.2.3.4', 80, 0, 0)"),
        (Some("127.0.0.1"), v6, AI_V4MAPPED, "('::ffff:127.0.0.1', 80, 0, 0)"),
        (Some("127.0.0.1"), v6, 0, "[Errno -9] Address family for hostname not supported"),
        (None, v4, AI_PASSIVE, "('0.0.0.0', 80)"),
        (None, v4, 0, "('127.0.0.1', 80)"),
        (None, v6, AI_PASSIVE, "('::', 80, 0, 0)"),
        // AI_NUMERICHOST says that it is no name: no look-up, no grant.
        (Some("example.com"), any, AI_NUMERICHOST, "[Errno -2] Name or service not known"),
        (Some("127.0.0.1"), any, 0x4000_0000, "[Errno -1] Bad value for ai_flags"),
    ] {
        assert_eq!(hosts(host, family, flags), [expected], "{host:?} {family:?} {flags:#x}");
    }
    let answers = getaddrinfo("127.0.0.1", (), any, 0, 0, AI_CANONNAME).expect("a number");
    assert_eq!(answers[0].canonical_name, "127.0.0.1");
    for (family, kind, code) in [(99, SOCK_STREAM, EAI_FAMILY), (AF_INET, 99, EAI_SOCKTYPE)] {
        let error = getaddrinfo("127.0.0.1", 80, family, kind, 0, 0).expect_err("no such thing");
        assert_eq!((error.kind(), error.errno()), (ErrorKind::AddressInfo, Some(code)));
    }
    // A bad service is an error before the name is checked, and if the name is denied. It is never
    // looked up.
    for name in ["localhost", "127.0.0.1"] {
        let error = getaddrinfo(name, "no-such-service", any, SOCK_STREAM, 0, 0)
            .expect_err("no such service");
        assert!(matches!(error.errno(), Some(EAI_SERVICE | 13)), "{error:?}");
        let error =
            getaddrinfo(name, "http", any, SOCK_STREAM, 0, AI_NUMERICSERV).expect_err("no number");
        assert!(matches!(error.errno(), Some(EAI_NONAME | 13)), "{error:?}");
    }
    if attack::args().first().is_some_and(|arg| arg == "services") {
        for service in [Service::Name("http"), Service::Name("80"), Service::Number(80)] {
            let answers =
                getaddrinfo("127.0.0.1", service, any, SOCK_STREAM, 0, 0).expect("a service");
            assert_eq!(answers[0].address.port(), Some(80), "{service:?}");
        }
    }
}
