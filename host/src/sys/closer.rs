//! Descriptors whose files may be anybody's: they are closed, and looked at, on threads that no
//! guest runs on.
//!
//! close(2) waits for as long as the file's owner likes: a FUSE daemon answers a flush when it
//! will, a socket lingers, a terminal drains. So does the kernel's own drop of a message that
//! nobody read, for the descriptors in it. A guest shares its thread with others; so whatever may
//! be the last close of something that others hold or made is left to a pool of threads. Each
//! instance has its share of them, and what it has left there is begun in the order in which it
//! came.

use std::any::Any;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

use crate::sys;

/// The threads. Hardly ever there is more than one; there may be more than as many instances as
/// `serve` runs by default can hold.
static POOL: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    // Their work is a few system calls.
    builder
        .max_blocking_threads(4096)
        .thread_stack_size(256 * 1024)
        .thread_name("sandsock-stray")
        .build()
        .ok()
});

/// Starts work, or queues it where all threads are busy. False if the process has no thread left:
/// tokio panics where there is none for its pool's first one.
pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> bool {
    let Some(runtime) = POOL.as_ref() else { return false };
    catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(work))).is_ok()
}

/// How many of the pool's threads one instance has at once.
const THREADS: usize = 3;

/// While so many descriptors that the guest never had wait to be closed, the instance takes in no
/// message that may bring more.
const WAITING_MAX: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// One instance's share of these threads. The work that waits there is bounded: by [`WAITING_MAX`]
/// and one message more, and by the instance's limit of descriptors, whose places are free again
/// when they are closed.
#[derive(Clone)]
pub(crate) struct Strangers(Arc<Share>);

struct Share {
    queue: Mutex<Queue>,
    /// How many [`Stray`] descriptors are on their way to a close.
    strays: AtomicUsize,
    /// How many threads run work that must not wait for the queue.
    apart: AtomicUsize,
    /// The instance has sent or taken in a descriptor: what its own sockets hold unread may be
    /// anything.
    mixed: AtomicBool,
    /// Dropped once the instance and all that it left here are gone.
    _held: Vec<Arc<dyn Any + Send + Sync>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    running: usize,
}

impl Strangers {
    pub(crate) fn new(held: Vec<Arc<dyn Any + Send + Sync>>) -> Self {
        let (strays, apart, mixed) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Share { queue: Mutex::default(), strays, apart, mixed, _held: held }))
    }

    /// For what belongs to no instance.
    pub(crate) fn of_nobody() -> Self {
        Self::new(Vec::new())
    }

    /// A received descriptor, which these threads close unless somebody takes it.
    pub(crate) fn stray(&self, fd: OwnedFd) -> Stray {
        Stray { fd: Some(fd), counts: true, share: self.clone() }
    }

    /// A descriptor of the host's own that is closed like a received one. It does not keep the
    /// instance from taking in messages.
    pub(crate) fn own(&self, fd: OwnedFd) -> Stray {
        Stray { fd: Some(fd), counts: false, share: self.clone() }
    }

    /// Whether as much as may be is waiting to be closed.
    pub(crate) fn are_full(&self) -> bool {
        self.0.strays.load(Ordering::Relaxed) >= WAITING_MAX
    }

    /// A descriptor comes in or goes out.
    pub(crate) fn set_mixed(&self) {
        self.0.mixed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn are_mixed(&self) -> bool {
        self.0.mixed.load(Ordering::Relaxed)
    }

    /// Closes a descriptor; `place` is held until that is done. Nobody waits for it.
    pub(crate) fn close(&self, fd: OwnedFd, place: impl Send + 'static) {
        self.submit(Box::new(move || {
            drop(fd);
            drop(place);
        }));
    }

    /// Closes a descriptor, with the result for who waits for it. It is closed in any case.
    pub(crate) fn close_for(
        &self,
        fd: OwnedFd,
        place: impl Send + 'static,
    ) -> Result<Job<Result<(), Errno>>, Errno> {
        let stray = self.own(fd);
        self.work(move || {
            let result = sys::close(stray.take());
            drop(place);
            result
        })
    }

    /// Does work at once that must not wait behind closes that hang; EAGAIN if as much of it hangs
    /// already as may, or if the process has no thread left.
    pub(crate) fn work_at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let (job, work) = Job::new(work)?;
        let share = Arc::clone(&self.0);
        if share.apart.fetch_add(1, Ordering::Relaxed) < THREADS {
            let own = Arc::clone(&share);
            let run = move || {
                work();
                own.apart.fetch_sub(1, Ordering::Relaxed);
            };
            if spawn(run) {
                return Ok(job);
            }
        }
        share.apart.fetch_sub(1, Ordering::Relaxed);
        Err(Errno::AGAIN)
    }

    /// Starts what waits though no thread runs: when it came the process had none left.
    pub(crate) fn kick(&self) {
        let mut queue = self.0.queue();
        if queue.running == 0 && !queue.waiting.is_empty() {
            self.start(&mut queue);
        }
    }

    /// Does anything else that may wait.
    pub(crate) fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let (job, work) = Job::new(work)?;
        self.submit(Box::new(work));
        Ok(job)
    }

    /// Does it without anybody who waits for it.
    pub(crate) fn leave(&self, work: impl FnOnce() + Send + 'static) {
        self.submit(Box::new(work));
    }

    fn submit(&self, work: Work) {
        let mut queue = self.0.queue();
        queue.waiting.push_back(work);
        if queue.running < THREADS {
            self.start(&mut queue);
        }
    }

    /// Starts one more thread.
    fn start(&self, queue: &mut Queue) {
        queue.running += 1;
        let share = Arc::clone(&self.0);
        if !spawn(move || share.drain()) {
            // The process has no thread left: what comes next tries again.
            queue.running -= 1;
        }
    }
}

