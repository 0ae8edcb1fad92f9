//! Bounded pools of threads for calls that block in the kernel or in the system's resolver.
//!
//! A job cannot be ended from outside, and it may outlast the instance that asked for it. So its
//! thread counts until the job itself has ended. Two limits hold in each pool: one for an instance,
//! and one for all instances under the same policy together, however many come and go.
//!
//! An instance may stop waiting for a job. If the job is still queued, it is dropped. If it is
//! running, it is abandoned and runs to its end. Abandoned jobs have a limit of their own, so that
//! the jobs which some instances abandon do not stop the others.
//!
//! A job reports its end through an eventfd, so that a caller waits for a job in the same way as
//! for a descriptor.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

/// Look-ups by the system's resolver, which may ask over a network.
pub(crate) static NAMES: Pool =
    Pool::new(0, ThreadLimits { instance: 8, policy: 32, abandoned: 64, total: 256 }, || {
        runtime("sandsock-names", NAMES.limits.total)
    });

/// Look-ups in this host's own tables. They must not wait behind look-ups over a network.
pub(crate) static TABLES: Pool =
    Pool::new(1, ThreadLimits { instance: 2, policy: 8, abandoned: 16, total: 64 }, || {
        runtime("sandsock-tables", TABLES.limits.total)
    });

/// accept and connect on open file descriptions without O_NONBLOCK.
pub(crate) static BLOCKING: Pool =
    Pool::new(2, ThreadLimits { instance: 4, policy: 32, abandoned: 64, total: 256 }, || {
        runtime("sandsock-block", BLOCKING.limits.total)
    });

/// Closes that linger.
pub(crate) static CLOSES: Pool =
    Pool::new(3, ThreadLimits { instance: 16, policy: 64, abandoned: 64, total: 256 }, || {
        runtime("sandsock-close", CLOSES.limits.total)
    });

/// How many pools there are.
const POOLS: usize = 4;

/// The threads held in each pool, by the pool's number. They change under the pool's lock only.
type Held = [AtomicUsize; POOLS];

/// The threads that all instances under one policy hold.
#[derive(Debug, Default)]
pub(crate) struct PolicyUsage {
    held: Held,
    /// The threads of abandoned jobs. They are not in `held`.
    abandoned: Held,
}

impl PolicyUsage {
    /// The usage under a policy, which is known by its address in memory.
    pub(crate) fn of(policy: usize) -> Arc<Self> {
        static ALL: Mutex<BTreeMap<usize, Weak<PolicyUsage>>> = Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = all.get(&policy).and_then(Weak::upgrade) {
            return usage;
        }
        all.retain(|_, usage| usage.strong_count() > 0);
        let usage = Arc::default();
        all.insert(policy, Arc::downgrade(&usage));
        usage
    }
}

/// The threads that one instance holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstanceUsage {
    policy: Arc<PolicyUsage>,
    own: Arc<Held>,
}

impl InstanceUsage {
    /// A new instance under a policy.
    pub(crate) fn of(policy: &Arc<PolicyUsage>) -> Self {
        Self { policy: Arc::clone(policy), own: Arc::default() }
    }
}

/// The most threads of a pool that may be held at once.
struct ThreadLimits {
    /// By one instance.
    instance: usize,
    /// By all instances under one policy, abandoned jobs aside.
    policy: usize,
    /// By the abandoned jobs of all instances under one policy. Further ones count as jobs that
    /// are waited for.
    abandoned: usize,
    /// By everybody.
    total: usize,
}

