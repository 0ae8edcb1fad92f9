//! Registrations of descriptors with tokio, and poll(2), which decides whether the readiness that
//! tokio remembers still holds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{Interest, Ready};

use crate::sys;

/// A descriptor's registration with tokio. It belongs to the waiting instance and not to the open
/// file description, which may be shared.
pub(crate) type Registration = Arc<AsyncFd<OwnedFd>>;

/// The cell in which an instance keeps a registration between its waits. It is filled on first need.
pub(crate) type RegistrationCell = Mutex<Option<Registration>>;

/// The registration in the cell, or a new one if the cell is empty or there is none.
pub(crate) fn registration(
    cell: Option<&RegistrationCell>,
    fd: BorrowedFd<'_>,
) -> Result<Registration, Errno> {
    let Some(cell) = cell else { return register(fd) };
    let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
    match &*cell {
        Some(kept) => Ok(Arc::clone(kept)),
        None => Ok(Arc::clone(cell.insert(register(fd)?))),
    }
}

/// Whether the cell has a registration.
pub(crate) fn is_registered(cell: &RegistrationCell) -> bool {
    cell.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Registers a duplicate of the descriptor, because epoll refuses the same number twice.
pub(crate) fn register(fd: BorrowedFd<'_>) -> Result<Registration, Errno> {
    let own = rustix::io::fcntl_dupfd_cloexec(fd, 0)?;
    let all = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY | Interest::ERROR;
    sys::register(own, all).map(Arc::new)
}

/// Replaces a registration, in its cell if it has one. The kernel reports the current state to a new
/// registration at once.
pub(crate) fn renewed(
    old: &Registration,
    cell: Option<&RegistrationCell>,
) -> Result<Registration, Errno> {
    let new = register(old.get_ref().as_fd())?;
    if let Some(cell) = cell {
        *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&new));
    }
    Ok(new)
}

/// Whether the readiness includes a closed state. tokio never clears such a state, because none of
/// its own sockets leaves it. A guest's socket may: AF_UNSPEC dissolves a connection, SO_ERROR is
/// read, and the socket is connected or listens again.
pub(crate) fn is_closed(guard: &AsyncFdReadyGuard<'_, OwnedFd>) -> bool {
    guard.ready().is_read_closed() || guard.ready().is_write_closed()
}

/// The interest with which tokio reports these events.
pub(crate) fn interest(events: PollFlags) -> Interest {
    let mut interest = Interest::ERROR;
    if events.contains(PollFlags::IN) {
        interest |= Interest::READABLE;
    }
    if events.contains(PollFlags::OUT) {
        interest |= Interest::WRITABLE;
    }
    if events.contains(PollFlags::PRI) {
        interest |= Interest::PRIORITY;
    }
    interest
}

/// The readiness to clear in tokio when poll(2) has reported none of these events. The other
/// directions keep theirs, because the kernel reports an edge only once.
pub(crate) fn denied_by(events: PollFlags) -> Ready {
    let mut ready = Ready::ERROR;
    if events.contains(PollFlags::IN) {
        ready |= Ready::READABLE;
    }
    if events.contains(PollFlags::OUT) {
        ready |= Ready::WRITABLE;
    }
    if events.contains(PollFlags::PRI) {
        ready |= Ready::PRIORITY;
    }
    ready
}

/// poll(2) without a wait. It starts again after a signal of the embedder.
pub(crate) fn poll_now(fds: &mut [PollFd<'_>]) -> Result<usize, Errno> {
    loop {
        match poll(fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
