//! The two ways to wait, behind one type: on the thread (poll(2)), for one guest on one thread, and on the fiber (tokio's
//! readiness), for many guests on few threads. Both end at an interrupt.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::bindings::sandsock::socket::types::Wait;
use crate::observe::{Watch, Watched};
use crate::sys;

/// The longest step of a back-off, for the two EAGAINs that have no readiness behind them.
const BACK_OFF_MAX: Duration = Duration::from_millis(50);
const BACK_OFF_MIN: Duration = Duration::from_millis(1);

/// Nanoseconds of CLOCK_MONOTONIC: `clock.now`, and the clock of every deadline.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// When a wait is over, for a call without a descriptor of its own: 0 for `none`; none for `forever`.
pub(crate) fn deadline(wait: Wait) -> Option<u64> {
    match wait {
        Wait::None => Some(0),
        Wait::Forever => None,
        Wait::Within(nanoseconds) => Some(now().saturating_add(nanoseconds)),
        Wait::Until(instant) => Some(instant),
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
pub struct Interrupter(Arc<OwnedFd>);

impl Interrupter {
    pub(crate) fn new() -> Result<Self, Errno> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(|fd| Self(Arc::new(fd)))
    }

    /// Ends the wait that is under way, or else the next one, with EINTR.
    pub fn interrupt(&self) {
        // EAGAIN would mean that 2^64 interrupts are pending already.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Takes the pending interrupt, if any.
    pub(crate) fn take(&self) -> bool {
        rustix::io::read(&*self.0, &mut [0; 8]).is_ok()
    }
}

/// How a wait ended, interrupts aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is worth trying again.
    Ready,
    /// The deadline has passed.
    TimedOut,
}

/// A descriptor's registration with tokio. It belongs to the waiting instance, never to the shared description.
pub(crate) type Registration = Arc<AsyncFd<OwnedFd>>;

/// Waits for one context.
pub(crate) struct Waiter {
    mode: Mode,
    interrupter: Interrupter,
    registered: Option<Registration>,
    /// A signal ends a wait on the thread as an interrupt does.
    signals: bool,
    watch: Option<Arc<Watch>>,
}

impl Waiter {
    pub(crate) fn new(mode: Mode, signals: bool, watch: Option<Arc<Watch>>) -> Result<Self, Errno> {
        Ok(Self { mode, interrupter: Interrupter::new()?, registered: None, signals, watch })
    }

    /// Tells the observers of a wait, which ends with what is given back.
    fn watched(&self) -> Option<Watched> {
        self.watch.as_ref().map(Watch::wait)
    }

    pub(crate) fn interrupter(&self) -> &Interrupter {
        &self.interrupter
    }

    /// Waits until `fd` shows one of `events` (or an error or a hang-up), or until the deadline.
    ///
    /// `registration` is where the instance keeps its registration of this descriptor between waits.
    pub(crate) async fn ready(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: Option<&Mutex<Option<Registration>>>,
        events: PollFlags,
        deadline: Option<u64>,
    ) -> Result<Outcome, Errno> {
        let _watched = self.watched();
        match self.mode {
            Mode::Thread => self.on_thread(&mut [self.interrupt_entry(), PollFd::from_borrowed_fd(fd, events)], deadline),
            Mode::Fiber => {
                let kept = match registration {
                    Some(place) => kept(place, fd)?,
                    None => register(fd)?,
                };
                self.on_fiber(&kept, events, deadline).await
            }
        }
    }

    /// poll(2) for many: each descriptor's events, all empty when the deadline has passed.
    pub(crate) async fn poll(
        &mut self,
        fds: &[(BorrowedFd<'_>, PollFlags)],
        deadline: Option<u64>,
    ) -> Result<Vec<PollFlags>, Errno> {
        let mut all = Vec::with_capacity(fds.len() + 1);
        let interrupter = self.interrupter.clone();
        all.push(PollFd::new(&*interrupter.0, PollFlags::IN));
        all.extend(fds.iter().map(|&(fd, events)| PollFd::from_borrowed_fd(fd, events)));
        // What need not wait, or may not, takes no interrupt.
        let over = |deadline| deadline <= now();
        if poll_now(&mut all[1..])? == 0 && !deadline.is_some_and(over) {
            let _watched = self.watched();
            if self.mode == Mode::Fiber {
                // One epoll instance stands for all of them; a descriptor named twice is registered once.
                let mut wanted: BTreeMap<RawFd, (BorrowedFd<'_>, PollFlags)> = BTreeMap::new();
                for &(fd, events) in fds {
                    wanted.entry(fd.as_raw_fd()).or_insert((fd, PollFlags::empty())).1 |= events;
                }
                let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
                for (fd, events) in wanted.into_values() {
                    let flags = epoll::EventFlags::from_bits_truncate(u32::from(events.bits()));
                    match epoll::add(&set, fd, epoll::EventData::new_u64(0), flags) {
                        // EPERM: a regular file, which is ready for what was asked, or was asked for nothing.
                        Ok(()) | Err(Errno::PERM) => {}
                        Err(errno) => return Err(errno),
                    }
                }
                let set = Arc::new(sys::register(set, Interest::READABLE)?);
                while self.on_fiber(&set, PollFlags::IN, deadline).await? == Outcome::Ready && poll_now(&mut all[1..])? == 0
                {
                    // What was ready is not any more.
                }
            } else {
                self.on_thread(&mut all, deadline)?;
            }
        }
        Ok(all[1..].iter().map(PollFd::revents).collect())
    }

    /// Sleeps one step of a back-off; `step` is the last one's length.
    pub(crate) async fn back_off(&mut self, step: &mut Duration, deadline: Option<u64>) -> Result<Outcome, Errno> {
        *step = (*step * 2).clamp(BACK_OFF_MIN, BACK_OFF_MAX);
        let until = now().saturating_add(step.as_nanos() as u64);
        match deadline {
            Some(deadline) if deadline <= until => self.sleep(Some(deadline)).await.map(|()| Outcome::TimedOut),
            _ => self.sleep(Some(until)).await.map(|()| Outcome::Ready),
        }
    }

    /// Sleeps until the deadline; for ever without one.
    pub(crate) async fn sleep(&mut self, deadline: Option<u64>) -> Result<(), Errno> {
        let _watched = self.watched();
        match self.mode {
            Mode::Thread => self.on_thread(&mut [self.interrupt_entry()], deadline).map(drop),
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

    /// Lets others run, in a call that has much to do and has not waited. EINTR at an interrupt.
    pub(crate) async fn pause(&mut self) -> Result<(), Errno> {
        if self.mode == Mode::Fiber {
            tokio::task::yield_now().await;
        }
        if self.interrupter.take() { Err(Errno::INTR) } else { Ok(()) }
    }

    /// One poll(2), with the interrupt first in the list.
    fn on_thread(&self, fds: &mut [PollFd<'_>], deadline: Option<u64>) -> Result<Outcome, Errno> {
        loop {
            let timeout = deadline.map(|deadline| timespec(deadline.saturating_sub(now())));
            let count = match poll(fds, timeout.as_ref()) {
                // A signal of the embedder's own: nothing of ours. The deadline stays.
                Err(Errno::INTR) if !self.signals => continue,
                other => other?,
            };
            if !fds[0].revents().is_empty() && self.interrupter.take() {
                return Err(Errno::INTR);
            }
            if count > 0 {
                return Ok(Outcome::Ready);
            }
            if deadline.is_some_and(|deadline| deadline <= now()) {
                return Ok(Outcome::TimedOut);
            }
        }
    }

    fn interrupt_entry(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.interrupter.0.as_fd(), PollFlags::IN)
    }

    /// Waits for a registration, with poll(2) as the judge of what tokio remembers.
    async fn on_fiber(
        &mut self,
        registration: &Registration,
        events: PollFlags,
        deadline: Option<u64>,
    ) -> Result<Outcome, Errno> {
        let interest = interest(events);
        loop {
            let interrupted = self.interrupted()?;
            let mut guard = tokio::select! {
                biased;
                errno = interrupted => return Err(errno),
                guard = registration.ready(interest) => guard.map_err(io_errno)?,
                () = sleep_until(deadline) => return Ok(Outcome::TimedOut),
            };
            // tokio's readiness is of the edge: it may be of before the last EAGAIN.
            let mut now = [PollFd::from_borrowed_fd(registration.get_ref().as_fd(), events)];
            if poll_now(&mut now)? > 0 {
                guard.retain_ready();
                return Ok(Outcome::Ready);
            }
            guard.clear_ready_matching(Ready::ALL);
        }
    }

    /// A future that ends with EINTR at an interrupt, and takes it.
    fn interrupted(&mut self) -> Result<impl Future<Output = Errno> + use<>, Errno> {
        let fd = match &self.registered {
            Some(fd) => Arc::clone(fd),
            None => Arc::clone(self.registered.insert(register(self.interrupter.0.as_fd())?)),
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

/// The registration that is kept in a place, made on first need.
fn kept(place: &Mutex<Option<Registration>>, fd: BorrowedFd<'_>) -> Result<Registration, Errno> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    match &*place {
        Some(kept) => Ok(Arc::clone(kept)),
        None => Ok(Arc::clone(place.insert(register(fd)?))),
    }
}

/// poll(2) without a wait. A signal of the embedder's own is no answer.
fn poll_now(fds: &mut [PollFd<'_>]) -> Result<usize, Errno> {
    loop {
        match poll(fds, Some(&timespec(0))) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn register(fd: BorrowedFd<'_>) -> Result<Registration, Errno> {
    // epoll refuses one number twice: each registration is of a duplicate of its own.
    let own = rustix::io::fcntl_dupfd_cloexec(fd, 0)?;
    let all = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY | Interest::ERROR;
    sys::register(own, all).map(Arc::new)
}

fn io_errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn interest(events: PollFlags) -> Interest {
    let mut interest = Interest::ERROR;
    if events.intersects(PollFlags::IN | PollFlags::RDHUP) {
        interest |= Interest::READABLE;
    }
    if events.contains(PollFlags::OUT) {
        interest |= Interest::WRITABLE;
    }
    if events.contains(PollFlags::PRI) {
        interest |= Interest::PRIORITY;
    }
    interest
}

async fn sleep_until(deadline: Option<u64>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(Duration::from_nanos(deadline.saturating_sub(now()))).await,
        None => std::future::pending().await,
    }
}

fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}
