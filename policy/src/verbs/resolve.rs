//! The verb `resolve`: look up a name.
//!
//! `tcp-connect`, `udp-send` and `raw` by a name imply it.

use std::fmt;
use std::net::IpAddr;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query, shown};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::index::{Names, Ports, RuleId, any_left};
use crate::name::{NamePattern, ResolvePattern, ends_in_number, normalise_name};
use crate::policy::Policy;
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::verbs::{Request, Row as _, Verb, verb};

/// The names that `resolve` rules hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResolveIndex {
    pub(crate) any: Option<RuleId>,
    pub(crate) names: Names,
}

impl ResolveIndex {
    /// Returns the rule about a normalised name.
    pub(crate) fn find(&self, name: &str) -> Option<RuleId> {
        self.names.find_ranked(name, 0).map(|(_, found)| found.rule).or(self.any)
    }
}

impl Capability for verb::Resolve {
    const EXAMPLES: &'static [&'static str] = &["db.example", "*.example.com", "*"];
    const ABOUT: &'static str = "look up a name";
    const PREPOSITION: &'static str = " of";

    type Index = ResolveIndex;

    fn parse(target: &str) -> Result<ResolvePattern, ParseError> {
        ResolvePattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, ResolvePattern>) -> ResolveIndex {
        let mut index = ResolveIndex::default();
        for &(rule, pattern) in &rules.rules {
            match pattern {
                ResolvePattern::Any => index.any = Some(rule),
                ResolvePattern::Name(name) => index.names.add(name, PortRange::ANY, rule),
                ResolvePattern::Set(word) => {
                    let names = rules.sets.get(word).map_or(&[][..], |set| &set.names);
                    let each = names.iter();
                    each.for_each(|name| index.names.add_of_set(name, PortRange::ANY, rule));
                }
            }
        }
        index.names.finish();
        index
    }

    fn show(asked: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = asked.chars().take(256).flat_map(char::escape_debug).collect();
        f.write_str(&shown)
    }

    fn settled<'p>(_: &Query<'p, '_>, asked: &str) -> Option<Answer<'p>> {
        if asked.parse::<IpAddr>().is_ok() {
            return Some(Ok(Allowed::FREE));
        }
        let error = normalise_name(asked).err()?;
        Some(Err(Denial::new(format!(
            "resolve of {} is denied: it is not a host name: {error}",
            shown::<Self>(asked)
        ))))
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: &str) -> Option<&'p str> {
        let deny = &query.policy.deny;
        deny.resolve.find(&normalise_name(asked).ok()?).map(|rule| deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: &str) -> Option<Allowed<'p>> {
        let (allow, deny) = (&query.policy.allow, &query.policy.deny);
        let name = normalise_name(asked).ok()?;
        if let Some(rule) = allow.resolve.find(&name) {
            return Some(query.policy.by(rule));
        }
        if let Some((_, rule)) = query.policy.fixed.names.get(&*name) {
            return Some(Allowed::by(rule));
        }
        let (allow, deny) = (allow.implying_resolve(), deny.implying_resolve());
        allow.zip(deny).find_map(|((_, allow), (_, deny))| {
            // A grant of which a deny rule leaves no port implies nothing.
            let left = |ports: &Ports| any_left(*ports, |port| deny.names.find(&name, port));
            // A look-up is charged to no budget.
            let rule = allow.names.all(&name).find(left)?.rule;
            Some(Allowed::by(query.policy.allow.text(rule)))
        })
    }

    fn grant(asked: &str) -> Option<String> {
        // No rule can name what resolvers may read as an address.
        normalise_name(asked).ok().filter(|name| !ends_in_number(name)).map(Into::into)
    }

    fn missing(_: &Query<'_, '_>, asked: &str) -> Denial {
        let target = Self::grant(asked);
        let grant = target.as_ref().map(|name| format!("{}={name}", Self::VERB));
        let mut denial = Denial::missing(Self::what(asked), grant);
        if let (Some(_), Some(name)) = (&denial.grant, target) {
            // Most programs look a name up to connect to it.
            denial.reason.push_str(&format!(
                ", or by what it is looked up for, as in {}={name}:443",
                Verb::TcpConnect
            ));
        }
        denial
    }

    fn ask<'a>(
        pattern: &'a ResolvePattern,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        match pattern {
            ResolvePattern::Name(NamePattern::Exact(name)) => Ok((name, None)),
            ResolvePattern::Any
            | ResolvePattern::Set(_)
            | ResolvePattern::Name(NamePattern::Below(_)) => Err("write one name"),
        }
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        compared.first(compared.names.iter().map(|name| Request::Resolve(name)))
    }

    #[cfg(test)]
    fn samples() -> Vec<&'static str> {
        vec!["db.example", "192.0.2.1", "no name"]
    }
}

impl Policy {
    /// Returns whether every name may be looked up that no rule denies, so that a text that is no
    /// name has nothing to be denied for.
    pub fn resolves_any(&self) -> bool {
        self.deny.resolve.any.is_none()
            && (self.everything || self.allow.resolve.any.is_some())
            && self.keeps(Self::resolves_any)
    }
}
