//! The verb `tls-connect`: connect a TCP socket for TLS alone, and make a handshake on it that
//! proves a name.

use std::fmt;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::endpoints;
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::Endpoints;
use crate::rules::VerbRules;
use crate::verbs::tls_remote::{self, TlsIndex, TlsRequest, tls_remote};
use crate::verbs::{Request, verb};

tls_remote! {
    TlsConnect, tls_connect,
    about: "connect to HOST:PORT over TCP for TLS alone, to a server that proves HOST; a name may be looked up too",
    examples: &["api.example.com:443", "*.example.com:443", "192.0.2.1:853", "*:443"]
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::pins::Pins;
    use crate::policy::Policy;

    fn decides(policy: &Policy, pins: &Pins, asked: TlsRequest<'_>) -> Option<String> {
        let request = Request::TlsConnect(asked);
        policy.decide(&request, pins, pins.origin()).err().map(|denial| denial.reason)
    }

    #[test]
    fn a_handshake_proves_what_the_rule_names() {
        let policy = Policy::of_rules(
            &[
                "tls-connect=api.example:443",
                "tls-connect=*.cdn.example:443",
                "tls-connect=192.0.2.0/24:853",
            ],
            &["tls-connect=bad.cdn.example:443"],
        );
        let pins = Pins::new(Instant::now());
        let allows = |asked| decides(&policy, &pins, asked).is_none();
        for name in ["api.example", "API.example", "api.example.", "a.cdn.example"] {
            assert!(allows(TlsRequest::Name(name, 443)), "{name}");
            assert!(!allows(TlsRequest::Name(name, 444)), "{name}");
        }
        for name in [
            "other.example",
            "a.api.example",
            "cdn.example",
            "bad.cdn.example",
            "",
            "a b",
            "192.0.2.1",
        ] {
            assert!(!allows(TlsRequest::Name(name, 443)), "{name}");
        }
        // A rule about an address takes no other proof than the address.
        let at = |address: [u8; 4], port| (address, port).into();
        assert!(allows(TlsRequest::Connect(at([192, 0, 2, 7], 853))));
        assert!(allows(TlsRequest::Address(at([192, 0, 2, 7], 853))));
        assert!(!allows(TlsRequest::Address(at([192, 0, 3, 7], 853))));
        assert!(!allows(TlsRequest::Name("other.example", 853)));
        let reason = decides(&policy, &pins, TlsRequest::Name("other.example", 443)).unwrap();
        assert_eq!(
            reason,
            "tls-connect to other.example:443 is not granted; allow it with --allow \
             tls-connect=other.example:443"
        );
    }

    #[test]
    fn a_rule_by_name_opens_its_addresses_for_its_name_alone() {
        let policy = Policy::of_rules(&["tls-connect=api.example:443"], &[]);
        let now = Instant::now();
        let mut pins = Pins::new(now);
        let address = SocketAddr::from(([93, 184, 216, 34], 443));
        assert!(decides(&policy, &pins, TlsRequest::Connect(address)).is_some());
        pins.pin("api.example", &[address.ip()], now);
        assert_eq!(decides(&policy, &pins, TlsRequest::Connect(address)), None);
        // The address proves nothing about the name.
        assert!(decides(&policy, &pins, TlsRequest::Address(address)).is_some());
        let private = SocketAddr::from(([10, 0, 0, 1], 443));
        pins.pin("api.example", &[private.ip()], now);
        assert!(decides(&policy, &pins, TlsRequest::Connect(private)).is_some());
        // It is no grant for plain bytes, and looks its name up.
        let plain = Request::TcpConnect(address);
        assert!(policy.decide(&plain, &pins, now).is_err());
        assert!(policy.decide(&Request::Resolve("api.example"), &pins, now).is_ok());
        let later = now + Duration::from_secs(3600);
        let request = Request::TlsConnect(TlsRequest::Connect(address));
        let denial = policy.decide(&request, &pins, later).unwrap_err();
        assert_eq!(denial.expired_name.as_deref(), Some("api.example"));
    }

    #[test]
    fn every_host_may_prove_any_name() {
        let policy = Policy::of_rules(&["tls-connect=*:443"], &["tls-connect=bad.example:*"]);
        let pins = Pins::new(Instant::now());
        let allows = |asked| decides(&policy, &pins, asked).is_none();
        assert!(allows(TlsRequest::Name("api.example", 443)));
        assert!(allows(TlsRequest::Address(([192, 0, 2, 1], 443).into())));
        assert!(!allows(TlsRequest::Name("bad.example", 443)));
        assert!(!allows(TlsRequest::Name("api.example", 80)));
    }

    #[test]
    fn policies_are_compared_by_names_too() {
        // A rule by name lets its name be looked up too.
        let covers = |wide: &[&str], narrow: &[&str]| {
            let wide = Policy::of_rules(&[wide, &["resolve=*"]].concat(), &[]);
            Policy::of_rules(narrow, &[]).excess_over(&wide, Instant::now()).unwrap().is_empty()
        };
        assert!(covers(&["tls-connect=*:443"], &["tls-connect=api.example:443"]));
        assert!(covers(&["tls-connect=*.example:1-9"], &["tls-connect=api.example:3"]));
        assert!(!covers(&["tls-connect=*.example:1-9"], &["tls-connect=api.example:10"]));
        assert!(!covers(&["tls-connect=api.example:443"], &["tls-connect=*:443"]));
        assert!(!covers(&["tcp-connect=*:443"], &["tls-connect=api.example:443"]));
        // Every address, but no name.
        let addresses = ["tls-connect=0.0.0.0/0:443", "tls-connect=[::/0]:443"];
        assert!(!covers(&addresses, &["tls-connect=*:443"]));
        assert!(!covers(&addresses, &["tls-connect=api.example:443"]));
    }
}
