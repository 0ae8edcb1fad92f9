//! How long one call goes on after EAGAIN: the contract's `wait`, in one place for every call.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::bindings::sandsock::socket::types::Wait;
use crate::error::CallResult;
use crate::wait::back_off::BackOff;
use crate::wait::registration::{RegistrationCell, poll_now};
use crate::wait::{WaitOutcome, Waiter, now};

/// The number of attempts in a row without a wait after which a call lets other guests run.
const TURNS: u32 = 64;

/// A store that the waiter of its context can be reached through.
pub(crate) trait HasWaiter: Send {
    fn waiter(&mut self) -> &mut Waiter;
}

/// A descriptor that a call waits for.
pub(crate) trait WaitTarget {
    fn fd(&self) -> BorrowedFd<'_>;

    /// The instance's registration of the descriptor.
    fn registration(&self) -> &RegistrationCell;

    /// Whether Linux's own calls on it would return EAGAIN and not block.
    fn is_nonblocking(&self) -> bool;

    /// SO_RCVTIMEO or SO_SNDTIMEO in nanoseconds. None if there is no timeout.
    fn timeout(&self, name: i32) -> Option<u64>;

    /// Returns the denial with which the descriptor was taken from the guest, if it was.
    fn check(&self) -> CallResult<()>;
}

impl<T: WaitTarget> WaitTarget for Arc<T> {
    fn fd(&self) -> BorrowedFd<'_> {
        T::fd(self)
    }

    fn registration(&self) -> &RegistrationCell {
        T::registration(self)
    }

    fn is_nonblocking(&self) -> bool {
        T::is_nonblocking(self)
    }

    fn timeout(&self, name: i32) -> Option<u64> {
        T::timeout(self, name)
    }

    fn check(&self) -> CallResult<()> {
        T::check(self)
    }
}

/// The wait of one call. It reads the clock only when the call must wait.
pub(crate) struct WaitBudget {
    wait: Wait,
    limit: Option<Limit>,
    /// Counts how often in a row the kernel reported readiness and then EAGAIN.
    back_off: BackOff,
    /// How often the call went on without a wait.
    turns: u32,
}

/// The wait of a call on a certain descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// The call does not wait.
    Never,
    /// The wait has no end.
    Endless,
    /// The wait ends at this instant.
    Until(u64),
}

impl WaitBudget {
    /// `flags` are the call's MSG_* bits.
    pub(crate) fn new(wait: Wait, flags: i32) -> Self {
        // WIT: under `forever` MSG_DONTWAIT and MSG_ERRQUEUE never wait.
        let never =
            matches!(wait, Wait::Forever) && flags & (libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE) != 0;
        Self {
            wait: if never { Wait::None } else { wait },
            limit: None,
            back_off: BackOff::default(),
            turns: 0,
        }
    }

    /// The wait, for a first step of the call that takes some of its time.
    pub(crate) const fn wait_mut(&mut self) -> &mut Wait {
        &mut self.wait
    }

    /// Whether the call waits as a blocking call of Linux does.
    pub(crate) fn is_forever(&self) -> bool {
        matches!(self.wait, Wait::Forever)
    }

    /// Whether the wait ends as in Linux's own calls: by the non-blocking bit, SO_RCVTIMEO and
    /// SO_SNDTIMEO.
    pub(crate) const fn is_as_linux(&self) -> bool {
        matches!(self.wait, Wait::None | Wait::Forever)
    }

    /// Whether the call may wait at all, as far as this is known without the clock.
    pub(crate) fn may_wait(&self, target: &impl WaitTarget) -> bool {
        match self.wait {
            Wait::None => false,
            Wait::Forever => !target.is_nonblocking(),
            Wait::Within(nanoseconds) => nanoseconds > 0,
            Wait::Until(instant) => instant > 0,
        }
    }

    fn limit(&mut self, target: &impl WaitTarget, events: PollFlags) -> Limit {
        *self.limit.get_or_insert_with(|| match self.wait {
            Wait::None => Limit::Never,
            Wait::Forever if target.is_nonblocking() => Limit::Never,
            Wait::Forever => {
                // man 7 socket: SO_RCVTIMEO and SO_SNDTIMEO end a blocking call.
                let name = if events.contains(PollFlags::OUT) {
                    libc::SO_SNDTIMEO
                } else {
                    libc::SO_RCVTIMEO
                };
                target
                    .timeout(name)
                    .map_or(Limit::Endless, |timeout| Limit::Until(now().saturating_add(timeout)))
            }
            Wait::Within(nanoseconds) => Limit::Until(now().saturating_add(nanoseconds)),
            Wait::Until(instant) => Limit::Until(instant),
        })
    }

