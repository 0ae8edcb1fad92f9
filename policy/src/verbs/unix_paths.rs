//! What the verbs `unix-connect` and `unix-bind` have in common.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::decide::{Answer, Capability, Query, decide, shown};
use crate::denial::Denial;
use crate::path::{UnixPattern, escape_abstract};
use crate::policy::Policy;
use crate::rules::VerbRules;
use crate::unix::{UnixRoute, UnixRules, UnixTarget, absolute, path_grant, show_path};
use crate::verbs::{Verb, verb};

/// The most bytes of a path that stand in a sentence.
const SHOWN: usize = 256;

/// Makes the index of rules about UNIX names.
pub(super) fn index(rules: &VerbRules<'_, UnixPattern>) -> Arc<UnixRules> {
    let mut index = UnixRules::default();
    for &(rule, pattern) in &rules.rules {
        let text = &rules.texts[rule as usize];
        match pattern {
            UnixPattern::Path(path) if rules.deny => {
                index.add_path_and_real(path, rules.base, rules.real_path, text)
            }
            UnixPattern::Path(path) => index.add_path(path, rules.base, rules.real_path, text),
            UnixPattern::Abstract(name) => index.add_abstract(name, text),
        }
    }
    Arc::new(index)
}

/// Writes a UNIX name, escaped.
pub(super) fn write(target: UnixTarget<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match target {
        UnixTarget::Path(path) => f.write_str(&show_path(&path[..path.len().min(SHOWN)])),
        UnixTarget::Abstract(name) => write!(f, "@{}", escape_abstract(name)),
        UnixTarget::Unnamed => f.write_str("an unnamed address"),
    }
}

/// Returns the denial of a path that is none.
pub(super) fn settled<'p, C>(query: &Query<'p, '_>, target: UnixTarget<'_>) -> Option<Answer<'p>>
where
    C: for<'a> Capability<Request<'a> = UnixTarget<'a>>,
{
    let UnixTarget::Path(path) = target else { return None };
    let why = absolute(path, query.policy.base.as_deref()).err()?;
    let target = shown::<C>(target);
    Some(Err(Denial::new(format!("{} to {target} is denied: {why}", C::VERB))))
}

/// Returns the rule about a path or an abstract name.
pub(super) fn find<'p>(
    query: &Query<'p, '_>,
    rules: &'p UnixRules,
    target: UnixTarget<'_>,
) -> Option<&'p str> {
    match target {
        UnixTarget::Path(path) => rules.path(&absolute(path, query.policy.base.as_deref()).ok()?),
        UnixTarget::Abstract(name) => rules.name(name),
        UnixTarget::Unnamed => None,
    }
}

/// Returns the denial of a UNIX name that no rule allows.
pub(super) fn missing<C>(query: &Query<'_, '_>, target: UnixTarget<'_>) -> Denial
where
    C: for<'a> Capability<Request<'a> = UnixTarget<'a>>,
{
    let grant = match target {
        // A relative path is granted from the base directory.
        UnixTarget::Path(path) => absolute(path, query.policy.base.as_deref())
            .ok()
            .and_then(|path| path_grant(C::VERB, &path)),
        target => C::grant(target).map(|target| format!("{}={target}", C::VERB)),
    };
    Denial::missing(C::what(target), grant)
}

/// Returns the target of the rule that names an abstract name.
pub(super) fn abstract_target(name: &[u8]) -> String {
    format!("@{}", escape_abstract(name))
}

impl Policy {
    /// Returns the ways to a path that rules allow. The caller walks one after the other until
    /// [`UnixRoute::permits`] agrees.
    ///
    /// `verb` is [`Verb::UnixConnect`] or [`Verb::UnixBind`].
    ///
    /// # Errors
    ///
    /// The path is denied as it is written, or no rule holds it, or the verb is another.
    pub fn unix_route(&self, verb: Verb, path: &[u8]) -> Result<Vec<UnixRoute>, Denial> {
        let query = Query::without_pins(self);
        let (allow, deny) = match verb {
            Verb::UnixConnect => {
                decide::<verb::UnixConnect>(&query, UnixTarget::Path(path))?;
                (&self.allow.unix_connect, &self.deny.unix_connect)
            }
            Verb::UnixBind => {
                decide::<verb::UnixBind>(&query, UnixTarget::Path(path))?;
                (&self.allow.unix_bind, &self.deny.unix_bind)
            }
            verb => return Err(Denial::new(format!("{verb} has no paths"))),
        };
        // The decision refuses a path that can't be made absolute.
        let path = absolute(path, self.base.as_deref()).unwrap_or(Cow::Borrowed(path));
        if self.everything {
            return Ok(vec![UnixRoute::of_everything(verb, &path, deny)]);
        }
        Ok(allow.routes(verb, &path, deny))
    }
}
