//! The state of this library, and the queues of waiting threads.

use std::cell::UnsafeCell;
use std::collections::{BTreeMap, VecDeque};

use crate::host::{self, Parked, Wait};
use crate::thread::{self, Thread};

/// What the library knows.
pub(crate) struct State {
    /// The living threads by their index. The first thread is not among them.
    pub(crate) threads: BTreeMap<u32, *mut Thread>,
    /// The threads that have ended and that nobody joins.
    pub(crate) ended: Vec<*mut Thread>,
    /// The waiting threads, by the address that they wait at.
    queues: BTreeMap<usize, VecDeque<u32>>,
    /// The values of the first thread that were set since the snapshot.
    pub(crate) values: BTreeMap<u32, usize>,
    pub(crate) on_interrupt: Option<extern "C" fn()>,
    pub(crate) before_start: Option<extern "C" fn()>,
    /// Where the interpreter's lock begins. 0 if that is not known.
    pub(crate) interpreter_lock: usize,
}

struct Shared<T>(UnsafeCell<T>);

// SAFETY: one thread of a component runs at a time, and no use of the state gives way to another.
unsafe impl<T> Sync for Shared<T> {}

static STATE: Shared<State> = Shared(UnsafeCell::new(State {
    threads: BTreeMap::new(),
    ended: Vec::new(),
    queues: BTreeMap::new(),
    values: BTreeMap::new(),
    on_interrupt: None,
    before_start: None,
    interpreter_lock: 0,
}));

static FLAG: Shared<u32> = Shared(UnsafeCell::new(0));

/// The host asks the running thread to give way.
const GIVE_WAY: u32 = 1;

/// The host reports an interrupt.
const INTERRUPTED: u32 = 2;

/// Uses the state. `step` must not wait, yield, or call this function.
pub(crate) fn with<R>(step: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: no other thread runs during `step`, and there is no other reference to the state.
    step(unsafe { &mut *STATE.0.get() })
}

pub(crate) fn preemption_flag() -> *mut u32 {
    FLAG.0.get()
}

/// Returns whether the host asked the running thread to give way, and handles an interrupt that it
/// reported.
pub(crate) fn take_request() -> bool {
    // SAFETY: the host writes the word only while the guest stands still.
    let flag = unsafe {
        let flag = preemption_flag().read_volatile();
        preemption_flag().write_volatile(0);
        flag
    };
    if flag & INTERRUPTED != 0 {
        interrupted();
    }
    flag & GIVE_WAY != 0
}

/// Returns whether a condition variable is one of the interpreter's lock.
pub(crate) fn is_of_interpreter_lock(address: usize) -> bool {
    /// CPython: `struct _gil_runtime_state` has two mutexes and two condition variables behind the
    /// word that says whether it is locked.
    const SIZE: usize = 256;
    let lock = with(|state| state.interpreter_lock);
    lock != 0 && (lock..lock + SIZE).contains(&address)
}

/// Reports an interrupt to the interpreter.
pub(crate) fn interrupted() {
    if let Some(function) = with(|state| state.on_interrupt) {
        function();
    }
}

/// Waits at an address. An interrupt ends the wait of the first thread.
pub(crate) fn wait_at(address: usize, wait: Wait) -> Parked {
    let own = host::index();
    with(|state| state.queues.entry(address).or_default().push_back(own));
    let parked = host::park(own, wait, thread::number_of(own) == 0);
    // The thread may be in the queue still, although it was unparked: if an earlier wait was over at
    // the moment when another thread ended it, that end is for this wait. An entry that stayed would
    // take the wake-up of a thread that waits.
    with(|state| {
        if let Some(queue) = state.queues.get_mut(&address) {
            queue.retain(|thread| *thread != own);
            if queue.is_empty() {
                state.queues.remove(&address);
            }
        }
    });
    if parked == Parked::Interrupted {
        interrupted();
    }
    parked
}

/// Wakes the thread that has waited longest at an address.
pub(crate) fn wake_one(address: usize) {
    let thread = with(|state| {
        let queue = state.queues.get_mut(&address)?;
        let thread = queue.pop_front();
        if queue.is_empty() {
            state.queues.remove(&address);
        }
        thread
    });
    if let Some(thread) = thread {
        host::unpark(thread);
    }
}

/// Wakes all threads that wait at an address.
pub(crate) fn wake_all(address: usize) {
    let threads = with(|state| state.queues.remove(&address)).unwrap_or_default();
    threads.into_iter().for_each(host::unpark);
}
