//! Sends that open the connection: with MSG_FASTOPEN, or as the first send after a connect that
//! TCP_FASTOPEN_CONNECT has put off.
//!
//! The kernel puts bytes into the SYN only if it has the server's cookie. Otherwise the call gets
//! EINPROGRESS, and a blocking call waits and sends afterwards. If the connection is there, the
//! same call sends when it is repeated. If the connection has failed, the repeated call reports
//! why. It leaves the socket free to connect again, as a blocking call would.

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::ctx::SandsockView;
use crate::descriptor::Handle;
use crate::error::{CallResult, Fault};
use crate::wait::budget::WaitBudget;
use crate::wait::registration::poll_now;

/// IPPROTO_MPTCP, which libc does not have for every target.
const MPTCP: i32 = 262;

/// How one send may open a connection.
pub(crate) struct Opening {
    /// The socket's protocol has fast open.
    possible: bool,
    /// The call waits until the connection is there, even if the kernel took its bytes before.
    blocks: bool,
    /// The first error for a connection under way. The call returns it when the time is over.
    first: Option<Errno>,
    /// After the last wait, the socket was writable.
    was_writable: bool,
}

impl Opening {
    /// Prepares a send with these flags.
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

    /// Returns whether the call has to wait for the connection after the first bytes. It is true
    /// once.
    pub(crate) const fn take_blocks(&mut self) -> bool {
        std::mem::replace(&mut self.blocks, false)
    }

    /// Returns whether this error means that the connection is under way.
    pub(crate) fn is_under_way(&self, fault: &Fault) -> bool {
        self.possible && (fault.is(Errno::INPROGRESS) || fault.is(Errno::ALREADY))
    }

    /// Waits after such an error until another attempt is worth it. When the time is over, the
    /// error is the kernel's first one, or EAGAIN under `within` and `until`.
    pub(crate) async fn wait<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Handle,
        budget: &mut WaitBudget,
        errno: Errno,
    ) -> CallResult<()> {
        if errno == Errno::ALREADY && self.was_writable {
            // The connection is there. Without a cookie, TCP_FASTOPEN_CONNECT leaves the socket in
            // a state that refuses MSG_FASTOPEN.
            return Err(errno.into());
        }
        let is_first = self.first.is_none();
        let first = *self.first.get_or_insert(errno);
        // Over loopback, the kernel handles the answer before the call returns. Then the second
        // attempt succeeds without a wait.
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
