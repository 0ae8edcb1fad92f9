//! The answer to a request: the rule that allows it, or why it is denied.

use std::borrow::Cow;
use std::fmt;

use crate::rule::Rule;
use crate::terms::{BudgetId, TlsTerms};

/// The rule that allows everything, as decisions name it.
pub(super) const EVERYTHING: &str = "allow-all";

/// The answer that a request is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'p> {
    /// The rule that allows it, or `allow-all`. Of several rules it is the most specific one. None
    /// if no rule is needed.
    pub rule: Option<&'p str>,
    /// The rule's budget, to which the act is charged.
    pub budget: Option<BudgetId>,
    /// How the rule wants TLS to be.
    pub tls: Option<&'p TlsTerms>,
}

impl<'p> Allowed<'p> {
    /// The answer that no rule is needed.
    pub const FREE: Allowed<'static> = Allowed { rule: None, budget: None, tls: None };

    /// The answer that something without a budget allows it.
    pub(crate) fn by(rule: &'p str) -> Self {
        Self { rule: Some(rule), budget: None, tls: None }
    }
}

/// The answer that a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    /// The grant that would allow it. None if no single grant can.
    pub grant: Option<String>,
    /// The whole decision as one sentence.
    pub reason: String,
    /// The rule that denies it. None if a grant is missing.
    pub rule: Option<String>,
    /// A granted name that had this address until its pin expired. The caller can look it up once
    /// more, pin the answer and ask again.
    pub expired_name: Option<String>,
}

impl Denial {
    /// Makes a denial of this reason.
    pub fn new(reason: String) -> Self {
        Self { grant: None, reason, rule: None, expired_name: None }
    }

    /// Makes the denial of `what`, a verb and its target, that the guest has given up. `kept` is the
    /// denial of its restriction. No grant gives a right back.
    pub(super) fn given_up(what: impl fmt::Display, kept: Self) -> Self {
        Self {
            expired_name: kept.expired_name,
            ..Self::new(format!("{what} is denied: the guest gave it up with restrict"))
        }
    }

    /// Makes the denial of `what`, a verb and its target, by a rule.
    pub(super) fn by_rule(what: impl fmt::Display, rule: &str) -> Self {
        Self {
            rule: Some(rule.into()),
            ..Self::new(format!("{what} is denied by the rule {rule}"))
        }
    }

    /// Makes the denial of `what`, a verb and its target, that no rule allows. `grant` is named
    /// only if it is a rule, because a guest can ask for something that no rule can name.
    pub(super) fn missing(what: String, grant: Option<String>) -> Self {
        let grant = grant.filter(|grant| grant.parse::<Rule>().is_ok());
        let reason = match &grant {
            Some(grant) => {
                format!("{what} is not granted; allow it with --allow {}", quoted(grant))
            }
            None => format!("{what} is not granted"),
        };
        Self { grant, ..Self::new(reason) }
    }
}

/// Quotes a grant for a shell.
pub fn quoted(grant: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+".contains(c);
    if grant.chars().all(plain) {
        Cow::Borrowed(grant)
    } else {
        Cow::Owned(format!("'{}'", grant.replace('\'', r"'\''")))
    }
}
