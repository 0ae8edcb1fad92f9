//! The resource `tcp-socket`.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use rustix::event::PollFlags;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, Resource, ResourceTable, StreamReader};

use super::listen::{Acceptor, Clients};
use super::names::with_fresh_names;
use super::streams::{self, FUNCTIONS, Received, Sent};
use crate::calls::async_call::AsyncCall;
use crate::calls::wasi::connection::Connection;
use crate::calls::wasi::error::{ErrorCode, SocketResult};
use crate::calls::wasi::options::option_functions;
use crate::calls::wasi::p2::types::{IpAddressFamily, IpSocketAddress};
use crate::calls::wasi::tcp;
use crate::ctx::{SandsockCtx, SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Handle;
use crate::observe::{Identify, Identity, Place};
use crate::sys;

/// WIT `tcp-socket`. Its streams share the handle, and go on after its drop.
pub(crate) struct TcpSocket {
    socket: tcp::TcpSocket,
    /// The place of its own by which observers know it.
    place: u32,
    /// The call that connects. If it is gone while the socket is connecting, the guest has cancelled
    /// it.
    attempt: Weak<()>,
    /// `send` was called.
    sends: bool,
    /// `receive` was called.
    receives: bool,
}

type This = Resource<TcpSocket>;

impl Identify for TcpSocket {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        Identity::Number(match table.get(resource) {
            Ok(this) => Place { index: this.place, handle: Some(Arc::clone(&this.socket.handle)) },
            Err(_) => Place { index: resource.rep(), handle: None },
        })
    }
}

impl TcpSocket {
    pub(super) fn new(ctx: &mut SandsockCtx, socket: tcp::TcpSocket) -> Self {
        let place = ctx.own_place();
        Self { socket, place, attempt: Weak::new(), sends: false, receives: false }
    }

    fn connection(&self, ctx: &SandsockCtx) -> Arc<Connection> {
        Connection::new(ctx, &self.socket.handle, self.place, &FUNCTIONS)
    }
}

/// The socket, whose state is up to date.
fn get<'a>(table: &'a mut ResourceTable, this: &This) -> wasmtime::Result<&'a mut TcpSocket> {
    let this = table.get_mut(this)?;
    if this.socket.is_connecting() && this.attempt.strong_count() == 0 {
        this.socket.give_up();
    }
    Ok(this)
}

/// WIT `[static]tcp-socket.create`.
pub(crate) fn create(
    view: &mut SandsockCtxView<'_>,
    family: IpAddressFamily,
) -> SocketResult<This> {
    let socket = tcp::TcpSocket::create(view.ctx, family.into())?;
    let socket = TcpSocket::new(view.ctx, socket);
    Ok(view.table.push(socket)?)
}

/// WIT `[method]tcp-socket.bind`.
pub(crate) fn bind(
    view: &mut SandsockCtxView<'_>,
    this: This,
    local: IpSocketAddress,
) -> SocketResult<()> {
    get(view.table, &this)?.socket.bind(view.ctx, local.into())
}

/// The call that connects a socket. If it is dropped before its end, the connect is given up.
struct ConnectAttempt {
    handle: Arc<Handle>,
    alive: Option<Arc<()>>,
}

impl Drop for ConnectAttempt {
    fn drop(&mut self) {
        if self.alive.take().is_some() {
            // There may be no connect yet.
            let _ = sys::shutdown(self.handle.fd(), libc::SHUT_RDWR);
        }
    }
}

/// WIT `[method]tcp-socket.connect`.
pub(crate) async fn connect<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (this, remote): (This, IpSocketAddress),
) -> SocketResult<()> {
    let remote = SocketAddr::from(remote);
    let mut attempt = call.with(|store| -> SocketResult<_> {
        let this = get(store.view().table, &this)?;
        this.socket.check_connect(remote)?;
        this.socket.connect_begun(Ok(()))?;
        let alive = Arc::new(());
        this.attempt = Arc::downgrade(&alive);
        Ok(ConnectAttempt { handle: Arc::clone(&this.socket.handle), alive: Some(alive) })
    })?;
    let handle = Arc::clone(&attempt.handle);
    let judge = |ctx: &SandsockCtx| tcp::judge_connect(ctx, &handle, remote);
    let permit = with_fresh_names(call, judge).await;
    call.with(|store| -> SocketResult<_> {
        let view = store.view();
        let begun = permit.and_then(|permit| tcp::connect(view.ctx, &handle, remote, permit));
        view.table.get_mut(&this)?.socket.connect_begun(begun)
    })?;
    let result = loop {
        let ended = call.with(|store| -> SocketResult<_> {
            Ok(store.view().table.get_mut(&this)?.socket.finish_connect())
        })?;
        if let Some(result) = ended {
            break result;
        }
        let waiter = call.with(|store| Arc::clone(&store.view().ctx.pollables));
        let ready = call.wait(waiter.ready(handle.fd(), &handle.registration, PollFlags::OUT));
        if let Err(errno) = ready.await.and_then(|ready| ready) {
            break Err(errno.into());
        }
    };
    if result.is_ok() {
        attempt.alive = None;
    }
    result
}

