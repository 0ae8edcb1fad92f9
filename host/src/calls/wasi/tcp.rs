//! A TCP socket of `wasi:sockets`, and its states.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use super::address::{self, IpFamily};
use super::error::{ErrorCode, SocketFault, SocketResult};
use super::options::Options;
use crate::authority::permit::{Connect, Permit, Prescribed};
use crate::bindings::sandsock::socket::types::{SocketKind, Wait};
use crate::calls::netdb;
use crate::ctx::{SandsockCtx, SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Handle;
use crate::descriptor::account::Account;
use crate::error::{CallResult, Fault};
use crate::sys;
use crate::wait::registration::poll_now;

/// The backlog of a listener that asks for none, as Rust's standard library has it.
const BACKLOG: i32 = 128;

/// A TCP socket.
pub(crate) struct TcpSocket {
    pub(crate) handle: Arc<Handle>,
    kind: SocketKind,
    pub(crate) family: IpFamily,
    state: State,
    backlog: i32,
}

/// A listening socket, for what accepts from it.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) handle: Arc<Handle>,
    kind: SocketKind,
    family: IpFamily,
}

/// The state of a TCP socket.
#[derive(Debug)]
enum State {
    Unbound,
    /// An address was bound explicitly.
    Bound,
    Connecting,
    /// The connect has failed already, and the guest does not know it yet.
    ConnectFailed(SocketFault),
    Connected,
    Listening,
    /// A connect has failed. WIT: the only valid action left is to drop the socket.
    Closed,
}

impl TcpSocket {
    /// Makes a socket.
    pub(crate) fn create(ctx: &SandsockCtx, family: IpFamily) -> SocketResult<Self> {
        let handle = ctx.make_socket(family.number(), libc::SOCK_STREAM, 0, true)?;
        // So a rule of `tls-listen` alone lets it listen nowhere.
        handle.open.tls.set_moves_plain_bytes();
        if family == IpFamily::V6 {
            sys::set_option(handle.fd(), ctx.judge().prescribed(Prescribed::V6Only))?;
        }
        Self::new(handle, family, State::Unbound)
    }

    fn new(handle: Arc<Handle>, family: IpFamily, state: State) -> SocketResult<Self> {
        let kind = handle.socket()?;
        Ok(Self { handle, kind, family, state, backlog: BACKLOG })
    }