/// A pool of threads. They start when they are needed and end when they are idle.
pub(crate) struct Pool {
    number: usize,
    limits: ThreadLimits,
    runtime: LazyLock<Option<Runtime>>,
    state: LazyLock<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The jobs that wait for a thread, in the order in which they came.
    queue: BTreeMap<u64, Queued>,
    /// The running jobs, and whether each counts as abandoned.
    running: HashMap<u64, bool>,
    next: u64,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

struct Queued {
    usage: InstanceUsage,
    work: Work,
}

type Work = Box<dyn FnOnce() + Send>;

fn runtime(name: &'static str, threads: usize) -> Option<Runtime> {
    Builder::new_current_thread().max_blocking_threads(threads).thread_name(name).build().ok()
}

impl Pool {
    const fn new(number: usize, limits: ThreadLimits, runtime: fn() -> Option<Runtime>) -> Self {
        assert!(number < POOLS);
        Self {
            number,
            limits,
            runtime: LazyLock::new(runtime),
            state: LazyLock::new(Mutex::default),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves a thread for a job that may last. EAGAIN if a limit is reached.
    pub(crate) fn reserve(&'static self, usage: &InstanceUsage) -> Result<Reservation, Errno> {
        let state = &mut *self.state();
        let number = state.number();
        self.take(state, usage, number).ok_or(Errno::AGAIN)
    }

    /// Starts a job, or queues it until the limits allow one more thread.
    pub(crate) fn start<T: Send + 'static>(
        &'static self,
        usage: &InstanceUsage,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let number = self.state().number();
        let (job, work) = Job::new(Ticket { pool: self, usage: usage.clone(), number }, job)?;
        let now = {
            let state = &mut *self.state();
            match self.take(state, usage, number) {
                Some(reservation) => Some((reservation, work)),
                None => {
                    state.queue.insert(number, Queued { usage: usage.clone(), work });
                    None
                }
            }
        };
        if let Some((reservation, work)) = now {
            reservation.work(work);
        }
        Ok(job)
    }

    /// None if a limit is reached.
    fn take(
        &'static self,
        state: &mut State,
        usage: &InstanceUsage,
        number: u64,
    ) -> Option<Reservation> {
        let (own, policy) = (&usage.own[self.number], &usage.policy.held[self.number]);
        let limits = &self.limits;
        let free = state.running.len() < limits.total
            && policy.load(Ordering::Relaxed) < limits.policy
            && own.load(Ordering::Relaxed) < limits.instance;
        free.then(|| {
            state.running.insert(number, false);
            own.fetch_add(1, Ordering::Relaxed);
            policy.fetch_add(1, Ordering::Relaxed);
            Reservation(Ticket { pool: self, usage: usage.clone(), number })
        })
    }

    /// The first queued job for which the limits allow a thread, and that thread.
    fn next(&'static self, state: &mut State) -> Option<(Reservation, Work)> {
        let may = |queued: &Queued| {
            let of = |held: &Held| held[self.number].load(Ordering::Relaxed);
            of(&queued.usage.own) < self.limits.instance
                && of(&queued.usage.policy.held) < self.limits.policy
        };
        let number = *state.queue.iter().find(|(_, queued)| may(queued))?.0;
        let queued = state.queue.remove(&number)?;
        match self.take(state, &queued.usage, number) {
            Some(reservation) => Some((reservation, queued.work)),
            None => {
                state.queue.insert(number, queued);
                None
            }
        }
    }
}

/// A job's number in its pool, and the instance whose thread it takes.
struct Ticket {
    pool: &'static Pool,
    usage: InstanceUsage,
    number: u64,
}

impl Ticket {
    fn counters(&self) -> (&AtomicUsize, &AtomicUsize, &AtomicUsize) {
        let number = self.pool.number;
        (
            &self.usage.own[number],
            &self.usage.policy.held[number],
            &self.usage.policy.abandoned[number],
        )
    }

    /// Nobody waits for the job any more.
    fn abandon(&self) {
        let (dropped, next) = {
            let state = &mut *self.pool.state();
            let (_, held, abandoned) = self.counters();
            match state.running.get_mut(&self.number) {
                Some(is_abandoned)
                    if !*is_abandoned
                        && abandoned.load(Ordering::Relaxed) < self.pool.limits.abandoned =>
                {
                    *is_abandoned = true;
                    held.fetch_sub(1, Ordering::Relaxed);
                    abandoned.fetch_add(1, Ordering::Relaxed);
                    (None, self.pool.next(state))
                }
                Some(_) => (None, None),
                None => (state.queue.remove(&self.number), None),
            }
        };
        // A job drops what it owns without the lock.
        drop(dropped);
        if let Some((reservation, work)) = next {
            reservation.work(work);
        }
    }

    /// The job has ended.
    fn end(&self) {
        let next = {
            let state = &mut *self.pool.state();
            let (own, held, abandoned) = self.counters();
            let is_abandoned = state.running.remove(&self.number).unwrap_or(false);
            own.fetch_sub(1, Ordering::Relaxed);
            if is_abandoned { abandoned } else { held }.fetch_sub(1, Ordering::Relaxed);
            self.pool.next(state)
        };
        if let Some((reservation, work)) = next {
            reservation.work(work);
        }
    }
}

/// A reserved thread of a pool. The reservation ends with its job.
pub(crate) struct Reservation(Ticket);

impl Reservation {
    /// Starts a job on it.
    pub(crate) fn start<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let ticket =
            Ticket { pool: self.0.pool, usage: self.0.usage.clone(), number: self.0.number };
        let (job, work) = Job::new(ticket, job)?;
        self.work(work);
        Ok(job)
    }

