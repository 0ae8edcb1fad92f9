//! Threads that close descriptors of others, and look at them, in place of the threads that guests
//! run on.
//!
//! close(2) may wait for as long as the owner of the file likes. A FUSE daemon answers a flush when
//! it wants to, a socket lingers, a terminal drains. The kernel waits in the same way when it drops
//! an unread message with descriptors in it. Guests share their threads. So a close that may be the
//! last one of a file that others hold or made runs on a thread of this pool. Each instance has its
//! own few of these threads, and its work starts in the order in which it came.

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

/// The threads of all instances. There is hardly ever more than one. The limit is above what the
/// instances that `serve` runs by default can hold together.
static POOL: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    // Their work is a few system calls.
    builder
        .max_blocking_threads(4096)
        .thread_stack_size(256 * 1024)
        .thread_name("sandsock-closer")
        .build()
        .ok()
});

/// Starts work on a thread that counts for no instance, or queues it if all threads are busy. False
/// if the process can start no thread: tokio panics if it cannot start the first thread of a pool.
pub(crate) fn spawn_in_pool(work: impl FnOnce() + Send + 'static) -> bool {
    let Some(runtime) = POOL.as_ref() else { return false };
    catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(work))).is_ok()
}

/// The most threads that run the work of one instance at once.
const THREADS: usize = 3;

/// The number of received descriptors waiting for their close at which the instance receives no
/// message that may bring more.
const WAITING_MAX: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// The closing threads of one instance, and the work that waits for them.
///
/// The work is bounded. There are at most [`WAITING_MAX`] received descriptors and those of one more
/// message. The guest's own descriptors count against its limit until they are closed.
#[derive(Clone)]
pub(crate) struct Closer(Arc<Share>);

struct Share {
    queue: Mutex<Queue>,
    /// The received descriptors that wait for their close.
    waiting: AtomicUsize,
    /// The threads that run work outside the queue.
    at_once: AtomicUsize,
    /// Whether the instance has sent or received a descriptor. Its own sockets may then hold unread
    /// descriptors of any kind.
    fd_passed: AtomicBool,
    /// Dropped when the instance is gone and all its work here is done.
    _held: Vec<Arc<dyn Any + Send + Sync>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    running: usize,
}

impl Closer {
    pub(crate) fn new(held: Vec<Arc<dyn Any + Send + Sync>>) -> Self {
        Self(Arc::new(Share {
            queue: Mutex::default(),
            waiting: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            fd_passed: AtomicBool::new(false),
            _held: held,
        }))
    }

    /// A closer for descriptors that belong to no instance.
    pub(crate) fn detached() -> Self {
        Self::new(Vec::new())
    }

    /// Wraps a received descriptor.
    pub(crate) fn defer_received(&self, fd: OwnedFd) -> DeferredFd {
        DeferredFd { fd: Some(fd), received: true, closer: self.clone() }
    }

    /// Wraps a descriptor that the host made. It does not count among the received ones.
    pub(crate) fn defer(&self, fd: OwnedFd) -> DeferredFd {
        DeferredFd { fd: Some(fd), received: false, closer: self.clone() }
    }

    /// Whether the instance must receive no further descriptors for now.
    pub(crate) fn is_full(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) >= WAITING_MAX
    }

    /// Records that the instance sends or receives a descriptor.
    pub(crate) fn note_fd_passed(&self) {
        self.0.fd_passed.store(true, Ordering::Relaxed);
    }

    /// Whether the instance has ever sent or received a descriptor.
    pub(crate) fn any_fd_passed(&self) -> bool {
        self.0.fd_passed.load(Ordering::Relaxed)
    }

    /// Closes a descriptor, and then drops `held`. Nobody waits for it.
    pub(crate) fn close(&self, fd: OwnedFd, held: impl Send + 'static) {
        self.submit(Box::new(move || {
            drop(fd);
            drop(held);
        }));
    }

    /// Closes a descriptor, drops `held`, and reports the result. The close happens even if the
    /// caller gets an error or stops waiting.
    pub(crate) fn close_for(
        &self,
        fd: OwnedFd,
        held: impl Send + 'static,
    ) -> Result<Completion<Result<(), Errno>>, Errno> {
        let fd = self.defer(fd);
        self.run(move || {
            let result = sys::close(fd.take());
            drop(held);
            result
        })
    }

    /// Runs work at once, because it must not wait behind closes that hang. EAGAIN if [`THREADS`]
    /// such runs hang already, or if the process can start no thread.
    pub(crate) fn run_at_once<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, Errno> {
        let (completion, work) = Completion::new(work)?;
        let share = Arc::clone(&self.0);
        if share.at_once.fetch_add(1, Ordering::Relaxed) < THREADS {
            let own = Arc::clone(&share);
            let run = move || {
                work();
                own.at_once.fetch_sub(1, Ordering::Relaxed);
            };
            if spawn_in_pool(run) {
                return Ok(completion);
            }
        }
        share.at_once.fetch_sub(1, Ordering::Relaxed);
        Err(Errno::AGAIN)
    }

    /// Starts work that still waits because the process could start no thread when it came.
    pub(crate) fn resume(&self) {
        let mut queue = self.0.queue();
        if queue.running == 0 && !queue.waiting.is_empty() {
            self.start(&mut queue);
        }
    }

    /// Runs work after the work that came before it, and reports the result.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, Errno> {
        let (completion, work) = Completion::new(work)?;
        self.submit(Box::new(work));
        Ok(completion)
    }

    /// Runs work after the work that came before it. Nobody waits for it.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) {
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
        if !spawn_in_pool(move || share.drain()) {
            // The process can start no thread. The next work tries again.
            queue.running -= 1;
        }
    }
}

