//! Closing a descriptor: at once, on a thread of the pool, or on a thread for descriptors of other
//! processes.

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use rustix::io::Errno;
use sandsock_abi::constants::{CAN_ISOTP, CAN_J1939};

use super::Handle;
use crate::sys::{self, closer};
use crate::wait::pool;

impl Handle {
    /// The guest has given up the handle. It leaves every poller, and its aliases become invalid,
    /// even if a call still uses it.
    pub(crate) fn retire(&self) {
        self.leave_pollers();
        self.revoke_aliases();
    }

    /// Closes the number and returns the result. None if another call still uses the handle.
    pub(crate) fn close(self: Arc<Self>) -> Option<Closing> {
        self.retire();
        let mut handle = Arc::into_inner(self)?;
        let fd = handle.take_fd()?;
        Some(handle.close_fd(fd, true))
    }

    /// Takes the number out, and drops the registration, which holds a duplicate of it.
    fn take_fd(&mut self) -> Option<OwnedFd> {
        *self.registration.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        self.fd.take()
    }

    /// Returns whether unread messages to this socket may contain descriptors of other processes.
    pub(crate) fn may_hold_others(&self) -> bool {
        let of_unix = self.socket().is_ok_and(|kind| kind.family == libc::AF_UNIX);
        of_unix && (!self.open.paired.load(Ordering::Relaxed) || self.closer().any_fd_passed())
    }

    /// Returns whether the close may wait for another process: one that has the description, one
    /// that made it, or one whose descriptors were sent to it and not read.
    pub(super) fn closes_apart(&self) -> bool {
        if self.is_of_process() {
            // Without sandsock it would wait as well.
            return false;
        }
        if !self.is_sole() {
            return true;
        }
        self.may_hold_others() && Arc::strong_count(&self.open) == 1
    }

    /// `waited` says whether a caller waits for the result.
    fn close_fd(&mut self, fd: OwnedFd, waited: bool) -> Closing {
        if Arc::strong_count(&self.open) == 1 {
            self.open.tls.end(fd.as_fd());
            self.open.filter.close(fd.as_fd());
        }
        let seconds = self.open.linger.load(Ordering::Relaxed);
        let last = Arc::strong_count(&self.open) == 1;
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.open.revoked.get().is_some() {
            // The description is closed already.
            return Closing::Done(sys::close(fd));
        }
        // The connection counts until the kernel has closed it.
        let connection = if last { self.open.spending.take_open() } else { None };
        if self.closes_apart() {
            let Some(fd) = self.leave(fd, last) else { return Closing::Done(Ok(())) };
            let shares: Vec<_> = self.open.charge.shares().collect();
            if waited {
                return self
                    .closer()
                    .close_for(fd, (place, connection, shares))
                    .map_or(Closing::Done(Ok(())), Closing::Apart);
            }
            self.closer().close(fd, (place, connection, shares));
            return Closing::Done(Ok(()));
        }
        let waits = self.socket().is_ok_and(|kind| match kind.family {
            libc::AF_UNIX => false,
            // Closes of these families wait for data in transit, whatever SO_LINGER says.
            libc::AF_CAN => matches!(kind.protocol, CAN_ISOTP | CAN_J1939),
            libc::AF_TIPC => true,
            _ => seconds != 0,
        });
        if waits
            && last
            && let Ok(thread) = pool::CLOSES.reserve(&self.open.rights.usage)
        {
            let shares: Vec<_> = self.open.charge.shares().collect();
            let job = thread.start(move || {
                let _held = (shares, place, connection);
                if seconds != 0 {
                    sys::set_linger(fd.as_fd(), Some(seconds));
                }
                sys::close(fd)
            });
            return job.map_or_else(|errno| Closing::Done(Err(errno)), Closing::Lingering);
        }
        // The kernel sends what is left after the close.
        Closing::Done(self.leave(fd, last).map_or(Ok(()), sys::close))
    }

    /// Returns the descriptor, unless its socket must still be counted after the close.
    fn leave(&self, fd: OwnedFd, last: bool) -> Option<OwnedFd> {
        match self.socket() {
            Ok(kind) if last => self.open.charge.leave(fd, kind, self.is_sole(), self.closer()),
            _ => Some(fd),
        }
    }
}

/// A close that is done, or one that waits in the pool.
pub(crate) enum Closing {
    Done(Result<(), Errno>),
    Lingering(pool::Job<Result<(), Errno>>),
    /// The close waits on a thread for descriptors of other processes.
    Apart(closer::Completion<Result<(), Errno>>),
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.fd.is_none() {
            return;
        }
        self.leave_pollers();
        match self.take_fd() {
            Some(fd) if self.is_of_process() => {
                let _ = fd.into_raw_fd();
            }
            Some(fd) => {
                self.close_fd(fd, false);
            }
            None => {}
        }
    }
}
