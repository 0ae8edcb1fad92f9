//! The executor. It runs the tasks that can go on, and lets the reactor wait if none can.

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

/// The most tasks that run between two turns of the reactor.
const TURN: u32 = 256;
/// The most calls that a task makes each time it runs.
const CALLS: u32 = 64;

thread_local! {
    static RUNTIME: Runtime = Runtime::default();
}

/// The executor, the reactor and the counters that all futures of a thread share.
#[derive(Default)]
pub(super) struct Runtime {
    executor: LocalExecutor<'static>,
    pub(super) reactor: Reactor,
    running: Cell<bool>,
    /// The number of calls that the running task may still make.
    calls: Cell<u32>,
}

/// Calls a function with the thread's runtime. None while the thread ends.
pub(super) fn with<T>(what: impl FnOnce(&Runtime) -> T) -> Option<T> {
    RUNTIME.try_with(what).ok()
}

/// Runs a future to its end, together with the [`spawn`]ed tasks.
///
/// Tasks that have not ended by then wait for the next `run`. Python: `asyncio.run(main)`.
///
/// # Errors
/// `InterruptedError`, or the error of the interrupt handler, if the host interrupts the wait: the
/// future is then dropped. `RuntimeError` if `run` is called within another `run`; EMFILE if the
/// instance has as many pollers as its limit allows.
pub fn run<F: Future>(future: F) -> Result<F::Output> {
    RUNTIME.with(|runtime| runtime.run(pin!(future)))
}

/// Starts a task. It runs only while [`run`] does.
///
/// Awaiting the [`Task`] returns its result, and dropping it cancels it. [`Task::detach`] lets it
/// run on by itself. Python: `asyncio.create_task(coroutine)`.
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

    /// Runs one task, if one is ready.
    fn tick(&self) -> bool {
        self.calls.set(CALLS);
        self.executor.try_tick()
    }

    /// Whether the running task may make another call. If not, it is woken, so that it runs again
    /// later.
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

/// Marks the thread as running until it is dropped.
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