/// WIT `[method]tcp-socket.listen`.
pub(crate) fn listen<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    (this,): (This,),
) -> SocketResult<Clients> {
    let view = store.view();
    let socket = get(view.table, &this)?;
    socket.socket.listen(view.ctx)?;
    let listener = socket.socket.listener().ok_or(ErrorCode::InvalidState)?;
    let acceptor = Acceptor::new(view.ctx, listener, socket.place);
    Ok(StreamReader::new(store, acceptor)?)
}

/// WIT `[method]tcp-socket.send`.
pub(crate) fn send<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    (this, mut data): (This, StreamReader<u8>),
) -> wasmtime::Result<Sent> {
    let view = store.view();
    let socket = get(view.table, &this)?;
    if !socket.socket.is_connected() || std::mem::replace(&mut socket.sends, true) {
        data.close(&mut *store)?;
        return streams::failed(store, ErrorCode::InvalidState);
    }
    let (consumer, end) = streams::send(view.ctx, socket.connection(view.ctx));
    data.pipe(&mut *store, consumer)?;
    FutureReader::new(store, end)
}

/// WIT `[method]tcp-socket.receive`.
pub(crate) fn receive<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    (this,): (This,),
) -> wasmtime::Result<Received> {
    let view = store.view();
    let socket = get(view.table, &this)?;
    if !socket.socket.is_connected() || std::mem::replace(&mut socket.receives, true) {
        let empty = StreamReader::new(&mut *store, std::iter::empty())?;
        return Ok((empty, streams::failed(store, ErrorCode::InvalidState)?));
    }
    let (producer, end) = streams::receive(view.ctx, socket.connection(view.ctx));
    Ok((StreamReader::new(&mut *store, producer)?, FutureReader::new(store, end)?))
}

/// WIT `[method]tcp-socket.get-local-address`.
pub(crate) fn get_local_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(get(view.table, &this)?.socket.local_address()?.into())
}

/// WIT `[method]tcp-socket.get-remote-address`.
pub(crate) fn get_remote_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(get(view.table, &this)?.socket.remote_address()?.into())
}

/// WIT `[method]tcp-socket.get-is-listening`.
pub(crate) fn get_is_listening(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> wasmtime::Result<bool> {
    Ok(get(view.table, &this)?.socket.is_listening())
}

/// WIT `[method]tcp-socket.get-address-family`.
pub(crate) fn get_address_family(
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
    get(view.table, &this)?.socket.set_backlog(view.ctx, size)
}

option_functions! {
    in get;
    get_keep_alive_enabled, set_keep_alive_enabled = keep_alive_enabled, set_keep_alive_enabled: bool;
    get_keep_alive_idle_time, set_keep_alive_idle_time = keep_alive_idle_time, set_keep_alive_idle_time: u64;
    get_keep_alive_interval, set_keep_alive_interval = keep_alive_interval, set_keep_alive_interval: u64;
    get_keep_alive_count, set_keep_alive_count = keep_alive_count, set_keep_alive_count: u32;
    get_hop_limit, set_hop_limit = hop_limit, set_hop_limit: u8;
    get_receive_buffer_size, set_receive_buffer_size = receive_buffer_size, set_receive_buffer_size: u64;
    get_send_buffer_size, set_send_buffer_size = send_buffer_size, set_send_buffer_size: u64;
}

/// The drop of a `tcp-socket`.
pub(crate) fn drop_socket(view: &mut SandsockCtxView<'_>, this: This) -> wasmtime::Result<()> {
    // The last stream closes what a stream still uses.
    drop(view.table.delete(this)?);
    Ok(())
}
