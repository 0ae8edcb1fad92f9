//! The set that a poller waits for: epoll(7), with each registered descriptor and timer under its
//! key.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::epoll;
use rustix::io::Errno;

use super::Handle;
use crate::bindings::sandsock::socket::types::ReadyEvent;
use crate::wait::now;

/// An epoll instance and its entries. A registered handle removes itself before it is closed.
pub(crate) struct Set {
    pub(crate) epoll: OwnedFd,
    entries: Mutex<Entries>,
}

#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) by_key: HashMap<u64, Entry>,
    /// The kernel's data for each registration, and its key. A number is never used twice, so that
    /// an event of a removed entry is recognised.
    pub(crate) keys: HashMap<u64, u64>,
    pub(crate) next_token: u64,
    /// When the timers fire, the soonest first.
    pub(crate) due: BTreeSet<(u64, u64)>,
    /// [`Buffers::recoveries`] as of the last look.
    pub(crate) recoveries: u64,
}

pub(crate) enum Entry {
    Descriptor {
        handle: Weak<Handle>,
        token: u64,
        flags: epoll::EventFlags,
        /// An event was withheld, because the limit `buffer-bytes` allows no send.
        withheld: bool,
    },
    Timer {
        at: u64,
        interval: u64,
    },
}

impl Set {
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, entries: Mutex::default() })
    }

    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call this before a handle is closed. The kernel would keep the entry while a duplicate
    /// lives.
    pub(crate) fn forget(&self, key: u64, handle: &Handle) {
        let mut entries = self.entries();
        if matches!(entries.by_key.get(&key), Some(Entry::Descriptor { handle: known, .. }) if std::ptr::eq(known.as_ptr(), handle))
        {
            entries.remove(key);
        }
        let _ = epoll::delete(&self.epoll, handle.fd());
    }

    /// Sends can continue. Events that the kernel reports only once, and that were withheld or
    /// useless to the guest, are made to be reported again.
    pub(crate) fn recover(&self, recoveries: u64) {
        // These are dropped after the lock is released.
        let mut handles = Vec::new();
        let mut entries = self.entries();
        if entries.recoveries == recoveries {
            return;
        }
        entries.recoveries = recoveries;
        for entry in entries.by_key.values_mut() {
            if let Entry::Descriptor { handle, token, flags, withheld } = entry
                && (std::mem::take(withheld) || flags.contains(epoll::EventFlags::ET))
                && let Some(handle) = handle.upgrade()
            {
                let _ = epoll::modify(
                    &self.epoll,
                    handle.fd(),
                    epoll::EventData::new_u64(*token),
                    *flags,
                );
                handles.push(handle);
            }
        }
        drop(entries);
    }
}

impl Entries {
    pub(crate) fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        match &entry {
            Entry::Descriptor { token, .. } => {
                self.keys.remove(token);
            }
            Entry::Timer { at, .. } => {
                self.due.remove(&(*at, key));
            }
        }
        Some(entry)
    }

    /// Returns the timers that have fired by now, at most `most`. Timers with an interval are set
    /// again.
    pub(crate) fn fired(&mut self, most: usize) -> Vec<ReadyEvent> {
        let mut events = Vec::new();
        let now = now();
        while let Some(&(at, key)) = self.due.first()
            && at <= now
            && events.len() < most
        {
            self.due.pop_first();
            let Some(Entry::Timer { interval, .. }) = self.by_key.get(&key) else { continue };
            let interval = *interval;
            let expirations = (now - at).checked_div(interval).map_or(1, |missed| missed + 1);
            events.push(ReadyEvent { key, ready: 0, expirations });
            if interval == 0 {
                self.by_key.remove(&key);
            } else {
                let at = at.saturating_add(interval.saturating_mul(expirations));
                self.by_key.insert(key, Entry::Timer { at, interval });
                self.due.insert((at, key));
            }
        }
        events
    }
}
