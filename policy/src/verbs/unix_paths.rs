//! What the verbs `unix-connect` and `unix-bind` have in common.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::covers::words::{Alphabet, SEPARATOR, Step, Universe};
use crate::covers::{Compared, Excess, Found, Undecided};
use crate::decide::{Answer, Asking, Capability, Query, decide, shown};
use crate::denial::Denial;
use crate::path::{Component, UnixPattern, escape_abstract};
use crate::policy::Policy;
use crate::rule::with_target;
use crate::rules::VerbRules;
use crate::text::characters;
use crate::unix::{
    Pattern, RuleText, UnixRoute, UnixRules, UnixTarget, absolute, path_grant, show_path,
};
use crate::verbs::{Request, Rules, Verb, verb};

/// The most bytes of a path that stand in a sentence.
const SHOWN: usize = 256;

/// Makes the index of rules about UNIX names.
pub(super) fn index(rules: &VerbRules<'_, UnixPattern>) -> Arc<UnixRules> {
    let mut index = UnixRules::default();
    for &(rule, pattern) in &rules.rules {
        let text = &RuleText { rule, text: Arc::clone(&rules.texts[rule as usize]) };
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
) -> Option<&'p RuleText> {
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
        target => C::grant(target).map(|target| with_target(C::VERB, &target)),
    };
    Denial::missing(C::what(target), grant)
}

/// Returns the target of the rule that names an abstract name.
pub(super) fn abstract_target(name: &[u8]) -> String {
    format!("@{}", escape_abstract(name))
}

/// Returns the one name that a pattern names.
///
/// # Errors
///
/// It names more than one.
pub(super) fn ask<'a>(
    pattern: &'a UnixPattern,
    asking: &Asking<'a>,
) -> Result<UnixTarget<'a>, &'static str> {
    const ONE: &str = "write one path or one abstract name, without `*` and `?`";
    match pattern {
        UnixPattern::Path(path) => {
            let is_literal = |component: &Component| matches!(component, Component::Literal(_));
            let is_one = path.components.iter().all(is_literal);
            is_one.then_some(UnixTarget::Path(asking.target.as_bytes())).ok_or(ONE)
        }
        UnixPattern::Abstract(name) => name.exact().map(UnixTarget::Abstract).ok_or(ONE),
    }
}

/// The most bytes of an abstract name, without its NUL (`sockaddr_un`).
const LONGEST_ABSTRACT: usize = 107;

/// Compares the names of two policies.
pub(super) fn excess<'p>(
    compared: &Compared<'p>,
    of: fn(&'p Rules) -> &'p UnixRules,
    request: fn(UnixTarget<'_>) -> Request<'_>,
) -> Found<Excess> {
    if let Some(found) = compared.excess(&request(UnixTarget::Unnamed)) {
        return Ok(Some(found));
    }
    let confirmed = |target| {
        let found = compared.excess(&request(target));
        found.map(Some).ok_or_else(|| Undecided::Unconfirmed(request(target).to_string()))
    };
    // No name and no path has the separator of the other one.
    let mut path_alphabet = Alphabet::new(b"/");
    let mut paths = compared.words(Universe::Paths { dot: path_alphabet.symbol(b".") });
    for (role, rules) in compared.roles() {
        for (directory, pattern) in of(rules).paths() {
            let mut steps = path_steps(&mut path_alphabet, directory);
            steps.push(Step::One(SEPARATOR));
            steps.extend(pattern_steps(&mut path_alphabet, pattern));
            paths.add(role, &steps);
        }
    }
    if let Some(word) = paths.uncovered(usize::MAX)? {
        return confirmed(UnixTarget::Path(&path_alphabet.text(&word)));
    }
    let mut alphabet = Alphabet::new(b"");
    let mut names = compared.words(Universe::Names);
    for (role, rules) in compared.roles() {
        for parts in of(rules).abstract_names() {
            let mut steps = Vec::new();
            for (nth, part) in parts.iter().enumerate() {
                steps.extend((nth > 0).then_some(Step::Many));
                steps.extend(part.iter().map(|byte| Step::One(alphabet.symbol(&[*byte]))));
            }
            names.add(role, &steps);
        }
    }
    if let Some(word) = names.uncovered(LONGEST_ABSTRACT)? {
        return confirmed(UnixTarget::Abstract(&alphabet.text(&word)));
    }
    if compared.has_terms(&[request(UnixTarget::Unnamed).verb()]) {
        for word in paths.classes(usize::MAX)? {
            let path = path_alphabet.text(&word);
            compared.charge(&request(UnixTarget::Path(&path)), None);
        }
        for word in names.classes(LONGEST_ABSTRACT)? {
            let name = alphabet.text(&word);
            compared.charge(&request(UnixTarget::Abstract(&name)), None);
        }
    }
    Ok(None)
}

/// Returns the steps of a path without patterns.
fn path_steps(alphabet: &mut Alphabet, path: &[u8]) -> Vec<Step> {
    characters(path).map(|part| Step::One(alphabet.symbol(part))).collect()
}

/// Returns the steps of what follows a rule's directory.
fn pattern_steps(alphabet: &mut Alphabet, pattern: Pattern<'_>) -> Vec<Step> {
    let components = match pattern {
        Pattern::Name(name) => return path_steps(alphabet, name),
        Pattern::Components(components) => components,
    };
    let mut steps = Vec::new();
    for (nth, component) in components.iter().enumerate() {
        let is_last = nth + 1 == components.len();
        match component {
            Component::Literal(name) => steps.extend(path_steps(alphabet, name)),
            Component::Glob(text) => steps.extend(text.chars().map(|c| match c {
                '*' => Step::Many,
                '?' => Step::Any,
                c => Step::One(alphabet.symbol(c.encode_utf8(&mut [0; 4]).as_bytes())),
            })),
            // At the end it holds one component at least.
            Component::AnyDepth if is_last => steps.extend([Step::Any, Step::Rest]),
            Component::AnyDepth => {
                steps.push(Step::Components);
                continue;
            }
        }
        steps.extend((!is_last).then_some(Step::One(SEPARATOR)));
    }
    steps
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
        for kept in &self.restrictions {
            if let Err(denial) = kept.unix_route(verb, path) {
                let what = format_args!("{verb} to {}", show_path(path));
                return Err(Denial::given_up(what, denial));
            }
        }
        // The decision refuses a path that can't be made absolute.
        let path = absolute(path, self.base.as_deref()).unwrap_or(Cow::Borrowed(path));
        let mut routes = match self.everything {
            true => vec![UnixRoute::of_everything(verb, &path, deny)],
            false => allow.routes(verb, &path, deny),
        };
        for kept in &self.restrictions {
            let rules = match verb {
                Verb::UnixBind => &kept.allow.unix_bind,
                _ => &kept.allow.unix_connect,
            };
            routes.iter_mut().for_each(|route| route.keep(rules));
        }
        Ok(routes)
    }
}
