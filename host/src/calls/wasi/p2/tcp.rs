//! `wasi:sockets/tcp` and `tcp-create-socket`.

use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe as subscribe_to};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::network::Network;
use super::streams::{FUNCTIONS, Streams};
use super::types::{IpAddressFamily, IpSocketAddress, ShutdownType};
use crate::authority::budgets;
use crate::authority::gate::Gate;
use crate::calls::wasi::connection::Connection;
use crate::calls::wasi::error::{ErrorCode, SocketResult};
use crate::calls::wasi::options::option_functions;
use crate::calls::wasi::tcp;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::observe::{Identify, Identity, Place, PollableWaits};
use crate::wait::PollableWaiter;

/// WIT `tcp-socket`.
pub(crate) struct TcpSocket {
    socket: tcp::TcpSocket,
    started: Option<Operation>,
    /// Of a connected socket.
    streams: Option<Streams>,
    gate: Arc<Gate>,
    waiter: Arc<PollableWaiter>,
    waits: PollableWaits,
}

/// An operation that was started, and is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Bind,
    Connect,
    Listen,
}

type This = Resource<TcpSocket>;
type Accepted = (This, Resource<DynInputStream>, Resource<DynOutputStream>);

impl Identify for TcpSocket {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        let handle = table.get(resource).ok().map(|this| Arc::clone(&this.socket.handle));
        Identity::Number(Place { index: resource.rep(), handle })
    }
}

impl TcpSocket {
    /// Adds a socket to the table.
    fn push(view: &mut SandsockCtxView<'_>, socket: tcp::TcpSocket) -> SocketResult<This> {
        let (gate, waiter) = (Arc::clone(&view.ctx.gate), Arc::clone(&view.ctx.pollables));
        let waits = PollableWaits::new(None, None);
        let (started, streams) = (None, None);
        let this = view.table.push(Self { socket, started, streams, gate, waiter, waits })?;
        view.table.get_mut(&this)?.waits = PollableWaits::new(view.ctx.watch(), Some(this.rep()));
        Ok(this)
    }

    /// Refuses to start an operation while another one is in progress.
    fn may_start(&self) -> Result<(), ErrorCode> {
        if self.started.is_some() { Err(ErrorCode::ConcurrencyConflict) } else { Ok(()) }
    }

    fn finish(&mut self, operation: Operation) -> Result<(), ErrorCode> {
        if self.started != Some(operation) {
            return Err(ErrorCode::NotInProgress);
        }
        self.started = None;
        Ok(())
    }
}

#[async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        let events = match self.started {
            Some(Operation::Connect) if self.socket.is_connecting() => PollFlags::OUT,
            None if self.socket.is_listening() => PollFlags::IN,
            _ => return,
        };
        let handle = &self.socket.handle;
        // An interrupt ends the wait. The guest then finds that it would block.
        let ready = async {
            loop {
                self.waiter.ready(handle.fd(), &handle.registration, events).await?;
                // As many connections are open as the listener's budget allows.
                let held = budgets::withheld_now(&self.gate, handle, events);
                let Some(held) = held else { return Ok::<_, Errno>(()) };
                self.waiter.sleep(held.until).await?;
            }
        };
        let _ = self.waits.during(ready).await;
    }
}

/// WIT `create-tcp-socket`.
pub(crate) fn create(
    view: &mut SandsockCtxView<'_>,
    family: IpAddressFamily,
) -> SocketResult<This> {
    let socket = tcp::TcpSocket::create(view.ctx, family.into())?;
    TcpSocket::push(view, socket)
}

/// WIT `[method]tcp-socket.start-bind`.
pub(crate) fn start_bind(
    view: &mut SandsockCtxView<'_>,
    this: This,
    network: Resource<Network>,
    local: IpSocketAddress,
) -> SocketResult<()> {
    view.table.get(&network)?;
    let this = view.table.get_mut(&this)?;
    this.may_start()?;
    this.socket.bind(view.ctx, local.into())?;
    this.started = Some(Operation::Bind);
    Ok(())
}

/// WIT `[method]tcp-socket.finish-bind`.
pub(crate) fn finish_bind(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<()> {
    Ok(view.table.get_mut(&this)?.finish(Operation::Bind)?)
}

/// WIT `[method]tcp-socket.start-connect`. A connect that fails at once, or is denied, ends in
/// `finish-connect`.
pub(crate) async fn start_connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (this, network, remote): (This, Resource<Network>, IpSocketAddress),
) -> SocketResult<()> {
    let view = store.view();
    view.table.get(&network)?;
    let socket = view.table.get_mut(&this)?;
    socket.may_start()?;
    socket.socket.check_connect(remote.into())?;
    let handle = Arc::clone(&socket.socket.handle);
    let result = tcp::begin_connect(store, &handle, remote.into()).await;
    let socket = store.view().table.get_mut(&this)?;
    socket.socket.connect_begun(result)?;
    socket.started = Some(Operation::Connect);
    Ok(())
}

