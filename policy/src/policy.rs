//! A policy: its rules, limits and fixed addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::address::canonical;
use crate::denial::Allowed;
use crate::index::RuleId;
use crate::limits::Limits;
use crate::name::normalise_name;
use crate::publish::Published;
use crate::sender_cache::Cache;
use crate::verbs::Grant;
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
    pub(super) senders: Cache,
}

impl Policy {
    /// Returns the version of an instance's policy. The first is 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// Returns this policy as the successor of `previous`. Its generation is one higher, so that
    /// earlier decisions are made anew.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        self.generation = previous.generation + 1;
        self
    }
    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    /// Returns whether everything is allowed that no rule denies.
    pub fn allows_all(&self) -> bool {
        self.everything
    }
    /// The rules that allow, in the order in which they were given.
    pub fn allowed(&self) -> &[Grant] {
        &self.allow.grants
    }
    /// The rules that deny.
    pub fn denied(&self) -> &[Grant] {
        &self.deny.grants
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
    /// Returns the host's address that replaces one that a guest binds, if that is published.
    pub fn published(&self, verb: Verb, guest: SocketAddr) -> Option<SocketAddr> {
        self.published.find(verb, guest).map(|(host, _)| host)
    }
    pub(super) fn by(&self, rule: RuleId) -> Allowed<'_> {
        Allowed { rule: Some(self.allow.text(rule)) }
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