/// Work that somebody waits for. Unlike a job of the pools it is done though nobody waits any more.
pub(crate) struct Job<T> {
    done: Arc<OwnedFd>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T: Send + 'static> Job<T> {
    /// The job, and the work that ends it.
    fn new(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Self, impl FnOnce() + Send + 'static), Errno> {
        let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let job = Self { done: Arc::clone(&done), result: Arc::default() };
        let place = Arc::clone(&job.result);
        let work = move || {
            let value = work();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            // The counter starts at 0 and is written once: the write can't fail.
            let _ = rustix::io::write(&*done, &1u64.to_ne_bytes());
        };
        Ok((job, work))
    }
}

impl<T> Job<T> {
    /// Readable once the work is done.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// The result, once.
    pub(crate) fn take(&self) -> Option<T> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Share {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's turn: all that waits, the oldest first.
    fn drain(&self) {
        loop {
            let work = {
                let mut queue = self.queue();
                let Some(work) = queue.waiting.pop_front() else {
                    queue.running -= 1;
                    return;
                };
                work
            };
            work();
        }
    }
}

impl std::fmt::Debug for Strangers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Strangers").field("strays", &self.0.strays).finish_non_exhaustive()
    }
}

/// A descriptor that came from others and that nobody has looked at. On drop it is left to the
/// instance's share of threads.
#[derive(Debug)]
pub(crate) struct Stray {
    /// None once it was taken.
    fd: Option<OwnedFd>,
    /// It came in by a message: as long as many such wait to be closed, no more are taken in.
    counts: bool,
    share: Strangers,
}

impl Stray {
    /// Takes it out, for who sees to its close.
    pub(crate) fn take(mut self) -> OwnedFd {
        self.fd.take().expect("only this takes it, and it takes the whole")
    }
}

impl AsFd for Stray {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("only `take` takes it, and it takes the whole").as_fd()
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            if !self.counts {
                return self.share.close(fd, ());
            }
            self.share.0.strays.fetch_add(1, Ordering::Relaxed);
            self.share.close(fd, Counted(self.share.clone()));
        }
    }
}

/// Counts a stray descriptor until it is closed.
struct Counted(Strangers);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.strays.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_that_hangs_holds_its_own_instances_threads_alone() {
        let (one, other) = (Strangers::of_nobody(), Strangers::of_nobody());
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..THREADS + 3 {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            one.leave(move || {
                let _ = tell.send(number);
                drop(gate.lock());
            });
        }
        let begun: Vec<usize> =
            (0..THREADS).map(|_| told.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        assert!(begun.iter().all(|&number| number < THREADS), "the first come first: {begun:?}");
        let (done, ended) = mpsc::channel();
        other.leave(move || done.send(()).unwrap());
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(told.try_recv().is_err(), "the rest waits");
        drop(closed);
        for _ in 0..3 {
            told.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }

    #[test]
    fn what_is_held_goes_with_the_last_work() {
        let held: Arc<dyn Any + Send + Sync> = Arc::new(());
        let (go, wait) = mpsc::channel::<()>();
        let share = Strangers::new(vec![Arc::clone(&held)]);
        let own = share.clone();
        share.leave(move || {
            let _ = wait.recv_timeout(Duration::from_secs(10));
            drop(own);
        });
        drop(share);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(go);
        for _ in 0..1000 {
            if Arc::strong_count(&held) == 1 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it is held for ever");
    }

    #[test]
    fn a_stray_counts_until_it_is_closed() {
        let share = Strangers::of_nobody();
        let (read, write) = std::io::pipe().unwrap();
        drop(share.stray(write.into()));
        let mut byte = [0];
        assert_eq!(std::io::Read::read(&mut &read, &mut byte).unwrap(), 0, "it is closed");
        let kept = share.stray(read.into()).take();
        drop(kept);
        for _ in 0..1000 {
            if share.0.strays.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it counts for ever");
    }
}
