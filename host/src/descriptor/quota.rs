//! Counters with a limit: an instance's descriptors, pollers and pending look-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

/// A counter with a limit. Each [`Reservation`] counts as one.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    taken: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
}

/// One unit of a [`Quota`]. Dropping it frees the unit.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<AtomicUsize>);

impl Quota {
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit: Arc::new(limit.into()) }
    }

    /// Sets another limit. Units above it stay taken until they are dropped.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes one unit. EMFILE if none is free.
    pub(crate) fn take(&self) -> Result<Reservation, Errno> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit() {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::MFILE);
        }
        Ok(Reservation(Arc::clone(&self.taken)))
    }

    /// EMFILE if fewer than `count` units are free.
    pub(crate) fn room_for(&self, count: usize) -> Result<(), Errno> {
        if self.taken().saturating_add(count) > self.limit() { Err(Errno::MFILE) } else { Ok(()) }
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
