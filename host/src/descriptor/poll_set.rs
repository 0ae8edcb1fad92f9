//! The set that a poller waits for: epoll(7), with each registered descriptor and timer under its
//! key.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{PollFlags, epoll};
use rustix::io::Errno;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::Handle;
use crate::bindings::sandsock::socket::types::ReadyEvent;
use crate::wait::now;

/// The kernel reports an event of such an entry once.
pub(crate) const ONCE: epoll::EventFlags = epoll::EventFlags::ET.union(epoll::EventFlags::ONESHOT);

/// An epoll instance and its entries. A registered handle removes itself before it is closed.
pub(crate) struct Set {
    pub(crate) epoll: OwnedFd,
    entries: Mutex<Entries>,
    /// Ends the waits that are under way when a session of TLS gets plain bytes.
    left: Arc<Notify>,
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
    /// The keys of descriptors whose sessions of TLS may have plain bytes.
    pub(crate) leftover: BTreeSet<u64>,
    /// The keys of one-shot entries whose event the guest has got.
    pub(crate) spent: BTreeSet<u64>,
    /// The descriptors with events that a budget withholds, by the time of the next look.
    pub(crate) resting: BTreeSet<(u64, u64)>,
    /// The keys of other sets.
    pub(crate) nested: BTreeSet<u64>,
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
        /// Until when events are withheld, because a budget lets no transfer go on.
        rests: Option<u64>,
    },
    /// Another set. The kernel forgets it when it is dropped, and the entry stays until its key or its
    /// room is needed.
    Set {
        set: Weak<Set>,
        token: u64,
        flags: epoll::EventFlags,
    },
    Timer {
        at: u64,
        interval: u64,
    },
}

