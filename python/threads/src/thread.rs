//! Threads: their start, their end, their stacks, and the values that each has.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use crate::host::{self, Wait};
use crate::state;

/// The bytes of a stack, if the creator asks for no other size.
const STACK: usize = 256 << 10;

/// The least stack. POSIX: PTHREAD_STACK_MIN.
const STACK_MIN: usize = 16 << 10;

/// WASI's errnos.
const EAGAIN: i32 = 6;
const ENOTSUP: i32 = 58;

/// What C passes and returns.
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// A thread beside the first one. Its address is its `pthread_t`.
pub(crate) struct Thread {
    index: u32,
    start: Start,
    argument: *mut c_void,
    result: *mut c_void,
    stack: *mut u8,
    size: usize,
    has_ended: bool,
    is_detached: bool,
    values: BTreeMap<u32, usize>,
}

/// Where the stack pointer is between the end of a thread and the next step of another one. The host
/// may then ask for memory on behalf of the other one.
#[repr(align(16))]
struct Scratch(UnsafeCell<[u8; STACK_MIN]>);

// SAFETY: it is the stack of one thread at a time.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; STACK_MIN]));

unsafe extern "C" {
    /// libc's `pthread_self`, which the patch leaves alone.
    fn thrd_current() -> usize;
    /// libc's `pthread_getspecific`.
    fn tss_get(key: u32) -> *mut c_void;
}

/// Returns the number of the running thread: its index, or 0 if it is the first one.
pub(crate) fn number() -> u32 {
    number_of(host::index())
}

/// Returns the number of the thread with this index.
pub(crate) fn number_of(index: u32) -> u32 {
    state::with(|state| if state.threads.contains_key(&index) { index } else { 0 })
}

/// Returns the running thread. None if it is the first one.
fn current() -> Option<*mut Thread> {
    // Without another thread there is no need to ask.
    if state::with(|state| state.threads.is_empty()) {
        return None;
    }
    let index = host::index();
    state::with(|state| state.threads.get(&index).copied())
}

/// The first function of a thread. It has no frame, because the stack pointer is not its own yet.
extern "C" fn begin(thread: usize) {
    let thread = ptr::with_exposed_provenance_mut::<Thread>(thread);
    // SAFETY: `create` has passed a thread, which lives until it has ended. Its stack is free.
    unsafe {
        host::set_stack_pointer((*thread).stack.addr() + (*thread).size);
        run(thread);
        host::set_stack_pointer(SCRATCH.0.get().addr() + STACK_MIN);
    }
}

/// Runs a thread on its own stack.
///
/// # Safety
/// The thread is the running one.
#[inline(never)]
unsafe fn run(thread: *mut Thread) {
    // SAFETY: the caller's. Others only look at a thread, so no reference to it is kept over `start`.
    unsafe {
        let result = ((*thread).start)((*thread).argument);
        (*thread).result = result;
        (*thread).has_ended = true;
        state::with(|state| {
            state.threads.remove(&(*thread).index);
            if (*thread).is_detached {
                state.ended.push(thread);
            }
        });
        state::wake_all(thread.addr());
    }
}

/// Frees the threads that have ended and that nobody joins.
fn free_ended() {
    for thread in state::with(|state| std::mem::take(&mut state.ended)) {
        // SAFETY: a thread is in this list when it has ended and nobody joins it.
        unsafe { free(thread) };
    }
}

/// # Safety
/// `create` has made the thread, nobody knows it any more, and it does not run.
unsafe fn free(thread: *mut Thread) {
    // SAFETY: the caller's. `create` has allocated the stack with this layout.
    unsafe {
        let thread = Box::from_raw(thread);
        dealloc(thread.stack, layout(thread.size));
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 16).unwrap_or(Layout::new::<u128>())
}

