//! Interrupts: what a call does when the host ends its wait (PEP 475).

use std::{
    cell::Cell,
    sync::{Mutex, PoisonError},
};

use crate::{Error, Result};

/// How far a call had come when an interrupt ended it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When the call's time is over, in nanoseconds of the host's monotonic clock
    /// ([`raw::clock::now`]); none if it has no end, or where nobody asked for it to be kept:
    /// without an interrupt handler a call does not read the clock.
    ///
    /// [`raw::clock::now`]: crate::raw::clock::now
    pub deadline: Option<u64>,
    /// What is done: for `sendall` the bytes sent, for `connect` 1 once the connection is under
    /// way, for all others 0.
    pub done: u64,
}

/// Runs when a wait was interrupted.
type Handler = fn() -> Result<()>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

thread_local! {
    static RESUME: Cell<Option<Progress>> = const { Cell::new(None) };
    static PENDING: Cell<bool> = const { Cell::new(false) };
}

/// Sets what runs when the host interrupts a wait (Ctrl-C, a signal), and returns what ran before.
///
/// Without a handler the call that waits fails with `InterruptedError` (EINTR). With one, the
/// handler runs in the call: if it gives an error, the call fails with it; if not, the call goes on
/// if it was, with the time that is left ([PEP 475](https://peps.python.org/pep-0475/)). A handler
/// may use sockets, and may close the one that waits: the call then fails with EBADF.
///
/// ```
/// use sandsock::{Error, set_interrupt_handler};
///
/// // As Python does for SIGINT.
/// set_interrupt_handler(Some(|| Err(Error::exception("KeyboardInterrupt", ""))));
/// ```
pub fn set_interrupt_handler(handler: Option<Handler>) -> Option<Handler> {
    std::mem::replace(&mut *HANDLER.lock().unwrap_or_else(PoisonError::into_inner), handler)
}

fn handler() -> Option<Handler> {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an interrupted call may go on, so that it must know its deadline.
pub(crate) fn is_handled() -> bool {
    handler().is_some()
}

/// Runs the handler for a call that has come so far.
pub(crate) fn handle(progress: Progress) -> Result<()> {
    match handler() {
        Some(handler) => handler().map_err(|error| error.at(progress)),
        None => Err(Error::interrupted(progress)),
    }
}

/// An interrupt ended a call that had moved bytes: it tells them, and the next one sees to the
/// interrupt.
pub(crate) fn pend() {
    PENDING.set(true);
}

/// Sees to an interrupt that an earlier call left, before a call that has come so far waits.
#[inline]
pub(crate) fn settle(progress: Progress) -> Result<()> {
    if PENDING.replace(false) { handle(progress) } else { Ok(()) }
}

/// Makes the first waiting call that `call` calls go on from where an interrupt ended it.
///
/// For programs that cannot run their handlers inside of the call: a component that serves others
/// gives up the call with [`Error::progress`], its caller runs its handlers and repeats the call
/// with the same arguments. What it has not done by then is done in the time that was left, which
/// is known where there is a handler: one that gives EINTR.
///
/// ```no_run
/// # fn main() -> Result<(), sandsock::Error> {
/// # let socket = sandsock::Socket::new(2, 1, 0)?;
/// # let data = b"";
/// sandsock::set_interrupt_handler(Some(|| Err(sandsock::Error::from_errno(sandsock::errno::EINTR))));
/// let mut result = socket.sendall(data, 0);
/// while let Some(progress) = result.as_ref().err().and_then(sandsock::Error::progress) {
///     // ... see to the interrupt, and then:
///     result = sandsock::resume(progress, || socket.sendall(data, 0));
/// }
/// # result
/// # }
/// ```
pub fn resume<T>(progress: Progress, call: impl FnOnce() -> T) -> T {
    RESUME.set(Some(progress));
    let result = call();
    RESUME.set(None);
    result
}

/// What the call that begins now has to go on from.
#[inline]
pub(crate) fn take_resume() -> Option<Progress> {
    RESUME.take()
}
