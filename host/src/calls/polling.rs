//! Waits for many descriptors at once.

pub(crate) mod poller;

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use smallvec::SmallVec;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Resource};

use crate::authority::budgets;
use crate::authority::filter;
use crate::bindings::sandsock::socket::types::Wait;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::{Descriptor, Handle, Polls};
use crate::error::CallResult;
use crate::wait;
use crate::wait::back_off::BackOff;

/// The events of a file without a poll function (linux/poll.h: DEFAULT_POLLMASK).
const ALWAYS: PollFlags =
    PollFlags::IN.union(PollFlags::OUT).union(PollFlags::RDNORM).union(PollFlags::WRNORM);

/// WIT `poll-entry`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct PollEntry {
    descriptor: Resource<Descriptor>,
    events: u16,
}

crate::observe::record_to_value! { PollEntry: descriptor, events }

/// Checks a wait for these POLL* bits. A wait for input needs what a receive needs.
pub(crate) fn judge_wait(
    view: &SandsockCtxView<'_>,
    handle: &Handle,
    events: u16,
) -> CallResult<()> {
    let input = PollFlags::IN | PollFlags::RDNORM | PollFlags::RDBAND;
    if PollFlags::from_bits_truncate(events).intersects(input) {
        view.ctx.judge().input(handle)
    } else {
        Ok(())
    }
}

/// A list for a call. Most calls wait for a few descriptors, and need no memory of the heap for them.
type Few<T> = SmallVec<[T; 4]>;

/// The descriptors of a poll that the policy allows.
pub(crate) struct Prepared {
    /// None for an alias. It is only for transfers. Here it is POLLNVAL, like a number that is not
    /// open.
    handles: Few<Option<Arc<Handle>>>,
    /// The events of descriptors that the kernel is not asked about. None for the others.
    known: Few<Option<PollFlags>>,
    /// The events of descriptors whose sessions of TLS have plain bytes, beside those of the kernel.
    leftover: Few<PollFlags>,
}

impl Prepared {
    pub(crate) fn new(view: &SandsockCtxView<'_>, entries: &[PollEntry]) -> CallResult<Self> {
        if entries.len() > view.ctx.gate.policy().limits().poll_entries as usize {
            return Err(Errno::INVAL.into());
        }
        let mut handles: Few<Option<Arc<Handle>>> = Few::with_capacity(entries.len());
        for entry in entries {
            handles.push(view.table.get(&entry.descriptor)?.handle().ok().cloned());
        }
        let known = handles
            .iter()
            .zip(entries)
            .map(|(handle, entry)| {
                let events = PollFlags::from_bits_truncate(entry.events);
                match handle.as_ref().map_or(Polls::Never, |handle| handle.polls()) {
                    Polls::Kernel => None,
                    Polls::Always => Some(events & ALWAYS),
                    Polls::Never => Some(PollFlags::NVAL),
                }
            })
            .collect();
        for (handle, entry) in handles.iter().zip(entries) {
            if let Some(handle) = handle {
                judge_wait(view, handle, entry.events)?;
            }
        }
        let mut prepared = Self { handles, known, leftover: Few::new() };
        prepared.leftover = prepared.leftover(entries).collect();
        Ok(prepared)
    }

    /// Returns the events of each descriptor whose session of TLS has plain bytes.
    fn leftover(&self, entries: &[PollEntry]) -> impl Iterator<Item = PollFlags> {
        self.handles.iter().zip(entries).map(|(handle, entry)| {
            let events = PollFlags::from_bits_truncate(entry.events);
            handle.as_ref().map_or(PollFlags::empty(), |handle| handle.open.tls.leftover(events))
        })
    }

    /// Whether a session of TLS has plain bytes now.
    pub(crate) fn has_leftover(&self, entries: &[PollEntry]) -> bool {
        self.leftover(entries).any(|events| !events.is_empty())
    }

