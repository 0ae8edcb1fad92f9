//! Clocks and sleeps.

use crate::host::{self, Parked, Wait};
use crate::{state, thread};

/// WASI's errnos.
const EINTR: i32 = 27;
const EINVAL: i32 = 28;

/// `TIMER_ABSTIME`.
const ABSOLUTE: i32 = 1;

/// The bit of a token that no thread unparks. Threads' indexes do not have it.
const SLEEP: u32 = 1 << 31;

const SECOND: i64 = 1_000_000_000;

/// The first second that is a time of the real-time clock (2001). The monotonic clock of a host
/// begins at its start.
const REAL_TIME: i64 = 1_000_000_000;

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct TimeSpec {
    seconds: i64,
    nanoseconds: i32,
}

/// `struct __clockid`, whose address is a `clockid_t`.
#[repr(C)]
pub(crate) struct Clock(u32);

unsafe extern "C" {
    #[link_name = "_CLOCK_REALTIME"]
    static REALTIME: Clock;
    #[link_name = "_CLOCK_MONOTONIC"]
    static MONOTONIC: Clock;
    fn clock_gettime(clock: *const Clock, time: *mut TimeSpec) -> i32;
}

impl TimeSpec {
    fn in_nanoseconds(self) -> i64 {
        self.seconds.saturating_mul(SECOND).saturating_add(self.nanoseconds.into())
    }

    fn of(nanoseconds: i64) -> Self {
        Self { seconds: nanoseconds / SECOND, nanoseconds: (nanoseconds % SECOND) as i32 }
    }
}

fn now(clock: *const Clock) -> i64 {
    let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the clock is one of libc's, or the caller of this library's.
    unsafe { clock_gettime(clock, &mut time) };
    time.in_nanoseconds()
}

/// Returns the nanoseconds until an instant, of the clock that it must be of: a condition variable
/// does not say which clock it was made with.
pub(crate) fn left_until(time: TimeSpec) -> u64 {
    let clock = if time.seconds >= REAL_TIME { &raw const REALTIME } else { &raw const MONOTONIC };
    u64::try_from(time.in_nanoseconds().saturating_sub(now(clock))).unwrap_or(0)
}

/// `clock_nanosleep`.
///
/// # Safety
/// As POSIX asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_clock_nanosleep(
    clock: *const Clock,
    flags: i32,
    request: *const TimeSpec,
    remaining: *mut TimeSpec,
) -> i32 {
    // SAFETY: the caller's.
    let request = unsafe { *request };
    if request.seconds < 0 || !(0..SECOND).contains(&i64::from(request.nanoseconds)) {
        return EINVAL;
    }
    let absolute = flags & ABSOLUTE != 0;
    let asked = request.in_nanoseconds();
    let time = if absolute { asked.saturating_sub(now(clock)) } else { asked };
    let Ok(time @ 1..) = u64::try_from(time) else {
        host::give_way();
        return 0;
    };
    let begun = if absolute { 0 } else { now(clock) };
    let index = host::index();
    let parked = host::park(index | SLEEP, Wait::Within(time), thread::number_of(index) == 0);
    if parked != Parked::Interrupted {
        return 0;
    }
    state::interrupted();
    if !absolute && !remaining.is_null() {
        let slept = now(clock).saturating_sub(begun);
        // SAFETY: the caller's.
        unsafe { *remaining = TimeSpec::of(asked.saturating_sub(slept).max(0)) };
    }
    EINTR
}

/// `nanosleep`.
///
/// # Safety
/// As POSIX asks of the caller.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sandsock_nanosleep(
    request: *const TimeSpec,
    remaining: *mut TimeSpec,
) -> i32 {
    // SAFETY: the caller's.
    match unsafe { sandsock_clock_nanosleep(&raw const MONOTONIC, 0, request, remaining) } {
        0 => 0,
        errno => {
            // SAFETY: it has no requirements.
            unsafe { *__errno_location() = errno };
            -1
        }
    }
}

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// `sched_yield`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sandsock_sched_yield() -> i32 {
    host::give_way();
    0
}
