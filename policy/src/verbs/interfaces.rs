//! The verb `interfaces`: see this host's network interfaces. It stands alone.

use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::index::RuleId;
use crate::policy::Policy;
use crate::rules::VerbRules;
use crate::verbs::can::CanInterface;
use crate::verbs::{Request, Row as _, verb};

/// The target of a verb that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alone;

impl fmt::Display for Alone {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl Capability for verb::Interfaces {
    const EXAMPLES: &'static [&'static str] = &[];
    const ABOUT: &'static str = "see this host's network interfaces, their names and numbers";

    type Index = Option<RuleId>;

    fn parse(_: &str) -> Result<Alone, ParseError> {
        Ok(Alone)
    }

    fn index(rules: &VerbRules<'_, Alone>) -> Option<RuleId> {
        rules.rules.last().map(|(rule, _)| *rule)
    }

    fn show(asked: Alone, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, _: Alone) -> Option<&'p str> {
        query.policy.deny.interfaces.map(|rule| query.policy.deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, _: Alone) -> Option<Allowed<'p>> {
        query.policy.allow.interfaces.map(|rule| query.policy.by(rule))
    }

    fn grant(_: Alone) -> Option<String> {
        None
    }

    fn missing(_: &Query<'_, '_>, asked: Alone) -> Denial {
        Denial::missing(Self::what(asked), Some(Self::VERB.to_string()))
    }

    fn what(_: Alone) -> String {
        Self::VERB.to_string()
    }

    fn ask<'a>(
        pattern: &'a Alone,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((*pattern, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        compared.first([Request::Interfaces(Alone)])
    }

    #[cfg(test)]
    fn samples() -> Vec<Alone> {
        vec![Alone]
    }
}

impl Policy {
    /// Returns whether a rule allows to use this network interface, so that its name and index may
    /// be looked up without `interfaces`.
    pub fn names_interface(&self, name: &str) -> bool {
        let named = CanInterface::Name(name);
        self.deny.interfaces.is_none()
            && self.allow.can.iter().any(|(pattern, _)| pattern.holds(named))
            && self.keeps(|kept| kept.names_interface(name))
    }
}
