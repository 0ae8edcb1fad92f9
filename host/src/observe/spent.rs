//! What was used of the budgets of rules.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::authority::budgets::Budgets;
use crate::descriptor::account::BudgetUse;
use sandsock_policy::Scope;

/// The most rules that are counted one by one. An embedder can give each instance a policy of its
/// own.
const ROWS_MAX: usize = 1000;

/// What instances used of the budget of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetCounters {
    /// The rule.
    pub rule: String,
    /// Bytes that were sent and received, by all instances together.
    pub bytes: u64,
    /// The most connections that were open at once: of one instance, or of all if they share the
    /// budget.
    pub connections: u32,
}

/// The use of budgets by all instances.
#[derive(Default)]
pub(super) struct BudgetRows {
    /// By instances that have ended.
    ended: BTreeMap<String, BudgetCounters>,
    running: BTreeMap<u64, Budgets>,
}

impl BudgetRows {
    pub(super) fn began(&mut self, instance: u64, budgets: &Budgets) {
        self.running.insert(instance, budgets.clone());
    }

    pub(super) fn ended(&mut self, instance: u64) {
        if let Some(budgets) = self.running.remove(&instance) {
            budgets.used().into_iter().for_each(|used| count(&mut self.ended, used));
        }
    }

    pub(super) fn counters(&self) -> Vec<BudgetCounters> {
        let mut all = self.ended.clone();
        let running = self.running.values().flat_map(Budgets::used);
        running.for_each(|used| count(&mut all, used));
        all.into_values().collect()
    }

    /// Writes the rows of a table, if there are any.
    pub(super) fn table(&self, text: &mut String) {
        let all = self.counters();
        let mut line =
            |bytes: &dyn std::fmt::Display, connections: &dyn std::fmt::Display, rule: &str| {
                let _ = writeln!(text, "{bytes:>12}  {connections:>11}  {rule}");
            };
        if !all.is_empty() {
            line(&"bytes", &"connections", "budget");
        }
        for BudgetCounters { rule, bytes, connections } in &all {
            line(bytes, connections, rule);
        }
    }
}

/// Adds what an instance has used.
fn count(rows: &mut BTreeMap<String, BudgetCounters>, used: BudgetUse) {
    if !rows.contains_key(&used.rule) {
        if rows.len() >= ROWS_MAX {
            return;
        }
        let row = BudgetCounters { rule: used.rule.clone(), ..BudgetCounters::default() };
        rows.insert(used.rule.clone(), row);
    }
    let Some(row) = rows.get_mut(&used.rule) else { return };
    row.bytes = match used.scope {
        Scope::Instance => row.bytes.saturating_add(used.bytes),
        // Each instance has the count of all.
        Scope::Command => row.bytes.max(used.bytes),
    };
    row.connections = row.connections.max(used.most_connections);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_instances_is_added_unless_they_share_it() {
        let mut rows = BTreeMap::new();
        for (scope, bytes, most) in [
            (Scope::Instance, 5, 2),
            (Scope::Instance, 7, 1),
            (Scope::Command, 5, 2),
            (Scope::Command, 7, 3),
        ] {
            let (rule, most_connections) = (scope.name().to_owned(), most);
            count(&mut rows, BudgetUse { rule, scope, bytes, connections: 0, most_connections });
        }
        let found: Vec<_> =
            rows.values().map(|row| (&*row.rule, row.bytes, row.connections)).collect();
        assert_eq!(found, [("command", 7, 3), ("instance", 12, 2)]);
    }
}
