//! The share of one open file description in its instance's limit.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::sys;
use crate::sys::closer::Closer;

use super::{Buffers, is_sampled};

/// What one of AF_PACKET's memberships takes in the kernel, at the socket and at the device (struct
/// packet_mclist, struct netdev_hw_addr), at most.
pub(super) const MEMBERSHIP: u64 = 512;

/// A task of AF_CAN's broadcast manager: whether it receives, its interface, its identifier, and
/// whether its frames are CAN FD's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Task(pub(crate) bool, pub(crate) u32, pub(crate) u32, pub(crate) bool);

/// What the kernel may hold for one open file description.
#[derive(Debug)]
pub(crate) struct Share {
    pub(super) buffers: Weak<Buffers>,
    pub(super) bytes: AtomicU64,
    /// How many [`Charge`]s have it as their own.
    pub(super) users: AtomicUsize,
    /// The backlog of a TCP socket that listens; 0 of every other.
    pub(super) backlog: AtomicU32,
    /// The most that a connection of this listener holds when it is accepted; 0 if that was not
    /// measured since the listener's buffers may have changed.
    pub(super) accepted: AtomicU64,
    /// What the kernel keeps for it in no buffer: AF_CAN's tasks, by their keys, and AF_PACKET's
    /// memberships.
    tasks: Mutex<BTreeMap<Task, u64>>,
    pub(super) memberships: AtomicU64,
    /// A send had to wait for the limit, and none went through since.
    pub(super) starved: AtomicBool,
    /// The receive buffer was shrunk, and SO_BUF_LOCK's value before.
    shrunk: Mutex<Option<i32>>,
}

impl Share {
    pub(super) fn new(buffers: &Arc<Buffers>) -> Arc<Self> {
        Arc::new(Self {
            buffers: Arc::downgrade(buffers),
            bytes: AtomicU64::new(0),
            users: AtomicUsize::new(0),
            backlog: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            tasks: Mutex::default(),
            memberships: AtomicU64::new(0),
            starved: AtomicBool::new(false),
            shrunk: Mutex::default(),
        })
    }

    pub(super) fn set(&self, bytes: u64) {
        let before = self.bytes.swap(bytes, Relaxed);
        if let Some(buffers) = self.buffers.upgrade() {
            buffers.total.fetch_add(bytes.wrapping_sub(before), Relaxed);
        }
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, BTreeMap<Task, u64>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is without a buffer.
    pub(super) fn kept(&self) -> u64 {
        self.tasks().values().sum::<u64>() + self.memberships.load(Relaxed) * MEMBERSHIP
    }

    pub(super) fn shrunk(&self) -> MutexGuard<'_, Option<i32>> {
        self.shrunk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.shrunk().is_some()
            && let Some(buffers) = self.buffers.upgrade()
        {
            buffers.shrunk.fetch_sub(1, Relaxed);
        }
        self.set(0);
    }
}

/// The shares that an open file description holds.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    pub(super) own: OnceLock<Arc<Share>>,
    /// The other end's of a pair: bytes that it sent stay in this end's queue after its close.
    pub(super) peer: OnceLock<Arc<Share>>,
}

impl Charge {
    pub(super) fn set_own(&self, share: Arc<Share>) {
        share.users.fetch_add(1, Relaxed);
        if let Err(share) = self.own.set(share) {
            share.users.fetch_sub(1, Relaxed);
        }
    }

    /// Every share that must live as long as the description does.
    pub(crate) fn shares(&self) -> impl Iterator<Item = Arc<Share>> + '_ {
        self.own.get().into_iter().chain(self.peer.get()).cloned()
    }

    /// Is called before the last close here. It returns the descriptor, unless bytes are left that
    /// only its socket reports.
    ///
    /// `sole` says that nobody else can hold the description; a socket that is kept is closed by
    /// the closer.
    pub(crate) fn leave(
        &self,
        fd: OwnedFd,
        kind: SocketKind,
        sole: bool,
        closer: &Closer,
    ) -> Option<OwnedFd> {
        let Some(share) = self.own.get() else { return Some(fd) };
        if kind.family != libc::AF_UNIX && !is_sampled(kind) {
            return Some(fd);
        }
        let Ok(memory) = sys::memory(fd.as_fd()) else { return Some(fd) };
        if self.peer.get().is_some() {
            // What was sent lies in the other end's queue, and so does this share with the other
            // end.
            if memory.written == 0 && share.users.load(Relaxed) == 1 {
                share.set(0);
            }
            return Some(fd);
        }
        match share.buffers.upgrade() {
            Some(buffers) if sole => buffers.left().keep(fd, kind, &memory, share, closer),
            _ => Some(fd),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(share) = self.own.get() {
            share.users.fetch_sub(1, Relaxed);
        }
    }
}
