//! Interrupts: how a call goes on, or fails, when the host ends its wait (PEP 475).

use std::{
    cell::Cell,
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result, waits};

/// The progress of a call that an interrupt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When the call's timeout ends, in nanoseconds of the host's monotonic clock
    /// ([`raw::clock::now`]). None if the call has no timeout. None also if there is no interrupt
    /// handler, because a call reads the clock only for a handler.
    ///
    /// [`raw::clock::now`]: crate::raw::clock::now
    pub deadline: Option<u64>,
    /// The work that is done: for `sendall` the number of bytes sent, for `connect` 1 after the
    /// connection has begun, for any other call 0.
    pub done: u64,
}

/// A function that runs when a wait is interrupted.
type Handler = fn() -> Result<()>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

// The threads of the Component Model share these, so a thread looks only at what is its own.
thread_local! {
    /// The progress that the next call of a thread goes on from, and that thread's number.
    static RESUME: Cell<Option<(u32, Progress)>> = const { Cell::new(None) };
    /// Whether an interrupt was left to the next call. The thread that handles interrupts takes it.
    static PENDING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the handler that runs when the host interrupts a wait (Ctrl-C, a signal), and returns the
/// previous one.
///
/// Without a handler, the waiting call fails with `InterruptedError` (EINTR). With one, the handler
/// runs within the call. If the handler returns an error, the call fails with it. Otherwise the
/// call goes on with the remaining time ([PEP 475](https://peps.python.org/pep-0475/)). A handler
/// can use sockets, and can close the one that waits: the call then fails with EBADF.
///
/// ```
/// use sandsock::{Error, set_interrupt_handler};
///
/// // Like Python's handler of SIGINT.
/// set_interrupt_handler(Some(|| Err(Error::exception("KeyboardInterrupt", ""))));
/// ```
pub fn set_interrupt_handler(handler: Option<Handler>) -> Option<Handler> {
    std::mem::replace(&mut *HANDLER.lock().unwrap_or_else(PoisonError::into_inner), handler)
}

fn handler() -> Option<Handler> {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a handler. A call must then know its deadline, because it can go on after an
/// interrupt.
pub(crate) fn is_handled() -> bool {
    handler().is_some()
}

/// Runs the handler for a call with this progress.
pub(crate) fn handle(progress: Progress) -> Result<()> {
    match handler() {
        Some(handler) => handler().map_err(|error| error.at(progress)),
        None => Err(Error::interrupted(progress)),
    }
}

/// Leaves an interrupt to the next call. A call that has moved bytes does this, because it must
/// return their number.
pub(crate) fn set_pending() {
    PENDING.set(true);
}

/// Handles an interrupt that an earlier call left, before a call with this progress waits.
#[inline]
pub(crate) fn handle_pending(progress: Progress) -> Result<()> {
    if PENDING.get() && waits::thread() == 0 {
        PENDING.set(false);
        return handle(progress);
    }
    Ok(())
}

/// Runs `call`. The first call in it that waits goes on from where an interrupt ended it.
///
/// This is for programs that can't run their handlers within the call. A component that serves
/// another returns [`Error::progress`]. The other component runs its handlers and repeats the call
/// with the same arguments. The call then does the remaining work in the remaining time. The time
/// is known only if there is a handler, so set one that returns EINTR.
///
/// ```no_run
/// # fn main() -> Result<(), sandsock::Error> {
/// # let socket = sandsock::Socket::new(2, 1, 0)?;
/// # let data = b"";
/// sandsock::set_interrupt_handler(Some(|| Err(sandsock::Error::from_errno(sandsock::errno::EINTR))));
/// let mut result = socket.sendall(data, 0);
/// while let Some(progress) = result.as_ref().err().and_then(sandsock::Error::progress) {
///     // ... handle the interrupt, and then:
///     result = sandsock::resume(progress, || socket.sendall(data, 0));
/// }
/// # result
/// # }
/// ```
pub fn resume<T>(progress: Progress, call: impl FnOnce() -> T) -> T {
    RESUME.set(Some((waits::thread(), progress)));
    let result = call();
    RESUME.set(None);
    result
}

/// Returns the progress that the call which begins now goes on from.
#[inline]
pub(crate) fn take_resume() -> Option<Progress> {
    match RESUME.get() {
        Some((thread, progress)) if thread == waits::thread() => {
            RESUME.set(None);
            Some(progress)
        }
        _ => None,
    }
}
