//! Whether a policy grants nothing that another one does not.
//!
//! A policy covers another one if it allows every act that the other one allows. The answer is
//! decided, not sampled: each verb divides its acts into parts in which no rule makes a difference,
//! and asks both policies about each part. What is found is then asked of both by
//! [`Policy::decide`].
//!
//! * An act at an address is asked about for each set of names by which a guest may have looked the
//!   address up, where the policy that is to be covered lets it. A name is a symbol: nothing is known
//!   of where it leads, except by `--resolve`. So a grant by name is covered by the same name, by a
//!   wildcard over it, or by rules about every public address, such as `*`.
//! * A budget is covered if the budgets of all rules that may be charged with its acts, taken
//!   together, are no larger ([`budgets`]).
//! * Paths are compared as they are written, and no link is followed.
//! * What the kernel chooses by itself is no act of a guest: the local port of a connection, for
//!   one.

pub(crate) mod addresses;
pub(crate) mod budgets;
pub(crate) mod cube;
mod forms;
mod names;
pub(crate) mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use crate::covers::budgets::Charges;
pub use crate::covers::budgets::ExcessBudget;
use crate::covers::words::{Patterns, Role, Universe};
use crate::decide::{Query, decide};
use crate::denial::{Allowed, Denial};
use crate::pins::Pins;
use crate::policy::Policy;
use crate::verbs::{Request, Rules, Verb, verb};

/// The answer could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The rules are too many or too intricate.
    #[error(
        "the rules are too many or too intricate to be compared; leave out those that both policies have in common"
    )]
    TooLarge,
    /// An act was found that the decision does not confirm.
    #[error(
        "the comparison found {0}, and the decision about it differs; this is an error of sandsock"
    )]
    Unconfirmed(String),
}

/// What a search found. None if there is nothing.
pub(crate) type Found<T> = Result<Option<T>, Undecided>;

/// What one policy grants beyond another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// An act that one allows and the other does not.
    Act(ExcessAct),
    /// A larger limit.
    Limit {
        /// The limit's word.
        name: &'static str,
        /// Its value in the policy that grants more.
        value: u64,
        /// Its value in the other one.
        bound: u64,
    },
    /// A larger budget.
    Budget(ExcessBudget),
}

/// An act that one policy allows and another one does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcessAct {
    /// The verb that decides.
    pub verb: Verb,
    /// The target. With the verb, it is an act as [`Asked`](crate::Asked) reads it.
    pub target: String,
    /// On which condition the one allows it, and the other does not. None if there is none.
    pub condition: Option<String>,
    /// The rule that allows it, or `allow-all`. None if no rule is needed.
    pub rule: Option<String>,
    /// The denial by the other policy.
    pub denial: Denial,
}

impl fmt::Display for ExcessAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verb.fmt(f)?;
        if !self.target.is_empty() {
            write!(f, "={}", self.target)?;
        }
        self.condition.as_ref().map_or(Ok(()), |condition| write!(f, " ({condition})"))
    }
}

/// The names by which a guest has an address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'a> {
    /// The names that it looked up.
    pub(crate) looked_up: [Option<&'a str>; 2],
    /// Another name of the first one: an alias, or a canonical name.
    pub(crate) alias: Option<&'a str>,
}

impl<'a> Names<'a> {
    pub(crate) fn one(name: &'a str) -> Self {
        Self { looked_up: [Some(name), None], alias: None }
    }

    pub(crate) fn looked_up(self) -> impl Iterator<Item = &'a str> {
        self.looked_up.into_iter().flatten()
    }
}

/// A policy that is to be covered, and the one that is to cover it.
pub(crate) struct Compared<'p> {
    pub(crate) left: &'p Policy,
    pub(crate) right: &'p Policy,
    /// Names that stand for all names.
    pub(crate) names: Vec<String>,
    now: Instant,
    /// The budgets to which both policies charge the same acts.
    charges: Charges,
}

impl<'p> Compared<'p> {
    fn new(left: &'p Policy, right: &'p Policy, now: Instant) -> Self {
        let charges = Charges::default();
        Self { left, right, names: names::of([left, right]), now, charges }
    }

    pub(crate) fn policies(&self) -> [&'p Policy; 2] {
        [self.left, self.right]
    }

    /// Returns the rules of both policies.
    pub(crate) fn rules(&self) -> [&'p Rules; 4] {
        self.roles().map(|(_, rules)| rules)
    }

