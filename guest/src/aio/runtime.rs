//! The executor: runs what can go on, and lets the reactor wait when nothing can.

use std::{
    cell::Cell,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use async_executor::{LocalExecutor, Task};

use super::reactor::Reactor;
use crate::{Error, Result};

/// How many tasks run before the reactor is asked again.
const TURN: u32 = 256;
/// How many calls one task makes in one go.
const CALLS: u32 = 64;

thread_local! {
    static RUNTIME: Runtime = Runtime::default();
}

/// What this thread's futures share.
#[derive(Default)]
pub(super) struct Runtime {
    executor: LocalExecutor<'static>,
    pub(super) reactor: Reactor,
    running: Cell<bool>,
    /// The calls that are left to the task that runs.
    calls: Cell<u32>,
}

/// Uses the thread's runtime; none while the thread ends.
pub(super) fn with<T>(what: impl FnOnce(&Runtime) -> T) -> Option<T> {
    RUNTIME.try_with(what).ok()
}

/// Runs a future to its end, and with it the tasks that were [`spawn`]ed.
///
/// Tasks that have not ended by then stay where they are until the next `run`. Python:
/// `asyncio.run(main)`.
///
/// # Errors
/// `InterruptedError`, or what the interrupt handler says, when the host interrupts its wait: the
/// future is then dropped. `RuntimeError` where one `run` is called within another; EMFILE where
/// the instance has as many pollers as its limit allows.
pub fn run<F: Future>(future: F) -> Result<F::Output> {
    RUNTIME.with(|runtime| runtime.run(pin!(future)))
}

/// Starts a task, which runs while [`run`] does.
///
/// Awaiting the [`Task`] gives its result, dropping it cancels it, and [`Task::detach`] lets it go
/// on by itself. Python: `asyncio.create_task(coroutine)`.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    RUNTIME.with(|runtime| runtime.executor.spawn(future))
}

impl Runtime {
    fn run<F: Future>(&self, mut future: Pin<&mut F>) -> Result<F::Output> {
        let _running = Running::begin(&self.running)?;
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut left = TURN;
        loop {
            if woken.0.swap(false, Ordering::Relaxed) {
                self.calls.set(CALLS);
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    return Ok(output);
                }
                left = left.saturating_sub(1);
            }
            while left > 0 && self.tick() {
                left -= 1;
            }
            let idle = left > 0;
            if idle && woken.0.load(Ordering::Relaxed) {
                continue;
            }
            self.reactor.turn(idle)?;
            left = TURN;
        }
    }

    /// Runs one task, if one can go on.
    fn tick(&self) -> bool {
        self.calls.set(CALLS);
        self.executor.try_tick()
    }

    /// Whether the task that runs may make another call; if not, its turn comes again.
    pub(super) fn may_call(&self, context: &Context<'_>) -> bool {
        match self.calls.get().checked_sub(1) {
            Some(left) => {
                self.calls.set(left);
                true
            }
            None => {
                context.waker().wake_by_ref();
                false
            }
        }
    }
}

/// Marks the time in which `run` is at work.
struct Running<'a>(&'a Cell<bool>);

impl<'a> Running<'a> {
    fn begin(running: &'a Cell<bool>) -> Result<Self> {
        if running.replace(true) {
            return Err(Error::exception(
                "RuntimeError",
                "aio::run() cannot be called from a running event loop",
            ));
        }
        Ok(Self(running))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Whether the future of `run` can go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
