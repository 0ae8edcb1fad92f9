//! WIT `polling.poller`, a set of descriptors and timers to wait for.
//!
//! The cost of a wait depends on the ready descriptors, not on the registered ones.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, Weak};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFlags, Timespec, epoll};
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use crate::authority::budgets;
use crate::authority::filter;
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::{ReadyEvent, Trigger, Wait};
use crate::calls::polling::judge_wait;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::poll_set::{Entries, Entry, ONCE, Set};
use crate::descriptor::{Descriptor, Handle, Polls, Reservation};
use crate::error::CallResult;
use crate::observe::Identify;
use crate::wait::back_off::BackOff;
use crate::wait::registration::RegistrationCell;
use crate::wait::{self, now};

/// The time between two looks at the limit of buffers, which has no readiness, in nanoseconds.
const LOOK: u64 = 50_000_000;

/// The most events that one wait returns.
const EVENTS_MAX: usize = 4096;

/// WIT `polling.poller`.
pub(crate) struct Poller {
    /// Keeps the registration with tokio between waits. It is dropped before the set is closed.
    registration: RegistrationCell,
    set: Arc<Set>,
    _place: Reservation,
}

impl Identify for Poller {}

fn flags(events: u16, trigger: Trigger) -> epoll::EventFlags {
    let flags = epoll::EventFlags::from_bits_retain(u32::from(events));
    match trigger {
        Trigger::Level => flags,
        Trigger::Edge => flags | epoll::EventFlags::ET,
        Trigger::OneShot => flags | epoll::EventFlags::ONESHOT,
    }
}

/// WIT `polling.create-poller`.
pub(crate) fn create(view: &mut SandsockCtxView<'_>) -> CallResult<Resource<Poller>> {
    let place = view.ctx.poller_quota.take()?;
    let set = Set::new()?;
    Ok(view.table.push(Poller {
        registration: Mutex::default(),
        set: Arc::new(set),
        _place: place,
    })?)
}

impl Poller {
    pub(crate) fn set(&self) -> Arc<Set> {
        Arc::clone(&self.set)
    }
}

fn set(view: &SandsockCtxView<'_>, poller: &Resource<Poller>) -> CallResult<Arc<Set>> {
    Ok(view.table.get(poller)?.set())
}

/// ENOSPC if the set is full.
fn room(view: &SandsockCtxView<'_>, entries: &mut Entries) -> Result<(), Errno> {
    let is_full = |entries: &Entries| {
        entries.by_key.len() >= view.ctx.gate.policy().limits().poll_entries as usize
    };
    if is_full(entries) {
        entries.forget_gone();
    }
    if is_full(entries) { Err(Errno::NOSPC) } else { Ok(()) }
}

/// ENOSPC if the set is full, EEXIST if the key is taken.
fn place(view: &SandsockCtxView<'_>, entries: &mut Entries, key: u64) -> Result<(), Errno> {
    room(view, entries)?;
    if let Some(Entry::Set { set, .. }) = entries.by_key.get(&key)
        && set.strong_count() == 0
    {
        entries.remove(key);
    }
    if entries.by_key.contains_key(&key) { Err(Errno::EXIST) } else { Ok(()) }
}

/// WIT `poller.add`.
pub(crate) fn add(
    view: &mut SandsockCtxView<'_>,
    poller: Resource<Poller>,
    d: Resource<Descriptor>,
    key: u64,
    events: u16,
    trigger: Trigger,
) -> CallResult<()> {
    let set = set(view, &poller)?;
    let handle = view.handle(&d)?;
    if handle.polls() != Polls::Kernel {
        return Err(Errno::PERM.into());
    }
    judge_wait(view, &handle, events)?;
    let mut entries = set.entries();
    place(view, &mut entries, key)?;
    let token = entries.next_token;
    let flags = flags(events, trigger);
    epoll::add(&set.epoll, handle.fd(), epoll::EventData::new_u64(token), flags)?;
    entries.next_token += 1;
    if handle.open.tls.is_readable() {
        entries.leftover.insert(key);
    }
    entries.keys.insert(token, key);
    entries.by_key.insert(
        key,
        Entry::Descriptor {
            handle: Arc::downgrade(&handle),
            token,
            flags,
            withheld: false,
            rests: None,
        },
    );
    handle.watch(&set, key);
    Ok(())
}

