//! The pollers that the descriptors of an open file description are registered with.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use smallvec::SmallVec;

use super::Handle;
use crate::descriptor::poll_set::Set;

/// A registration of a descriptor with a poller.
#[derive(Debug)]
pub(super) struct Watcher {
    set: Weak<Set>,
    key: u64,
    /// The address of the handle, which leaves its pollers before it is dropped.
    handle: usize,
}

impl Handle {
    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.open.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was registered with a poller.
    pub(crate) fn watch(&self, set: &Arc<Set>, key: u64) {
        let mut watchers = self.watchers();
        if watchers.len() == watchers.capacity() {
            watchers.retain(|known| known.set.strong_count() > 0);
            // As much room again, so that this is rare.
            let live = watchers.len();
            watchers.reserve(live + 1);
        }
        let set = Arc::downgrade(set);
        watchers.push(Watcher { set, key, handle: std::ptr::from_ref(self).addr() });
    }

    /// It was taken out of a poller.
    pub(crate) fn unwatch(&self, set: &Arc<Set>, key: u64) {
        let own = std::ptr::from_ref(self).addr();
        self.watchers().retain(|known| {
            known.handle != own
                || known.key != key
                || !std::ptr::eq(known.set.as_ptr(), Arc::as_ptr(set))
        });
    }

    /// Returns the pollers that it is registered with, and its keys there.
    pub(super) fn own_watchers(&self) -> Vec<(Arc<Set>, u64)> {
        let own = std::ptr::from_ref(self).addr();
        let watchers = self.watchers();
        let of = |known: &Watcher| Some((known.set.upgrade()?, known.key));
        watchers.iter().filter(|known| known.handle == own).filter_map(of).collect()
    }

    /// If its session of TLS has plain bytes, of which the kernel knows nothing, every poller of
    /// every duplicate and every wait under way hears of them.
    pub(crate) fn note_leftover(&self) {
        if !self.open.tls.is_readable() {
            return;
        }
        self.open.tls.wake_readers();
        // No lock is held while another one is taken.
        let watchers: SmallVec<[_; 4]> = self
            .watchers()
            .iter()
            .filter_map(|known| Some((known.set.upgrade()?, known.key)))
            .collect();
        for (set, key) in watchers {
            set.note_leftover(key);
        }
    }

    /// Before its close: out of every poller.
    pub(super) fn leave_pollers(&self) {
        let own = std::ptr::from_ref(self).addr();
        let watchers: SmallVec<[_; 4]> =
            self.watchers().extract_if(.., |known| known.handle == own).collect();
        for Watcher { set, key, .. } in watchers {
            if let Some(set) = set.upgrade() {
                set.forget(key, self);
            }
        }
    }
}
