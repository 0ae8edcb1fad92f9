//! The verb `ancillary`: pass descriptors, and forge credentials.

use std::fmt::{self, Display as _};

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::error::{ParseError, unknown_target};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::{Request, verb};

/// What `ancillary` names, and what a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ancillary {
    /// `rights:send`: send descriptors.
    RightsSend,
    /// `rights:receive`: receive sockets of families that are granted.
    RightsReceive,
    /// `rights:receive,any`: receive descriptors of any kind. It includes `rights:receive`.
    RightsReceiveAny,
    /// `credentials:forge`: send credentials other than the host's own.
    CredentialsForge,
}

impl Ancillary {
    const ALL: [Self; 4] =
        [Self::RightsSend, Self::RightsReceive, Self::RightsReceiveAny, Self::CredentialsForge];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::RightsSend => "rights:send",
            Self::RightsReceive => "rights:receive",
            Self::RightsReceiveAny => "rights:receive,any",
            Self::CredentialsForge => "credentials:forge",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

impl fmt::Display for Ancillary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rules, by what they name.
type Index = [Option<RuleId>; Ancillary::ALL.len()];

/// Returns the first rule that names one of these.
fn find(index: &Index, named: &[Ancillary]) -> Option<RuleId> {
    named.iter().find_map(|&one| index[one as usize])
}

impl Capability for verb::Ancillary {
    const EXAMPLES: &'static [&'static str] =
        &["rights:send", "rights:receive", "rights:receive,any", "credentials:forge"];
    const ABOUT: &'static str = "pass descriptors, or forge credentials";

    type Index = Index;

    fn parse(target: &str) -> Result<Ancillary, ParseError> {
        Ancillary::parse(target)
    }

    fn index(rules: &VerbRules<'_, Ancillary>) -> Index {
        let mut index = Index::default();
        rules.rules.iter().for_each(|&(rule, &one)| index[one as usize] = Some(rule));
        index
    }

    fn show(asked: Ancillary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: Ancillary) -> Option<&'p str> {
        let rule = match asked {
            Ancillary::RightsReceiveAny => {
                find(&query.policy.deny.ancillary, &[Ancillary::RightsReceive, asked])
            }
            asked => find(&query.policy.deny.ancillary, &[asked]),
        }?;
        Some(query.policy.deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: Ancillary) -> Option<Allowed<'p>> {
        let rule = match asked {
            Ancillary::RightsReceive => {
                find(&query.policy.allow.ancillary, &[asked, Ancillary::RightsReceiveAny])
            }
            asked => find(&query.policy.allow.ancillary, &[asked]),
        }?;
        Some(query.policy.by(rule))
    }

    fn grant(asked: Ancillary) -> Option<String> {
        Some(asked.to_string())
    }

    fn ask<'a>(
        pattern: &'a Ancillary,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((*pattern, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        compared.first(Ancillary::ALL.map(Request::Ancillary))
    }

    #[cfg(test)]
    fn samples() -> Vec<Ancillary> {
        Ancillary::ALL.to_vec()
    }
}
