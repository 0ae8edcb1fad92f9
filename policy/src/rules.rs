//! The rules of one verb, of which its index is made.

use std::sync::Arc;

use crate::index::RuleId;
use crate::sets::BuiltSets;
use crate::unix::RealPath;

/// The rules of one verb on one side of a policy, and what an index may need besides.
pub(crate) struct VerbRules<'a, P> {
    pub(crate) rules: Vec<(RuleId, &'a P)>,
    /// The texts of all rules of the side, by `RuleId`.
    pub(crate) texts: &'a [Arc<str>],
    /// The sets that rules may name.
    pub(crate) sets: &'a BuiltSets,
    /// Whether the rules deny.
    pub(crate) deny: bool,
    /// The policy's base directory.
    pub(crate) base: Option<&'a [u8]>,
    /// Returns real paths.
    pub(crate) real_path: RealPath<'a>,
}

impl<P: Clone> VerbRules<'_, P> {
    /// Returns the patterns as a list, in the order of the rules.
    pub(crate) fn list(&self) -> Vec<(P, RuleId)> {
        self.rules.iter().map(|(rule, pattern)| ((*pattern).clone(), *rule)).collect()
    }
}