    pub(crate) fn is_bound(&self) -> bool {
        !matches!(self.state, State::Unbound | State::Closed)
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting)
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected)
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening)
    }

    /// The socket's options. A closed socket has none.
    pub(crate) fn options<'a>(&'a self, ctx: &'a SandsockCtx) -> SocketResult<Options<'a>> {
        if matches!(self.state, State::Closed) {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        Ok(Options { ctx, handle: &self.handle, kind: self.kind, family: self.family })
    }

    /// Binds the socket.
    pub(crate) fn bind(&mut self, ctx: &SandsockCtx, local: SocketAddr) -> SocketResult<()> {
        if !matches!(self.state, State::Unbound) {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        address::check_tcp_local(self.family, local)?;
        // WIT: a connection in TIME_WAIT at the same address does not prevent the bind.
        sys::set_option(self.handle.fd(), ctx.judge().prescribed(Prescribed::ReuseAddress))?;
        ctx.bind_socket(&self.handle, self.kind, &address::to_contract(local))?;
        self.state = State::Bound;
        Ok(())
    }

    /// Checks that the socket can connect to this address. The state stays.
    pub(crate) fn check_connect(&self, remote: SocketAddr) -> Result<(), ErrorCode> {
        if !matches!(self.state, State::Unbound | State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        address::check_tcp_remote(self.family, remote)
    }

    /// Records what [`begin_connect`] returned.
    pub(crate) fn connect_begun(&mut self, result: CallResult<()>) -> SocketResult<()> {
        self.state = match result {
            Ok(()) => State::Connecting,
            Err(Fault::Trap(trap)) => return Err(SocketFault::Trap(trap)),
            Err(fault) => State::ConnectFailed(connect_fault(fault)),
        };
        Ok(())
    }

    /// Gives up a connect that is under way. It counts as failed.
    pub(crate) fn give_up(&mut self) {
        self.state = State::Closed;
    }

    /// Ends a connect that was begun. None if it is still under way.
    pub(crate) fn finish_connect(&mut self) -> Option<SocketResult<()>> {
        let result = match std::mem::replace(&mut self.state, State::Closed) {
            State::Connecting => match self.connect_result() {
                Ok(None) => {
                    self.state = State::Connecting;
                    return None;
                }
                Ok(Some(())) => Ok(()),
                Err(errno) => Err(connect_fault(errno.into())),
            },
            State::ConnectFailed(fault) => Err(fault),
            other => {
                self.state = other;
                return Some(Err(ErrorCode::InvalidState.into()));
            }
        };
        if result.is_ok() {
            self.state = State::Connected;
        }
        Some(result)
    }

    fn connect_result(&self) -> Result<Option<()>, Errno> {
        self.handle.check_errno()?;
        let mut fds = [PollFd::from_borrowed_fd(self.handle.fd(), PollFlags::OUT)];
        if poll_now(&mut fds)? == 0 {
            return Ok(None);
        }
        match sys::own_option(self.handle.fd(), libc::SOL_SOCKET, libc::SO_ERROR)? {
            0 => Ok(Some(())),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }

    /// Listens.
    pub(crate) fn listen(&mut self, ctx: &SandsockCtx) -> SocketResult<()> {
        if !matches!(self.state, State::Unbound | State::Bound) {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        ctx.listen_socket(&self.handle, self.kind, self.backlog)?;
        self.state = State::Listening;
        Ok(())
    }

    /// Sets the backlog of a listener, or the one that the socket will have.
    pub(crate) fn set_backlog(&mut self, ctx: &SandsockCtx, size: u64) -> SocketResult<()> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument.into());
        }
        self.handle.check()?;
        let backlog = i32::try_from(size).unwrap_or(i32::MAX);
        match self.state {
            State::Unbound | State::Bound => {}
            State::Listening => ctx.listen_socket(&self.handle, self.kind, backlog)?,
            _ => return Err(ErrorCode::InvalidState.into()),
        }
        self.backlog = backlog;
        Ok(())
    }

    /// The listener. None in other states.
    pub(crate) fn listener(&self) -> Option<Listener> {
        self.is_listening().then(|| Listener {
            handle: Arc::clone(&self.handle),
            kind: self.kind,
            family: self.family,
        })
    }

    /// The address that the socket is bound to, explicitly or implicitly.
    pub(crate) fn local_address(&self) -> SocketResult<SocketAddr> {
        if !self.is_bound() {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        let local = address::from_kernel(&self.handle.local_address()?)?;
        // A connect that failed at once has bound nothing.
        if local.port() == 0 { Err(ErrorCode::InvalidState.into()) } else { Ok(local) }
    }

    /// The peer's address.
    pub(crate) fn remote_address(&self) -> SocketResult<SocketAddr> {
        if !self.is_connected() {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        Ok(address::from_kernel(&sys::peer_address(self.handle.fd())?)?)
    }
}

impl Listener {
    /// Returns whether as many connections are open as the listener's budget allows.
    pub(crate) fn is_full(&self) -> bool {
        self.handle.open.spending.local().is_some_and(|account| !account.may_open())
    }

    /// Accepts a connection. EAGAIN becomes `would-block`.
    pub(crate) fn accept(&self, ctx: &SandsockCtx) -> SocketResult<TcpSocket> {
        self.handle.check()?;
        ctx.descriptor_quota.room_for(1)?;
        ctx.gate.buffers.room_to_accept(&self.handle, self.kind)?;
        let account = self.handle.open.spending.local();
        let open = account.as_ref().map(Account::open_connection).transpose();
        // It waits in the queue until another connection is closed.
        let open = open.map_err(|_| ErrorCode::NewSocketLimit)?;
        let (fd, _) = loop {
            match sys::accept(self.handle.fd(), false) {
                Err(Errno::INTR) => {}
                result => break result.map_err(accept_fault)?,
            }
        };
        let accepted = Handle::own(fd, self.kind, true, &ctx.rights);
        accepted.inherit_options(&self.handle);
        accepted.inherit_view(&self.handle);
        accepted.open.spending.set_accepted(account, open);
        ctx.admit(&accepted)?;
        TcpSocket::new(accepted, self.family, State::Connected)
    }
}

/// Begins a connect, which goes on in the background. A granted name whose addresses were forgotten
/// is looked up once more.
pub(crate) async fn begin_connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    remote: SocketAddr,
) -> CallResult<()> {
    let judge = |view: &SandsockCtxView<'_>| judge_connect(view.ctx, handle, remote);
    let permit = netdb::with_fresh_names(store, &mut Wait::None, judge).await?;
    connect(store.view().ctx, handle, remote, permit)
}

/// Asks the policy for a connect.
pub(crate) fn judge_connect(
    ctx: &SandsockCtx,
    handle: &Handle,
    remote: SocketAddr,
) -> CallResult<Permit<Connect>> {
    handle.check()?;
    ctx.judge().connect(handle.socket()?, &address::to_contract(remote))
}

/// Begins a connect that is allowed.
pub(crate) fn connect(
    ctx: &SandsockCtx,
    handle: &Handle,
    remote: SocketAddr,
    permit: Permit<Connect>,
) -> CallResult<()> {
    let (judge, kind) = (ctx.judge(), handle.socket()?);
    judge.local_of_connect(handle, kind)?;
    let mut begun = judge.begin_connect(handle, kind, &permit)?;
    handle.set_peer(&address::to_contract(remote));
    let result = sys::connect(handle.fd(), permit).0;
    begun.ended(result);
    match result {
        // man 2 connect: after EINTR the connect goes on.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// man 2 connect: EADDRNOTAVAIL means that no port is left for the bind that connect makes by the
/// way.
fn connect_fault(fault: Fault) -> SocketFault {
    SocketFault::from(fault)
        .with_code(Errno::ADDRNOTAVAIL, ErrorCode::AddressInUse)
        .with_code(Errno::AFNOSUPPORT, ErrorCode::InvalidArgument)
}

/// man 2 accept: Linux passes errors that the new connection already has.
fn accept_fault(errno: Errno) -> SocketFault {
    let fault = SocketFault::from(errno);
    match errno {
        Errno::CONNRESET
        | Errno::NETDOWN
        | Errno::PROTO
        | Errno::NOPROTOOPT
        | Errno::HOSTDOWN
        | Errno::NONET
        | Errno::HOSTUNREACH
        | Errno::OPNOTSUPP
        | Errno::NETUNREACH => fault.with_code(errno, ErrorCode::ConnectionAborted),
        _ => fault,
    }
}