    /// Whether the call returns at once, because an entry has an event without a wait.
    pub(crate) fn is_answered(&self) -> bool {
        self.known.iter().flatten().chain(&self.leftover).any(|events| !events.is_empty())
    }

    /// Returns the sockets that the kernel is asked about, with the events to wait for.
    pub(crate) fn sockets<'a>(
        &'a self,
        entries: &'a [PollEntry],
    ) -> impl Iterator<Item = (&'a Arc<Handle>, PollFlags)> {
        self.handles
            .iter()
            .zip(entries)
            .zip(&self.known)
            .filter(|(_, known)| known.is_none())
            .filter_map(|((handle, entry), _)| {
                Some((handle.as_ref()?, PollFlags::from_bits_truncate(entry.events)))
            })
    }

    /// Returns the descriptors that the kernel is asked about, with the events to wait for.
    pub(crate) fn fds<'a>(&'a self, entries: &'a [PollEntry]) -> Few<(BorrowedFd<'a>, PollFlags)> {
        self.sockets(entries).map(|(handle, events)| (handle.fd(), events)).collect()
    }

    /// Returns the only descriptor, if there is one entry and the kernel is asked about it.
    pub(crate) fn only(&self) -> Option<&Arc<Handle>> {
        match (self.handles.as_slice(), self.known.as_slice()) {
            ([Some(handle)], [None]) => Some(handle),
            _ => None,
        }
    }
}

/// WIT `polling.poll`.
pub(crate) async fn poll<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (entries, wait): (Vec<PollEntry>, Wait),
) -> CallResult<Vec<u16>> {
    let view = store.view();
    let prepared = Prepared::new(&view, &entries)?;
    let deadline = if prepared.is_answered() { Some(0) } else { wait::deadline(wait) };
    let Prepared { handles, known, leftover } = &prepared;
    let fds = prepared.fds(&entries);
    let mut back_off = BackOff::default();
    let mut rounds = 0;
    let mut ready = loop {
        let found = view.ctx.waiter.poll(&fds, deadline).await?;
        let sockets = handles
            .iter()
            .zip(known)
            .filter(|(_, known)| known.is_none())
            .filter_map(|(handle, _)| handle.as_ref());
        let gate = &view.ctx.gate;
        let over = gate.buffers.is_over();
        let counts = gate.has_budgets();
        let (mut starved, mut unseen) = (false, false);
        let (mut events, mut withheld) = (Vec::with_capacity(found.len()), Vec::new());
        for (handle, found) in sockets.zip(&found) {
            let shown = filter::readiness(gate, handle, *found).events;
            unseen |= shown.is_empty() && !found.is_empty();
            let mut visible = if over { Buffers::visible(handle, shown) } else { shown };
            starved |= visible != shown;
            if counts {
                let held = budgets::withheld(gate, handle, visible);
                visible = held.map_or(visible, |held| visible - held.events);
                withheld.push(held);
            }
            events.push(visible);
        }
        // If all events were hidden, the descriptors are ready only with datagrams that the guest
        // may not receive, or with what a limit or a budget withholds. Then the wait goes on.
        let is_over = || deadline.is_some_and(|deadline| deadline <= wait::now());
        if events == found || events.iter().any(|events| !events.is_empty()) || is_over() {
            break events.into_iter();
        }
        if starved {
            view.ctx.waiter.back_off(&mut back_off, deadline).await?;
            continue;
        }
        if let Some((others, until)) = budgets::others(&fds, &withheld) {
            let until = deadline.map_or(until, |deadline| deadline.min(until));
            view.ctx.waiter.poll(&others, Some(until)).await?;
            if !unseen {
                continue;
            }
        }
        view.ctx.waiter.go_round(&mut rounds, deadline).await?;
    };
    Ok(known
        .iter()
        .zip(leftover)
        .map(|(known, left)| known.or_else(|| ready.next()).unwrap_or(PollFlags::empty()) | *left)
        .map(|events| events.bits())
        .collect())
}
