//! A send that opens the connection itself: MSG_FASTOPEN, or the first send after a connect that
//! TCP_FASTOPEN_CONNECT put off.
//!
//! The kernel takes bytes into the SYN only where it has the server's cookie. Without one it
//! answers EINPROGRESS, and a call that blocks waits there and sends afterwards. Repeated once the
//! connection is there, the same call sends; repeated after it failed, it reports why and leaves
//! the socket free to connect anew, as the call that blocked would.

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::ctx::SandsockView;
use crate::descriptor::Handle;
use crate::error::{CallResult, Fault};
use crate::wait::budget::WaitBudget;
use crate::wait::registration::poll_now;

/// IPPROTO_MPTCP, which libc has not for every target.
const MPTCP: i32 = 262;

/// How one send may open a connection.
pub(crate) struct Opening {
    /// The socket's protocol has a fast open.
    possible: bool,
    /// The call blocks until the connection is there, even if the kernel has taken its bytes
    /// before.
    blocks: bool,
    /// The kernel's first word on a connection under way, which is the answer when the time is
    /// over.
    first: Option<Errno>,
    /// The last wait ended with a socket to which bytes can be sent.
    was_writable: bool,
}

impl Opening {
    /// Of a send with these flags.
    pub(crate) fn new(handle: &Handle, kind: SocketKind, flags: i32, budget: &WaitBudget) -> Self {
        let possible =
            kind.type_ == libc::SOCK_STREAM && matches!(kind.protocol, libc::IPPROTO_TCP | MPTCP);
        let opens = possible && (flags & libc::MSG_FASTOPEN != 0 || handle.take_defers_connect());
        Self {
            possible,
            blocks: opens && budget.is_forever() && !handle.is_nonblocking(),
            first: None,
            was_writable: false,
        }
    }

    /// Whether the connection is to be waited for after the first bytes, once.
    pub(crate) const fn take_blocks(&mut self) -> bool {
        std::mem::replace(&mut self.blocks, false)
    }

    /// Whether this answer means that the connection is under way.
    pub(crate) fn is_under_way(&self, fault: &Fault) -> bool {
        self.possible && (fault.is(Errno::INPROGRESS) || fault.is(Errno::ALREADY))
    }

    /// After such an answer: returns when it is worth trying again. When the time is over the
    /// answer stays the kernel's first one; under `within` and `until` it is EAGAIN.
    pub(crate) async fn wait<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Handle,
        budget: &mut WaitBudget,
        errno: Errno,
    ) -> CallResult<()> {
        if errno == Errno::ALREADY && self.was_writable {
            // A connection is there. TCP_FASTOPEN_CONNECT without a cookie leaves the socket so
            // that MSG_FASTOPEN is refused.
            return Err(errno.into());
        }
        let is_first = self.first.is_none();
        let first = *self.first.get_or_insert(errno);
        // The kernel takes in what comes over loopback when the call returns: no wait where the
        // answer is there by now.
        if is_first && budget.may_wait(handle) {
            return Ok(());
        }
        match budget.again(store, handle, PollFlags::OUT).await {
            Err(fault) if fault.is(Errno::AGAIN) && budget.is_as_linux() => Err(first.into()),
            result => {
                self.was_writable = is_writable(handle);
                result
            }
        }
    }
}

fn is_writable(handle: &Handle) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(handle.fd(), PollFlags::OUT)];
    poll_now(&mut fds).is_ok() && fds[0].revents().contains(PollFlags::OUT)
}