/// `pthread_create`.
///
/// # Safety
/// As POSIX asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_create(
    thread: *mut usize,
    attributes: *const usize,
    start: Start,
    argument: *mut c_void,
) -> i32 {
    free_ended();
    let living = state::with(|state| state.threads.len());
    if living >= usize::try_from(host::limit()).unwrap_or(usize::MAX) {
        return EAGAIN;
    }
    // The first word of wasi-libc's attributes is the size of the stack.
    // SAFETY: the caller's.
    let asked = if attributes.is_null() { 0 } else { unsafe { *attributes } };
    let size = if asked >= STACK_MIN { asked.next_multiple_of(16) } else { STACK };
    if Layout::from_size_align(size, 16).is_err() {
        return EAGAIN;
    }
    // SAFETY: the size is not 0.
    let stack = unsafe { alloc(layout(size)) };
    if stack.is_null() {
        return EAGAIN;
    }
    let new = Box::into_raw(Box::new(Thread {
        index: 0,
        start,
        argument,
        result: ptr::null_mut(),
        stack,
        size,
        has_ended: false,
        is_detached: false,
        values: BTreeMap::new(),
    }));
    if let Some(function) = state::with(|state| state.before_start) {
        function();
    }
    let index = host::new_thread(begin, new.expose_provenance());
    // SAFETY: the thread was just made, and `thread` is the caller's.
    unsafe {
        (*new).index = index;
        *thread = new.addr();
    }
    state::with(|state| state.threads.insert(index, new));
    host::resume_later(index);
    0
}

/// `pthread_join`.
///
/// # Safety
/// As POSIX asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_join(
    thread: *mut Thread,
    result: *mut *mut c_void,
) -> i32 {
    // SAFETY: POSIX: the thread was not joined and is not detached, so it was not freed.
    unsafe {
        while !(&raw const (*thread).has_ended).read_volatile() {
            state::wait_at(thread.addr(), Wait::Forever);
        }
        if !result.is_null() {
            *result = (*thread).result;
        }
        free(thread);
    }
    0
}

/// `pthread_detach`.
///
/// # Safety
/// As POSIX asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_detach(thread: *mut Thread) -> i32 {
    // SAFETY: as `sandsock_pthread_join`.
    unsafe {
        if (*thread).has_ended {
            state::with(|state| state.ended.push(thread));
        } else {
            (*thread).is_detached = true;
        }
    }
    0
}

/// `pthread_self`. The first thread keeps the number that libc gave it, which is in the snapshot.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sandsock_pthread_self() -> usize {
    match current() {
        Some(thread) => thread.addr(),
        // SAFETY: it has no requirements.
        None => unsafe { thrd_current() },
    }
}

/// `pthread_getspecific`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sandsock_pthread_getspecific(key: u32) -> *mut c_void {
    let value = match current() {
        // SAFETY: a thread in the table lives.
        Some(thread) => {
            let values = unsafe { &(*thread).values };
            Some(values.get(&key).copied().unwrap_or(0))
        }
        None => state::with(|state| state.values.get(&key).copied()),
    };
    match value {
        Some(value) => ptr::with_exposed_provenance_mut(value),
        // The snapshot's value is libc's.
        // SAFETY: an unknown key has no value.
        None => unsafe { tss_get(key) },
    }
}

/// `pthread_setspecific`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sandsock_pthread_setspecific(key: u32, value: *mut c_void) -> i32 {
    let value = value.expose_provenance();
    match current() {
        // SAFETY: as `sandsock_pthread_getspecific`.
        Some(thread) => {
            let values = unsafe { &mut (*thread).values };
            values.insert(key, value)
        }
        None => state::with(|state| state.values.insert(key, value)),
    };
    0
}

/// `pthread_getattr_np`: where a thread's stack is. CPython needs it for its limit of recursion.
///
/// # Safety
/// As Linux asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_getattr_np(
    thread: usize,
    attributes: *mut usize,
) -> i32 {
    /// `pthread_attr_t` of wasi-libc has nine words: the size, the size of the guard, and the end of
    /// the stack are the first three.
    const WORDS: usize = 9;
    let found =
        state::with(|state| state.threads.values().copied().find(|known| known.addr() == thread));
    // It is not known how large the first thread's stack is.
    let Some(thread) = found else { return ENOTSUP };
    // SAFETY: a thread in the table lives, and `attributes` is the caller's.
    unsafe {
        ptr::write_bytes(attributes, 0, WORDS);
        *attributes = (*thread).size;
        *attributes.add(2) = (*thread).stack.addr() + (*thread).size;
    }
    0
}
