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
    /// The rules about every host.
    any: Vec<(PortRange, RuleId)>,
    /// The ports of all rules.
    ports: Vec<PortRange>,
}

impl TlsIndex {
    pub(crate) fn new(rules: &VerbRules<'_, EndpointPattern>) -> Self {
        let rules_of = |wanted: fn(&HostPattern) -> bool| {
            rules.rules.iter().copied().filter(move |(_, pattern)| wanted(&pattern.host))
        };
        let is_address = |host: &HostPattern| !matches!(host, HostPattern::Name(_));
        let any = rules_of(|host| matches!(host, HostPattern::Any));
        Self {
            all: endpoints::index(rules),
            addresses: Endpoints::build(rules_of(is_address), rules.sets),
            any: any.map(|(rule, pattern)| (pattern.ports, rule)).collect(),
            ports: rules.rules.iter().map(|(_, pattern)| pattern.ports).collect(),
        }
    }

    /// Returns the rule about a handshake that proves a host name.
    fn of_name(&self, name: &str, port: u16) -> Option<RuleId> {
        let name = normalise_name(name).ok().filter(|name| !ends_in_number(name))?;
        let any = || self.any.iter().find(|(ports, _)| ports.contains(port));
        self.all.names.find(&name, port).map(|found| found.rule).or_else(|| Some(any()?.1))
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
