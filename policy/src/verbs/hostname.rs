//! The verb `hostname`: read and set this host's name.

use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::error::{ParseError, unknown_target};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::{Request, verb};

/// What `hostname` names, and what a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// `read`: see the real one.
    Read,
    /// `set`: set the real one.
    Set,
}

impl Hostname {
    const ALL: [Self; 2] = [Self::Read, Self::Set];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Set => "set",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Capability for verb::Hostname {
    const EXAMPLES: &'static [&'static str] = &["read", "set"];
    const ABOUT: &'static str = "read this host's own name, or set it";

    /// The rules, by what they name.
    type Index = [Option<RuleId>; Hostname::ALL.len()];

    fn parse(target: &str) -> Result<Hostname, ParseError> {
        Hostname::parse(target)
    }

    fn index(rules: &VerbRules<'_, Hostname>) -> Self::Index {
        let mut index = Self::Index::default();
        rules.rules.iter().for_each(|&(rule, &one)| index[one as usize] = Some(rule));
        index
    }

    fn show(asked: Hostname, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: Hostname) -> Option<&'p str> {
        query.policy.deny.hostname[asked as usize].map(|rule| query.policy.deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: Hostname) -> Option<Allowed<'p>> {
        query.policy.allow.hostname[asked as usize].map(|rule| query.policy.by(rule))
    }

    fn grant(asked: Hostname) -> Option<String> {
        Some(asked.to_string())
    }

    fn ask<'a>(
        pattern: &'a Hostname,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((*pattern, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        compared.first(Hostname::ALL.map(Request::Hostname))
    }

    #[cfg(test)]
    fn samples() -> Vec<Hostname> {
        Hostname::ALL.to_vec()
    }
}
