//! The verb `tcp-listen`: bind a TCP socket, and listen on it.

use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::endpoints::{self, LocalAddress, LocalIndex};
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::Endpoints;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, verb};

impl Capability for verb::TcpListen {
    const EXAMPLES: &'static [&'static str] =
        &["127.0.0.1:8000", "127.0.0.1:0", "[::]:443", "*:8000-8999"];
    const ABOUT: &'static str = "bind and listen on HOST:PORT over TCP";
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
        query.local_denied(&query.policy.deny.tcp_listen, asked)
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: LocalAddress) -> Option<Allowed<'p>> {
        query.local_allowed(Self::VERB, &query.policy.allow.tcp_listen, asked)
    }

    fn grant(asked: LocalAddress) -> Option<String> {
        Some(endpoints::local_target(asked))
    }

    fn ask<'a>(
        pattern: &'a EndpointPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        let (address, _) = pattern.one(asking.address)?;
        let published = asking.policy.published(Self::VERB, address);
        Ok((LocalAddress { published, ..address.into() }, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        addresses::local(compared, |rules| &rules.tcp_listen, Request::TcpListen)
    }

    #[cfg(test)]
    fn samples() -> Vec<LocalAddress> {
        let local = LocalAddress::from(std::net::SocketAddr::from(([127, 0, 0, 1], 8000)));
        vec![local, LocalAddress { kernel_chosen: true, ..local }]
    }
}
