//! The policy's filter of one open description, as the kernel has it. [`crate::authority::filter`]
//! makes it.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use rustix::io::Errno;
use sandsock_policy::{Carried, Instruction, Layout, Program};

use super::Handle;
use crate::sys;

/// The filter of one open description, if it has one.
#[derive(Debug, Default)]
pub(crate) struct FilterSlot(Mutex<Option<Box<Attached>>>);

#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) carried: Carried,
    pub(crate) layout: Layout,
    /// The descriptors of the description.
    pub(crate) handles: Vec<Weak<Handle>>,
    /// As the kernel has it, the guest's own at its end; empty where it has none.
    pub(crate) instructions: Vec<Instruction>,
    /// It lets in no sender that the policy does not allow, until then.
    pub(crate) exact: bool,
    pub(crate) until: Option<Instant>,
    /// Whatever is in the queue was let in by it.
    pub(crate) clean: bool,
    /// It is made anew when pins change.
    pub(crate) follows: bool,
    /// The guest's own program (SO_ATTACH_FILTER), which judges what this one lets in.
    pub(crate) guest: Vec<Instruction>,
    /// The guest's SO_LOCK_FILTER. The kernel's would hold for this filter as well.
    pub(crate) locked: bool,
    /// The guest's SO_RXQ_OVFL. The kernel's would count others' datagrams too.
    pub(crate) counts_overflow: bool,
    /// What observers were told of the kernel's drops.
    pub(crate) reported: u64,
    pub(crate) dropped: Arc<AtomicU64>,
}

/// What the kernel dropped at a socket: by its filter, or because its queue was full.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn follows(&self) -> bool {
        self.lock().as_ref().is_some_and(|attached| attached.follows)
    }

    /// Does something with a descriptor of the description. Not under the lock: it may be the last
    /// one, whose close asks for it.
    pub(crate) fn with_handle<R>(&self, act: impl FnOnce(&Handle) -> R) -> Option<R> {
        let handles = self.lock().as_ref().map(|attached| attached.handles.clone());
        let handle = handles?.iter().find_map(Weak::upgrade)?;
        Some(act(&handle))
    }

    /// The description has one descriptor more.
    pub(crate) fn duplicated(&self, handle: &Arc<Handle>) {
        if let Some(attached) = self.lock().as_mut() {
            attached.handles.retain(|handle| handle.strong_count() > 0);
            attached.handles.push(Arc::downgrade(handle));
        }
    }

    /// The description's last descriptor is about to be closed.
    pub(crate) fn close(&self, fd: BorrowedFd<'_>) {
        if let Some(attached) = self.lock().take() {
            attached.dropped.fetch_add(drops(fd), Ordering::Relaxed);
        }
    }

    /// Others are about to have the description: it gets what the guest itself has attached and
    /// locked, and nothing else. They are under policies of their own.
    pub(crate) fn release(&self, fd: BorrowedFd<'_>) {
        let Some(mut attached) = self.lock().take() else { return };
        attached.dropped.fetch_add(drops(fd), Ordering::Relaxed);
        // The guest's own was attached before, within a longer program. Should the kernel have no
        // memory for it now, the longer one stays.
        let guest = Program { instructions: std::mem::take(&mut attached.guest), exact: false };
        let _ = attached.replace(fd, guest);
        if attached.locked {
            sys::lock_filter(fd);
        }
    }

    /// How many datagrams the kernel dropped since this was asked last, for observers.
    pub(crate) fn newly_dropped(&self, fd: BorrowedFd<'_>) -> u64 {
        let mut slot = self.lock();
        let Some(attached) = slot.as_mut() else { return 0 };
        let all = drops(fd);
        all.saturating_sub(std::mem::replace(&mut attached.reported, all))
    }
}