    /// Whether the time is over, for a call that never gets EAGAIN from the kernel.
    pub(crate) fn is_over(&mut self, target: &impl WaitTarget, events: PollFlags) -> bool {
        match self.limit(target, events) {
            Limit::Never => true,
            Limit::Endless => false,
            Limit::Until(instant) => instant <= now(),
        }
    }

    /// Waits after EAGAIN, until another attempt is worth it. EAGAIN when the time is over, EINTR
    /// at an interrupt.
    pub(crate) async fn again(
        &mut self,
        store: &mut impl HasWaiter,
        target: &impl WaitTarget,
        events: PollFlags,
    ) -> CallResult<()> {
        let deadline = self.deadline(target, events)?;
        // An unconnected datagram socket is writable and yet gets EAGAIN if the peer is full. The
        // back-off keeps the call from spinning.
        let (fd, cell) = (target.fd(), Some(target.registration()));
        let waiter = store.waiter();
        let outcome = waiter.ready_again(fd, cell, events, deadline, &mut self.back_off).await?;
        target.check()?;
        ready(outcome)
    }

    /// Waits until the job of a pool has ended. `done` is readable then.
    pub(crate) async fn until_done(
        &mut self,
        store: &mut impl HasWaiter,
        done: BorrowedFd<'_>,
        target: &impl WaitTarget,
        events: PollFlags,
    ) -> CallResult<()> {
        let grace = store.waiter().grace();
        let deadline = match self.limit(target, events) {
            // The thread needs a moment even if the kernel answers at once.
            Limit::Never => Some(now().saturating_add(grace)),
            Limit::Endless => None,
            Limit::Until(instant) => Some(instant.max(now().saturating_add(grace))),
        };
        loop {
            let waiter = store.waiter();
            let outcome = waiter.ready_or_renewed(done, None, PollFlags::IN, deadline).await?;
            waiter.take_renewal();
            target.check()?;
            // A renewal ends a wait before the job has ended.
            if outcome == WaitOutcome::TimedOut || is_readable(done)? {
                return ready(outcome);
            }
        }
    }

    /// Records that readiness can be trusted again.
    pub(crate) fn restart(&mut self) {
        self.back_off.reset();
    }

    /// Records progress without a wait. Now and then it lets other guests run, so that a peer which
    /// keeps up does not hold the thread.
    pub(crate) async fn progress(&mut self, store: &mut impl HasWaiter) {
        self.restart();
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(TURNS) {
            store.waiter().give_way().await;
        }
    }

    /// As `again`, but without a wait, for a call that found something and yet made no progress. It
    /// lets other guests run, and the deadline holds.
    pub(crate) async fn go_round(
        &mut self,
        store: &mut impl HasWaiter,
        target: &impl WaitTarget,
        events: PollFlags,
    ) -> CallResult<()> {
        if self.is_over(target, events) {
            return Err(Errno::AGAIN.into());
        }
        store.waiter().pause().await?;
        target.check()
    }

    /// Sleeps one step of the back-off, after an EAGAIN that no readiness will end.
    pub(crate) async fn back_off(
        &mut self,
        store: &mut impl HasWaiter,
        target: &impl WaitTarget,
        events: PollFlags,
    ) -> CallResult<()> {
        let deadline = self.deadline(target, events)?;
        let outcome = store.waiter().back_off(&mut self.back_off, deadline).await?;
        target.check()?;
        ready(outcome)
    }

    /// Sleeps until this instant, before which no attempt is worth it.
    pub(crate) async fn until(
        &mut self,
        store: &mut impl HasWaiter,
        target: &impl WaitTarget,
        events: PollFlags,
        instant: u64,
    ) -> CallResult<()> {
        let deadline = self.deadline(target, events)?;
        self.restart();
        ready(store.waiter().sleep_to(instant, deadline).await?)
    }

    /// The instant at which the time is over. None if the wait has no end, EAGAIN if the call does
    /// not wait.
    pub(crate) fn deadline(
        &mut self,
        target: &impl WaitTarget,
        events: PollFlags,
    ) -> CallResult<Option<u64>> {
        match self.limit(target, events) {
            Limit::Never => Err(Errno::AGAIN.into()),
            Limit::Endless => Ok(None),
            Limit::Until(instant) => Ok(Some(instant)),
        }
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    poll_now(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)]).map(|count| count > 0)
}

/// EAGAIN if the deadline has passed.
fn ready(outcome: WaitOutcome) -> CallResult<()> {
    match outcome {
        WaitOutcome::Ready => Ok(()),
        WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
    }
}
