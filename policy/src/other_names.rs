//! The other names of what is looked up: canonical names, aliases, and what a resolver's search
//! list makes of a single label.
//!
//! Deny rules hold for them. Rules that allow do not: a name server chooses the names in its
//! answers.

use std::iter::once;

use super::index::Endpoints;
use crate::decide::Query;
use crate::denial::Denial;
use crate::name::normalise_name;
use crate::policy::Policy;
use crate::verbs::Request;

impl Policy {
    /// Returns whether a rule that allows names this single label itself, as `resolve=db` and
    /// `tcp-connect=db:5432` do. The resolver's search list applies to no other name.
    pub fn grants_label(&self, name: &str) -> bool {
        let implied = self.allow.implying_resolve().map(|(_, rules)| &rules.names);
        !name.contains('.')
            && once(&self.allow.resolve.names).chain(implied).any(|names| names.has_exact(name))
            && self.keeps(|kept| kept.grants_label(name))
    }

    /// Returns whether this name may be looked up, or some rule denies something by it. If neither
    /// holds, no decision looks at the addresses of the name.
    pub fn concerns_name(&self, name: &str) -> bool {
        let Ok(name) = normalise_name(name) else { return false };
        let by_name = |rules: &Endpoints| rules.names.all(&name).next().is_some();
        Request::Resolve(&name).decide(&Query::without_pins(self)).is_ok()
            || self.deny.resolve.find(&name).is_some()
            || self.deny.endpoints().chain(once(&self.deny.reverse_resolve)).any(by_name)
    }

    /// Returns whether a deny rule names a name, so that the other names of an answer matter.
    pub fn denies_names(&self) -> bool {
        let by_name = |rules: &Endpoints| !rules.names.is_empty();
        !self.deny.resolve.names.is_empty()
            || self.deny.endpoints().chain(once(&self.deny.reverse_resolve)).any(by_name)
    }

    /// Decides on another name of `asked`, which was allowed.
    ///
    /// # Errors
    /// A rule denies look-ups of `other`.
    pub fn judge_other_name(&self, asked: &str, other: &str) -> Result<(), Denial> {
        // A text that is no host name is in no rule.
        let Ok(other) = normalise_name(other) else { return Ok(()) };
        match self.deny.resolve.find(&other) {
            Some(rule) => {
                let what = format_args!("resolve of {asked}, which stands for {other},");
                Err(Denial::by_rule(what, self.deny.text(rule)))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Instant;

    use super::super::{Pins, Request};
    use super::*;

    #[test]
    fn a_label_is_granted_by_its_own_rule_alone() {
        let by = |rule: &str, name: &str| Policy::of_rules(&[rule], &[]).grants_label(name);
        assert!(
            by("resolve=db", "db") && by("tcp-connect=DB:80", "db") && by("udp-send=db:*", "db")
        );
        assert!(
            !by("resolve=*", "db")
                && !by("tcp-connect=db.example:80", "db")
                && !by("resolve=db.example", "db.example")
        );
        let mut all = Policy::builder();
        all.allow_all();
        assert!(!all.build().grants_label("db"));
    }

    #[test]
    fn a_policy_concerns_the_names_that_it_lets_look_up_or_denies_by() {
        let policy = Policy::of_rules(
            &["tcp-connect=a.example:80", "resolve=*.b.example", "tcp-connect=*:443"],
            &["udp-send=c.example:53", "resolve=d.example"],
        );
        for name in ["a.example", "A.Example.", "x.b.example", "c.example", "d.example"] {
            assert!(policy.concerns_name(name), "{name}");
        }
        for name in ["b.example", "e.example", "no name\0"] {
            assert!(!policy.concerns_name(name), "{name}");
        }
    }

    #[test]
    fn another_name_is_judged_by_deny_rules_alone() {
        let policy = Policy::of_rules(&["resolve=*"], &["resolve=*.corp.example"]);
        assert!(policy.denies_names());
        let denial = policy
            .judge_other_name("alias.example", "Secret.Corp.Example.")
            .unwrap_err()
            .to_string();
        assert!(
            denial.contains(
                "alias.example, which stands for secret.corp.example, is denied by the rule"
            ),
            "{denial}"
        );
        assert!(policy.judge_other_name("alias.example", "host.example").is_ok());
        assert!(policy.judge_other_name("alias.example", "no name\0").is_ok());
    }

    #[test]
    fn an_address_is_denied_by_the_other_names_of_its_name() {
        let policy =
            Policy::of_rules(&["tcp-connect=*:*", "resolve=*"], &["tcp-connect=secret.example:22"]);
        let address: IpAddr = "203.0.113.1".parse().unwrap();
        let now = Instant::now();
        let mut pins = Pins::new(now);
        let others = ["secret.example".to_owned()];
        assert_eq!(
            policy.judge_answers_of("alias.example", &others, vec![address]).kept,
            [address]
        );
        pins.pin("alias.example", &[address], now);
        pins.note_others("alias.example", &others);
        let connect =
            |port| policy.decide(&Request::TcpConnect((address, port).into()), &pins, now).is_ok();
        assert!(connect(80) && !connect(22));
        // A name in an answer opens nothing.
        let narrow = Policy::of_rules(&["tcp-connect=secret.example:80", "resolve=*"], &[]);
        assert!(narrow.decide(&Request::TcpConnect((address, 80).into()), &pins, now).is_err());
    }

    #[test]
    fn an_answer_of_which_deny_rules_leave_nothing_is_dropped() {
        let policy =
            Policy::of_rules(&["tcp-connect=alias.example:22"], &["tcp-connect=secret.example:*"]);
        let address: IpAddr = "203.0.113.1".parse().unwrap();
        let others = ["secret.example".to_owned()];
        assert!(policy.judge_answers_of("alias.example", &others, vec![address]).kept.is_empty());
        assert_eq!(policy.judge_answers_of("alias.example", &[], vec![address]).kept, [address]);
    }
}
