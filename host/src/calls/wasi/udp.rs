//! A UDP socket of `wasi:sockets`, its states, and its datagrams.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use super::address::{self, IpFamily};
use super::error::{ErrorCode, SocketFault, SocketResult};
use super::options::Options;
use crate::authority::budgets::{self, Withheld};
use crate::authority::filter;
use crate::authority::gate::Gate;
use crate::authority::permit::{Permit, Prescribed, SendTo};
use crate::bindings::sandsock::socket::types::{Address, Error, SocketKind, Wait};
use crate::calls::netdb;
use crate::ctx::{SandsockCtx, SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Handle;
use crate::error::{CallResult, Fault};
use crate::sys::{self, ControlRoom};
use crate::wait::PollableWaiter;
use crate::wait::registration::poll_now;

/// The longest datagram that a receive takes: RFC 768's length has 16 bits.
pub(crate) const DATAGRAM_MAX: usize = 65_535;

/// The most datagrams that one receive drops, because no grant names their senders. Other guests
/// may share the thread.
const DROPS_MAX: usize = 512;

/// A UDP socket.
pub(crate) struct UdpSocket {
    pub(crate) handle: Arc<Handle>,
    kind: SocketKind,
    pub(crate) family: IpFamily,
    is_bound: bool,
    /// The only address with which the socket exchanges datagrams.
    remote: Option<SocketAddr>,
}

impl UdpSocket {
    /// Makes a socket.
    pub(crate) fn create(ctx: &SandsockCtx, family: IpFamily) -> SocketResult<Self> {
        let handle = ctx.make_socket(family.number(), libc::SOCK_DGRAM, 0, true)?;
        if family == IpFamily::V6 {
            sys::set_option(handle.fd(), ctx.judge().prescribed(Prescribed::V6Only))?;
        }
        let kind = handle.socket()?;
        Ok(Self { handle, kind, family, is_bound: false, remote: None })
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.is_bound
    }

    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The socket's options.
    pub(crate) fn options<'a>(&'a self, ctx: &'a SandsockCtx) -> SocketResult<Options<'a>> {
        self.handle.check()?;
        Ok(Options { ctx, handle: &self.handle, kind: self.kind, family: self.family })
    }

    /// Binds the socket. The unspecified address with port 0 needs no grant to bind if there is one
    /// to send: it is what every program does before it sends.
    pub(crate) fn bind(&mut self, ctx: &SandsockCtx, local: SocketAddr) -> SocketResult<()> {
        if self.is_bound {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        address::check_udp_local(self.family, local)?;
        let by_the_way = local == self.family.unspecified()
            && ctx.judge().bind_to_send(&self.handle, self.kind)?;
        if !by_the_way {
            let bound = ctx.bind_socket(&self.handle, self.kind, &address::to_contract(local));
            bound.map_err(|fault| match local == self.family.unspecified() {
                true => naming_sends(fault),
                false => fault,
            })?;
        }
        self.is_bound = true;
        Ok(())
    }

    /// A call may have bound the socket implicitly.
    pub(crate) fn note_port(&mut self) {
        self.is_bound = self.is_bound || self.handle.has_port();
    }

    /// Checks that the socket can be associated with this address.
    pub(crate) fn check_remote(&self, remote: SocketAddr) -> Result<(), ErrorCode> {
        address::check_udp_remote(self.family, remote)
    }

    /// Records what [`associate`] did.
    pub(crate) fn associated(&mut self, remote: Option<SocketAddr>) {
        self.remote = remote;
    }

    /// The address that the socket is bound to.
    pub(crate) fn local_address(&self) -> SocketResult<SocketAddr> {
        if !self.is_bound {
            return Err(ErrorCode::InvalidState.into());
        }
        self.handle.check()?;
        Ok(address::from_kernel(&self.handle.local_address()?)?)
    }

    /// The address that the socket is associated with.
    pub(crate) fn remote_address(&self) -> SocketResult<SocketAddr> {
        self.remote.ok_or_else(|| ErrorCode::InvalidState.into())
    }
}

/// The denial of a bind that a grant to send would allow as well.
fn naming_sends(fault: Fault) -> Fault {
    match fault {
        Fault::Error(Error::Denied(mut denial)) if denial.grant.is_some() => {
            denial.reason.push_str(
                ", or with --allow udp-send=HOST:PORT for the addresses to which it sends",
            );
            Fault::Error(Error::Denied(denial))
        }
        other => other,
    }
}

/// Associates a socket with an address, or with none. `before` is the address that it has now.
pub(crate) async fn associate<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    before: Option<SocketAddr>,
    remote: Option<SocketAddr>,
) -> CallResult<()> {
    let kind = handle.socket()?;
    handle.check()?;
    let permit = match remote {
        Some(remote) => {
            let address = address::to_contract(remote);
            let judge = |view: &SandsockCtxView<'_>| view.ctx.judge().connect(kind, &address);
            Some(netdb::with_fresh_names(store, &mut Wait::None, judge).await?)
        }
        None => None,
    };
    let view = store.view();
    let judge = view.ctx.judge();
    if before.is_some() {
        let port = sys::local_address(handle.fd())?.to_ip().map_or(0, |local| local.port());
        let permit = judge.connect(kind, &Address::Unspec)?;
        let mut begun = judge.begin_connect(handle, kind, &permit)?;
        let result = sys::connect(handle.fd(), permit).0;
        begun.ended(result);
        result?;
        handle.forget_port();
        handle.set_peer(&Address::Unspec);
        judge.bind_again(handle, port)?;
    }
    let (Some(permit), Some(remote)) = (permit, remote) else { return Ok(()) };
    handle.set_peer(&address::to_contract(remote));
    judge.local_of_connect(handle, kind)?;
    let mut begun = judge.begin_connect(handle, kind, &permit)?;
    let result = sys::connect(handle.fd(), permit).0;
    begun.ended(result);
    Ok(result?)
}

/// The receiving side of a socket.
#[derive(Clone)]
pub(crate) struct Receiver {
    handle: Arc<Handle>,
    kind: SocketKind,
    /// The only address from which datagrams come.
    remote: Option<SocketAddr>,
    gate: Arc<Gate>,
    waiter: Arc<PollableWaiter>,
}

/// A datagram and its sender.
pub(crate) type Datagram = (Vec<u8>, SocketAddr);

impl Receiver {
    pub(crate) fn new(ctx: &SandsockCtx, socket: &UdpSocket) -> Self {
        Self {
            handle: Arc::clone(&socket.handle),
            kind: socket.kind,
            remote: socket.remote,
            gate: Arc::clone(&ctx.gate),
            waiter: Arc::clone(&ctx.pollables),
        }
    }

    /// Receives a datagram that the guest may get. EAGAIN if there is none, or if a budget lets none
    /// come.
    pub(crate) fn receive(&self) -> Result<Datagram, Errno> {
        self.handle.check_errno()?;
        for _ in 0..DROPS_MAX {
            let allowance =
                budgets::to_receive(&self.gate, &self.handle, self.kind, (DATAGRAM_MAX, 0))
                    .map_err(|held| held.errno())?;
            let room = ControlRoom::of_bytes(0);
            let message = match sys::receive_message(
                self.handle.fd(),
                DATAGRAM_MAX,
                room,
                libc::MSG_DONTWAIT,
            ) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            let Some(sender) = message.address.to_ip() else { continue };
            // What came before the association may still be in the queue.
            if !self.remote.is_none_or(|remote| is_same(remote, sender)) {
                continue;
            }
            if filter::is_allowed(&self.gate, self.kind, 0, &message.address) {
                if let Some(allowance) = allowance {
                    allowance.received(&self.handle, message.data.len());
                }
                return Ok((message.data, sender));
            }
            self.gate.count_dropped();
        }
        Err(Errno::AGAIN)
    }

    /// Waits until there is a datagram that the guest may get.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn ready(&self) -> Result<(), Errno> {
        loop {
            self.waiter.ready(self.handle.fd(), &self.handle.registration, PollFlags::IN).await?;
            if let Some(withheld) = withheld(&self.gate, &self.handle, PollFlags::IN) {
                self.waiter.sleep(withheld.until).await?;
                continue;
            }
            if !filter::is_restricted(&self.gate, self.kind) {
                return Ok(());
            }
            let mut fds = [PollFd::from_borrowed_fd(self.handle.fd(), PollFlags::IN)];
            poll_now(&mut fds)?;
            let shown = filter::readiness(&self.gate, &self.handle, fds[0].revents());
            if !shown.events.is_empty() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

fn withheld(gate: &Gate, handle: &Handle, events: PollFlags) -> Option<Withheld> {
    budgets::withheld_now(gate, handle, events)
}

/// Whether two addresses are those of one peer. The kernel does not report the flow of a sender.
fn is_same(remote: SocketAddr, sender: SocketAddr) -> bool {
    remote.ip() == sender.ip() && remote.port() == sender.port()
}

/// The sending side of a socket.
#[derive(Clone)]
pub(crate) struct Sender {
    handle: Arc<Handle>,
    kind: SocketKind,
    family: IpFamily,
    /// The only address to which datagrams go.
    remote: Option<SocketAddr>,
    gate: Arc<Gate>,
    waiter: Arc<PollableWaiter>,
}

/// Where a datagram goes.
pub(crate) enum To {
    /// To the address that the socket is associated with. Its association was allowed.
    Associated,
    Address(Box<Permit<SendTo>>),
}

impl Sender {
    pub(crate) fn new(ctx: &SandsockCtx, socket: &UdpSocket) -> Self {
        Self {
            handle: Arc::clone(&socket.handle),
            kind: socket.kind,
            family: socket.family,
            remote: socket.remote,
            gate: Arc::clone(&ctx.gate),
            waiter: Arc::clone(&ctx.pollables),
        }
    }

    /// Asks the policy for a datagram to this address.
    pub(crate) async fn judge<T: SandsockView>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        to: Option<SocketAddr>,
    ) -> SocketResult<To> {
        let Some(to) = self.check(to)? else { return Ok(To::Associated) };
        let judge = |view: &SandsockCtxView<'_>| self.judge_now(view.ctx, to);
        Ok(netdb::with_fresh_names(store, &mut Wait::None, judge).await?)
    }

    /// Checks the address of a datagram. None if it goes to the address of the association.
    pub(crate) fn check(&self, to: Option<SocketAddr>) -> Result<Option<SocketAddr>, ErrorCode> {
        match (to, self.remote) {
            (None, Some(_)) => Ok(None),
            (Some(to), Some(remote)) if to == remote => Ok(None),
            (None, None) | (Some(_), Some(_)) => Err(ErrorCode::InvalidArgument),
            (Some(to), None) => {
                address::check_udp_remote(self.family, to)?;
                Ok(Some(to))
            }
        }
    }

    /// Asks the policy, by the addresses that it knows now.
    pub(crate) fn judge_now(&self, ctx: &SandsockCtx, to: SocketAddr) -> CallResult<To> {
        let judge = ctx.judge();
        let permit = judge.send_to(&self.handle, self.kind, &address::to_contract(to))?;
        judge.local_of_send(&self.handle, self.kind, 0, true)?;
        Ok(To::Address(Box::new(permit)))
    }

    /// Sends a datagram. EAGAIN if there is no room for it now, or if a budget lets it wait.
    pub(crate) fn send(&self, data: &[u8], to: &To) -> SocketResult<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        self.handle.check()?;
        let permit = match to {
            To::Associated => None,
            To::Address(permit) => Some(&**permit),
        };
        let account = budgets::account_to_send(&self.handle, self.kind, permit);
        let wanted = (data.len(), flags);
        let taken =
            budgets::to_send(&self.gate, &self.handle, self.kind, account.as_ref(), wanted)?;
        loop {
            let result = match to {
                To::Associated => sys::send(self.handle.fd(), data, flags),
                To::Address(permit) => sys::send_to(self.handle.fd(), data, flags, permit),
            };
            match result {
                Ok(count) => {
                    budgets::sent(self.kind, taken, count);
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(send_fault(errno.into())),
            }
        }
    }

    /// Whether there is room for a datagram now.
    pub(crate) fn is_writable(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.handle.fd(), PollFlags::OUT)];
        let is_ready = poll_now(&mut fds).is_ok_and(|count| count > 0);
        is_ready && withheld(&self.gate, &self.handle, PollFlags::OUT).is_none()
    }

    /// Waits until there is room for a datagram.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn ready(&self) -> Result<(), Errno> {
        loop {
            self.waiter.ready(self.handle.fd(), &self.handle.registration, PollFlags::OUT).await?;
            let held = withheld(&self.gate, &self.handle, PollFlags::OUT);
            let Some(held) = held else { return Ok(()) };
            self.waiter.sleep(held.until).await?;
        }
    }
}

/// The fault of an association.
pub(crate) fn associate_fault(fault: Fault) -> SocketFault {
    SocketFault::from(fault)
        .with_code(Errno::ADDRNOTAVAIL, ErrorCode::AddressInUse)
        .with_code(Errno::CONNRESET, ErrorCode::RemoteUnreachable)
}

/// The fault of a datagram. WIT: a connection that was reset is a remote that can't be reached.
pub(crate) fn send_fault(fault: Fault) -> SocketFault {
    SocketFault::from(fault).with_code(Errno::CONNRESET, ErrorCode::RemoteUnreachable)
}