/// WIT `poller.add-poller`.
pub(crate) fn add_poller(
    view: &mut SandsockCtxView<'_>,
    poller: Resource<Poller>,
    other: Resource<Poller>,
    key: u64,
    events: u16,
    trigger: Trigger,
) -> CallResult<()> {
    let (set, other) = (set(view, &poller)?, set(view, &other)?);
    let mut entries = set.entries();
    place(view, &mut entries, key)?;
    let token = entries.next_token;
    let flags = flags(events, trigger);
    // The kernel refuses the set itself (EINVAL) and a circle (ELOOP).
    epoll::add(&set.epoll, &other.epoll, epoll::EventData::new_u64(token), flags)?;
    entries.next_token += 1;
    entries.keys.insert(token, key);
    entries.nested.insert(key);
    entries.by_key.insert(key, Entry::Set { set: Arc::downgrade(&other), token, flags });
    Ok(())
}

/// WIT `poller.modify`.
pub(crate) fn modify(
    view: &mut SandsockCtxView<'_>,
    poller: Resource<Poller>,
    key: u64,
    events: u16,
    trigger: Trigger,
) -> CallResult<()> {
    let set = set(view, &poller)?;
    let new = flags(events, trigger);
    let mut entries = set.entries();
    let (handle, token) = match entries.by_key.get_mut(&key) {
        Some(Entry::Descriptor { handle, token, .. }) => (Weak::clone(handle), *token),
        Some(Entry::Set { set: other, token, flags }) => {
            let other = other.upgrade().ok_or(Errno::NOENT)?;
            epoll::modify(&set.epoll, &other.epoll, epoll::EventData::new_u64(*token), new)?;
            *flags = new;
            entries.spent.remove(&key);
            return Ok(());
        }
        Some(Entry::Timer { .. }) | None => return Err(Errno::NOENT.into()),
    };
    drop(entries);
    // The lock is not held here. This may be the last reference of the handle, and its drop takes
    // the lock.
    let handle = handle.upgrade().ok_or(Errno::NOENT)?;
    judge_wait(view, &handle, events)?;
    set.wake(Some(key));
    epoll::modify(&set.epoll, handle.fd(), epoll::EventData::new_u64(token), new)?;
    let mut entries = set.entries();
    entries.spent.remove(&key);
    // As the kernel does, this looks again at an entry that is reported once.
    if handle.open.tls.is_readable() {
        entries.leftover.insert(key);
    }
    if let Some(Entry::Descriptor { flags, withheld, .. }) = entries.by_key.get_mut(&key) {
        (*flags, *withheld) = (new, false);
    }
    Ok(())
}

/// WIT `poller.remove`.
pub(crate) fn remove(
    view: &mut SandsockCtxView<'_>,
    poller: Resource<Poller>,
    key: u64,
) -> CallResult<()> {
    let set = set(view, &poller)?;
    set.wake(Some(key));
    let removed = set.entries().remove(key).ok_or(Errno::NOENT)?;
    match removed {
        Entry::Descriptor { handle, .. } => {
            if let Some(handle) = handle.upgrade() {
                epoll::delete(&set.epoll, handle.fd())?;
                handle.unwatch(&set, key);
            }
        }
        Entry::Set { set: other, .. } => {
            let other = other.upgrade().ok_or(Errno::NOENT)?;
            epoll::delete(&set.epoll, &other.epoll)?;
        }
        Entry::Timer { .. } => {}
    }
    Ok(())
}

/// WIT `poller.set-timer`.
pub(crate) fn set_timer(
    view: &mut SandsockCtxView<'_>,
    poller: Resource<Poller>,
    key: u64,
    at: u64,
    interval: u64,
) -> CallResult<()> {
    let set = set(view, &poller)?;
    let mut entries = set.entries();
    match entries.by_key.get(&key) {
        Some(Entry::Descriptor { .. } | Entry::Set { .. }) => return Err(Errno::EXIST.into()),
        Some(Entry::Timer { .. }) => {
            entries.remove(key);
        }
        None => room(view, &mut entries)?,
    }
    entries.by_key.insert(key, Entry::Timer { at, interval });
    entries.due.insert((at, key));
    Ok(())
}

/// WIT `poller.wait`.
pub(crate) async fn wait<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (poller, maximum, wait): (Resource<Poller>, u32, Wait),
) -> CallResult<Vec<ReadyEvent>> {
    let most = (maximum as usize).min(EVENTS_MAX);
    if most == 0 {
        return Err(Errno::INVAL.into());
    }
    let limit = wait::deadline(wait);
    let view = store.view();
    let poller = view.table.get(&poller)?;
    // The kernel may have an entry, always ready, whose handle is gone, because its number was
    // closed elsewhere in the process. So a loop that finds nothing slows down.
    let mut back_off = BackOff::default();
    let mut withholding = BackOff::default();
    let mut rounds = 0;
    loop {
        let over = view.ctx.gate.buffers.is_over();
        let Seen { events, hidden, withheld } = ready(&poller.set, most, &view.ctx.gate, over)?;
        if !events.is_empty() || limit.is_some_and(|limit| limit <= now()) {
            return Ok(events);
        }
        if hidden {
            view.ctx.waiter.go_round(&mut rounds, limit).await?;
            continue;
        }
        let deadline = next_look(&poller.set, limit, over);
        if withheld {
            // The kernel says that it is ready, so its readiness can't be waited for.
            view.ctx.waiter.back_off(&mut withholding, deadline).await?;
            continue;
        }
        let place = Some(&poller.registration);
        view.ctx
            .waiter
            .ready_again(poller.set.epoll.as_fd(), place, PollFlags::IN, deadline, &mut back_off)
            .await?;
    }
}

