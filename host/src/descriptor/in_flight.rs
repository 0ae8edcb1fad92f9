//! Descriptors on their way to others (SCM_RIGHTS in flight), counted against the instance's limit.
//!
//! The kernel does not say when a peer takes them, but it says when a socket's peers have taken all
//! of its bytes (SIOCOUTQ is 0). So a duplicate of the sending socket is kept until then, beyond
//! the guest's own close: a guest can't park descriptors where nobody counts them. The peer sees
//! the guest's close all the same: a description that nobody else has is shut down and emptied. A
//! description that others have stays as it is.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::io::Errno;

use crate::descriptor::buffers::Share;
use crate::descriptor::{Handle, Open};
use crate::sys;
use crate::sys::closer::{self, Closer, DeferredFd};
use crate::wait::pool::InstanceUsage;

/// How often those that their guest has closed are looked at: at first, and at most.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(50);

/// The messages that are thrown away at most when a socket is emptied: more than any queue holds.
const EMPTIED_MAX: usize = 1 << 16;

/// One instance's descriptors in flight, and the shares that its closes take.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    messages: SentMessages,
    limit: Arc<AtomicUsize>,
    /// The instance, whose closes may linger in a pool of threads.
    pub(crate) usage: InstanceUsage,
    /// Where it closes what may be anybody's.
    pub(crate) closer: Closer,
}

type SentMessages = Arc<Mutex<Vec<SentMessage>>>;

/// Descriptors on their way through one description.
#[derive(Debug)]
struct SentMessage {
    socket: Arc<DeferredFd>,
    open: Weak<Open>,
    count: usize,
    /// The kernel's memory for them, though the guest may have closed them.
    shares: Vec<Arc<Share>>,
}

impl SentMessage {
    fn has_arrived(&self) -> bool {
        sys::unsent(self.socket.as_fd()) == Ok(0)
    }

    /// The guest has closed its last handle of the description.
    fn is_closed(&self) -> bool {
        self.open.strong_count() == 0
    }
}

/// Room for descriptors that are about to be sent.
pub(crate) struct Claim {
    count: usize,
    socket: Option<DeferredFd>,
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InFlight {
    pub(crate) fn new(limit: usize, usage: InstanceUsage, closer: Closer) -> Self {
        Self { messages: Arc::default(), limit: Arc::new(limit.into()), usage, closer }
    }

    /// Returns the limit, which may be set.
    pub(crate) fn limit(&self) -> &Arc<AtomicUsize> {
        &self.limit
    }

    /// Forgets what peers have taken.
    pub(crate) fn sweep(&self) {
        lock(&self.messages).retain(|message| !message.has_arrived());
    }

    /// Asks for room for `count` more; ETOOMANYREFS (man 2 sendmsg) where the limit is reached,
    /// EMFILE where the process has no number free to count them by.
    pub(crate) fn claim(&self, through: &Handle, count: usize) -> Result<Claim, Errno> {
        let mut messages = lock(&self.messages);
        messages.retain(|message| !message.has_arrived());
        let total: usize = messages.iter().map(|message| message.count).sum();
        if total.saturating_add(count) > self.limit.load(Ordering::Relaxed) {
            return Err(Errno::TOOMANYREFS);
        }
        // man 7 unix: no other family passes them on.
        let passes = through.socket().is_ok_and(|kind| kind.family == libc::AF_UNIX);
        let duplicate =
            || rustix::io::fcntl_dupfd_cloexec(through.fd(), 0).map(|fd| self.closer.defer(fd));
        Ok(Claim { count, socket: passes.then(duplicate).transpose()? })
    }

    /// The kernel has taken these descriptors for the peer of `through`.
    pub(crate) fn sent(&self, through: &Handle, handles: &[Arc<Handle>], claim: &mut Claim) {
        let Some(socket) = claim.socket.take() else { return };
        let open = Arc::downgrade(&through.open);
        let shares = handles.iter().flat_map(|handle| handle.open.charge.shares());
        let mut messages = lock(&self.messages);
        match messages.iter_mut().find(|message| message.open.ptr_eq(&open)) {
            Some(message) => {
                message.count += claim.count;
                message.shares.extend(shares);
            }
            None => {
                messages.push(SentMessage {
                    socket: Arc::new(socket),
                    open,
                    count: claim.count,
                    shares: shares.collect(),
                });
            }
        }
    }

    /// The guest's last handle of this description is closed; `sole` says that nobody else has the
    /// description.
    pub(crate) fn closed(&self, open: *const Open, sole: bool) {
        let mut left = false;
        lock(&self.messages).retain(|message| {
            if !std::ptr::eq(message.open.as_ptr(), open) {
                return true;
            }
            if message.has_arrived() {
                return false;
            }
            left = true;
            if sole {
                // The peer must see the end, though a duplicate is kept, and get back what it sent
                // that nobody will read.
                let _ = sys::shutdown(message.socket.as_fd(), libc::SHUT_RDWR);
                empty(&message.socket, &self.closer);
            }
            true
        });
        if left {
            look_after(&self.messages);
        }
    }
}

/// Throws away what a socket that was shut has not read, on a thread of the closer: it may be
/// any descriptors.
pub(crate) fn empty(socket: &Arc<DeferredFd>, closer: &Closer) {
    let (socket, own) = (Arc::clone(socket), closer.clone());
    closer.spawn(move || {
        let flags = sys::receiving_flags(libc::AF_UNIX, 0);
        for _ in 0..EMPTIED_MAX {
            match sys::receive_message(
                socket.as_fd(),
                1 << 16,
                sys::ControlRoom::of_unix(0, &own),
                flags,
            ) {
                Ok(message) if message.data.is_empty() && message.control.bytes().is_empty() => {
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
}

/// The instances with messages whose description their guest has closed. A thread of the pool looks
/// at them as long as there are any: what others do with the description must not depend on a
/// duplicate that is kept here.
static CLOSED: Mutex<Vec<Weak<Mutex<Vec<SentMessage>>>>> = Mutex::new(Vec::new());

fn look_after(messages: &SentMessages) {
    let mut closed = lock(&CLOSED);
    let own = Arc::downgrade(messages);
    if !closed.iter().any(|known| known.ptr_eq(&own)) {
        closed.push(own);
    }
    // Without a thread, the next claim looks.
    if closed.len() == 1 && !closer::spawn_in_pool(look) {
        closed.clear();
    }
}

fn look() {
    let mut pause = LOOK_MIN;
    loop {
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_MAX);
        let mut closed = lock(&CLOSED);
        closed.retain(|messages| {
            let Some(messages) = messages.upgrade() else { return false };
            let mut messages = lock(&messages);
            let before = messages.len();
            messages.retain(|message| !message.is_closed() || !message.has_arrived());
            if messages.len() < before {
                pause = LOOK_MIN;
            }
            messages.iter().any(SentMessage::is_closed)
        });
        if closed.is_empty() {
            return;
        }
    }
}