impl Set {
    pub(crate) fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, entries: Mutex::default(), left: Arc::default() })
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

    /// Takes a handle out whose number is about to get another description. Its key stays.
    pub(crate) fn detach(&self, handle: &Handle) {
        let _ = epoll::delete(&self.epoll, handle.fd());
    }

    /// Registers the new description of a handle under its key.
    pub(crate) fn attach(&self, key: u64, handle: &Handle) {
        if let Some(Entry::Descriptor { handle: known, token, flags, .. }) =
            self.entries().by_key.get(&key)
            && std::ptr::eq(known.as_ptr(), handle)
        {
            let data = epoll::EventData::new_u64(*token);
            let _ = epoll::add(&self.epoll, handle.fd(), data, *flags);
        }
    }

    /// Takes events of an entry out of the kernel's set until this time, because the kernel would
    /// report them again at once. `rest` are the events that are still waited for, if there are any.
    pub(crate) fn rest(
        &self,
        key: u64,
        handle: &Handle,
        rest: Option<epoll::EventFlags>,
        until: u64,
    ) {
        let mut entries = self.entries();
        let Some(Entry::Descriptor { token, flags, rests, .. }) = entries.by_key.get_mut(&key)
        else {
            return;
        };
        let (token, flags, before) = (*token, *flags, rests.replace(until));
        if let Some(before) = before {
            entries.resting.remove(&(before, key));
        }
        entries.resting.insert((until, key));
        let data = epoll::EventData::new_u64(token);
        let _ = match rest {
            Some(rest) => {
                let kept = flags & (epoll::EventFlags::ET | epoll::EventFlags::ONESHOT);
                epoll::modify(&self.epoll, handle.fd(), data, rest | kept)
            }
            None => epoll::delete(&self.epoll, handle.fd()),
        };
    }

    /// Ends the rest of the entries whose time has come, or of this one.
    pub(crate) fn wake(&self, only: Option<u64>) {
        // These are dropped after the lock is released.
        let mut handles = Vec::new();
        let mut entries = self.entries();
        if entries.resting.is_empty() {
            return;
        }
        let now = now();
        let due: Vec<_> = match only {
            Some(key) => entries.resting.iter().filter(|(_, at)| *at == key).copied().collect(),
            None => {
                entries.resting.iter().take_while(|(until, _)| *until <= now).copied().collect()
            }
        };
        for (until, key) in due {
            entries.resting.remove(&(until, key));
            let Some(Entry::Descriptor { handle, token, flags, rests, .. }) =
                entries.by_key.get_mut(&key)
            else {
                continue;
            };
            *rests = None;
            if let Some(handle) = handle.upgrade() {
                let data = epoll::EventData::new_u64(*token);
                if epoll::modify(&self.epoll, handle.fd(), data, *flags) == Err(Errno::NOENT) {
                    let _ = epoll::add(&self.epoll, handle.fd(), data, *flags);
                }
                handles.push(handle);
            }
        }
        drop(entries);
    }

    /// Whether events of this entry are taken out of the kernel's set for a time.
    pub(crate) fn rests(&self, key: u64) -> bool {
        matches!(self.entries().by_key.get(&key), Some(Entry::Descriptor { rests: Some(_), .. }))
    }

    /// Returns when the first rest of this set and of those in it ends.
    pub(crate) fn rests_until(&self) -> Option<u64> {
        let own = self.entries().resting.first().map(|&(until, _)| until);
        let inner = self.nested().into_iter().filter_map(|(_, inner, _)| inner.rests_until()).min();
        [own, inner].into_iter().flatten().min()
    }

    /// Returns the other sets in this one, with their keys and events.
    pub(crate) fn nested(&self) -> Vec<(u64, Arc<Self>, epoll::EventFlags)> {
        let entries = self.entries();
        let of = |&key: &u64| match entries.by_key.get(&key) {
            Some(Entry::Set { set, flags, .. }) => Some((key, set.upgrade()?, *flags)),
            _ => None,
        };
        entries.nested.iter().filter_map(of).collect()
    }

    /// The session of a registered descriptor has plain bytes.
    pub(crate) fn note_leftover(&self, key: u64) {
        self.entries().leftover.insert(key);
        self.left.notify_waiters();
    }

    /// Returns what ends when the session of a descriptor, in this set or in one in it, gets plain
    /// bytes.
    pub(crate) fn leftover_noted(&self) -> Vec<OwnedNotified> {
        let mut noted = vec![Arc::clone(&self.left).notified_owned()];
        for (_, inner, _) in self.nested() {
            noted.extend(inner.leftover_noted());
        }
        noted
    }

    /// Returns the keys of descriptors whose sessions of TLS may have plain bytes.
    pub(crate) fn leftover(&self) -> Vec<u64> {
        self.entries().leftover.iter().copied().collect()
    }

    /// Returns whether a descriptor of this set, or of one in it, is readable by the plain bytes of its
    /// session.
    pub(crate) fn has_leftover(&self) -> bool {
        self.leftover().into_iter().any(|key| !self.look_at_leftover(key).is_empty())
            || self.nested().iter().any(|(key, inner, flags)| {
                flags.contains(epoll::EventFlags::IN)
                    && !self.is_spent(*key)
                    && inner.has_leftover()
            })
    }

    /// Returns the events of a descriptor by the plain bytes of its session.
    pub(crate) fn look_at_leftover(&self, key: u64) -> PollFlags {
        let found = match self.entries().by_key.get(&key) {
            Some(Entry::Descriptor { handle, flags, .. }) => Some((Weak::clone(handle), *flags)),
            _ => None,
        };
        // The lock is not held here. This may be the last reference of the handle.
        match found.and_then(|(handle, flags)| Some((handle.upgrade()?, flags))) {
            Some((handle, flags)) if !self.is_spent(key) => {
                handle.open.tls.leftover(PollFlags::from_bits_truncate(flags.bits() as u16))
            }
            _ => PollFlags::empty(),
        }
    }

    /// Returns the events of [`look_at_leftover`](Self::look_at_leftover) for the guest. Those of an
    /// entry that is reported once are not returned again.
    pub(crate) fn take_leftover(&self, key: u64) -> PollFlags {
        // Bytes that come from here on are noted again.
        self.entries().leftover.remove(&key);
        let events = self.look_at_leftover(key);
        if !events.is_empty() {
            let mut entries = self.entries();
            let is_level = matches!(
                entries.by_key.get(&key),
                Some(Entry::Descriptor { flags, .. }) if !flags.intersects(ONCE)
            );
            if is_level {
                entries.leftover.insert(key);
            }
        }
        events
    }

    /// Returns whether the guest has got the event of a one-shot entry.
    pub(crate) fn is_spent(&self, key: u64) -> bool {
        self.entries().spent.contains(&key)
    }

    /// The guest gets an event of an entry. A one-shot entry has no other until it is modified.
    pub(crate) fn note_given(&self, key: u64) {
        let mut entries = self.entries();
        let is_one_shot = match entries.by_key.get(&key) {
            Some(Entry::Descriptor { flags, .. } | Entry::Set { flags, .. }) => {
                flags.contains(epoll::EventFlags::ONESHOT)
            }
            Some(Entry::Timer { .. }) | None => false,
        };
        if is_one_shot {
            entries.spent.insert(key);
        }
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
            if let Entry::Descriptor { handle, token, flags, withheld, .. } = entry
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
    /// Nothing is withheld of this entry any more. The kernel's set stays as it is.
    pub(crate) fn end_rest(&mut self, key: u64) {
        if let Some(Entry::Descriptor { rests, .. }) = self.by_key.get_mut(&key)
            && let Some(until) = rests.take()
        {
            self.resting.remove(&(until, key));
        }
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        self.leftover.remove(&key);
        self.spent.remove(&key);
        match &entry {
            Entry::Descriptor { token, rests, .. } => {
                self.keys.remove(token);
                if let Some(until) = rests {
                    self.resting.remove(&(*until, key));
                }
            }
            Entry::Set { token, .. } => {
                self.keys.remove(token);
                self.nested.remove(&key);
            }
            Entry::Timer { at, .. } => {
                self.due.remove(&(*at, key));
            }
        }
        Some(entry)
    }

    /// Removes the entries of sets that are gone.
    pub(crate) fn forget_gone(&mut self) {
        for key in self.nested.clone() {
            if matches!(self.by_key.get(&key), Some(Entry::Set { set, .. }) if set.strong_count() == 0)
            {
                self.remove(key);
            }
        }
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