/// A handle to work that somebody waits for. Unlike a job of the pools, the work is done even if the
/// handle is dropped.
pub(crate) struct Completion<T> {
    done: Arc<OwnedFd>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T: Send + 'static> Completion<T> {
    /// The handle, and the work that completes it.
    fn new(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Self, impl FnOnce() + Send + 'static), Errno> {
        let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let completion = Self { done: Arc::clone(&done), result: Arc::default() };
        let result = Arc::clone(&completion.result);
        let work = move || {
            let value = work();
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            // The counter starts at 0 and is written once: the write can't fail.
            let _ = rustix::io::write(&*done, &1u64.to_ne_bytes());
        };
        Ok((completion, work))
    }
}

impl<T> Completion<T> {
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

    /// Runs the waiting work on this thread, the oldest first.
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

impl std::fmt::Debug for Closer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closer").field("waiting", &self.0.waiting).finish_non_exhaustive()
    }
}

/// A descriptor that a thread of the closer closes after the drop, unless somebody takes it.
#[derive(Debug)]
pub(crate) struct DeferredFd {
    /// None after `take`.
    fd: Option<OwnedFd>,
    /// Whether it was received in a message, and so counts in [`Share::waiting`].
    received: bool,
    closer: Closer,
}

impl DeferredFd {
    /// Unwraps the descriptor. The caller closes it.
    pub(crate) fn take(mut self) -> OwnedFd {
        self.fd.take().expect("only this takes it, and it takes the whole")
    }
}

impl AsFd for DeferredFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("only `take` takes it, and it takes the whole").as_fd()
    }
}

impl Drop for DeferredFd {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            if !self.received {
                return self.closer.close(fd, ());
            }
            self.closer.0.waiting.fetch_add(1, Ordering::Relaxed);
            self.closer.close(fd, Counted(self.closer.clone()));
        }
    }
}

/// Counts a received descriptor until it is closed.
struct Counted(Closer);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_that_hangs_holds_its_own_instances_threads_alone() {
        let (one, other) = (Closer::detached(), Closer::detached());
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let (send, starts) = mpsc::channel();
        for number in 0..THREADS + 3 {
            let (gate, send) = (Arc::clone(&gate), send.clone());
            one.spawn(move || {
                let _ = send.send(number);
                drop(gate.lock());
            });
        }
        let begun: Vec<usize> =
            (0..THREADS).map(|_| starts.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        assert!(begun.iter().all(|&number| number < THREADS), "the first come first: {begun:?}");
        let (done, ended) = mpsc::channel();
        other.spawn(move || done.send(()).unwrap());
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(starts.try_recv().is_err(), "the rest waits");
        drop(closed);
        for _ in 0..3 {
            starts.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }

    #[test]
    fn what_is_held_goes_with_the_last_work() {
        let held: Arc<dyn Any + Send + Sync> = Arc::new(());
        let (go, wait) = mpsc::channel::<()>();
        let closer = Closer::new(vec![Arc::clone(&held)]);
        let own = closer.clone();
        closer.spawn(move || {
            let _ = wait.recv_timeout(Duration::from_secs(10));
            drop(own);
        });
        drop(closer);
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
    fn a_received_descriptor_counts_until_it_is_closed() {
        let closer = Closer::detached();
        let (read, write) = std::io::pipe().unwrap();
        drop(closer.defer_received(write.into()));
        let mut byte = [0];
        assert_eq!(std::io::Read::read(&mut &read, &mut byte).unwrap(), 0, "it is closed");
        let kept = closer.defer_received(read.into()).take();
        drop(kept);
        for _ in 0..1000 {
            if closer.0.waiting.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it counts for ever");
    }
}