    /// Runs the work on the thread. If the process can start no thread, the work is dropped and its
    /// job ends without a result. The runtime could not be built then, or tokio panics because it
    /// cannot start the first thread of its pool.
    fn work(self, work: Work) {
        let Some(runtime) = self.0.pool.runtime.as_ref() else { return };
        let start = AssertUnwindSafe(|| {
            runtime.spawn_blocking(move || {
                let _until_the_end = self;
                work();
            })
        });
        let _ = catch_unwind(start);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A handle to a job. Its drop removes a queued job from the queue, and abandons a running one.
pub(crate) struct Job<T> {
    end: Arc<End<T>>,
    ticket: Ticket,
}

/// How a job ends.
struct End<T> {
    done: OwnedFd,
    result: Mutex<Option<T>>,
}

/// Reports the end when the work is over, or when it is dropped before it began.
struct Signal<T>(Arc<End<T>>);

impl<T> Drop for Signal<T> {
    fn drop(&mut self) {
        // The counter starts at 0 and is written once: the write can't fail.
        let _ = rustix::io::write(&self.0.done, &1u64.to_ne_bytes());
    }
}

impl<T> Job<T> {
    fn new(ticket: Ticket, job: impl FnOnce() -> T + Send + 'static) -> Result<(Self, Work), Errno>
    where
        T: Send + 'static,
    {
        let done = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let end = Arc::new(End { done, result: Mutex::new(None) });
        let signal = Signal(Arc::clone(&end));
        let work = move || {
            let value = job();
            *signal.0.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        };
        Ok((Self { end, ticket }, Box::new(work)))
    }

    /// Readable once the job has ended.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.done.as_fd()
    }

    /// Whether the job has ended.
    pub(crate) fn is_done(&self) -> bool {
        // The work holds the other reference until it ends, panics or is dropped.
        Arc::strong_count(&self.end) == 1
            || self.end.result.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The result, once. None if the job ended without one.
    pub(crate) fn take(&self) -> Option<T> {
        self.end.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.ticket.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    use super::*;

    const LIMITS: ThreadLimits = ThreadLimits { instance: 2, policy: 3, abandoned: 2, total: 6 };
    static POOL: Pool = Pool::new(0, LIMITS, || runtime("test", 6));
    static SMALL: Pool =
        Pool::new(1, ThreadLimits { instance: 1, policy: 1, abandoned: 0, total: 1 }, || {
            runtime("test", 1)
        });

    fn blocked(pool: &'static Pool, usage: &InstanceUsage) -> (Job<()>, Sender<()>) {
        let (go, wait): (_, Receiver<()>) = channel();
        let job = pool
            .start(usage, move || {
                let _ = wait.recv();
            })
            .unwrap();
        (job, go)
    }

    fn ends<T>(job: &Job<T>) -> bool {
        let start = Instant::now();
        while !job.is_done() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        job.is_done()
    }

    #[test]
    fn the_limits_leave_threads_to_others() {
        let policy = Arc::new(PolicyUsage::default());
        let new = || InstanceUsage { policy: Arc::clone(&policy), own: Arc::default() };
        let (a, b, other) = (new(), new(), InstanceUsage::default());
        let held: Vec<_> = [&a, &a, &a, &b, &b].map(|usage| blocked(&POOL, usage)).into();
        // Two of the first instance and one of the second reach the policy's limit. The rest is
        // queued.
        assert_eq!(POOL.state().queue.len(), 2);
        assert!(POOL.reserve(&a).is_err() && POOL.reserve(&b).is_err());
        let quick = POOL.start(&other, || 7).unwrap();
        assert!(ends(&quick) && quick.take() == Some(7));
        // The instances end. The queued jobs are gone. Two of the running ones count as abandoned,
        // and the third as before.
        let (jobs, senders): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        // The queued ones first, so that none of them is begun.
        jobs.into_iter().rev().for_each(drop);
        assert!(POOL.state().queue.is_empty());
        assert!(POOL.reserve(&a).is_err());
        let (first, second) = (POOL.reserve(&new()), POOL.reserve(&new()));
        assert!(first.is_ok() && second.is_ok() && POOL.reserve(&new()).is_err());
        drop((first, second, senders));
        let later = POOL.start(&a, || 8).unwrap();
        assert!(ends(&later) && later.take() == Some(8));
    }

    #[test]
    fn a_queued_job_runs_when_a_thread_is_free() {
        let usage = InstanceUsage::default();
        let (first, go) = blocked(&SMALL, &usage);
        let second = SMALL.start(&InstanceUsage::default(), || 1).unwrap();
        let panics = SMALL.start(&usage, || panic!("as a test")).unwrap();
        let last = SMALL.start(&usage, || 2).unwrap();
        assert!(!first.is_done() && !second.is_done());
        drop(go);
        assert!(ends(&first) && ends(&second) && ends(&panics) && ends(&last));
        let _: Option<()> = panics.take();
        assert_eq!((second.take(), last.take()), (Some(1), Some(2)));
    }
}
