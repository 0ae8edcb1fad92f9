//! Bounded pools of threads for calls that block in the kernel or in the system's resolver.
//!
//! A job can't be ended from outside, and may outlast the instance that asked for it. So its thread
//! counts against its user until the job itself has ended. A user has two shares of each pool: one
//! of the instance, and one of its family, all instances under the same policy, however many come
//! and go. A queued job that nobody waits for any more is dropped. A job under way that nobody
//! waits for any more is left to itself, in a share that the family has for such jobs: what some of
//! its instances leave behind does not stop the others.
//!
//! A job tells its end through an eventfd, so that whoever waits for it does so in the one way it
//! waits for everything.

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
    Pool::new(0, Shares { instance: 8, family: 32, left: 64, all: 256 }, || {
        runtime("sandsock-names", NAMES.shares.all)
    });

/// Look-ups in this host's own tables: they must not wait behind those that ask over a network.
pub(crate) static TABLES: Pool =
    Pool::new(1, Shares { instance: 2, family: 8, left: 16, all: 64 }, || {
        runtime("sandsock-tables", TABLES.shares.all)
    });

/// accept and connect on descriptions whose kernel flag says that they block.
pub(crate) static BLOCKING: Pool =
    Pool::new(2, Shares { instance: 4, family: 32, left: 64, all: 256 }, || {
        runtime("sandsock-block", BLOCKING.shares.all)
    });

/// Closes that linger.
pub(crate) static CLOSES: Pool =
    Pool::new(3, Shares { instance: 16, family: 64, left: 64, all: 256 }, || {
        runtime("sandsock-close", CLOSES.shares.all)
    });

/// How many pools there are.
const POOLS: usize = 4;

/// Threads held in each pool, by its number. They change under the pool's lock alone.
type Held = [AtomicUsize; POOLS];

/// The instances under one policy.
#[derive(Debug, Default)]
pub(crate) struct Family {
    held: Held,
    /// Threads of jobs that nobody waits for any more. They are not in `held`.
    left: Held,
}

impl Family {
    /// The family of a policy, by the address that the policy has in memory.
    pub(crate) fn of(policy: usize) -> Arc<Self> {
        static FAMILIES: Mutex<BTreeMap<usize, Weak<Family>>> = Mutex::new(BTreeMap::new());
        let mut families = FAMILIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = families.get(&policy).and_then(Weak::upgrade) {
            return family;
        }
        families.retain(|_, family| family.strong_count() > 0);
        let family = Arc::default();
        families.insert(policy, Arc::downgrade(&family));
        family
    }
}

/// An instance, as a user of the pools.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    family: Arc<Family>,
    own: Arc<Held>,
}

impl User {
    /// A new instance of a family.
    pub(crate) fn of(family: &Arc<Family>) -> Self {
        Self { family: Arc::clone(family), own: Arc::default() }
    }
}

/// How many of a pool's threads may be held at once.
struct Shares {
    /// By one instance.
    instance: usize,
    /// By one family, for jobs that are waited for.
    family: usize,
    /// By one family, for jobs that nobody waits for any more. Those beyond count as if they were
    /// waited for.
    left: usize,
    /// By all.
    all: usize,
}

/// A pool: its threads are made when they are needed and end when they are idle.
pub(crate) struct Pool {
    number: usize,
    shares: Shares,
    runtime: LazyLock<Option<Runtime>>,
    state: LazyLock<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The jobs that wait for a thread, in the order in which they came.
    queue: BTreeMap<u64, Queued>,
    /// The jobs under way, and whether they are in the family's share of those that nobody waits
    /// for.
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
    user: User,
    work: Work,
}

type Work = Box<dyn FnOnce() + Send>;

fn runtime(name: &'static str, threads: usize) -> Option<Runtime> {
    Builder::new_current_thread().max_blocking_threads(threads).thread_name(name).build().ok()
}

impl Pool {
    const fn new(number: usize, shares: Shares, runtime: fn() -> Option<Runtime>) -> Self {
        assert!(number < POOLS);
        Self {
            number,
            shares,
            runtime: LazyLock::new(runtime),
            state: LazyLock::new(Mutex::default),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a thread, for a job that may last; EAGAIN if the user's share or the whole pool is
    /// taken.
    pub(crate) fn reserve(&'static self, user: &User) -> Result<Slot, Errno> {
        let state = &mut *self.state();
        let number = state.number();
        self.take(state, user, number).ok_or(Errno::AGAIN)
    }

    /// Starts a job, or queues it until its user may have a thread.
    pub(crate) fn start<T: Send + 'static>(
        &'static self,
        user: &User,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let number = self.state().number();
        let (job, work) = Job::new(Ticket { pool: self, user: user.clone(), number }, job)?;
        let now = {
            let state = &mut *self.state();
            match self.take(state, user, number) {
                Some(slot) => Some((slot, work)),
                None => {
                    state.queue.insert(number, Queued { user: user.clone(), work });
                    None
                }
            }
        };
        if let Some((slot, work)) = now {
            slot.work(work);
        }
        Ok(job)
    }

    /// None if all threads that this user may have are taken.
    fn take(&'static self, state: &mut State, user: &User, number: u64) -> Option<Slot> {
        let (own, family) = (&user.own[self.number], &user.family.held[self.number]);
        let shares = &self.shares;
        let free = state.running.len() < shares.all
            && family.load(Ordering::Relaxed) < shares.family
            && own.load(Ordering::Relaxed) < shares.instance;
        free.then(|| {
            state.running.insert(number, false);
            own.fetch_add(1, Ordering::Relaxed);
            family.fetch_add(1, Ordering::Relaxed);
            Slot(Ticket { pool: self, user: user.clone(), number })
        })
    }

    /// The first queued job whose user may have a thread, and that thread.
    fn next(&'static self, state: &mut State) -> Option<(Slot, Work)> {
        let may = |queued: &Queued| {
            let of = |held: &Held| held[self.number].load(Ordering::Relaxed);
            of(&queued.user.own) < self.shares.instance
                && of(&queued.user.family.held) < self.shares.family
        };
        let number = *state.queue.iter().find(|(_, queued)| may(queued))?.0;
        let queued = state.queue.remove(&number)?;
        match self.take(state, &queued.user, number) {
            Some(slot) => Some((slot, queued.work)),
            None => {
                state.queue.insert(number, queued);
                None
            }
        }
    }
}

/// A job's number in its pool, and its user.
struct Ticket {
    pool: &'static Pool,
    user: User,
    number: u64,
}

impl Ticket {
    fn counters(&self) -> (&AtomicUsize, &AtomicUsize, &AtomicUsize) {
        let number = self.pool.number;
        (&self.user.own[number], &self.user.family.held[number], &self.user.family.left[number])
    }

