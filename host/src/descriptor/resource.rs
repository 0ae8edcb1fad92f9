//! The WIT resource `descriptor`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustix::io::Errno;

use super::Handle;
use super::quota::Reservation;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use crate::sys::closer::DeferredFd;
use crate::wait::pool;

/// The WIT resource `descriptor`: a handle, or a weak reference to one.
pub struct Descriptor {
    reference: Reference,
    /// An accept that an interrupt left running in the pool. The next accept takes its connection.
    pub(crate) accepting: Option<pool::Job<Accepted>>,
    /// A connect that is running in the pool. `finish-connect` takes its result.
    pub(crate) connecting: Option<pool::Job<Result<(), Errno>>>,
}

/// The result of accept(2).
pub(crate) type Accepted = Result<(DeferredFd, RawAddress), Errno>;

enum Reference {
    Owned(Arc<Handle>),
    /// Valid while the handle lives, and until its aliases are revoked. It counts against the
    /// instance's limit as well.
    Alias(Weak<Handle>, u64, #[expect(dead_code, reason = "held, never read")] Reservation),
}

impl Descriptor {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { reference: Reference::Owned(handle), accepting: None, connecting: None }
    }

    pub(crate) fn alias(handle: &Arc<Handle>, place: Reservation) -> Self {
        let epoch = handle.aliases.load(Ordering::Relaxed);
        Self {
            reference: Reference::Alias(Arc::downgrade(handle), epoch, place),
            accepting: None,
            connecting: None,
        }
    }

    /// Returns the handle. EBADF for an alias.
    pub(crate) fn handle(&self) -> CallResult<&Arc<Handle>> {
        match &self.reference {
            Reference::Owned(handle) if !handle.is_poisoned() => {
                handle.check()?;
                Ok(handle)
            }
            Reference::Owned(_) | Reference::Alias(..) => Err(Errno::BADF.into()),
        }
    }

    /// Returns the handle, also for an alias that was not revoked.
    pub(crate) fn referred(&self) -> CallResult<Arc<Handle>> {
        match &self.reference {
            Reference::Owned(_) => self.handle().cloned(),
            Reference::Alias(handle, epoch, _) => {
                let is_valid = |handle: &Arc<Handle>| {
                    !handle.is_poisoned() && handle.aliases.load(Ordering::Relaxed) == *epoch
                };
                let handle = handle.upgrade().filter(is_valid).ok_or(Errno::BADF)?;
                handle.check()?;
                Ok(handle)
            }
        }
    }

    /// Returns the handle for observers, also of a description that was taken from the guest.
    pub(crate) fn observed(&self) -> Option<Arc<Handle>> {
        match &self.reference {
            Reference::Owned(handle) => Some(Arc::clone(handle)),
            Reference::Alias(handle, ..) => handle.upgrade(),
        }
    }

    /// Takes the handle out, to close it with a result. None for an alias.
    pub(crate) fn into_handle(self) -> Option<Arc<Handle>> {
        match self.reference {
            Reference::Owned(handle) => Some(handle),
            Reference::Alias(..) => None,
        }
    }
}
