//! The verb `multicast`: join a multicast group.

use std::fmt::{self, Display as _};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::canonical;
use crate::covers::{Compared, Excess, Found, addresses};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern};
use crate::index::Endpoints;
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::verbs::raw::parse_host;
use crate::verbs::{Request, Row as _, verb};

/// What `multicast` names: an address, a network, a set, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MulticastPattern(pub(crate) EndpointPattern);

/// Returns the error for a host that is no multicast group.
pub(crate) fn no_group(text: &str) -> ParseError {
    ParseError::new(
        0,
        format!("`{}` is not a multicast group", text.escape_debug()),
        "write an address or a network of 224.0.0.0/4 or ff00::/8, a set, or `*` for every group",
    )
}

impl MulticastPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let host = parse_host(text)?;
        match &host {
            HostPattern::Any => {}
            HostPattern::Net(IpNet::V4(net))
                if net.addr().is_multicast() && net.prefix_len() >= 4 => {}
            HostPattern::Net(IpNet::V6(net))
                if net.addr().is_multicast() && net.prefix_len() >= 8 => {}
            // Only the builder knows whether a name of one label is a set.
            HostPattern::Set(_) => {}
            HostPattern::Name(_) if host.word().is_some() => {}
            HostPattern::Net(_) | HostPattern::Name(_) => return Err(no_group(text)),
        }
        Ok(Self(EndpointPattern { host, ports: PortRange::ANY }))
    }
}

impl fmt::Display for MulticastPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.host.fmt(f)
    }
}

impl Capability for verb::Multicast {
    const EXAMPLES: &'static [&'static str] = &["239.1.2.3", "239.0.0.0/8", "ff02::/16", "*"];
    const ABOUT: &'static str = "join a multicast group";

    /// Ports have no meaning here: every rule holds for port 0.
    type Index = Endpoints;

    fn parse(target: &str) -> Result<MulticastPattern, ParseError> {
        MulticastPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, MulticastPattern>) -> Endpoints {
        Endpoints::build(rules.rules.iter().map(|(rule, pattern)| (*rule, &pattern.0)), rules.sets)
    }

    /// None is some group: a rule about any group allows it.
    fn show(asked: Option<IpAddr>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match asked {
            Some(group) => group.fmt(f),
            None => f.write_str("*"),
        }
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: Option<IpAddr>) -> Option<&'p str> {
        let deny = &query.policy.deny;
        let found = deny.multicast.touching(canonical(asked?), 0)?;
        Some(deny.text(found.rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: Option<IpAddr>) -> Option<Allowed<'p>> {
        let allow = &query.policy.allow.multicast;
        match asked {
            Some(group) => allow.at(canonical(group), 0).map(|found| query.policy.by(found.rule)),
            None if allow.is_empty() => None,
            None => Some(Allowed::FREE),
        }
    }

    fn grant(asked: Option<IpAddr>) -> Option<String> {
        Some(asked.map_or_else(|| "*".to_owned(), |group| canonical(group).to_string()))
    }

    fn what(asked: Option<IpAddr>) -> String {
        match asked {
            Some(group) => format!("{} {}", Self::VERB, canonical(group)),
            None => Self::VERB.to_string(),
        }
    }

    fn ask<'a>(
        pattern: &'a MulticastPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        pattern.0.host.one(asking.address).map(|(group, name)| (Some(group), name))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let some =
            compared.excess_if(&Request::Multicast(None), "an option about no certain group");
        let one = |group| Request::Multicast(Some(group));
        let of_group = addresses::portless(compared, |rules| &rules.multicast, one)?;
        Ok(of_group.or(some))
    }

    #[cfg(test)]
    fn samples() -> Vec<Option<IpAddr>> {
        vec![Some([239, 1, 2, 3].into()), Some([192, 0, 2, 1].into()), None]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use crate::policy::Policy;

    fn asks(policy: &Policy, group: Option<IpAddr>) -> Result<(), Option<String>> {
        decide::<verb::Multicast>(&Query::without_pins(policy), group)
            .map(drop)
            .map_err(|denial| denial.grant)
    }

    #[test]
    fn groups_are_judged_and_others_are_no_groups() {
        let policy = Policy::of_rules(
            &["multicast=239.0.0.0/8", "multicast=ff02::/16"],
            &["multicast=239.1.2.3"],
        );
        let joins = |group: &str| asks(&policy, Some(group.parse().unwrap()));
        assert_eq!(joins("239.1.2.4"), Ok(()));
        assert_eq!(joins("239.1.2.3"), Err(None));
        assert_eq!(joins("224.0.0.1"), Err(Some("multicast=224.0.0.1".into())));
        assert_eq!(joins("ff02::1"), Ok(()));
        assert_eq!(joins("ff05::1"), Err(Some("multicast=ff05::1".into())));
        assert!(asks(&policy, None).is_ok());
        assert_eq!(asks(&Policy::builder().build(), None), Err(Some("multicast=*".into())));
        for bad in ["10.0.0.1", "224.0.0.0/3", "fe80::/10", "example.com", "", "fe00::/7"] {
            assert!(Policy::builder().allow(&format!("multicast={bad}")).is_err(), "{bad}");
        }
    }
}
