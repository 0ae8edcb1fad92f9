//! The verb `tls-listen`: bind a TCP socket and listen on it for TLS alone, with an identity that is
//! lent to the connections that are accepted there.

use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::endpoints::{self, LocalAddress, LocalIndex};
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::Endpoints;
use crate::rule::with_target;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, verb};

impl Capability for verb::TlsListen {
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:8443", "0.0.0.0:443", "[::]:443"];
    const ABOUT: &'static str = "bind and listen on HOST:PORT over TCP for TLS alone, and show the identity of ;identity=NAME there";
    const PREPOSITION: &'static str = " on";

    type Index = LocalIndex;

    fn parse(target: &str) -> Result<EndpointPattern, ParseError> {
        endpoints::parse_local(target)
    }

    fn index(rules: &VerbRules<'_, EndpointPattern>) -> LocalIndex {
        endpoints::local_index(rules)
    }

    fn endpoints(index: &LocalIndex) -> Option<&Endpoints> {
        Some(&index.all)
    }

    fn show(asked: LocalAddress, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: LocalAddress) -> Option<&'p str> {
        query.local_denied(&query.policy.deny.tls_listen, asked)
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: LocalAddress) -> Option<Allowed<'p>> {
        query.local_allowed(Self::VERB, &query.policy.allow.tls_listen, asked)
    }

    fn grant(asked: LocalAddress) -> Option<String> {
        Some(endpoints::local_target(asked))
    }

    /// Only the operator knows which identity it is.
    fn missing(_: &Query<'_, '_>, asked: LocalAddress) -> Denial {
        let rule = with_target(Self::VERB, &endpoints::local_target(asked));
        Denial::missing(Self::what(asked), Some(format!("{rule};identity=NAME")))
    }

    fn ask<'a>(
        pattern: &'a EndpointPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        let (address, _) = pattern.one(asking.address)?;
        Ok((address.into(), None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        addresses::local(compared, |rules| &rules.tls_listen, Request::TlsListen)
    }

    #[cfg(test)]
    fn samples() -> Vec<LocalAddress> {
        let local = LocalAddress::from(std::net::SocketAddr::from(([127, 0, 0, 1], 8443)));
        vec![local, LocalAddress { kernel_chosen: true, ..local }]
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use super::*;
    use crate::pins::Pins;
    use crate::policy::Policy;

    /// Returns the identity that is lent to what is accepted at an address.
    fn lent(policy: &Policy, at: &str) -> Result<String, String> {
        let local: SocketAddr = at.parse().unwrap();
        let pins = Pins::new(Instant::now());
        let request = Request::TlsListen(local.into());
        let allowed = policy.decide(&request, &pins, pins.origin());
        let identity = |allowed: Allowed<'_>| allowed.tls?.identity.clone();
        let name = |allowed| identity(allowed).map_or(String::new(), |name| name.to_string());
        allowed.map(name).map_err(|denial| denial.reason)
    }

    #[test]
    fn the_most_specific_rule_lends_its_identity() {
        let policy = Policy::of_rules(
            &["tls-listen=*:443;identity=any", "tls-listen=127.0.0.1:443;identity=web;alpn=h2"],
            &["tls-listen=127.0.0.2:443"],
        );
        assert_eq!(lent(&policy, "127.0.0.1:443").unwrap(), "web");
        assert_eq!(lent(&policy, "10.0.0.1:443").unwrap(), "any");
        assert_eq!(
            lent(&policy, "[::]:443").unwrap_err(),
            "tls-listen on [::]:443 is denied by the rule tls-listen=127.0.0.2:443"
        );
        assert_eq!(
            lent(&policy, "127.0.0.1:80").unwrap_err(),
            "tls-listen on 127.0.0.1:80 is not granted; allow it with --allow \
             'tls-listen=127.0.0.1:80;identity=NAME'"
        );
        // It is no grant for plain bytes, and none for the identity elsewhere.
        let pins = Pins::new(Instant::now());
        let local = LocalAddress::from(SocketAddr::from(([127, 0, 0, 1], 443)));
        for request in [Request::TcpListen(local), Request::TlsIdentity("web")] {
            assert!(policy.decide(&request, &pins, pins.origin()).is_err(), "{request}");
        }
    }

    #[test]
    fn a_rule_that_allows_needs_an_identity() {
        let mut builder = Policy::builder();
        let error = |text: &str, builder: &mut crate::PolicyBuilder| {
            builder.allow(text).map(drop).unwrap_err().to_string()
        };
        assert_eq!(
            error("tls-listen=127.0.0.1:443", &mut builder),
            "at character 25: `tls-listen` needs `identity`; write \
             tls-listen=127.0.0.1:443;identity=web"
        );
        assert!(
            error("tls-listen=127.0.0.1:443;alpn=h2", &mut builder).contains("needs `identity`")
        );
        assert!(
            error("tls-listen=*:443;identity=a b", &mut builder)
                .starts_with("at character 28: `a b` is not an identity's name")
        );
        assert!(
            error("tcp-listen=*:443;identity=web", &mut builder)
                .contains("`tcp-listen` takes no `identity`; verbs with it are tls-listen")
        );
        assert!(error("tls-listen=a.example:443;identity=web", &mut builder).contains("is a name"));
        assert!(error("tls-listen=label:443;identity=web", &mut builder).contains("is a name"));
        builder.deny("tls-listen=127.0.0.1:443").unwrap();
    }
}
