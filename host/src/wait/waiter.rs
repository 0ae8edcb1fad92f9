//! The two ways to wait, behind one type. A wait on the thread is poll(2), for one guest on one
//! thread. A wait on the fiber is tokio's readiness, for many guests on few threads. An interrupt
//! ends both.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;
use smallvec::SmallVec;
use tokio::io::Interest;
use tokio::sync::Notify;

use crate::bindings::sandsock::socket::types::Wait;
use crate::sys;
use crate::wait::back_off::BackOff;
use crate::wait::registration::{
    Registration, RegistrationCell, denied_by, interest, is_closed, is_registered, poll_now,
    register, registration, renewed,
};

/// The number of rounds without a wait after which a loop sleeps, and for how long.
const ROUNDS: u32 = 64;
const ROUND_PAUSE: Duration = Duration::from_millis(1);

/// How long a call that may not wait waits for a pool's thread to make its system call, in
/// nanoseconds.
const GRACE: u64 = 200_000_000;

/// Nanoseconds of CLOCK_MONOTONIC: `clock.now`, and the clock of every deadline.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The instant at which a wait is over, for a call without a descriptor of its own. It is 0 for
/// `none`, and None for `forever`.
pub(crate) fn deadline(wait: Wait) -> Option<u64> {
    match wait {
        Wait::None => Some(0),
        Wait::Forever => None,
        Wait::Within(nanoseconds) => Some(now().saturating_add(nanoseconds)),
        Wait::Until(instant) => Some(instant),
    }
}

/// Starts the time of a wait: a duration becomes an instant, which holds for all steps of the call.
pub(crate) fn begin(wait: &mut Wait) {
    if let Wait::Within(nanoseconds) = *wait {
        *wait = Wait::Until(now().saturating_add(nanoseconds));
    }
}

/// How a context's calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In poll(2), on the calling thread.
    Thread,
    /// In tokio, the guest's fiber suspended.
    Fiber,
}

/// Ends the waits of one context, from any thread.
///
/// An interrupt that finds no wait stays pending and ends the next.
#[derive(Debug, Clone)]
pub struct Interrupter(Arc<Signals>);

/// What ends the waits of one context.
#[derive(Debug)]
struct Signals {
    /// An eventfd. Its lower half counts the interrupts, and its upper half the calls of `renew`.
    event: OwnedFd,
    /// How often the waits were told to look again.
    renewals: AtomicU64,
    renewed: Arc<Notify>,
}

/// One call of `renew` in the eventfd.
const RENEWAL: u64 = 1 << 32;

impl Interrupter {
    pub(crate) fn new() -> Result<Self, Errno> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let signals = Signals { event, renewals: AtomicU64::new(0), renewed: Arc::default() };
        Ok(Self(Arc::new(signals)))
    }

    /// Ends the wait that is under way, or else the next one, with EINTR.
    pub fn interrupt(&self) {
        // EAGAIN would mean that 2^32 interrupts are pending already.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
    }

    /// Takes the pending interrupt. Returns whether there was one.
    pub(crate) fn take(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&self.0.event, &mut count).is_ok()
            && !u64::from_ne_bytes(count).is_multiple_of(RENEWAL)
    }

    /// Lets every wait look again whether its call may go on. It is no interrupt: a call that may go
    /// on waits on.
    pub(crate) fn renew(&self) {
        self.0.renewals.fetch_add(1, Ordering::AcqRel);
        self.0.renewed.notify_waiters();
        let _ = rustix::io::write(&self.0.event, &RENEWAL.to_ne_bytes());
    }

    /// Returns how often the waits were told to look again.
    pub(crate) fn renewals(&self) -> u64 {
        self.0.renewals.load(Ordering::Acquire)
    }

    /// Ends when the waits are told to look again, and at once if they were since `seen`.
    pub(crate) async fn renewed_since(&self, seen: u64) {
        // It gets every notification from here on.
        let notified = Arc::clone(&self.0.renewed).notified_owned();
        if self.renewals() == seen {
            notified.await;
        }
    }
}

/// How a wait ended, if no interrupt ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitOutcome {
    /// Another attempt is worth it.
    Ready,
    /// The deadline has passed.
    TimedOut,
}

