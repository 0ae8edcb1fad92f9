//! Taking a descriptor from the guest, while the guest still has its number.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::Handle;
use crate::bindings::sandsock::socket::types::{Denial, Error};
use crate::error::{CallResult, Fault};
use crate::sys;

impl Handle {
    /// Returns the denial with which the description was taken from the guest, if it was.
    pub(crate) fn check(&self) -> CallResult<()> {
        match self.open.revoked.get() {
            None => Ok(()),
            Some(denial) => Err(Fault::Error(Error::Denied(denial.clone()))),
        }
    }

    /// As `check`, for a caller whose errors are the kernel's. EACCES if the description was taken.
    pub(crate) fn check_errno(&self) -> Result<(), Errno> {
        if self.open.revoked.get().is_some() { Err(Errno::ACCESS) } else { Ok(()) }
    }

    /// Takes the description from the guest: from now on, every call with one of its descriptors
    /// gets the denial, until the guest closes it. Returns whether it was the guest's until now.
    pub(crate) fn revoke(&self, denial: Denial) -> bool {
        self.open.revoked.set(denial).is_ok()
    }

    /// Closes a revoked description of which these are all descriptors.
    pub(crate) fn close_revoked(descriptors: &[Arc<Self>]) {
        let Some(first) = descriptors.first() else { return };
        let open = &first.open;
        let sole = open.is_sole();
        if sole {
            // A system call that waits for it ends.
            let _ = sys::shutdown(first.fd(), libc::SHUT_RDWR);
        }
        open.filter.close(first.fd());
        drop(open.spending.take_open());
        open.rights.closed(Arc::as_ptr(open), sole);
        for handle in descriptors {
            // Without a free number the description stays open until the guest closes it, and the
            // guest can't use it.
            let Ok(old) = handle.let_go() else { continue };
            if handle.closes_apart() {
                handle.closer().close(old, ());
            } else {
                let _ = sys::close(old);
            }
        }
    }

    /// Lets the number refer to a description that is always ready, so that every wait for it ends.
    /// Returns the former description.
    fn let_go(&self) -> Result<OwnedFd, Errno> {
        let old = rustix::io::fcntl_dupfd_cloexec(self.fd(), 0)?;
        let ready = eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let sets = self.own_watchers();
        for (set, _) in &sets {
            set.detach(self);
        }
        // A registration holds a duplicate.
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) = None;
        sys::replace(self.fd(), ready.as_fd())?;
        for (set, key) in &sets {
            set.attach(*key, self);
        }
        Ok(old)
    }
}
