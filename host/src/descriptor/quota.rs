//! Counters with a limit: an instance's descriptors, pollers and pending look-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

/// A counter with a limit, of which each [`Reservation`] takes one.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// One taken place, free again on drop.
#[derive(Debug)]
pub(crate) struct Reservation(Arc<AtomicUsize>);

impl Quota {
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit }
    }

    /// Takes a place; EMFILE where all are taken.
    pub(crate) fn take(&self) -> Result<Reservation, Errno> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::MFILE);
        }
        Ok(Reservation(Arc::clone(&self.taken)))
    }

    /// EMFILE where fewer than `count` places are free.
    pub(crate) fn room_for(&self, count: usize) -> Result<(), Errno> {
        if self.taken().saturating_add(count) > self.limit { Err(Errno::MFILE) } else { Ok(()) }
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
