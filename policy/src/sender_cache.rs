//! What is known of the senders that a policy allows, worked out once.

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
    /// By one that counts no more, but for rules that deny.
    Expired,
}

/// What is known of a policy's senders without any pin, worked out once for all its instances.
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
    /// What allows, each with what takes from it.
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
