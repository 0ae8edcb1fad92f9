//! The reactor: one poller for all sockets, and the timers.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    task::Waker,
};

use sandsock_abi::{
    constants::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP},
    errno,
};
use slab::Slab;

use crate::{
    Error, Progress, Result, interrupt,
    raw::{
        clock,
        descriptors::Descriptor,
        polling::{self, Poller},
        types::{self, Trigger, Wait},
    },
};

/// The most events of one turn.
const EVENTS: u32 = 1024;

/// The direction that a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
    /// Whichever comes first. A handshake of TLS does not say what it lacks.
    Either,
}

impl Direction {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Either];

    /// Returns the events after which a call that would have waited is tried again.
    const fn events(self) -> u16 {
        match self {
            Self::Read => (POLLIN | POLLPRI | POLLRDHUP | POLLHUP | POLLERR) as u16,
            Self::Write => (POLLOUT | POLLHUP | POLLERR) as u16,
            Self::Either => Self::Read.events() | Self::Write.events(),
        }
    }
}

/// The place of a call among the waiting calls. None before its first wait.
pub(super) type Place = Option<usize>;

/// A socket in the reactor, and the calls that wait for it.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The key of the socket in the poller. None before the first wait.
    key: Cell<Option<u64>>,
    /// The waiting calls, by direction. The event that wakes a call empties its place.
    waiting: [RefCell<Slab<Option<Waker>>>; Direction::ALL.len()],
}

impl Source {
    /// Registers a waker for the next event.
    pub(super) fn wait(&self, direction: Direction, place: &mut Place, waker: &Waker) {
        let mut waiting = self.waiting[direction as usize].borrow_mut();
        match place.and_then(|place| waiting.get_mut(place)) {
            Some(Some(known)) => known.clone_from(waker),
            Some(empty) => *empty = Some(waker.clone()),
            None => *place = Some(waiting.insert(Some(waker.clone()))),
        }
    }

    /// Removes a call's place.
    pub(super) fn leave(&self, direction: Direction, place: &mut Place) {
        if let Some(place) = place.take() {
            self.waiting[direction as usize].borrow_mut().try_remove(place);
        }
    }

    /// Adds the wakers of the calls that wait for these events.
    fn wake(&self, events: u16, wakers: &mut Vec<Waker>) {
        for direction in Direction::ALL {
            if events & direction.events() != 0 {
                let mut waiting = self.waiting[direction as usize].borrow_mut();
                wakers.extend(waiting.iter_mut().filter_map(|(_, waker)| waker.take()));
            }
        }
    }
}

/// Waits for all sockets and timers of a thread.
#[derive(Default)]
pub(super) struct Reactor {
    poller: OnceCell<Poller>,
    sources: RefCell<Slab<Rc<Source>>>,
    /// The timers by their times. A number distinguishes timers of the same time.
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    /// Counts all registrations, so that no key or timer's number is used twice.
    count: Cell<u64>,
}

impl Reactor {
    fn next(&self) -> u64 {
        let next = self.count.get();
        self.count.set(next.wrapping_add(1));
        next
    }

    fn poller(&self) -> Result<&Poller> {
        if let Some(poller) = self.poller.get() {
            return Ok(poller);
        }
        let poller = polling::create_poller()?;
        Ok(self.poller.get_or_init(|| poller))
    }

    /// Registers a socket once, edge-triggered, for both directions. The kernel reports at once
    /// what is ready already, and later only what is new. So a call must be tried before it waits.
    pub(super) fn register(&self, source: &Rc<Source>, descriptor: &Descriptor) -> Result<()> {
        const ALL: u16 = (POLLIN | POLLPRI | POLLRDHUP | POLLOUT) as u16;
        if source.key.get().is_some() {
            return Ok(());
        }
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let key = self.next() << 32 | entry.key() as u64;
        self.poller()?.add(descriptor, key, ALL, Trigger::Edge)?;
        entry.insert(Rc::clone(source));
        source.key.set(Some(key));
        Ok(())
    }

    /// Removes a socket. If it is closed, the host has removed it from the poller.
    pub(super) fn forget(&self, source: &Source, is_closed: bool) {
        if let Some(key) = source.key.take() {
            self.sources.borrow_mut().try_remove(key as u32 as usize);
            if !is_closed && let Some(poller) = self.poller.get() {
                // The removal fails if the socket was closed by its number.
                let _ = poller.remove(key);
            }
        }
    }

    /// Sets a timer, and returns its number.
    pub(super) fn set_timer(&self, at: u64, waker: &Waker) -> u64 {
        let number = self.next();
        self.timers.borrow_mut().insert((at, number), waker.clone());
        number
    }

    /// Whether a timer has fired. If not, it will wake this waker.
    pub(super) fn has_fired(&self, at: u64, number: u64, waker: &Waker) -> bool {
        match self.timers.borrow_mut().get_mut(&(at, number)) {
            Some(known) => {
                known.clone_from(waker);
                false
            }
            None => true,
        }
    }

    pub(super) fn remove_timer(&self, at: u64, number: u64) {
        self.timers.borrow_mut().remove(&(at, number));
    }

    /// Wakes the tasks whose sockets or timers are ready. If `idle`, it waits until one is.
    pub(super) fn turn(&self, idle: bool) -> Result<()> {
        interrupt::handle_pending(Progress::default())?;
        let next = self.timers.borrow().keys().next().map(|&(at, _)| at);
        let wait = match next {
            _ if !idle => Wait::None,
            Some(at) => Wait::Until(at),
            None => Wait::Forever,
        };
        let mut wakers = Vec::new();
        match self.poller()?.wait(EVENTS, wait) {
            Ok(events) => {
                let sources = self.sources.borrow();
                for event in events {
                    let source = sources.get(event.key as u32 as usize);
                    // A later socket in the same place has another key.
                    if let Some(source) =
                        source.filter(|source| source.key.get() == Some(event.key))
                    {
                        source.wake(event.ready, &mut wakers);
                    }
                }
            }
            Err(types::Error::Os(errno::EINTR)) => interrupt::handle(Progress::default())?,
            Err(error) => return Err(Error::from(error)),
        }
        if next.is_some() {
            self.fire(clock::now(), &mut wakers);
        }
        // Wakers run last, because a waker can run any code.
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Removes the timers whose time has come, and adds their wakers.
    fn fire(&self, now: u64, wakers: &mut Vec<Waker>) {
        let mut timers = self.timers.borrow_mut();
        while let Some(first) = timers.first_entry()
            && first.key().0 <= now
        {
            wakers.push(first.remove());
        }
    }
}