/// Is called when the call that is under way begins to wait, and when the wait has ended.
pub(crate) trait WaitObserver: Send + Sync {
    fn begun(&self);
    fn ended(&self, waited: Duration);
}

/// A wait that is observed. It ends with the drop.
struct Observed {
    observer: Arc<dyn WaitObserver>,
    since: Instant,
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.observer.ended(self.since.elapsed());
    }
}

/// Waits for one context.
pub(crate) struct Waiter {
    mode: Mode,
    interrupter: Interrupter,
    registered: Option<Registration>,
    /// The interrupter's renewals that the calls have seen.
    renewals: u64,
    /// Whether a signal ends a wait on the thread as an interrupt does.
    signals: bool,
    observer: Option<Arc<dyn WaitObserver>>,
    /// How long a call that may not wait waits for a pool's thread to make its system call, in
    /// nanoseconds.
    grace: u64,
}

/// Waits for the pollables of one context. They are waited for in tokio, whatever the context's own
/// way to wait is, and without the store. An interrupt ends these waits too.
pub(crate) struct PollableWaiter {
    interrupter: Interrupter,
    registered: RegistrationCell,
    /// How many interrupts these waits have taken.
    interrupts: AtomicU64,
    /// How many waits an interrupt would end.
    waiting: AtomicUsize,
}

