//! How long one call goes on after EAGAIN: the contract's `wait`, in one place for every call.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use crate::bindings::sandsock::socket::types::Wait;
use crate::ctx::SandsockView;
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::wait::back_off::BackOff;
use crate::wait::{self, now};

/// How long a call that may not wait waits for a pool's thread to make its system call, in
/// nanoseconds.
const GRACE: u64 = 200_000_000;

/// After so many turns without a wait a call lets other guests run.
const TURNS: u32 = 64;

/// A call's wait. The clock is read only once the call must wait.
pub(crate) struct WaitBudget {
    wait: Wait,
    limit: Option<Limit>,
    /// How often in a row the kernel said "ready" and then EAGAIN.
    back_off: BackOff,
    /// How often the call got on without a wait.
    turns: u32,
}

/// What a wait comes to on a certain descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Not at all.
    Never,
    /// Without end.
    Endless,
    /// Until this instant.
    Until(u64),
}

impl WaitBudget {
    /// Of this wait; `flags` are the call's MSG_* bits.
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

    /// The wait, for a step before the call's own that takes from its time.
    pub(crate) const fn wait_mut(&mut self) -> &mut Wait {
        &mut self.wait
    }

    /// Whether this is a wait as Linux blocks.
    pub(crate) fn is_forever(&self) -> bool {
        matches!(self.wait, Wait::Forever)
    }

    /// Whether it ends as Linux's own calls do: by the non-blocking bit, SO_RCVTIMEO and
    /// SO_SNDTIMEO.
    pub(crate) const fn is_as_linux(&self) -> bool {
        matches!(self.wait, Wait::None | Wait::Forever)
    }

    /// Whether it waits at all, where the clock need not be read to tell.
    pub(crate) fn may_wait(&self, handle: &Handle) -> bool {
        match self.wait {
            Wait::None => false,
            Wait::Forever => !handle.is_nonblocking(),
            Wait::Within(nanoseconds) => nanoseconds > 0,
            Wait::Until(instant) => instant > 0,
        }
    }

    fn limit(&mut self, handle: &Handle, events: PollFlags) -> Limit {
        *self.limit.get_or_insert_with(|| match self.wait {
            Wait::None => Limit::Never,
            Wait::Forever if handle.is_nonblocking() => Limit::Never,
            Wait::Forever => {
                // man 7 socket: SO_RCVTIMEO and SO_SNDTIMEO end a blocking call.
                let name = if events.contains(PollFlags::OUT) {
                    libc::SO_SNDTIMEO
                } else {
                    libc::SO_RCVTIMEO
                };
                handle
                    .timeout(name)
                    .map_or(Limit::Endless, |timeout| Limit::Until(now().saturating_add(timeout)))
            }
            Wait::Within(nanoseconds) => Limit::Until(now().saturating_add(nanoseconds)),
            Wait::Until(instant) => Limit::Until(instant),
        })
    }

    /// Whether the time is over, for a call that the kernel does not let come to EAGAIN.
    pub(crate) fn is_over(&mut self, handle: &Handle, events: PollFlags) -> bool {
        match self.limit(handle, events) {
            Limit::Never => true,
            Limit::Endless => false,
            Limit::Until(instant) => instant <= now(),
        }
    }

    /// After EAGAIN: returns when it is worth trying again. EAGAIN when the time is over, EINTR at
    /// an interrupt.
    pub(crate) async fn again<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Handle,
        events: PollFlags,
    ) -> CallResult<()> {
        let deadline = self.deadline(handle, events)?;
        let view = store.data_mut().sandsock();
        // An unconnected datagram send to a full peer: writable, and yet EAGAIN. Nothing spins.
        let (fd, cell, back_off) = (handle.fd(), Some(&handle.registration), &mut self.back_off);
        match view.ctx.waiter.ready_again(fd, cell, events, deadline, back_off).await? {
            wait::WaitOutcome::Ready => Ok(()),
            wait::WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
        }
    }

    /// Waits until a pool's job has ended, which `done` tells.
    pub(crate) async fn until_done<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        done: BorrowedFd<'_>,
        handle: &Handle,
        events: PollFlags,
    ) -> CallResult<()> {
        let deadline = match self.limit(handle, events) {
            // The thread needs a moment for what the kernel answers at once.
            Limit::Never => Some(now().saturating_add(GRACE)),
            Limit::Endless => None,
            Limit::Until(instant) => Some(instant.max(now().saturating_add(GRACE))),
        };
        let view = store.data_mut().sandsock();
        match view.ctx.waiter.ready(done, None, PollFlags::IN, deadline).await? {
            wait::WaitOutcome::Ready => Ok(()),
            wait::WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
        }
    }

    /// Readiness can be trusted again.
    pub(crate) fn restart(&mut self) {
        self.back_off.reset();
    }

    /// The call got on, and goes on without a wait: a peer that keeps up must not hold the thread.
    pub(crate) async fn progress<T: SandsockView>(&mut self, store: &mut StoreContextMut<'_, T>) {
        self.restart();
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(TURNS) {
            store.data_mut().sandsock().ctx.waiter.give_way().await;
        }
    }

    /// The call got nowhere, though there was something all the while: as `again`, without a wait.
    /// What never ends must not hold the thread, nor go on beyond the deadline.
    pub(crate) async fn go_round<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Handle,
        events: PollFlags,
    ) -> CallResult<()> {
        if self.is_over(handle, events) {
            return Err(Errno::AGAIN.into());
        }
        Ok(store.data_mut().sandsock().ctx.waiter.pause().await?)
    }

    /// For an EAGAIN that no readiness stands behind: sleeps a step.
    pub(crate) async fn back_off<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Handle,
        events: PollFlags,
    ) -> CallResult<()> {
        let deadline = self.deadline(handle, events)?;
        match store.data_mut().sandsock().ctx.waiter.back_off(&mut self.back_off, deadline).await? {
            wait::WaitOutcome::Ready => Ok(()),
            wait::WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
        }
    }

    /// When the time is over, none without an end; EAGAIN where nothing is waited for.
    fn deadline(&mut self, handle: &Handle, events: PollFlags) -> CallResult<Option<u64>> {
        match self.limit(handle, events) {
            Limit::Never => Err(Errno::AGAIN.into()),
            Limit::Endless => Ok(None),
            Limit::Until(instant) => Ok(Some(instant)),
        }
    }
}
