//! How often each rule decided, and how often each grant was missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use sandsock_policy::{Decision, Verdict};

/// The most rules, and the most missing grants, that are counted one by one. A guest can cause any
/// number of missing grants.
const ROWS_MAX: usize = 1000;

/// How often a rule decided. Each receive of a datagram is a decision, and so is the first of
/// several sends to the same address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleCounters {
    /// The rule, or `allow-all`.
    pub rule: String,
    /// How often it allowed something.
    pub allowed: u64,
    /// How often it denied something.
    pub denied: u64,
}

/// How often a grant was missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MissingCounters {
    /// The grant, `VERB=TARGET`.
    pub grant: String,
    /// How often something was denied for want of it.
    pub denied: u64,
    /// How often something passed that would be denied if the policy were enforced.
    pub would_deny: u64,
}

/// Counts decisions.
#[derive(Default)]
pub(super) struct Rules {
    rules: BTreeMap<String, RuleCounters>,
    missing: BTreeMap<String, MissingCounters>,
    /// The decisions of rules and for want of grants that have no row.
    more: u64,
}

impl Rules {
    pub(super) fn count(&mut self, decision: &Decision<'_>) {
        match (decision.decision, decision.rule, decision.grant) {
            (verdict, Some(rule), _) => match row(&mut self.rules, rule) {
                Some(row) if verdict == Verdict::Allow => row.allowed += 1,
                Some(row) => row.denied += 1,
                None => self.more += 1,
            },
            (Verdict::Deny | Verdict::WouldDeny, None, Some(grant)) => {
                match row(&mut self.missing, grant) {
                    Some(row) if decision.decision == Verdict::Deny => row.denied += 1,
                    Some(row) => row.would_deny += 1,
                    None => self.more += 1,
                }
            }
            (_, None, _) => {}
        }
    }

    pub(super) fn rules(&self) -> Vec<RuleCounters> {
        let row = |(rule, row): (&String, &RuleCounters)| RuleCounters {
            rule: rule.clone(),
            ..row.clone()
        };
        self.rules.iter().map(row).collect()
    }

    pub(super) fn missing(&self) -> Vec<MissingCounters> {
        let row = |(grant, row): (&String, &MissingCounters)| MissingCounters {
            grant: grant.clone(),
            ..row.clone()
        };
        self.missing.iter().map(row).collect()
    }

    pub(super) fn more(&self) -> u64 {
        self.more
    }

    /// Writes the rows of a table, if there are any.
    pub(super) fn table(&self, text: &mut String) {
        let mut line = |numbers: [&dyn std::fmt::Display; 2], name: &str| {
            let _ = writeln!(text, "{:>8}  {:>8}  {name}", numbers[0], numbers[1]);
        };
        if !self.rules.is_empty() {
            line([&"allowed", &"denied"], "rule");
            for (rule, row) in &self.rules {
                line([&row.allowed, &row.denied], rule);
            }
        }
        if !self.missing.is_empty() {
            line([&"passed", &"denied"], "missing grant");
            for (grant, row) in &self.missing {
                line([&row.would_deny, &row.denied], grant);
            }
        }
        if self.more > 0 {
            let _ = writeln!(text, "{:>8}  more decisions", self.more);
        }
    }
}

/// Returns the row of a name. None if there are too many rows.
fn row<'a, R: Default>(rows: &'a mut BTreeMap<String, R>, name: &str) -> Option<&'a mut R> {
    // Most decisions find their row, and allocate nothing.
    if !rows.contains_key(name) {
        if rows.len() >= ROWS_MAX {
            return None;
        }
        rows.insert(name.to_owned(), R::default());
    }
    rows.get_mut(name)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sandsock_policy::Denial;

    use super::*;

    #[test]
    fn rules_and_missing_grants_are_counted() {
        let mut rules = Rules::default();
        let time = SystemTime::UNIX_EPOCH;
        let by_rule = Denial { rule: Some("udp-bind=*:7".into()), ..Denial::new("no".into()) };
        let missing = Denial { grant: Some("tcp-connect=a:1".into()), ..Denial::new("no".into()) };
        let allowed =
            || Decision::allowed(time, "tcp-connect", "a".into(), Some("tcp-connect=*:*"));
        let denied = |denial| Decision::denied(time, "udp-bind", "a".into(), denial);
        for decision in [allowed(), allowed(), denied(&by_rule), denied(&missing)] {
            rules.count(&decision);
        }
        rules.count(&denied(&missing).passed());
        // No rule is needed.
        rules.count(&Decision::allowed(time, "socket", "2:1:0".into(), None));
        let counts: Vec<_> =
            rules.rules().into_iter().map(|row| (row.rule, row.allowed, row.denied)).collect();
        assert_eq!(counts, [("tcp-connect=*:*".into(), 2, 0), ("udp-bind=*:7".into(), 0, 1)]);
        let counts: Vec<_> = rules
            .missing()
            .into_iter()
            .map(|row| (row.grant, row.denied, row.would_deny))
            .collect();
        assert_eq!(counts, [("tcp-connect=a:1".into(), 1, 1)]);
        let mut table = String::new();
        rules.table(&mut table);
        assert_eq!(
            table,
            " allowed    denied  rule\n       2         0  tcp-connect=*:*\n       0         1  udp-bind=*:7\n  passed    denied  missing grant\n       1         1  tcp-connect=a:1\n"
        );
    }

    #[test]
    fn rows_are_bounded() {
        let mut rules = Rules::default();
        for port in 0..2 * ROWS_MAX {
            let grant = format!("tcp-connect=127.0.0.1:{port}");
            let missing = Denial { grant: Some(grant), ..Denial::new("no".into()) };
            let time = SystemTime::UNIX_EPOCH;
            rules.count(&Decision::denied(time, "tcp-connect", "a".into(), &missing));
        }
        assert_eq!((rules.missing().len(), rules.more()), (ROWS_MAX, ROWS_MAX as u64));
    }
}
