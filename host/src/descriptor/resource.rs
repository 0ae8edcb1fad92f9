//! The WIT resource `descriptor`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustix::io::Errno;

use super::Handle;
use super::quota::Reservation;
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
    pub(crate) fn handle(&self) -> Result<&Arc<Handle>, Errno> {
        match &self.reference {
            Reference::Owned(handle) if !handle.is_poisoned() => Ok(handle),
            Reference::Owned(_) | Reference::Alias(..) => Err(Errno::BADF),
        }
    }

    /// Returns the handle for a transfer, also for an alias that was not revoked.
    pub(crate) fn for_transfer(&self) -> Result<Arc<Handle>, Errno> {
        match &self.reference {
            Reference::Owned(_) => self.handle().cloned(),
            Reference::Alias(handle, epoch, _) => handle
                .upgrade()
                .filter(|handle| {
                    !handle.is_poisoned() && handle.aliases.load(Ordering::Relaxed) == *epoch
                })
                .ok_or(Errno::BADF),
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
