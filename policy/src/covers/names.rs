//! Names as symbols: one for each set of patterns that a name can be in.

use std::collections::BTreeSet;

use crate::name::normalise_name;
use crate::policy::Policy;
use crate::verbs::Rules;

/// The names that patterns spell out, and the names whose subdomains they hold.
#[derive(Debug, Default)]
struct Named<'p> {
    exact: BTreeSet<&'p str>,
    below: BTreeSet<&'p str>,
}

/// Returns names such that every name is in the same patterns of these policies as one of them: the
/// names that patterns spell out, one below each that patterns end in, and one that is in no
/// pattern.
pub(super) fn of(policies: [&Policy; 2]) -> Vec<String> {
    let mut named = Named::default();
    for policy in policies {
        named.add(&policy.allow);
        named.add(&policy.deny);
        named.exact.extend(policy.fixed.names.keys().map(|name| &**name));
    }
    let mut names: Vec<String> = named.exact.iter().map(|name| (*name).to_owned()).collect();
    names.extend(named.below.iter().filter_map(|suffix| named.other(&format!(".{suffix}"))));
    let ends = [".example", ".test", ".invalid", ""];
    let end = ends.into_iter().find(|end| !named.below.contains(end.trim_start_matches('.')));
    names.extend(named.other(end.unwrap_or_default()));
    names
}

impl<'p> Named<'p> {
    fn add(&mut self, rules: &'p Rules) {
        let all = rules.endpoints().chain([&rules.reverse_resolve]).map(|rules| &rules.names);
        for names in all.chain([&rules.resolve.names]) {
            self.exact.extend(names.exact());
            self.below.extend(names.below());
        }
    }

    /// Returns a name with this end that no pattern spells out, one label longer than the end. None
    /// if no such name is short enough.
    fn other(&self, end: &str) -> Option<String> {
        let letters = ('a'..='z').map(String::from);
        let numbers = (0..=self.exact.len()).map(|n| format!("x{n}"));
        ["any".to_owned()].into_iter().chain(letters).chain(numbers).find_map(|label| {
            let name = format!("{label}{end}");
            let is_free = !self.exact.contains(&*name) && normalise_name(&name).is_ok();
            is_free.then_some(name)
        })
    }
}
