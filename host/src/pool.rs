//! Bounded pools of threads for calls that block in the kernel or in the system's resolver.
//!
//! A job tells its end through an eventfd, so that whoever waits for it does so in the one way it waits for everything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock, Mutex};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

use crate::descriptor::{Place, Places};

/// A pool: its threads are made when they are needed and end when they are idle.
pub(crate) struct Pool {
    runtime: LazyLock<Option<Runtime>>,
    /// As many as there are threads, for jobs that may last: none of them waits for a thread that never comes free.
    places: LazyLock<Places>,
}

impl Pool {
    const fn new(runtime: fn() -> Option<Runtime>, places: fn() -> Places) -> Self {
        Self { runtime: LazyLock::new(runtime), places: LazyLock::new(places) }
    }

    /// A thread's place, for a job that may last; EMFILE where all are taken.
    pub(crate) fn place(&self) -> Result<Place, Errno> {
        self.places.take()
    }
}

fn runtime(name: &'static str, threads: usize) -> Option<Runtime> {
    Builder::new_current_thread().max_blocking_threads(threads).thread_name(name).build().ok()
}

/// Look-ups by the system's resolver.
pub(crate) static NAMES: Pool = Pool::new(|| runtime("sandsock-names", 32), || Places::new(32));

/// accept and connect on descriptions whose kernel flag says that they block.
pub(crate) static BLOCKING: Pool = Pool::new(|| runtime("sandsock-block", 64), || Places::new(64));

/// Closes that linger.
pub(crate) static CLOSES: Pool = Pool::new(|| runtime("sandsock-close", 64), || Places::new(64));

/// A job under way.
pub(crate) struct Job<T> {
    done: Arc<OwnedFd>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> Job<T> {
    /// Readable once the job has ended.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Whether the job has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some()
    }

    /// The result, once.
    pub(crate) fn take(&self) -> Option<T> {
        self.result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl Pool {
    /// Starts a job, or queues it where all threads are busy.
    pub(crate) fn start<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<Job<T>, Errno> {
        let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let result = Arc::new(Mutex::new(None));
        let (signal, place) = (Arc::clone(&done), Arc::clone(&result));
        // A runtime that could not be made means that the process has no threads left; tokio panics where there is none for
        // its pool's first one.
        let runtime = self.runtime.as_ref().ok_or(Errno::AGAIN)?;
        let start = std::panic::AssertUnwindSafe(|| {
            runtime.spawn_blocking(move || {
                let value = job();
                *place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
                // The counter starts at 0 and is written once: the write can't fail.
                let _ = rustix::io::write(&*signal, &1u64.to_ne_bytes());
            })
        });
        std::panic::catch_unwind(start).map_err(|_| Errno::AGAIN)?;
        Ok(Job { done, result })
    }
}