/// A wait that an interrupt would end.
struct Waiting(Arc<PollableWaiter>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PollableWaiter {
    /// Waits until `fd` shows one of `events`, or an error or a hang-up. `cell` keeps the
    /// registration.
    ///
    /// It asks poll(2) once, at the first poll of the future, because tokio may not have seen the
    /// latest events and may remember old ones. An event that ends a wait is a new one.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt. The kernel's error if the descriptor can't be registered.
    pub(crate) async fn ready(
        &self,
        fd: BorrowedFd<'_>,
        cell: &RegistrationCell,
        events: PollFlags,
    ) -> Result<(), Errno> {
        let is_ready =
            || poll_now(&mut [PollFd::from_borrowed_fd(fd, events)]).map(|count| count > 0);
        let mut is_known = is_registered(cell);
        if !is_known && is_ready()? {
            return Ok(());
        }
        let mut registration = registration(Some(cell), fd)?;
        let mut renewals = self.interrupter.renewals();
        loop {
            let closed = {
                let mut wait = pin!(registration.ready(interest(events)));
                // The wait begins before poll(2) is asked, so it misses no event between them.
                let begun = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await;
                let Poll::Ready(guard) = begun else {
                    if is_known && is_ready()? {
                        return Ok(());
                    }
                    let interrupted = self.waiter()?.interrupted()?;
                    let result = tokio::select! {
                        biased;
                        errno = interrupted => Err(errno),
                        () = self.interrupter.renewed_since(renewals) => {
                            // The number may have another description now.
                            if is_ready()? {
                                return Ok(());
                            }
                            renewals = self.interrupter.renewals();
                            continue;
                        }
                        guard = wait => guard.map(|mut guard| guard.retain_ready()).map_err(io_errno),
                    };
                    return self.ended(result);
                };
                let mut guard = guard.map_err(io_errno)?;
                if is_ready()? {
                    guard.retain_ready();
                    return Ok(());
                }
                guard.clear_ready_matching(denied_by(events));
                is_closed(&guard)
            };
            is_known = false;
            if closed {
                // A new registration remembers nothing. The pause bounds how often one is made.
                registration = renewed(&registration, Some(cell))?;
                self.sleep(now().saturating_add(ROUND_PAUSE.as_nanos() as u64)).await?;
            }
        }
    }

    /// Returns how often the waits were told to look again.
    pub(crate) fn renewals(&self) -> u64 {
        self.interrupter.renewals()
    }

    /// Returns a future that ends when the waits are told to look again, and at once if they were
    /// since `seen`.
    pub(crate) fn renewed_since(&self, seen: u64) -> impl Future<Output = ()> + Send + use<> {
        let interrupter = self.interrupter.clone();
        async move { interrupter.renewed_since(seen).await }
    }

    /// Counts a wait that an interrupt would end, until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> impl Drop + Send + use<> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// Whether an interrupt would end a wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Counts the interrupt that has ended a wait.
    fn ended(&self, result: Result<(), Errno>) -> Result<(), Errno> {
        if result == Err(Errno::INTR) {
            self.interrupts.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Returns how many interrupts these waits have taken.
    pub(super) fn interrupts(&self) -> u64 {
        self.interrupts.load(Ordering::Relaxed)
    }

    /// Returns a future that takes the next interrupt.
    pub(super) fn take_interrupt(
        self: &Arc<Self>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, Errno> {
        let interrupted = self.waiter()?.interrupted()?;
        let own = Arc::clone(self);
        Ok(async move {
            let errno = interrupted.await;
            let _ = own.ended(Err(errno));
        })
    }

    /// Sleeps until this instant.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn sleep(&self, until: u64) -> Result<(), Errno> {
        self.ended(self.waiter()?.pause_until(Some(until)).await)
    }

    /// A waiter of its own, because several pollables can wait at the same time.
    fn waiter(&self) -> Result<Waiter, Errno> {
        let interrupter = self.interrupter.clone();
        let registered = registration(Some(&self.registered), interrupter.0.event.as_fd())?;
        Ok(Waiter {
            mode: Mode::Fiber,
            renewals: interrupter.renewals(),
            interrupter,
            registered: Some(registered),
            signals: false,
            observer: None,
            grace: GRACE,
        })
    }
}

impl Waiter {
    /// Makes the waiter of this context's pollables.
    pub(crate) fn for_pollables(&self) -> PollableWaiter {
        PollableWaiter {
            interrupter: self.interrupter.clone(),
            registered: Mutex::default(),
            interrupts: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn new(
        mode: Mode,
        signals: bool,
        observer: Option<Arc<dyn WaitObserver>>,
    ) -> Result<Self, Errno> {
        Ok(Self {
            mode,
            interrupter: Interrupter::new()?,
            registered: None,
            renewals: 0,
            signals,
            observer,
            grace: GRACE,
        })
    }

    /// How long a call that may not wait waits for a pool's thread, in nanoseconds.
    pub(super) const fn grace(&self) -> u64 {
        self.grace
    }

    /// Lets calls that may not wait return before a pool's thread has made their system call. The
    /// guest waits for the thread by itself.
    pub(crate) fn end_grace(&mut self) {
        self.grace = 0;
    }

    /// Reports a wait to the observer.
    fn observed(&self) -> Option<Observed> {
        self.observer.as_ref().map(|observer| {
            observer.begun();
            Observed { observer: Arc::clone(observer), since: Instant::now() }
        })
    }

    pub(crate) fn interrupter(&self) -> &Interrupter {
        &self.interrupter
    }

    /// Waits until `fd` shows one of `events` (or an error or a hang-up), or until the deadline.
    ///
    /// `cell` is where the instance keeps its registration of this descriptor between waits.
    pub(crate) async fn ready(
        &mut self,
        fd: BorrowedFd<'_>,
        cell: Option<&RegistrationCell>,
        events: PollFlags,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        loop {
            let outcome = self.ready_or_renewed(fd, cell, events, deadline).await?;
            let is_over = outcome == WaitOutcome::TimedOut || !self.take_renewal();
            if is_over || poll_now(&mut [PollFd::from_borrowed_fd(fd, events)])? > 0 {
                return Ok(outcome);
            }
        }
    }

    /// As `ready`, for a caller that looks again at a renewal too. The caller takes it
    /// ([`Self::take_renewal`]).
    pub(super) async fn ready_or_renewed(
        &mut self,
        fd: BorrowedFd<'_>,
        cell: Option<&RegistrationCell>,
        events: PollFlags,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        if self.interrupter.renewals() != self.renewals {
            return Ok(WaitOutcome::Ready);
        }
        let _observed = self.observed();
        match self.mode {
            Mode::Thread => self.on_thread(
                &mut [self.interrupt_entry(), PollFd::from_borrowed_fd(fd, events)],
                deadline,
            ),
            Mode::Fiber => self.on_fiber(registration(cell, fd)?, cell, events, deadline).await,
        }
    }

    /// As `ready`, in a loop that may find nothing after it. From the third time in a row on it
    /// sleeps first. It also ends at a renewal.
    pub(crate) async fn ready_again(
        &mut self,
        fd: BorrowedFd<'_>,
        cell: Option<&RegistrationCell>,
        events: PollFlags,
        deadline: Option<u64>,
        back_off: &mut BackOff,
    ) -> Result<WaitOutcome, Errno> {
        if back_off.is_due() && self.back_off(back_off, deadline).await? == WaitOutcome::TimedOut {
            return Ok(WaitOutcome::TimedOut);
        }
        let begun = back_off.has_begun().then(now);
        let outcome = self.ready_or_renewed(fd, cell, events, deadline).await?;
        self.take_renewal();
        back_off.count(begun.map_or(0, |begun| now().saturating_sub(begun)));
        Ok(outcome)
    }

    /// poll(2) for many descriptors. Returns the events of each. All are empty when the deadline has
    /// passed.
    pub(crate) async fn poll(
        &mut self,
        fds: &[(BorrowedFd<'_>, PollFlags)],
        deadline: Option<u64>,
    ) -> Result<Vec<PollFlags>, Errno> {
        let interrupter = self.interrupter.clone();
        // Most calls wait for a few descriptors, and need no memory of the heap for them.
        let mut all: SmallVec<[_; 5]> = SmallVec::with_capacity(fds.len() + 1);
        all.push(PollFd::new(&interrupter.0.event, PollFlags::IN));
        all.extend(fds.iter().map(|&(fd, events)| PollFd::from_borrowed_fd(fd, events)));
        // A call that does not wait takes no interrupt.
        let over = |deadline| deadline <= now();
        if poll_now(&mut all[1..])? == 0 && !deadline.is_some_and(over) {
            let _observed = self.observed();
            if self.mode == Mode::Fiber {
                // tokio waits for one epoll instance with all of them.
                let set = set_of(fds)?;
                let set = Arc::new(sys::register(set, Interest::READABLE)?);
                let mut back_off = BackOff::default();
                while !(back_off.is_due()
                    && self.rest(back_off.step(), deadline).await? == WaitOutcome::TimedOut)
                {
                    let begun = now();
                    let outcome =
                        self.on_fiber(Arc::clone(&set), None, PollFlags::IN, deadline).await?;
                    self.take_renewal();
                    if outcome == WaitOutcome::TimedOut || poll_now(&mut all[1..])? > 0 {
                        break;
                    }
                    // The readiness is over already.
                    back_off.count(now().saturating_sub(begun));
                }
            } else {
                // A renewal alone ends no poll.
                while self.on_thread(&mut all, deadline)? == WaitOutcome::Ready
                    && all[1..].iter().all(|fd| fd.revents().is_empty())
                {}
            }
        }
        Ok(all[1..].iter().map(PollFd::revents).collect())
    }

    /// Sleeps one step of a back-off, but not beyond the deadline.
    pub(crate) async fn back_off(
        &mut self,
        back_off: &mut BackOff,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        let _observed = self.observed();
        self.rest(back_off.step(), deadline).await
    }

    /// Sleeps until this instant, but not beyond the deadline.
    pub(crate) async fn sleep_to(
        &mut self,
        instant: u64,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        if deadline.is_some_and(|deadline| deadline <= now()) {
            return Ok(WaitOutcome::TimedOut);
        }
        let _observed = self.observed();
        self.pause_until(Some(deadline.map_or(instant, |deadline| deadline.min(instant)))).await?;
        Ok(WaitOutcome::Ready)
    }

    /// Sleeps until the deadline; for ever without one.
    pub(crate) async fn sleep(&mut self, deadline: Option<u64>) -> Result<(), Errno> {
        let _observed = self.observed();
        self.pause_until(deadline).await
    }

    /// Lets the other guests of this thread run, in a loop that always has something to do.
    pub(crate) async fn give_way(&self) {
        if self.mode == Mode::Fiber {
            tokio::task::yield_now().await;
        }
    }

    /// Sleeps for this time, but at most until the deadline. For a time of zero it gives way.
    async fn rest(&mut self, time: Duration, deadline: Option<u64>) -> Result<WaitOutcome, Errno> {
        let now = now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(WaitOutcome::TimedOut);
        }
        if time.is_zero() {
            self.give_way().await;
        } else {
            let end = now.saturating_add(time.as_nanos() as u64);
            self.pause_until(Some(deadline.map_or(end, |deadline| deadline.min(end)))).await?;
        }
        Ok(WaitOutcome::Ready)
    }

    /// As `sleep`, within a wait that was reported already.
    async fn pause_until(&mut self, deadline: Option<u64>) -> Result<(), Errno> {
        match self.mode {
            Mode::Thread => {
                while self.on_thread(&mut [self.interrupt_entry()], deadline)? == WaitOutcome::Ready
                {
                }
                Ok(())
            }
            Mode::Fiber => {
                let interrupted = self.interrupted()?;
                tokio::select! {
                    biased;
                    result = interrupted => Err(result),
                    () = sleep_until(deadline) => Ok(()),
                }
            }
        }
    }

    /// Lets others run, in a call that has much to do and does not wait. EINTR at an interrupt.
    pub(crate) async fn pause(&self) -> Result<(), Errno> {
        self.give_way().await;
        if self.interrupter.take() { Err(Errno::INTR) } else { Ok(()) }
    }

    /// As `pause`, in a loop that found events but none for the guest. Now and then it sleeps, so that
    /// it cannot spin if the kernel reports the same events for ever.
    pub(crate) async fn go_round(
        &mut self,
        rounds: &mut u32,
        deadline: Option<u64>,
    ) -> Result<(), Errno> {
        *rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(ROUNDS) {
            self.rest(ROUND_PAUSE, deadline).await.map(drop)
        } else {
            self.pause().await
        }
    }

    /// One poll(2), with the interrupt first in the list.
    fn on_thread(
        &self,
        fds: &mut [PollFd<'_>],
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        loop {
            let timeout = deadline.map(|deadline| timespec(deadline.saturating_sub(now())));
            let count = match poll(fds, timeout.as_ref()) {
                // A signal of the embedder does not end the wait. The deadline stays.
                Err(Errno::INTR) if !self.signals => 0,
                other => other?,
            };
            if count > 0 && !fds[0].revents().is_empty() && self.interrupter.take() {
                return Err(Errno::INTR);
            }
            if count > 0 {
                return Ok(WaitOutcome::Ready);
            }
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Ok(WaitOutcome::TimedOut);
            }
        }
    }

    fn interrupt_entry(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.interrupter.0.event.as_fd(), PollFlags::IN)
    }

    /// Returns whether the waits were told to look again since the last call. A renewal between an
    /// attempt and its wait is not lost.
    pub(super) fn take_renewal(&mut self) -> bool {
        let renewals = self.interrupter.renewals();
        std::mem::replace(&mut self.renewals, renewals) != renewals
    }

    /// Waits for a registration. poll(2) decides whether the readiness that tokio remembers holds.
    async fn on_fiber(
        &mut self,
        mut registration: Registration,
        cell: Option<&RegistrationCell>,
        events: PollFlags,
        deadline: Option<u64>,
    ) -> Result<WaitOutcome, Errno> {
        let interest = interest(events);
        let mut back_off = BackOff::default();
        let interrupter = self.interrupter.clone();
        let mut told = pin!(interrupter.renewed_since(self.renewals));
        loop {
            let interrupted = self.interrupted()?;
            let mut guard = tokio::select! {
                biased;
                errno = interrupted => return Err(errno),
                () = told.as_mut() => return Ok(WaitOutcome::Ready),
                guard = registration.ready(interest) => guard.map_err(io_errno)?,
                () = sleep_until(deadline) => return Ok(WaitOutcome::TimedOut),
            };
            let mut now = [PollFd::from_borrowed_fd(registration.get_ref().as_fd(), events)];
            if poll_now(&mut now)? > 0 {
                guard.retain_ready();
                return Ok(WaitOutcome::Ready);
            }
            // tokio's readiness comes from edges, so it may be older than the last EAGAIN.
            let closed = is_closed(&guard);
            guard.clear_ready_matching(denied_by(events));
            drop(guard);
            if closed {
                registration = renewed(&registration, cell)?;
            }
            // In a later round the await may return at once. The loop must neither keep the thread
            // nor outlast the deadline.
            if back_off.has_begun() {
                let time = if closed { back_off.step() } else { Duration::ZERO };
                if self.rest(time, deadline).await? == WaitOutcome::TimedOut {
                    return Ok(WaitOutcome::TimedOut);
                }
            }
            back_off.count(0);
        }
    }

    /// Returns a future that takes an interrupt and ends with EINTR.
    fn interrupted(&mut self) -> Result<impl Future<Output = Errno> + use<>, Errno> {
        let fd = match &self.registered {
            Some(fd) => Arc::clone(fd),
            None => Arc::clone(self.registered.insert(register(self.interrupter.0.event.as_fd())?)),
        };
        let interrupter = self.interrupter.clone();
        Ok(async move {
            loop {
                let Ok(mut guard) = fd.readable().await else { return Errno::INTR };
                if interrupter.take() {
                    return Errno::INTR;
                }
                guard.clear_ready();
            }
        })
    }
}

/// Waits for a descriptor in the background of a guest. No interrupt ends the wait.
///
/// # Errors
///
/// The kernel's error if the descriptor can't be registered.
pub(crate) async fn ready_in_background(
    fd: BorrowedFd<'_>,
    cell: &RegistrationCell,
    events: PollFlags,
) -> Result<(), Errno> {
    let mut registration = registration(Some(cell), fd)?;
    let is_ready = || Ok::<_, Errno>(poll_now(&mut [PollFd::from_borrowed_fd(fd, events)])? > 0);
    while !is_ready()? {
        let mut guard = registration.ready(interest(events)).await.map_err(io_errno)?;
        if is_ready()? {
            guard.retain_ready();
            return Ok(());
        }
        let closed = is_closed(&guard);
        guard.clear_ready_matching(denied_by(events));
        drop(guard);
        if closed {
            registration = renewed(&registration, Some(cell))?;
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }
    Ok(())
}

/// As [`ready_in_background`], but at most until the deadline.
///
/// # Errors
///
/// The kernel's error if the descriptor can't be registered.
pub(crate) async fn ready_until(
    fd: BorrowedFd<'_>,
    cell: &RegistrationCell,
    events: PollFlags,
    deadline: Option<u64>,
) -> Result<WaitOutcome, Errno> {
    tokio::select! {
        biased;
        result = ready_in_background(fd, cell, events) => result.map(|()| WaitOutcome::Ready),
        () = sleep_until(deadline) => Ok(WaitOutcome::TimedOut),
    }
}

/// Makes an epoll instance that is readable while one of these descriptors is ready. A descriptor
/// that is listed twice is in it once.
///
/// # Errors
///
/// The kernel's error.
pub(crate) fn set_of(fds: &[(BorrowedFd<'_>, PollFlags)]) -> Result<OwnedFd, Errno> {
    let mut wanted: BTreeMap<RawFd, (BorrowedFd<'_>, PollFlags)> = BTreeMap::new();
    for &(fd, events) in fds {
        wanted.entry(fd.as_raw_fd()).or_insert((fd, PollFlags::empty())).1 |= events;
    }
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (fd, events) in wanted.into_values() {
        let flags = epoll::EventFlags::from_bits_truncate(u32::from(events.bits()));
        match epoll::add(&set, fd, epoll::EventData::new_u64(0), flags) {
            // EPERM: a regular file, which is always ready. Here it was asked for no event, or
            // poll(2) would have reported it.
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(set)
}

pub(super) fn io_errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

pub(crate) async fn sleep_until(deadline: Option<u64>) {
    match deadline {
        Some(deadline) => {
            tokio::time::sleep(Duration::from_nanos(deadline.saturating_sub(now()))).await
        }
        None => std::future::pending().await,
    }
}

fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for 200 ms for a descriptor that is always ready, as if each readiness came to nothing.
    /// Returns the number of waits.
    async fn rounds(mode: Mode) -> u32 {
        let always = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        let mut waiter = Waiter::new(mode, false, None).unwrap();
        let (cell, mut back_off, mut rounds) = (RegistrationCell::default(), BackOff::default(), 0);
        let end = now() + 200_000_000;
        while waiter
            .ready_again(always.as_fd(), Some(&cell), PollFlags::IN, Some(end), &mut back_off)
            .await
            == Ok(WaitOutcome::Ready)
        {
            rounds += 1;
        }
        assert!(now() >= end);
        rounds
    }

    #[test]
    fn readiness_that_comes_to_nothing_does_not_spin() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for mode in [Mode::Thread, Mode::Fiber] {
            let rounds = runtime.block_on(rounds(mode));
            assert!((3..30).contains(&rounds), "{rounds} on the {mode:?}");
        }
    }
}
