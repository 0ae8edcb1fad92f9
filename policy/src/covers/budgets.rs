//! Whether the budgets of one policy let no more move than those of another one.
//!
//! Both policies charge an act to a budget or to none. The verbs find an act for each pair of
//! budgets to which the two charge the same act. A guest can move in the acts of a pair all that
//! the left budget allows. So a right budget covers the left ones of its pairs if their sum is no
//! larger.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::covers::{Compared, Excess, ExcessAct, Names};
use crate::denial::Denial;
use crate::policy::Policy;
use crate::rule::Rule;
use crate::terms::{Budget, BudgetId, Scope, TlsTerms};
use crate::verbs::{Request, Verb};

/// The budgets to which two policies charge the same acts, each pair with an act. The left policy
/// may charge an act to none.
#[derive(Debug, Default)]
pub(crate) struct Charges(RefCell<BTreeMap<(BudgetId, Option<BudgetId>), Charge>>);

/// An act, and the rule by which the left policy allows it.
#[derive(Debug)]
struct Charge {
    act: String,
    rule: Option<String>,
}

/// A budget that lets less move than another policy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcessBudget {
    /// An act that the budget counts, as `VERB=TARGET`.
    pub act: String,
    /// The rules of the policy that grants more, to which it charges what the budget counts.
    pub rules: Vec<String>,
    /// The rule that has the budget.
    pub bound: String,
    /// What the budget allows less of, as a sentence.
    pub reason: String,
}

impl Compared<'_> {
    /// Returns whether the right policy has rules with terms for acts of these verbs.
    pub(crate) fn has_terms(&self, verbs: &[Verb]) -> bool {
        let rules = self.right.allowed();
        rules.iter().any(|rule| !rule.terms.is_empty() && verbs.contains(&rule.verb()))
    }

    /// Returns the act if both policies allow it, and the right one wants more of its TLS.
    pub(crate) fn wider_tls(
        &self,
        request: &Request<'_>,
        at: Option<(IpAddr, Names<'_>)>,
    ) -> Option<Excess> {
        let left = self.decide(self.left, request, at).ok()?;
        let right = self.decide(self.right, request, at).ok()?;
        if TlsTerms::fit(left.tls, right.tls) {
            return None;
        }
        let by = right.rule.unwrap_or_default();
        let reason = format!("{request} is allowed only as the rule {by} says");
        let mut denial = Denial::new(reason);
        denial.rule = right.rule.map(str::to_owned);
        Some(Excess::Act(ExcessAct {
            verb: request.verb(),
            target: request.to_string(),
            condition: Some(match left.tls {
                Some(tls) => format!("with {}", tls.to_string().trim_start_matches(';')),
                None => "without terms of TLS".to_owned(),
            }),
            rule: left.rule.map(str::to_owned),
            denial,
        }))
    }

    /// Notes to which budgets both policies charge an act, if both allow it.
    pub(crate) fn charge(&self, request: &Request<'_>, at: Option<(IpAddr, Names<'_>)>) {
        let Ok(left) = self.decide(self.left, request, at) else { return };
        let Ok(right) = self.decide(self.right, request, at) else { return };
        let Some(bound) = right.budget else { return };
        let mut charges = self.charges.0.borrow_mut();
        charges.entry((bound, left.budget)).or_insert_with(|| Charge {
            act: format!("{}={request}", request.verb()),
            rule: left.rule.map(str::to_owned),
        });
    }

    /// Returns the budgets of the right policy that let less move than the left policy does.
    pub(crate) fn larger_budgets(&self) -> Vec<ExcessBudget> {
        let charges = self.charges.0.borrow();
        let larger = self.right.budgets().zip(0..).filter_map(|((rule, bound), at)| {
            let id = BudgetId(at);
            let mut rules = Vec::new();
            let mut left = Vec::new();
            let mut act = None;
            for ((_, budget), charge) in charges.range((id, None)..=(id, Some(BudgetId(u32::MAX))))
            {
                rules.extend(charge.rule.clone());
                left.push(budget.and_then(|id| of(self.left, id)));
                act.get_or_insert(&charge.act);
            }
            let reason = reason(rule, bound, &left)?;
            Some(ExcessBudget { act: act?.clone(), rules, bound: rule.to_string(), reason })
        });
        larger.collect()
    }
}

/// Returns a budget of a policy.
fn of(policy: &Policy, id: BudgetId) -> Option<&Budget> {
    policy.budgets().nth(id.index()).map(|(_, budget)| budget)
}

/// Returns why a budget lets less move than others together, of which None is without a bound. None
/// if it does not.
pub(super) fn reason(rule: &Rule, bound: &Budget, left: &[Option<&Budget>]) -> Option<String> {
    /// Returns the sum of what the budgets allow. None if one of them has no such bound.
    fn sum(left: &[Option<&Budget>], of: impl Fn(&Budget) -> Option<u64>) -> Option<u64> {
        let mut all = left.iter().map(|budget| of((*budget)?));
        all.try_fold(0_u64, |sum, one| Some(sum.saturating_add(one?)))
    }
    let is_larger = |of: &dyn Fn(&Budget) -> Option<u64>| {
        of(bound).is_some_and(|bound| sum(left, of).is_none_or(|sum| sum > bound))
    };
    let less = if is_larger(&|budget| budget.bytes) {
        "allows fewer bytes"
    } else if is_larger(&|budget| budget.rate) {
        "allows a lower rate"
    } else if is_larger(&|budget| budget.connections.map(u64::from)) {
        "allows fewer connections"
    } else if bound.scope == Scope::Command
        && left.iter().flatten().any(|budget| budget.scope == Scope::Instance)
    {
        "is one for all instances"
    } else {
        return None;
    };
    Some(format!("the budget of the rule {rule} {less}"))
}
