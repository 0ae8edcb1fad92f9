//! The policy's filter of one open file description. [`crate::authority::filter`] compiles it.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use rustix::io::Errno;
use sandsock_policy::filter::{Carried, Instruction, Layout, Program};

use super::Handle;
use crate::sys;

/// The filter of one open description, if it has one.
#[derive(Debug, Default)]
pub(crate) struct FilterSlot {
    attached: Mutex<Option<Box<Attached>>>,
    /// The kernel may have a program of the guest's own, because the policy had none.
    guests_own: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) carried: Carried,
    pub(crate) layout: Layout,
    /// The descriptors that refer to the description.
    pub(crate) handles: Vec<Weak<Handle>>,
    /// The program in the kernel, with the guest's own program at its end. Empty if there is none.
    pub(crate) instructions: Vec<Instruction>,
    /// Whether the program admits no sender that the policy denies. This holds until `until`.
    pub(crate) exact: bool,
    pub(crate) until: Option<Instant>,
    /// Whether everything in the queue has passed this program.
    pub(crate) clean: bool,
    /// Whether the program is made again when the pins change.
    pub(crate) follows: bool,
    /// The guest's own program (SO_ATTACH_FILTER). It runs behind the policy's.
    pub(crate) guest: Vec<Instruction>,
    /// The guest's SO_LOCK_FILTER. The kernel's own lock would apply to the policy's program as
    /// well.
    pub(crate) locked: bool,
    /// The guest's SO_RXQ_OVFL. The kernel's own count would include datagrams of other senders.
    pub(crate) counts_overflow: bool,
    /// The kernel's drops that were reported to observers.
    pub(crate) reported: u64,
    pub(crate) dropped: Arc<AtomicU64>,
}

/// Returns how many datagrams the kernel dropped at a socket, by its filter or because its queue
/// was full.
pub(crate) fn drops(fd: BorrowedFd<'_>) -> u64 {
    sys::memory_info(fd).map_or(0, |info| info[sys::MEMINFO_DROPS].into())
}

impl Attached {
    pub(crate) fn replace(&mut self, fd: BorrowedFd<'_>, program: Program) -> Result<(), Errno> {
        if program.instructions != self.instructions {
            if program.instructions.is_empty() {
                sys::detach_filter(fd)?;
            } else {
                sys::attach_filter(fd, &program.instructions)?;
            }
            self.instructions = program.instructions;
            self.clean = false;
        }
        self.exact = program.exact;
        Ok(())
    }
}

impl FilterSlot {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Box<Attached>>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the kernel may have a program of the guest's own without the policy's.
    pub(crate) fn has_guests_own(&self) -> bool {
        self.guests_own.load(Ordering::Relaxed)
    }

    pub(crate) fn set_guests_own(&self) {
        self.guests_own.store(true, Ordering::Relaxed);
    }

    pub(crate) fn follows(&self) -> bool {
        self.lock().as_ref().is_some_and(|attached| attached.follows)
    }

    /// Calls `act` with a descriptor of the description. The lock is not held, because this may be
    /// the last descriptor, and its close takes the lock.
    pub(crate) fn with_handle<R>(&self, act: impl FnOnce(&Handle) -> R) -> Option<R> {
        let handles = self.lock().as_ref().map(|attached| attached.handles.clone());
        let handle = handles?.iter().find_map(Weak::upgrade)?;
        Some(act(&handle))
    }

    /// Records another descriptor of the description.
    pub(crate) fn duplicated(&self, handle: &Arc<Handle>) {
        if let Some(attached) = self.lock().as_mut() {
            attached.handles.retain(|handle| handle.strong_count() > 0);
            attached.handles.push(Arc::downgrade(handle));
        }
    }

    /// Call this before the last descriptor of the description is closed.
    pub(crate) fn close(&self, fd: BorrowedFd<'_>) {
        if let Some(attached) = self.lock().take() {
            attached.dropped.fetch_add(drops(fd), Ordering::Relaxed);
        }
    }

    /// Call this before another process gets the description. The description keeps only what the
    /// guest itself attached and locked, because other processes are under policies of their own.
    pub(crate) fn release(&self, fd: BorrowedFd<'_>) {
        let Some(mut attached) = self.lock().take() else { return };
        attached.dropped.fetch_add(drops(fd), Ordering::Relaxed);
        // The kernel accepted the guest's program before, as the end of a longer one. If it has no
        // memory for the program now, the longer one stays.
        let guest = Program { instructions: std::mem::take(&mut attached.guest), exact: false };
        let _ = attached.replace(fd, guest);
        if attached.locked {
            sys::lock_filter(fd);
        }
    }

    /// Returns how many datagrams the kernel dropped since the last call.
    pub(crate) fn newly_dropped(&self, fd: BorrowedFd<'_>) -> u64 {
        let mut slot = self.lock();
        let Some(attached) = slot.as_mut() else { return 0 };
        let all = drops(fd);
        all.saturating_sub(std::mem::replace(&mut attached.reported, all))
    }
}
