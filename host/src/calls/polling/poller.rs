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

use crate::authority::filter;
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::{ReadyEvent, Trigger, Wait};
use crate::calls::polling::judge_wait;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::poll_set::{Entries, Entry, Set};
use crate::descriptor::{Descriptor, Polls, Reservation};
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
fn room(view: &SandsockCtxView<'_>, entries: &Entries) -> Result<(), Errno> {
    if entries.by_key.len() >= view.ctx.gate.policy.limits().poll_entries as usize {
        Err(Errno::NOSPC)
    } else {
        Ok(())
    }
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
    room(view, &entries)?;
    if entries.by_key.contains_key(&key) {
        return Err(Errno::EXIST.into());
    }
    let token = entries.next_token;
    let flags = flags(events, trigger);
    epoll::add(&set.epoll, handle.fd(), epoll::EventData::new_u64(token), flags)?;
    entries.next_token += 1;
    entries.keys.insert(token, key);
    entries.by_key.insert(
        key,
        Entry::Descriptor { handle: Arc::downgrade(&handle), token, flags, withheld: false },
    );
    handle.watch(&set, key);
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
    let (handle, token) = match set.entries().by_key.get(&key) {
        Some(Entry::Descriptor { handle, token, .. }) => (Weak::clone(handle), *token),
        Some(Entry::Timer { .. }) | None => return Err(Errno::NOENT.into()),
    };
    // The lock is not held here. This may be the last reference of the handle, and its drop takes
    // the lock.
    let handle = handle.upgrade().ok_or(Errno::NOENT)?;
    judge_wait(view, &handle, events)?;
    let new = flags(events, trigger);
    epoll::modify(&set.epoll, handle.fd(), epoll::EventData::new_u64(token), new)?;
    if let Some(Entry::Descriptor { flags, withheld, .. }) = set.entries().by_key.get_mut(&key) {
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
    let removed = set.entries().remove(key).ok_or(Errno::NOENT)?;
    if let Entry::Descriptor { handle, .. } = removed
        && let Some(handle) = handle.upgrade()
    {
        epoll::delete(&set.epoll, handle.fd())?;
        handle.unwatch(&set, key);
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
        Some(Entry::Descriptor { .. }) => return Err(Errno::EXIST.into()),
        Some(Entry::Timer { .. }) => {
            entries.remove(key);
        }
        None => room(view, &entries)?,
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
/// the next timer, and now and then while the limit of buffers is `over`.
pub(crate) fn next_look(set: &Set, limit: Option<u64>, over: bool) -> Option<u64> {
    let next = set.entries().due.first().map(|&(at, _)| at);
    let look = over.then(|| now().saturating_add(LOOK));
    [limit, next, look].into_iter().flatten().min()
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

/// Returns the timers that are due, and the events that the kernel reports. While the limit of
/// buffers is `over`, no descriptor is ready to send.
fn ready(set: &Set, most: usize, gate: &Gate, over: bool) -> Result<Seen, Errno> {
    let events = set.entries().fired(most);
    let left = most - events.len();
    if left == 0 {
        return Ok(Seen { events, ..Seen::default() });
    }
    if !over {
        set.recover(gate.buffers.recoveries());
    }
    let mut reported = Vec::with_capacity(left);
    epoll::wait(
        &set.epoll,
        spare_capacity(&mut reported),
        Some(&Timespec { tv_sec: 0, tv_nsec: 0 }),
    )?;
    let entries = set.entries();
    let found: Vec<_> = reported
        .iter()
        .filter_map(|event| {
            let (token, ready) = (event.data.u64(), event.flags);
            let key = *entries.keys.get(&token)?;
            let Some(Entry::Descriptor { handle, flags, .. }) = entries.by_key.get(&key) else {
                return None;
            };
            Some((key, token, ready, *flags, Weak::clone(handle)))
        })
        .collect();
    // The lock is not held while handles are used. This may be the last reference of a handle, and
    // its drop takes the lock.
    drop(entries);
    let mut seen = Seen { events, ..Seen::default() };
    for (key, token, ready, flags, handle) in found {
        let Some(handle) = handle.upgrade() else { continue };
        // The low 16 bits are poll(2)'s.
        let readiness =
            filter::readiness(gate, &handle, PollFlags::from_bits_retain(ready.bits() as u16));
        seen.hidden |= readiness.unsettled || readiness.events.is_empty();
        let visible =
            if over { Buffers::visible(&handle, readiness.events) } else { readiness.events };
        if visible != readiness.events {
            seen.withheld = true;
            if let Some(Entry::Descriptor { withheld, .. }) = set.entries().by_key.get_mut(&key) {
                *withheld = true;
            }
        }
        if !visible.is_empty() {
            seen.events.push(ReadyEvent { key, ready: visible.bits(), expirations: 0 });
        } else if readiness.events.is_empty()
            && (readiness.unsettled || flags.contains(epoll::EventFlags::ONESHOT))
        {
            // The kernel has used up the event, but the guest did not see it.
            let _ = epoll::modify(&set.epoll, handle.fd(), epoll::EventData::new_u64(token), flags);
        }
    }
    Ok(seen)
}
