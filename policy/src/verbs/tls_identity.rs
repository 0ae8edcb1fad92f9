//! The verb `tls-identity`: show an identity of the operator's in a TLS handshake. The key stays
//! with the host.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use crate::covers::{Compared, Excess, Found, untaken};
use crate::decide::{Asked, Asking, Capability, Query};
use crate::denial::Allowed;
use crate::error::{GrantError, ParseError};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::{Request, verb};

/// The name of an identity: 1 to 64 letters, digits, `-`, `_` and `.` of ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityName(Box<str>);

impl IdentityName {
    const MAX: usize = 64;

    /// Returns the name as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let hint = "write 1 to 64 letters, digits, `-`, `_` and `.`, as in web";
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        match text.find(|c| !fits(c)) {
            Some(at) => Err(ParseError::new(
                at,
                format!("`{}` is not an identity's name", text.escape_debug()),
                hint,
            )),
            None if text.is_empty() || text.len() > Self::MAX => {
                Err(ParseError::new(0, "the identity's name is empty or too long", hint))
            }
            None => Ok(Self(text.into())),
        }
    }
}

impl FromStr for IdentityName {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text).map_err(|error| GrantError::new(text, error))
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Capability for verb::TlsIdentity {
    const EXAMPLES: &'static [&'static str] = &["web", "client-1"];
    const ABOUT: &'static str =
        "show the identity NAME, a certificate and its key, in a TLS handshake";
    const PREPOSITION: &'static str = " of";

    type Index = HashMap<Box<str>, RuleId>;

    fn parse(target: &str) -> Result<IdentityName, ParseError> {
        IdentityName::parse(target)
    }

    fn index(rules: &VerbRules<'_, IdentityName>) -> Self::Index {
        rules.rules.iter().map(|&(rule, name)| (name.0.clone(), rule)).collect()
    }

    fn show(asked: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = asked.chars().take(256).flat_map(char::escape_debug).collect();
        f.write_str(&shown)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: &str) -> Option<&'p str> {
        query.policy.deny.tls_identity.get(asked).map(|rule| query.policy.deny.text(*rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: &str) -> Option<Allowed<'p>> {
        query.policy.allow.tls_identity.get(asked).map(|rule| query.policy.by(*rule))
    }

    fn grant(asked: &str) -> Option<String> {
        IdentityName::parse(asked).ok().map(|name| name.to_string())
    }

    fn ask<'a>(
        pattern: &'a IdentityName,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        Ok((&pattern.0, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let named = compared.rules().into_iter().flat_map(|rules| rules.tls_identity.keys());
        let names: BTreeSet<&str> = named.map(|name| &**name).collect();
        let other = untaken(&names, "other");
        let all = names.into_iter().chain([&*other]);
        compared.first(all.map(Request::TlsIdentity))
    }

    #[cfg(test)]
    fn samples() -> Vec<&'static str> {
        vec!["web", "client-1", "", "a b\n"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["web", "a.b-c_D9", &"a".repeat(64)] {
            assert_eq!(IdentityName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "a/b", "ä", "*", &"a".repeat(65)] {
            assert!(IdentityName::parse(name).is_err(), "{name}");
        }
    }
}
