//! The verb `udp-receive`: get datagrams from an address. `udp-send` implies the replies.

use std::fmt::{self, Display as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::address::canonical;
use crate::covers::addresses::{AddressVerb, Deciding, Part, Port};
use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::endpoints;
use crate::error::ParseError;
use crate::host::EndpointPattern;
use crate::index::{Endpoints, RuleId};
use crate::pins::Pins;
use crate::policy::Policy;
use crate::rules::VerbRules;
use crate::verbs::{Request, Verb, verb};

impl Capability for verb::UdpReceive {
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:*", "192.0.2.0/24:*", "*:*"];
    const ABOUT: &'static str = "receive datagrams from HOST:PORT over UDP";
    const PREPOSITION: &'static str = " from";

    type Index = Endpoints;

    fn parse(target: &str) -> Result<EndpointPattern, ParseError> {
        EndpointPattern::parse(target)
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
        let (address, port) = (canonical(asked.ip()), asked.port());
        let found = query.denied_at(&query.policy.deny.udp_receive, address, port)?;
        Some(query.policy.deny.text(found.rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: SocketAddr) -> Option<Allowed<'p>> {
        let rule = source_rule(query, canonical(asked.ip()), asked.port())?;
        Some(query.policy.by(rule))
    }

    fn grant(asked: SocketAddr) -> Option<String> {
        Some(endpoints::address_target(asked))
    }

    fn ask<'a>(
        pattern: &'a EndpointPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        pattern.one(asking.address)
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        udp_receive_excess(compared)
    }

    #[cfg(test)]
    fn samples() -> Vec<SocketAddr> {
        vec![([192, 0, 2, 1], 53).into()]
    }
}

/// Returns the rule that lets a datagram in, and uses its pin.
fn source_rule(query: &Query<'_, '_>, address: IpAddr, port: u16) -> Option<RuleId> {
    let (allow, deny) = (&query.policy.allow, &query.policy.deny);
    query.allowed_at(&allow.udp_receive, address, port).or_else(|| {
        // An address that may not be sent to has nothing to reply to.
        if query.denied_at(&deny.udp_send, address, port).is_some() {
            None
        } else {
            query.allowed_at(&allow.udp_send, address, port)
        }
    })
}

/// Compares the senders that two policies admit.
fn udp_receive_excess<'p>(compared: &Compared<'p>) -> Found<Excess> {
    let both = compared.rules().into_iter();
    AddressVerb {
        ports_of: both.flat_map(|rules| [&rules.udp_receive, &rules.udp_send]).collect(),
        more_ports: &[],
        binds: false,
        rules: |policy: &'p Policy, Port { number, .. }| {
            let at = |rules| vec![Part::At(rules, number)];
            let (allow, deny) = (&policy.allow, &policy.deny);
            let replies = (at(&allow.udp_send), at(&deny.udp_send));
            Deciding {
                allow: vec![(at(&allow.udp_receive), Vec::new()), replies],
                deny: at(&deny.udp_receive),
            }
        },
        requests: |address, port: Port| {
            vec![Request::UdpReceive(SocketAddr::new(address, port.number))]
        },
        terms_of: &[Verb::UdpSend, Verb::UdpReceive],
    }
    .excess(compared)
}

impl Policy {
    /// Returns whether a datagram from `source` may be returned: `udp-receive` names it, or
    /// `udp-send` does, whose reply it then is.
    ///
    /// Every datagram is judged by this, so it never allocates.
    pub fn udp_source_allowed(&self, source: SocketAddr, pins: &Pins, now: Instant) -> bool {
        let query = Query::new(self, pins, now);
        let (address, port) = (canonical(source.ip()), source.port());
        if query.denied_at(&self.deny.udp_receive, address, port).is_some() {
            return false;
        }
        (self.everything || source_rule(&query, address, port).is_some())
            && self.keeps(|kept| kept.udp_source_allowed(source, pins, now))
    }
}
