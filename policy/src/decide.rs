//! The one decision about every request.
//!
//! Every verb is decided in the same steps. A verb's file in `verbs/` fills them in: it implements
//! [`Capability`].

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use crate::covers::{Compared, Excess, Found};
use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::error::ParseError;
use crate::index::{Endpoints, RuleId};
use crate::pins::{Pin, Pins};
use crate::policy::Policy;
use crate::rule::with_target;
use crate::rules::VerbRules;
use crate::verbs::Row;

/// The answer to a request.
pub(crate) type Answer<'p> = Result<Allowed<'p>, Denial>;

/// A request, and the name in place of which an address stands in it.
pub(crate) type Asked<'a, R> = (R, Option<&'a str>);

/// What making a request of a rule's target looks at besides the pattern.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) policy: &'a Policy,
    /// The target's text.
    pub(crate) target: &'a str,
    /// The address that stands in place of a name.
    pub(crate) address: IpAddr,
}

/// All of a verb: how its rules are written and found, and how its requests are decided.
pub(crate) trait Capability: Row {
    /// The targets that help and errors show. Each is a valid target. None if the verb stands
    /// alone.
    const EXAMPLES: &'static [&'static str];
    /// What the verb grants, as the end of a sentence.
    const ABOUT: &'static str;
    /// The preposition between the verb and its target in a denial, after a space: ` to`.
    const PREPOSITION: &'static str = "";

    /// Whether a grant by a name implies the grant to look the name up.
    const IMPLIES_RESOLVE: bool = false;

    /// The rules of one side of a policy, in the form in which a decision finds them.
    type Index: Clone + fmt::Debug + Default;

    /// Parses a rule's target.
    ///
    /// # Errors
    ///
    /// It is no target of this verb.
    fn parse(target: &str) -> Result<Self::Pattern, ParseError>;

    /// Makes the index of rules.
    fn index(rules: &VerbRules<'_, Self::Pattern>) -> Self::Index;

    /// Returns the part of the index by which an address may be used. None if the verb is about
    /// something else.
    fn endpoints(_: &Self::Index) -> Option<&Endpoints> {
        None
    }

    /// Writes what is asked for. Texts that the guest chose are escaped.
    fn show(asked: Self::Request<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Returns the answer that no rule can change. None if rules decide.
    fn settled<'p>(_: &Query<'p, '_>, _: Self::Request<'_>) -> Option<Answer<'p>> {
        None
    }

    /// Returns the rule that denies the request.
    fn denied<'p>(query: &Query<'p, '_>, asked: Self::Request<'_>) -> Option<&'p str>;

    /// Returns the answer if the request needs no grant of this verb. It may need one of another.
    fn exempt<'p>(_: &Query<'p, '_>, _: Self::Request<'_>) -> Option<Answer<'p>> {
        None
    }

    /// Returns what allows the request. It uses the pin by which a name has the address.
    fn allowed<'p>(query: &Query<'p, '_>, asked: Self::Request<'_>) -> Option<Allowed<'p>>;

    /// Returns the target of the rule that would allow the request. None if no rule can name it.
    fn grant(asked: Self::Request<'_>) -> Option<String>;

    /// Returns the denial of a request that no rule allows.
    fn missing(_: &Query<'_, '_>, asked: Self::Request<'_>) -> Denial {
        let grant = Self::grant(asked).map(|target| with_target(Self::VERB, &target));
        Denial::missing(Self::what(asked), grant)
    }

    /// Returns the verb and what is asked for, as the start of a sentence.
    fn what(asked: Self::Request<'_>) -> String {
        format!("{}{} {}", Self::VERB, Self::PREPOSITION, shown::<Self>(asked))
    }

    /// Makes the request that a rule's target names, if it names one thing.
    ///
    /// # Errors
    ///
    /// The target names more than one thing. The error says what to write.
    fn ask<'a>(
        pattern: &'a Self::Pattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str>;

    /// Returns an act of this verb that the left policy allows and the right one does not. None if
    /// there is no such act.
    ///
    /// # Errors
    ///
    /// The rules are too many or too intricate.
    fn excess(compared: &Compared<'_>) -> Found<Excess>;

    /// Returns requests of every form, for the tests of all verbs.
    #[cfg(test)]
    fn samples() -> Vec<Self::Request<'static>>;
}

/// What is asked for, to be printed.
pub(crate) fn shown<C: Capability + ?Sized>(asked: C::Request<'_>) -> impl fmt::Display {
    fmt::from_fn(move |f| C::show(asked, f))
}

/// What a decision looks at besides the request: the policy, and the names that were looked up.
#[derive(Clone, Copy)]
pub(crate) struct Query<'p, 'q> {
    pub(crate) policy: &'p Policy,
    pins: Option<(&'q Pins, Instant)>,
}

impl<'p, 'q> Query<'p, 'q> {
    pub(crate) fn new(policy: &'p Policy, pins: &'q Pins, now: Instant) -> Self {
        Self { policy, pins: Some((pins, now)) }
    }

    /// A query to which no look-up matters.
    pub(crate) fn without_pins(policy: &'p Policy) -> Self {
        Self { policy, pins: None }
    }

    /// Returns the pins of an address, expired ones too.
    pub(crate) fn pins_at(&self, address: IpAddr) -> &'q [Pin] {
        self.pins.map_or(&[], |(pins, _)| pins.at(address))
    }

    /// Returns whether a pin has not expired.
    pub(crate) fn is_fresh(&self, pin: &Pin) -> bool {
        self.pins.is_some_and(|(pins, now)| pins.is_fresh(pin, now))
    }

    /// Notes that a pin is used, which prolongs it.
    pub(crate) fn touch(&self, pin: &Pin) {
        if let Some((pins, now)) = self.pins {
            pins.touch(pin, now);
        }
    }
}

/// Decides on a request of one verb.
pub(crate) fn decide<'p, C: Capability>(
    query: &Query<'p, '_>,
    asked: C::Request<'_>,
) -> Answer<'p> {
    if let Some(answer) = C::settled(query, asked) {
        return answer;
    }
    if let Some(rule) = C::denied(query, asked) {
        return Err(Denial::by_rule(C::what(asked), rule));
    }
    if let Some(answer) = C::exempt(query, asked) {
        return answer;
    }
    // The rule that says most about the request is named before `allow-all`.
    let everything = query.policy.everything.then_some(Allowed::by(EVERYTHING));
    let allowed = C::allowed(query, asked).or(everything);
    allowed.ok_or_else(|| C::missing(query, asked))
}

/// Returns the first rule of a list whose pattern fits. Such lists are short, because nobody has
/// thousands of interfaces.
pub(crate) fn find<P>(list: &[(P, RuleId)], fits: impl Fn(&P) -> bool) -> Option<RuleId> {
    list.iter().find(|(pattern, _)| fits(pattern)).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests;
