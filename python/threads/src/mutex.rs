//! Mutexes and condition variables.
//!
//! A mutex is locked if its second word is 1. The stubs of wasi-libc leave that word at 0, so a mutex
//! that was locked when the snapshot was made is free. A condition variable is only an address.

use crate::host::{self, Parked, Wait};
use crate::state;
use crate::time::{self, TimeSpec};

/// WASI's errnos.
const EBUSY: i32 = 10;
const ETIMEDOUT: i32 = 73;

/// The longest wait for another thread to take the interpreter's lock, in nanoseconds. CPython: the
/// switch interval.
const SWITCH: u64 = 5_000_000;

/// # Safety
/// `mutex` is a `pthread_mutex_t`.
unsafe fn word(mutex: *mut u32) -> *mut u32 {
    // SAFETY: the caller's. It has six words.
    unsafe { mutex.add(1) }
}

/// `pthread_mutex_lock`.
///
/// # Safety
/// As POSIX asks of the caller, here and below.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_mutex_lock(mutex: *mut u32) -> i32 {
    // SAFETY: the caller's.
    let word = unsafe { word(mutex) };
    // SAFETY: the caller's.
    while unsafe { word.read_volatile() } != 0 {
        state::wait_at(mutex.addr(), Wait::Forever);
    }
    // SAFETY: the caller's.
    unsafe { word.write_volatile(1) };
    0
}

/// `pthread_mutex_trylock`.
///
/// # Safety
/// As `sandsock_pthread_mutex_lock`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_mutex_trylock(mutex: *mut u32) -> i32 {
    // SAFETY: the caller's.
    unsafe {
        if word(mutex).read_volatile() != 0 {
            return EBUSY;
        }
        word(mutex).write_volatile(1);
    }
    0
}

/// `pthread_mutex_unlock`.
///
/// # Safety
/// As `sandsock_pthread_mutex_lock`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_mutex_unlock(mutex: *mut u32) -> i32 {
    // SAFETY: the caller's.
    unsafe { word(mutex).write_volatile(0) };
    state::wake_one(mutex.addr());
    0
}

/// `pthread_cond_wait`.
///
/// # Safety
/// As `sandsock_pthread_mutex_lock`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_cond_wait(
    condition: *mut u32,
    mutex: *mut u32,
) -> i32 {
    // SAFETY: the caller's.
    unsafe { sandsock_pthread_mutex_unlock(mutex) };
    // CPython: the thread that was asked for the interpreter's lock waits until another one has taken
    // it. Perhaps none wants it. POSIX allows the wait to end without a reason.
    if state::take_request() {
        host::give_way();
    } else if state::is_of_interpreter_lock(condition.addr()) {
        // The request was taken by another wait.
        state::wait_at(condition.addr(), Wait::Within(SWITCH));
    } else {
        state::wait_at(condition.addr(), Wait::Forever);
    }
    // SAFETY: the caller's.
    unsafe { sandsock_pthread_mutex_lock(mutex) }
}

/// `pthread_cond_timedwait`.
///
/// # Safety
/// As `sandsock_pthread_mutex_lock`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_pthread_cond_timedwait(
    condition: *mut u32,
    mutex: *mut u32,
    until: *const TimeSpec,
) -> i32 {
    // SAFETY: the caller's.
    let left = time::left_until(unsafe { *until });
    // SAFETY: the caller's.
    unsafe { sandsock_pthread_mutex_unlock(mutex) };
    let parked = match left {
        0 => Parked::TimedOut,
        left => state::wait_at(condition.addr(), Wait::Within(left)),
    };
    // SAFETY: the caller's.
    unsafe { sandsock_pthread_mutex_lock(mutex) };
    if parked == Parked::TimedOut { ETIMEDOUT } else { 0 }
}

/// `pthread_cond_signal`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sandsock_pthread_cond_signal(condition: *mut u32) -> i32 {
    state::wake_one(condition.addr());
    0
}
