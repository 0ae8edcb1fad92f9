//! The answer to a request: the rule that allows it, or why it is denied.

use std::borrow::Cow;
use std::fmt;

use crate::verbs::Grant;

/// The rule that allows everything, as decisions name it.
pub(super) const EVERYTHING: &str = "allow-all";

/// That a request is allowed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'p> {
    /// The rule; `allow-all` where everything is allowed; none where no rule is needed.
    pub rule: Option<&'p str>,
}

/// That a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    /// The grant that would allow it; none where no single grant can.
    pub grant: Option<String>,
    /// The whole decision as one sentence.
    pub reason: String,
    /// The rule that denies, where one does.
    pub rule: Option<String>,
    /// A granted name that had this address until its pin expired: look it up once more, pin the
    /// answer and ask again.
    pub expired_name: Option<String>,
}

impl Denial {
    /// A denial with its reason, which names the grant that is missing.
    pub fn new(reason: String) -> Self {
        Self { grant: None, reason, rule: None, expired_name: None }
    }

    /// `what` (a verb and its object) is denied by a rule.
    pub(super) fn by_rule(what: impl fmt::Display, rule: &str) -> Self {
        Self {
            rule: Some(rule.into()),
            ..Self::new(format!("{what} is denied by the rule {rule}"))
        }
    }

    /// `what` (a verb and its object) is not granted; `grant` would do, if it is a rule: what a
    /// guest asks for may be nothing that a rule can name.
    pub(super) fn missing(what: String, grant: Option<String>) -> Self {
        let grant = grant.filter(|grant| grant.parse::<Grant>().is_ok());
        let reason = match &grant {
            Some(grant) => {
                format!("{what} is not granted; allow it with --allow {}", quoted(grant))
            }
            None => format!("{what} is not granted"),
        };
        Self { grant, ..Self::new(reason) }
    }
}

/// A grant as a shell takes it.
pub(crate) fn quoted(grant: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+".contains(c);
    if grant.chars().all(plain) {
        Cow::Borrowed(grant)
    } else {
        Cow::Owned(format!("'{}'", grant.replace('\'', r"'\''")))
    }
}