    /// Returns the rules of both policies, with what they do.
    pub(crate) fn roles(&self) -> [(Role, &'p Rules); 4] {
        let Self { left, right, .. } = self;
        [
            (Role::LeftAllows, &left.allow),
            (Role::LeftDenies, &left.deny),
            (Role::RightAllows, &right.allow),
            (Role::RightDenies, &right.deny),
        ]
    }

    /// Returns the search for words, without patterns.
    pub(crate) fn words(&self, universe: Universe) -> Patterns {
        Patterns::new(universe, self.left.everything, self.right.everything)
    }

    /// Returns the names that the left policy lets a guest look up.
    pub(crate) fn looked_up(&self) -> impl Iterator<Item = &str> {
        let query = Query::without_pins(self.left);
        let names = self.names.iter().map(|name| &**name);
        names.filter(move |name| decide::<verb::Resolve>(&query, name).is_ok())
    }

    /// Returns whether a name may be another name of one that is looked up.
    pub(crate) fn may_stand_for(&self, name: &str) -> bool {
        self.left.deny.resolve.find(name).is_none()
    }

    /// Returns the addresses that are judged in ways of their own.
    pub(crate) fn special_addresses(&self) -> Vec<IpAddr> {
        let fixed = self.policies().into_iter().flat_map(|policy| policy.fixed_addresses());
        let plain = [
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        let mut all: Vec<IpAddr> = plain.into_iter().chain(fixed).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn decide(
        &self,
        policy: &'p Policy,
        request: &Request<'_>,
        at: Option<(IpAddr, Names<'_>)>,
    ) -> Result<Allowed<'p>, Denial> {
        let mut pins = Pins::new(self.now);
        if let Some((address, names)) = at {
            for name in names.looked_up() {
                pins.pin(name, &[address], self.now);
            }
            if let (Some(name), Some(alias)) = (names.looked_up[0], names.alias) {
                pins.note_others(name, &[alias.to_owned()]);
            }
        }
        policy.decide(request, &pins, self.now)
    }

    /// Asks both policies about an act. Returns it if the left one allows it and the right one does
    /// not.
    pub(crate) fn excess(&self, request: &Request<'_>) -> Option<Excess> {
        self.excess_on(request, None, None)
    }

    /// As [`excess`](Self::excess), for an address that the guest has by names.
    pub(crate) fn excess_at(
        &self,
        request: &Request<'_>,
        address: IpAddr,
        names: Names<'_>,
    ) -> Option<Excess> {
        self.excess_on(request, Some((address, names)), None)
    }

    /// As [`excess`](Self::excess), for an act that needs more words.
    pub(crate) fn excess_if(&self, request: &Request<'_>, condition: &str) -> Option<Excess> {
        self.excess_on(request, None, Some(condition))
    }

    /// Returns an act that the left policy allows, and that the right one denies for this reason.
    pub(crate) fn excess_without(
        &self,
        request: &Request<'_>,
        condition: String,
        reason: String,
    ) -> Option<Excess> {
        let allowed = self.decide(self.left, request, None).ok()?;
        Some(Excess::Act(ExcessAct {
            verb: request.verb(),
            target: request.to_string(),
            condition: Some(condition),
            rule: allowed.rule.map(str::to_owned),
            denial: Denial::new(reason),
        }))
    }

    fn excess_on(
        &self,
        request: &Request<'_>,
        at: Option<(IpAddr, Names<'_>)>,
        condition: Option<&str>,
    ) -> Option<Excess> {
        let allowed = self.decide(self.left, request, at).ok()?;
        let denial = self.decide(self.right, request, at).err()?;
        let mut target = request.to_string();
        let mut condition = condition.map(str::to_owned);
        if let Some((address, names)) = at
            && let Some(first) = names.looked_up[0]
        {
            let second = names.looked_up[1].map(|name| format!(" and {name}"));
            let alias = names.alias.map(|alias| format!(", which stands for {alias}"));
            let more = format!("{}{}", second.unwrap_or_default(), alias.unwrap_or_default());
            condition = Some(format!("{address} as an address of {first}{more}"));
            if self.decide(self.left, request, None).is_err() {
                // The name is what allows it.
                let bracketed = format!("[{address}]");
                let text =
                    if target.contains(&bracketed) { bracketed } else { address.to_string() };
                target = target.replacen(&text, first, 1);
            }
        }
        Some(Excess::Act(ExcessAct {
            verb: request.verb(),
            target,
            condition,
            rule: allowed.rule.map(str::to_owned),
            denial,
        }))
    }

    /// Returns the first of these acts that the left policy allows and the right one does not.
    pub(crate) fn first<'a>(
        &self,
        requests: impl IntoIterator<Item = Request<'a>>,
    ) -> Found<Excess> {
        Ok(requests.into_iter().find_map(|request| self.excess(&request)))
    }
}

/// Returns a word that is not taken: `like`, or `like` with a number.
pub(crate) fn untaken(taken: &BTreeSet<&str>, like: &str) -> String {
    let numbered = (0..=taken.len()).map(|n| format!("{like}{n}"));
    let mut words = [like.to_owned()].into_iter().chain(numbered);
    // There is one more word than words that are taken.
    words.find(|word| !taken.contains(&**word)).unwrap_or_default()
}

impl Policy {
    /// Returns what this policy grants and `other` does not: at most one act of each verb, every
    /// larger budget of the verbs without such an act, and every larger limit. `other` covers this policy if there is nothing.
    ///
    /// # Errors
    ///
    /// The rules are too many or too intricate.
    pub fn excess_over(&self, other: &Self, now: Instant) -> Result<Vec<Excess>, Undecided> {
        let compared = Compared::new(self, other, now);
        let mut all = Vec::new();
        for row in Verb::TABLE {
            all.extend(row.verb.excess(&compared)?);
        }
        all.extend(compared.larger_budgets().into_iter().map(Excess::Budget));
        let limits = self.limits.iter().zip(other.limits.iter());
        all.extend(
            limits
                .filter(|((_, value), (_, bound))| value > bound)
                .map(|((name, value), (_, bound))| Excess::Limit { name, value, bound }),
        );
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