    /// Nobody waits for the job any more.
    fn leave(&self) {
        let (dropped, next) = {
            let state = &mut *self.pool.state();
            let (_, held, left) = self.counters();
            match state.running.get_mut(&self.number) {
                Some(is_left)
                    if !*is_left && left.load(Ordering::Relaxed) < self.pool.shares.left =>
                {
                    *is_left = true;
                    held.fetch_sub(1, Ordering::Relaxed);
                    left.fetch_add(1, Ordering::Relaxed);
                    (None, self.pool.next(state))
                }
                Some(_) => (None, None),
                None => (state.queue.remove(&self.number), None),
            }
        };
        // A job drops what it owns without the lock.
        drop(dropped);
        if let Some((slot, work)) = next {
            slot.work(work);
        }
    }

    /// The job has ended.
    fn end(&self) {
        let next = {
            let state = &mut *self.pool.state();
            let (own, held, left) = self.counters();
            let is_left = state.running.remove(&self.number).unwrap_or(false);
            own.fetch_sub(1, Ordering::Relaxed);
            if is_left { left } else { held }.fetch_sub(1, Ordering::Relaxed);
            self.pool.next(state)
        };
        if let Some((slot, work)) = next {
            slot.work(work);
        }
    }
}

/// A thread of a pool that is taken, until the job that it is for has ended.
pub(crate) struct Slot(Ticket);

impl Slot {
    /// Starts a job on it.
    pub(crate) fn start<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Job<T>, Errno> {
        let ticket = Ticket { pool: self.0.pool, user: self.0.user.clone(), number: self.0.number };
        let (job, work) = Job::new(ticket, job)?;
        self.work(work);
        Ok(job)
    }

    /// Work that can't be begun is dropped, by which its job ends without a result: a runtime that
    /// could not be made means that the process has no threads left, and tokio panics if there is
    /// none for the first one of its pool.
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

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A job, as its waiter has it. The drop takes a queued job out of the queue, and leaves a job
/// under way to itself.
pub(crate) struct Job<T> {
    end: Arc<End<T>>,
    ticket: Ticket,
}

/// How a job ends.
struct End<T> {
    done: OwnedFd,
    result: Mutex<Option<T>>,
}

/// Makes the end known when the work is over, or dropped before it was begun.
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
        // The work holds the other reference, and has let go of it if it panicked or was dropped.
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
        self.ticket.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    use super::*;

    const SHARES: Shares = Shares { instance: 2, family: 3, left: 2, all: 6 };
    static POOL: Pool = Pool::new(0, SHARES, || runtime("test", 6));
    static SMALL: Pool =
        Pool::new(1, Shares { instance: 1, family: 1, left: 0, all: 1 }, || runtime("test", 1));

    fn blocked(pool: &'static Pool, user: &User) -> (Job<()>, Sender<()>) {
        let (go, wait): (_, Receiver<()>) = channel();
        let job = pool
            .start(user, move || {
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
    fn a_user_leaves_threads_to_others() {
        let family = Arc::new(Family::default());
        let new = || User { family: Arc::clone(&family), own: Arc::default() };
        let (a, b, other) = (new(), new(), User::default());
        let held: Vec<_> = [&a, &a, &a, &b, &b].map(|user| blocked(&POOL, user)).into();
        // Two of the first instance and one of the second are the family's share; the rest is
        // queued.
        assert_eq!(POOL.state().queue.len(), 2);
        assert!(POOL.reserve(&a).is_err() && POOL.reserve(&b).is_err());
        let quick = POOL.start(&other, || 7).unwrap();
        assert!(ends(&quick) && quick.take() == Some(7));
        // The instances end. What was queued is gone, and what is under way counts: two as left
        // behind, and the one beyond as before.
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
        let user = User::default();
        let (first, go) = blocked(&SMALL, &user);
        let second = SMALL.start(&User::default(), || 1).unwrap();
        let panics = SMALL.start(&user, || panic!("as a test")).unwrap();
        let last = SMALL.start(&user, || 2).unwrap();
        assert!(!first.is_done() && !second.is_done());
        drop(go);
        assert!(ends(&first) && ends(&second) && ends(&panics) && ends(&last));
        let _: Option<()> = panics.take();
        assert_eq!((second.take(), last.take()), (Some(1), Some(2)));
    }
}
