//! The verb `reverse-resolve`: ask for the name of an address.
//!
//! A rule by a name holds for what the guest looked that name up to, as it does for a connect:
//! private addresses need a rule of their own, or `--resolve`, whose addresses need no other rule.

use std::fmt::{self, Display as _};
use std::net::IpAddr;

use crate::address::canonical;
use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern, parse_lone_host};
use crate::index::{Endpoints, RuleId};
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, verb};

impl Capability for verb::ReverseResolve {
    const EXAMPLES: &'static [&'static str] =
        &["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "db.example", "*"];
    const ABOUT: &'static str = "look up the name of an address; a rule with a name covers the addresses that the name was looked up to";
    const PREPOSITION: &'static str = " of";

    /// Ports have no meaning here: every rule holds for port 0.
    type Index = Endpoints;

    fn parse(target: &str) -> Result<HostPattern, ParseError> {
        parse_lone_host(target)
    }

    fn index(rules: &VerbRules<'_, HostPattern>) -> Endpoints {
        let endpoint =
            |host: &HostPattern| EndpointPattern { host: host.clone(), ports: PortRange::ANY };
        let endpoints: Vec<(RuleId, EndpointPattern)> =
            rules.rules.iter().map(|(rule, host)| (*rule, endpoint(host))).collect();
        Endpoints::build(endpoints.iter().map(|(rule, pattern)| (*rule, pattern)), rules.sets)
    }

    fn show(asked: IpAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: IpAddr) -> Option<&'p str> {
        let deny = &query.policy.deny;
        let found = query.denied_at(&deny.reverse_resolve, canonical(asked), 0)?;
        Some(deny.text(found.rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: IpAddr) -> Option<Allowed<'p>> {
        let (policy, address) = (query.policy, canonical(asked));
        if let Some(rule) = query.allowed_at(&policy.allow.reverse_resolve, address, 0) {
            return Some(policy.by(rule));
        }
        let name = policy.fixed_names(address).first()?;
        policy.fixed.names.get(name).map(|(_, rule)| Allowed::by(rule))
    }

    fn grant(asked: IpAddr) -> Option<String> {
        Some(canonical(asked).to_string())
    }

    fn missing(query: &Query<'_, '_>, asked: IpAddr) -> Denial {
        let grant = Self::grant(asked).map(|target| format!("{}={target}", Self::VERB));
        let mut denial = Denial::missing(Self::what(asked), grant);
        let allow = &query.policy.allow.reverse_resolve;
        denial.expired_name = query.expired_name(allow, canonical(asked), 0);
        denial
    }

    fn ask<'a>(
        pattern: &'a HostPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        pattern.one(asking.address)
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        addresses::portless(compared, |rules| &rules.reverse_resolve, Request::ReverseResolve)
    }

    #[cfg(test)]
    fn samples() -> Vec<IpAddr> {
        vec![[192, 0, 2, 7].into()]
    }
}
