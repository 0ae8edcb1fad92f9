//! A policy: its rules, limits and fixed addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};

use crate::address::{Nat64, canonical};
use crate::denial::Allowed;
use crate::host::HostPattern;
use crate::index::RuleId;
use crate::limits::Limits;
use crate::name::normalise_name;
use crate::publish::Published;
use crate::rule::Rule;
use crate::sender_cache::Cache;
use crate::sets::Sets;
use crate::terms::Budget;
use crate::verbs::Rules;
use crate::verbs::Verb;

/// Addresses given to names with `--resolve`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) names: HashMap<Box<str>, (Vec<IpAddr>, Box<str>)>,
    pub(crate) addresses: HashMap<IpAddr, Vec<Box<str>>>,
}

/// What an instance may do. Immutable: a change makes a new one, see [`Policy::following`].
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) allow: Rules,
    pub(super) deny: Rules,
    pub(super) everything: bool,
    pub(crate) fixed: Fixed,
    pub(super) published: Published,
    pub(crate) limits: Limits,
    pub(crate) base: Option<Box<[u8]>>,
    pub(crate) generation: u64,
    pub(crate) sets: Sets,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) nat64: Nat64,
    pub(super) senders: Cache,
    /// What the guest has kept each time that it gave up rights. Each is a policy without rules that
    /// deny.
    pub(crate) restrictions: Vec<Arc<Policy>>,
    /// By what an observing policy says what it would deny. None if this policy is enforced.
    pub(super) enforced: Option<Arc<Policy>>,
}

impl Policy {
    /// Returns the version of an instance's policy. The first is 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// Returns this policy as the successor of `previous`. Its generation is one higher, so that
    /// earlier decisions are made anew. What the guest has given up stays given up.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        self.generation = previous.generation + 1;
        for restriction in &previous.restrictions {
            if !self.restrictions.iter().any(|own| Arc::ptr_eq(own, restriction)) {
                self.restrictions.push(Arc::clone(restriction));
            }
        }
        self
    }
    /// Returns how often the guest has given up rights.
    pub fn restrictions(&self) -> usize {
        self.restrictions.len()
    }
    /// Returns whether the guest has given up rights.
    pub fn is_restricted(&self) -> bool {
        !self.restrictions.is_empty()
    }
    /// Returns whether a question has this answer under each restriction too.
    pub(crate) fn keeps(&self, holds: impl Fn(&Self) -> bool) -> bool {
        self.restrictions.iter().all(|kept| holds(kept))
    }
    /// Returns a policy that only observes: it lets everything pass that no rule denies. This one
    /// says what would be denied if it were enforced ([`Self::enforced`]).
    #[must_use]
    pub fn observing(self) -> Self {
        let enforced = self.clone();
        self.passing(enforced)
    }
    /// As [`Self::observing`], with another policy that says what would be denied. The rules that
    /// deny are those of this one.
    #[must_use]
    pub fn passing(self, enforced: Self) -> Self {
        Self {
            everything: true,
            // They follow from `everything`.
            senders: Cache::default(),
            enforced: Some(Arc::new(enforced)),
            ..self
        }
    }
    /// Returns the policy by which this one says what it would deny. None if this one does not
    /// only observe.
    pub fn enforced(&self) -> Option<&Self> {
        self.enforced.as_deref()
    }
    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    /// Returns whether everything is allowed that no rule denies.
    pub fn allows_all(&self) -> bool {
        self.everything && !self.is_restricted()
    }
    /// The rules that allow, in the order in which they were given.
    pub fn allowed(&self) -> &[Rule] {
        &self.allow.rules
    }
    /// The rules that deny.
    pub fn denied(&self) -> &[Rule] {
        &self.deny.rules
    }
    /// The budgets of the rules that allow, each with its rule, in the order of
    /// [`BudgetId::index`].
    ///
    /// [`Allowed::budget`] says which of them an act is charged to. The policy itself counts
    /// nothing.
    pub fn budgets(&self) -> impl Iterator<Item = (&Rule, &Budget)> {
        self.allow.rules.iter().filter_map(|rule| Some((rule, rule.terms.budget.as_ref()?)))
    }
    /// Returns the directory where relative UNIX paths start. None if the policy has no relative
    /// paths.
    pub fn start_of_paths(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt;
        let base = self.base.as_deref()?;
        Some(if base.is_empty() {
            Path::new("/")
        } else {
            Path::new(std::ffi::OsStr::from_bytes(base))
        })
    }
    /// The folder that each rule about UNIX paths fixes, absolute, with the rule's text and whether
    /// it denies.
    ///
    /// Paths are judged by their names. A guest that can rename or link files in, above or below
    /// such a folder by other means, for example in a folder of WASI, can evade the rule.
    pub fn unix_folders(&self) -> impl Iterator<Item = (PathBuf, &str, bool)> {
        [(&self.allow, false), (&self.deny, true)].into_iter().flat_map(|(rules, deny)| {
            let both = rules.unix_connect.folders().chain(rules.unix_bind.folders());
            both.map(move |(folder, rule)| (folder, rule, deny))
        })
    }
    /// The addresses that `--resolve` gave a name, to be answered without a look-up. They are
    /// judged as answers are.
    pub fn fixed(&self, name: &str) -> Option<&[IpAddr]> {
        let name = normalise_name(name).ok()?;
        self.fixed.names.get(&*name).map(|(addresses, _)| addresses.as_slice())
    }
    /// The policy files that were read, in the order in which they were first named.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
    /// Returns the host's address that replaces one that a guest binds, if that is published.
    pub fn published(&self, verb: Verb, guest: SocketAddr) -> Option<SocketAddr> {
        self.published.find(verb, guest).map(|(host, _)| host)
    }
    pub(super) fn by(&self, rule: RuleId) -> Allowed<'_> {
        Allowed {
            rule: Some(self.allow.text(rule)),
            budget: self.allow.budget(rule),
            tls: self.allow.tls(rule),
        }
    }
    /// Returns whether an address lies in [private space](crate::is_private), which includes what the
    /// policy's NAT64 prefixes lead there.
    pub(crate) fn is_private(&self, address: IpAddr) -> bool {
        self.nat64.is_private(address)
    }
    /// The sets that the operator named, each with its hosts.
    pub fn sets(&self) -> impl Iterator<Item = (&str, &[HostPattern])> {
        self.sets.named.iter().map(|(word, hosts)| (&**word, hosts.as_slice()))
    }
    /// The NAT64 prefixes that the operator named.
    pub fn nat64(&self) -> &[Ipv6Net] {
        &self.sets.nat64
    }
    /// This host's networks, which `public` does not hold.
    pub fn host_networks(&self) -> &[IpNet] {
        &self.sets.own_networks
    }
    /// The names of a canonical address: those with a fixed address first.
    pub(super) fn fixed_names(&self, address: IpAddr) -> &[Box<str>] {
        if self.fixed.addresses.is_empty() {
            &[]
        } else {
            self.fixed.addresses.get(&address).map_or(&[], Vec::as_slice)
        }
    }
    /// The addresses that `--resolve` gives to names.
    pub(super) fn fixed_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.fixed.addresses.keys().copied()
    }
    /// The names to which `--resolve` gave this address, in the order given: the answer to a
    /// reverse look-up, without asking any resolver. They are judged as any other.
    pub fn fixed_names_of(&self, address: IpAddr) -> &[Box<str>] {
        self.fixed_names(canonical(address))
    }
}
