//! What the verbs about TLS with a server share.
//!
//! A connection is decided by its address, as `tcp-connect` decides. The handshake is decided by
//! the name that the server's certificate has to prove: a host name by the rules about names and by
//! `*`, an address by the rules about addresses.

use std::fmt::{self, Display as _};
use std::net::SocketAddr;

use crate::address::canonical;
use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::endpoints;
use crate::host::{EndpointPattern, HostPattern};
use crate::index::{Endpoints, RuleId};
use crate::name::{ends_in_number, normalise_name};
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::verbs::{Request, Rules};

/// What a guest asks a verb about TLS with a server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRequest<'a> {
    /// A connection to this address, on which only TLS moves bytes.
    Connect(SocketAddr),
    /// A handshake that proves this host name, on a connection to this port.
    Name(&'a str, u16),
    /// A handshake that proves this address, on a connection to it.
    Address(SocketAddr),
}

/// The rules of a verb about TLS with a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsIndex {
    pub(crate) all: Endpoints,
    /// The rules that are not about names.
    addresses: Endpoints,
    /// The ports of all rules.
    ports: Vec<PortRange>,
}

impl TlsIndex {
    pub(crate) fn new(rules: &VerbRules<'_, EndpointPattern>) -> Self {
        let is_address = |pattern: &EndpointPattern| !matches!(pattern.host, HostPattern::Name(_));
        let of_addresses = rules.rules.iter().copied().filter(|(_, pattern)| is_address(pattern));
        Self {
            all: endpoints::index(rules),
            addresses: Endpoints::build(of_addresses, rules.sets),
            ports: rules.rules.iter().map(|(_, pattern)| pattern.ports).collect(),
        }
    }

    /// Returns the most specific rule about a handshake that proves a host name: by the name, by a
    /// set that holds the name, or by `*`, in this order.
    fn of_name(&self, name: &str, port: u16) -> Option<RuleId> {
        let name = normalise_name(name).ok().filter(|name| !ends_in_number(name))?;
        let named = self.all.names.find_ranked(&name, port).map(|(_, found)| found);
        named.or_else(|| self.all.everywhere(port)).map(|found| found.rule)
    }

    /// Returns the rule that denies what is asked for. `self` has the rules that deny.
    pub(crate) fn denied<'p>(
        &self,
        query: &Query<'p, '_>,
        asked: TlsRequest<'_>,
    ) -> Option<&'p str> {
        match asked {
            TlsRequest::Connect(address) | TlsRequest::Address(address) => {
                query.remote_denied(&self.all, address)
            }
            TlsRequest::Name(name, port) => {
                self.of_name(name, port).map(|rule| query.policy.deny.text(rule))
            }
        }
    }

    /// Returns the rule that allows what is asked for. `self` has the rules that allow.
    pub(crate) fn allowed<'p>(
        &self,
        query: &Query<'p, '_>,
        asked: TlsRequest<'_>,
    ) -> Option<Allowed<'p>> {
        match asked {
            TlsRequest::Connect(address) => query.remote_allowed(&self.all, address),
            TlsRequest::Name(name, port) => {
                self.of_name(name, port).map(|rule| query.policy.by(rule))
            }
            TlsRequest::Address(address) => {
                let found = self.addresses.at(canonical(address.ip()), address.port())?;
                Some(query.policy.by(found.rule))
            }
        }
    }

    /// Returns the denial of what no rule allows.
    pub(crate) fn missing<'a, C: Capability<Request<'a> = TlsRequest<'a>>>(
        &self,
        query: &Query<'_, '_>,
        asked: TlsRequest<'a>,
    ) -> Denial {
        match asked {
            TlsRequest::Connect(address) => query.remote_missing(C::VERB, &self.all, address),
            TlsRequest::Name(..) | TlsRequest::Address(_) => {
                let grant = grant(asked).map(|target| format!("{}={target}", C::VERB));
                Denial::missing(C::what(asked), grant)
            }
        }
    }
}

/// Writes what is asked for.
pub(crate) fn show(asked: TlsRequest<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match asked {
        TlsRequest::Connect(address) | TlsRequest::Address(address) => address.fmt(f),
        TlsRequest::Name(name, port) => {
            let shown: String = name.chars().take(256).flat_map(char::escape_debug).collect();
            write!(f, "{shown}:{port}")
        }
    }
}

/// Returns the target of the rule that would allow what is asked for.
pub(crate) fn grant(asked: TlsRequest<'_>) -> Option<String> {
    match asked {
        TlsRequest::Connect(address) | TlsRequest::Address(address) => {
            Some(endpoints::address_target(address))
        }
        TlsRequest::Name(name, port) => {
            let name = normalise_name(name).ok().filter(|name| !ends_in_number(name))?;
            Some(format!("{name}:{port}"))
        }
    }
}

