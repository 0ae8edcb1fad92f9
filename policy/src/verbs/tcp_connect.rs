//! The verb `tcp-connect`: connect a TCP socket, its implicit bind included.

use std::fmt::{self, Display as _};
use std::net::SocketAddr;

use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::endpoints;
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::Endpoints;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, verb};

impl Capability for verb::TcpConnect {
    const EXAMPLES: &'static [&'static str] =
        &["127.0.0.1:8000", "10.0.0.0/8:443", "db.example:5432", "*.example.com:443", "[::1]:*"];
    const ABOUT: &'static str = "connect to HOST:PORT over TCP; a name may be looked up too";
    const PREPOSITION: &'static str = " to";
    const IMPLIES_RESOLVE: bool = true;

    type Index = Endpoints;

    fn parse(target: &str) -> Result<EndpointPattern, ParseError> {
        endpoints::parse_remote(target)
    }

    fn index(rules: &VerbRules<'_, EndpointPattern>) -> Endpoints {
        endpoints::index(rules)
    }

    fn endpoints(index: &Endpoints) -> Option<&Endpoints> {
        Some(index)
    }

    fn show(asked: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: SocketAddr) -> Option<&'p str> {
        query.remote_denied(&query.policy.deny.tcp_connect, asked)
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: SocketAddr) -> Option<Allowed<'p>> {
        query.remote_allowed(&query.policy.allow.tcp_connect, asked)
    }

    fn grant(asked: SocketAddr) -> Option<String> {
        Some(endpoints::address_target(asked))
    }

    fn missing(query: &Query<'_, '_>, asked: SocketAddr) -> Denial {
        query.remote_missing(Self::VERB, &query.policy.allow.tcp_connect, asked)
    }

    fn ask<'a>(
        pattern: &'a EndpointPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        pattern.one(asking.address)
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        addresses::remote(compared, |rules| &rules.tcp_connect, Request::TcpConnect)
    }

    #[cfg(test)]
    fn samples() -> Vec<SocketAddr> {
        vec![([192, 0, 2, 1], 443).into(), ([0; 8], 0).into()]
    }
}