/// Returns when the set is looked at again, if the kernel reports nothing before: at the deadline, at
/// the next timer, when a budget may let a transfer go on, and now and then while the limit of
/// buffers is `over`.
pub(crate) fn next_look(set: &Set, limit: Option<u64>, over: bool) -> Option<u64> {
    let next = set.entries().due.first().map(|&(at, _)| at);
    let look = over.then(|| now().saturating_add(LOOK));
    [limit, next, set.rests_until(), look].into_iter().flatten().min()
}

/// What one look has found.
#[derive(Default)]
struct Seen {
    events: Vec<ReadyEvent>,
    /// The kernel reported events that the guest may not see.
    hidden: bool,
    /// The kernel reported events that the limit of buffers withholds.
    withheld: bool,
}

/// An event that the kernel reports.
struct Report {
    key: u64,
    token: u64,
    ready: PollFlags,
    /// What the entry was added with.
    flags: epoll::EventFlags,
    source: Source,
}

enum Source {
    Descriptor(Weak<Handle>),
    Set(Weak<Set>),
}

impl Report {
    /// The kernel has used up the event, but the guest did not see it.
    fn rearm(&self, set: &Set, source: impl AsFd) {
        let data = epoll::EventData::new_u64(self.token);
        let _ = epoll::modify(&set.epoll, source, data, self.flags);
    }
}

/// Returns the events that the kernel reports, at most `most`.
///
/// The lock is not held while handles are used. This may be the last reference of a handle, and its
/// drop takes the lock.
fn reports(set: &Set, most: usize) -> Result<Vec<Report>, Errno> {
    let mut reported = Vec::with_capacity(most);
    epoll::wait(
        &set.epoll,
        spare_capacity(&mut reported),
        Some(&Timespec { tv_sec: 0, tv_nsec: 0 }),
    )?;
    let entries = set.entries();
    let report = |event: &epoll::Event| {
        let (token, ready) = (event.data.u64(), event.flags);
        let key = *entries.keys.get(&token)?;
        if entries.spent.contains(&key) {
            return None;
        }
        let (flags, source) = match entries.by_key.get(&key)? {
            Entry::Descriptor { handle, flags, .. } => {
                (*flags, Source::Descriptor(Weak::clone(handle)))
            }
            Entry::Set { set, flags, .. } => (*flags, Source::Set(Weak::clone(set))),
            Entry::Timer { .. } => return None,
        };
        // The low 16 bits are poll(2)'s.
        let ready = PollFlags::from_bits_retain(ready.bits() as u16);
        Some(Report { key, token, ready, flags, source })
    };
    Ok(reported.iter().filter_map(report).collect())
}

/// What the guest sees of a reported event.
struct Visible {
    events: PollFlags,
    /// The kernel has used up the event for nothing, and the entry was not changed.
    wasted: bool,
}

impl Seen {
    /// Adds the events of an entry. It has one element, whatever reports its events.
    fn add(&mut self, set: &Set, key: u64, ready: PollFlags) {
        set.note_given(key);
        match self.events.iter_mut().find(|event| event.key == key && event.expirations == 0) {
            Some(event) => event.ready |= ready.bits(),
            None => self.events.push(ReadyEvent { key, ready: ready.bits(), expirations: 0 }),
        }
    }

    /// Adds the descriptors whose sessions of TLS have plain bytes, and the sets that have such a
    /// descriptor. The kernel does not report them.
    fn add_leftover(&mut self, set: &Set, most: usize) {
        for key in set.leftover() {
            if self.events.len() == most {
                return;
            }
            let ready = set.take_leftover(key);
            if !ready.is_empty() {
                self.add(set, key, ready);
            }
        }
        for (key, inner, flags) in set.nested() {
            if self.events.len() == most {
                return;
            }
            let is_asked = flags.contains(epoll::EventFlags::IN) && !set.is_spent(key);
            if is_asked && inner.has_leftover() {
                self.add(set, key, PollFlags::IN);
            }
        }
    }