/// Compares what a verb decides.
pub(crate) fn excess<'p>(
    compared: &Compared<'p>,
    of: fn(&Rules) -> &TlsIndex,
    requests: &Requests,
) -> Found<Excess> {
    let of_addresses = addresses::remote(compared, requests.all, requests.connect)?;
    if of_addresses.is_some() {
        return Ok(of_addresses);
    }
    // Between these ports, no rule makes a difference.
    let rules = compared.rules();
    let ranges = rules.iter().flat_map(|rules| of(rules).ports.iter());
    let ends = ranges.flat_map(|ports| [Some(ports.low()), ports.high().checked_add(1)]);
    let mut ports: Vec<u16> = ends.flatten().chain([0]).collect();
    ports.sort_unstable();
    ports.dedup();
    for name in &compared.names {
        for port in &ports {
            let request = (requests.name)(name, *port);
            let found = compared.excess(&request).or_else(|| compared.wider_tls(&request, None));
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    addresses::remote(compared, requests.addresses, requests.address)
}

/// The rules of a verb, and what makes its requests.
pub(crate) struct Requests {
    pub(crate) all: fn(&Rules) -> &Endpoints,
    pub(crate) addresses: fn(&Rules) -> &Endpoints,
    pub(crate) connect: fn(SocketAddr) -> Request<'static>,
    pub(crate) address: fn(SocketAddr) -> Request<'static>,
    pub(crate) name: for<'a> fn(&'a str, u16) -> Request<'a>,
}

impl TlsIndex {
    /// Returns the rules that are not about names.
    pub(crate) fn addresses(&self) -> &Endpoints {
        &self.addresses
    }
}

/// Implements [`Capability`] for a verb about TLS with a server.
macro_rules! tls_remote {
    ($Verb:ident, $field:ident, about: $about:literal, examples: $examples:expr) => {
        impl Capability for verb::$Verb {
            const EXAMPLES: &'static [&'static str] = $examples;
            const ABOUT: &'static str = $about;
            const PREPOSITION: &'static str = " to";
            const IMPLIES_RESOLVE: bool = true;

            type Index = TlsIndex;

            fn parse(target: &str) -> Result<EndpointPattern, ParseError> {
                endpoints::parse_remote(target)
            }

            fn index(rules: &VerbRules<'_, EndpointPattern>) -> TlsIndex {
                TlsIndex::new(rules)
            }

            fn endpoints(index: &TlsIndex) -> Option<&Endpoints> {
                Some(&index.all)
            }

            fn show(asked: TlsRequest<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                tls_remote::show(asked, f)
            }

            fn denied<'p>(query: &Query<'p, '_>, asked: TlsRequest<'_>) -> Option<&'p str> {
                query.policy.deny.$field.denied(query, asked)
            }

            fn allowed<'p>(query: &Query<'p, '_>, asked: TlsRequest<'_>) -> Option<Allowed<'p>> {
                query.policy.allow.$field.allowed(query, asked)
            }

            fn grant(asked: TlsRequest<'_>) -> Option<String> {
                tls_remote::grant(asked)
            }

            fn missing(query: &Query<'_, '_>, asked: TlsRequest<'_>) -> Denial {
                query.policy.allow.$field.missing::<Self>(query, asked)
            }

            fn ask<'a>(
                pattern: &'a EndpointPattern,
                asking: &Asking<'a>,
            ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
                let (address, name) = pattern.one(asking.address)?;
                Ok((TlsRequest::Connect(address), name))
            }

            fn excess(compared: &Compared<'_>) -> Found<Excess> {
                let requests = tls_remote::Requests {
                    all: |rules| &rules.$field.all,
                    addresses: |rules| rules.$field.addresses(),
                    connect: |to| Request::$Verb(TlsRequest::Connect(to)),
                    address: |to| Request::$Verb(TlsRequest::Address(to)),
                    name: |name, port| Request::$Verb(TlsRequest::Name(name, port)),
                };
                tls_remote::excess(compared, |rules| &rules.$field, &requests)
            }

            #[cfg(test)]
            fn samples() -> Vec<TlsRequest<'static>> {
                vec![
                    TlsRequest::Connect(([192, 0, 2, 1], 443).into()),
                    TlsRequest::Address(([0; 8], 0).into()),
                    TlsRequest::Name("api.example", 443),
                    TlsRequest::Name("a b\n", 0),
                ]
            }
        }
    };
}
pub(crate) use tls_remote;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::pins::Pins;
    use crate::policy::Policy;

    /// Returns the rule by which a handshake may prove a name at port 443.
    fn rule_of(policy: &Policy, name: &str) -> Option<String> {
        let pins = Pins::new(Instant::now());
        let request = Request::TlsConnect(TlsRequest::Name(name, 443));
        let allowed = policy.decide(&request, &pins, pins.origin()).ok()?;
        allowed.rule.map(str::to_owned)
    }

    #[test]
    fn a_handshake_meets_the_terms_of_the_most_specific_rule() {
        let mut builder = Policy::builder();
        builder.set("ours=api.example,*.ours.example").unwrap();
        for rule in [
            "tls-connect=*:*",
            "tls-connect=*:443;alpn=h2",
            "tls-connect=ours:443",
            "tls-connect=*.example:443;alpn=h2",
        ] {
            builder.allow(rule).unwrap();
        }
        let policy = builder.build_with(&|path| Ok(path.to_owned()));
        let of = |name| rule_of(&policy, name);
        // Of the rules about every host, the one with fewer ports.
        assert_eq!(of("other.test").as_deref(), Some("tls-connect=*:443;alpn=h2"));
        // A pattern comes before a set, even if the set has the whole name.
        assert_eq!(of("api.example").as_deref(), Some("tls-connect=*.example:443;alpn=h2"));
        assert_eq!(of("a.ours.example").as_deref(), Some("tls-connect=*.example:443;alpn=h2"));
        assert_eq!(of("192.0.2.1"), None);
    }
}
