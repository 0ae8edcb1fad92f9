//! The senders that a policy allows, computed once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::index::Endpoints;
use crate::program;
use crate::program::{Layout, Program};
use crate::senders::Senders;

/// How a name has an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// By `--resolve`.
    Fixed,
    /// By a look-up that counts.
    Fresh,
    /// By a look-up that has expired. It counts for rules that deny.
    Expired,
}

/// A policy's senders without any pin, computed once for all its instances.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    pub(crate) udp: OnceLock<Arc<Known>>,
    pub(crate) packets: Arc<Mutex<BTreeMap<u8, Arc<Known>>>>,
}

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) restricted: bool,
    /// No more spans than a program has room for.
    pub(crate) senders: Arc<Senders>,
    pub(crate) programs: Mutex<BTreeMap<Layout, Arc<Program>>>,
}

impl Known {
    pub(crate) fn new(senders: Senders) -> Self {
        let restricted = !senders.is_everyone();
        Self {
            restricted,
            senders: Arc::new(program::fitting(senders)),
            programs: Mutex::default(),
        }
    }
}

/// The rules that name a socket's senders.
pub(crate) struct SenderRules<'p> {
    /// The rules that allow, each with the rules that are subtracted from it.
    pub(crate) allow: Vec<(&'p Endpoints, Option<&'p Endpoints>)>,
    pub(crate) deny: &'p Endpoints,
}

impl SenderRules<'_> {
    pub(crate) fn denying(&self) -> impl Iterator<Item = &Endpoints> {
        self.allow.iter().filter_map(|(_, deny)| *deny).chain([self.deny])
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Endpoints> {
        self.allow.iter().map(|(allow, _)| *allow).chain(self.denying())
    }
}