    /// Returns what the guest sees of a descriptor's event. `takes` if it gets the event now.
    fn look(
        &mut self,
        (set, gate, over): (&Set, &Gate, bool),
        report: &Report,
        handle: &Arc<Handle>,
        takes: bool,
    ) -> Visible {
        let Report { key, flags, .. } = *report;
        let readiness = filter::readiness(gate, handle, report.ready);
        self.hidden |= readiness.unsettled || readiness.events.is_empty();
        let visible =
            if over { Buffers::visible(handle, readiness.events) } else { readiness.events };
        if visible != readiness.events {
            self.withheld = true;
            if let Some(Entry::Descriptor { withheld, .. }) = set.entries().by_key.get_mut(&key) {
                *withheld = true;
            }
        }
        let withheld = budgets::withheld(gate, handle, visible);
        let visible = withheld.map_or(visible, |withheld| visible - withheld.events);
        // The one event of a one-shot entry is the one that the guest sees.
        let is_done = takes && !visible.is_empty() && flags.contains(epoll::EventFlags::ONESHOT);
        if is_done {
            set.entries().end_rest(key);
        } else if let Some(withheld) = withheld {
            let asked = PollFlags::from_bits_truncate(flags.bits() as u16);
            let rest = withheld.rest(asked);
            let rest = rest.map(|rest| epoll::EventFlags::from_bits_retain(u32::from(rest.bits())));
            set.rest(key, handle, rest, withheld.until);
        }
        let wasted = visible.is_empty()
            && readiness.events.is_empty()
            && (readiness.unsettled || flags.contains(epoll::EventFlags::ONESHOT));
        Visible { events: visible, wasted }
    }

    /// Returns whether a set that is in another one has events that the guest sees. They stay there for
    /// the guest's own wait.
    fn look_into(&mut self, set: &Set, gate: &Gate, over: bool) -> Result<bool, Errno> {
        let mut any = set.has_leftover();
        for report in reports(set, LOOKED_INTO)? {
            let once = report.flags.intersects(ONCE);
            match &report.source {
                Source::Descriptor(handle) => {
                    let Some(handle) = handle.upgrade() else { continue };
                    let visible = self.look((set, gate, over), &report, &handle, false);
                    any |= !visible.events.is_empty();
                    if visible.wasted || (once && !set.rests(report.key)) {
                        report.rearm(set, handle.fd());
                    }
                }
                // The kernel allows no circle, and few sets in one another.
                Source::Set(inner) => {
                    let Some(inner) = inner.upgrade() else { continue };
                    any |= self.look_into(&inner, gate, over)?;
                    if once {
                        report.rearm(set, &inner.epoll);
                    }
                }
            }
        }
        Ok(any)
    }
}

/// How many events of a set in another one a wait looks at. The kernel reports the others next time.
const LOOKED_INTO: usize = 64;

/// Lets the kernel report what was withheld for a time, in a set and in those in it.
fn refresh(set: &Set, gate: &Gate, over: bool) {
    set.wake(None);
    if !over {
        set.recover(gate.buffers.recoveries());
    }
    for (_, inner, _) in set.nested() {
        refresh(&inner, gate, over);
    }
}

/// Returns the timers that are due, and the events that the kernel reports. While the limit of
/// buffers is `over`, no descriptor is ready to send.
fn ready(set: &Set, most: usize, gate: &Gate, over: bool) -> Result<Seen, Errno> {
    let events = set.entries().fired(most);
    let left = most - events.len();
    if left == 0 {
        return Ok(Seen { events, ..Seen::default() });
    }
    refresh(set, gate, over);
    let mut seen = Seen { events, ..Seen::default() };
    seen.add_leftover(set, most);
    // An event that the kernel reports once must find room.
    let left = most - seen.events.len();
    if left == 0 {
        return Ok(seen);
    }
    for report in reports(set, left)? {
        match &report.source {
            Source::Descriptor(handle) => {
                let Some(handle) = handle.upgrade() else { continue };
                let visible = seen.look((set, gate, over), &report, &handle, true);
                if !visible.events.is_empty() {
                    seen.add(set, report.key, visible.events);
                } else if visible.wasted {
                    report.rearm(set, handle.fd());
                }
            }
            Source::Set(inner) => {
                let Some(inner) = inner.upgrade() else { continue };
                let before = (seen.hidden, seen.withheld);
                if seen.look_into(&inner, gate, over)? {
                    seen.add(set, report.key, report.ready);
                    continue;
                }
                // If nothing is hidden or withheld there, its readiness has just ended.
                seen.hidden |= (seen.hidden, seen.withheld) == before;
                if report.flags.intersects(ONCE) {
                    report.rearm(set, &inner.epoll);
                }
            }
        }
    }
    Ok(seen)
}