/// WIT `[method]tcp-socket.finish-connect`.
pub(crate) fn finish_connect(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
    let socket = view.table.get_mut(&this)?;
    if socket.started != Some(Operation::Connect) {
        return Err(ErrorCode::NotInProgress.into());
    }
    let result = socket.socket.finish_connect().ok_or(ErrorCode::WouldBlock)?;
    socket.started = None;
    result?;
    push_streams(view, &this)
}

/// Makes the streams of a connected socket. They are its children: a guest that drops the socket
/// first traps.
fn push_streams(
    view: &mut SandsockCtxView<'_>,
    this: &This,
) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
    let socket = view.table.get_mut(this)?;
    let connection = Connection::new(view.ctx, &socket.socket.handle, this.rep(), &FUNCTIONS);
    let (streams, input, output) = Streams::new(connection);
    socket.streams = Some(streams);
    let input: DynInputStream = Box::new(input);
    let output: DynOutputStream = Box::new(output);
    Ok((view.table.push_child(input, this)?, view.table.push_child(output, this)?))
}

/// WIT `[method]tcp-socket.start-listen`.
pub(crate) fn start_listen(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<()> {
    let this = view.table.get_mut(&this)?;
    this.may_start()?;
    if !this.socket.is_bound() {
        // In 0.2 a listener must be bound.
        return Err(ErrorCode::InvalidState.into());
    }
    this.socket.listen(view.ctx)?;
    this.started = Some(Operation::Listen);
    Ok(())
}

/// WIT `[method]tcp-socket.finish-listen`.
pub(crate) fn finish_listen(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<()> {
    Ok(view.table.get_mut(&this)?.finish(Operation::Listen)?)
}

/// WIT `[method]tcp-socket.accept`.
pub(crate) fn accept(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<Accepted> {
    let listener = view.table.get(&this)?;
    if listener.started.is_some() {
        return Err(ErrorCode::InvalidState.into());
    }
    let listener = listener.socket.listener().ok_or(ErrorCode::InvalidState)?;
    if listener.is_full() {
        // The connection waits in the queue, and the pollable is not ready.
        return Err(ErrorCode::WouldBlock.into());
    }
    let accepted = listener.accept(view.ctx)?;
    let accepted = TcpSocket::push(view, accepted)?;
    let (input, output) = push_streams(view, &accepted)?;
    Ok((accepted, input, output))
}

/// WIT `[method]tcp-socket.local-address`.
pub(crate) fn local_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.local_address()?.into())
}

/// WIT `[method]tcp-socket.remote-address`.
pub(crate) fn remote_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.remote_address()?.into())
}

/// WIT `[method]tcp-socket.is-listening`.
pub(crate) fn is_listening(view: &mut SandsockCtxView<'_>, this: This) -> wasmtime::Result<bool> {
    let this = view.table.get(&this)?;
    Ok(this.socket.is_listening() && this.started.is_none())
}

/// WIT `[method]tcp-socket.address-family`.
pub(crate) fn address_family(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> wasmtime::Result<IpAddressFamily> {
    Ok(view.table.get(&this)?.socket.family.into())
}

/// WIT `[method]tcp-socket.set-listen-backlog-size`.
pub(crate) fn set_listen_backlog_size(
    view: &mut SandsockCtxView<'_>,
    this: This,
    size: u64,
) -> SocketResult<()> {
    view.table.get_mut(&this)?.socket.set_backlog(view.ctx, size)
}

option_functions! {
    in ResourceTable::get_mut;
    keep_alive_enabled, set_keep_alive_enabled = keep_alive_enabled, set_keep_alive_enabled: bool;
    keep_alive_idle_time, set_keep_alive_idle_time = keep_alive_idle_time, set_keep_alive_idle_time: u64;
    keep_alive_interval, set_keep_alive_interval = keep_alive_interval, set_keep_alive_interval: u64;
    keep_alive_count, set_keep_alive_count = keep_alive_count, set_keep_alive_count: u32;
    hop_limit, set_hop_limit = hop_limit, set_hop_limit: u8;
    receive_buffer_size, set_receive_buffer_size = receive_buffer_size, set_receive_buffer_size: u64;
    send_buffer_size, set_send_buffer_size = send_buffer_size, set_send_buffer_size: u64;
}

/// WIT `[method]tcp-socket.subscribe`.
pub(crate) fn subscribe(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> wasmtime::Result<Resource<DynPollable>> {
    subscribe_to(view.table, this)
}

/// WIT `[method]tcp-socket.shutdown`.
pub(crate) fn shutdown(
    view: &mut SandsockCtxView<'_>,
    this: This,
    how: ShutdownType,
) -> SocketResult<()> {
    let streams = view.table.get(&this)?.streams.as_ref().ok_or(ErrorCode::InvalidState)?;
    streams.shutdown(how != ShutdownType::Send, how != ShutdownType::Receive);
    Ok(())
}

/// The drop of a `tcp-socket`.
pub(crate) fn drop_socket(view: &mut SandsockCtxView<'_>, this: This) -> wasmtime::Result<()> {
    let TcpSocket { socket, streams, .. } = view.table.delete(this)?;
    // The streams are gone, or the table had refused.
    drop(streams);
    socket.handle.retire();
    Ok(())
}
