//! `wasi:sockets/udp` and `udp-create-socket`.

use std::sync::Arc;

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, Resource, ResourceTable, WasmList};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe as subscribe_to};

use super::network::Network;
use super::types::{IpAddressFamily, IpSocketAddress};
use crate::calls::wasi::error::{ErrorCode, SocketFault, SocketResult};
use crate::calls::wasi::options::option_functions;
use crate::calls::wasi::udp::{self, Receiver, Sender};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Handle;
use crate::observe::{
    Identify, Identity, List, Place, PollableWaits, ToValue, Value, ValueBuilder, WatchedData,
    record_to_value,
};
use crate::sys;

/// The most datagrams of one call.
const DATAGRAMS_MAX: usize = 16;

/// WIT `udp-socket`.
pub(crate) struct UdpSocket {
    socket: udp::UdpSocket,
    /// A bind was started, and is not finished.
    is_binding: bool,
}

/// WIT `incoming-datagram-stream`.
pub(crate) struct IncomingDatagramStream {
    receiver: Receiver,
    socket: (u32, Arc<Handle>),
    waits: PollableWaits,
}

/// WIT `outgoing-datagram-stream`.
pub(crate) struct OutgoingDatagramStream {
    sender: Sender,
    socket: (u32, Arc<Handle>),
    waits: PollableWaits,
    /// The datagrams that the last `check-send` allowed.
    permit: usize,
    /// The kernel had no room for the last datagram.
    is_full: bool,
}

/// WIT `incoming-datagram`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct IncomingDatagram {
    data: Vec<u8>,
    #[component(name = "remote-address")]
    remote_address: IpSocketAddress,
}

record_to_value! { IncomingDatagram: data = "data", remote_address = "remote-address" }

/// WIT `outgoing-datagram`, whose data stays in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutgoingDatagram {
    data: WasmList<u8>,
    #[component(name = "remote-address")]
    remote_address: Option<IpSocketAddress>,
}

record_to_value! { OutgoingDatagram: data = "data", remote_address = "remote-address" }

impl ToValue for WasmList<OutgoingDatagram> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        List::of(self.len().min(DATAGRAMS_MAX), store, builder, |at, store, builder| {
            Some(self.get(&mut *store, at)?.ok()?.to_value(store, builder))
        })
    }
}

type This = Resource<UdpSocket>;
type Streams = (Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>);

fn place((index, handle): &(u32, Arc<Handle>)) -> Identity {
    Identity::Number(Place { index: *index, handle: Some(Arc::clone(handle)) })
}

impl Identify for UdpSocket {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        let handle = table.get(resource).ok().map(|this| Arc::clone(&this.socket.handle));
        Identity::Number(Place { index: resource.rep(), handle })
    }
}

/// Observers know a stream as its socket.
impl Identify for IncomingDatagramStream {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        let stream = table.get(resource);
        stream.map_or(Identity::Type("incoming-datagram-stream"), |stream| place(&stream.socket))
    }
}

impl Identify for OutgoingDatagramStream {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        let stream = table.get(resource);
        stream.map_or(Identity::Type("outgoing-datagram-stream"), |stream| place(&stream.socket))
    }
}

#[async_trait]
impl Pollable for UdpSocket {
    /// No operation of the socket itself waits.
    async fn ready(&mut self) {}
}

#[async_trait]
impl Pollable for IncomingDatagramStream {
    async fn ready(&mut self) {
        // An interrupt ends the wait. The guest then finds no datagram.
        let _ = self.waits.during(self.receiver.ready()).await;
    }
}

#[async_trait]
impl Pollable for OutgoingDatagramStream {
    async fn ready(&mut self) {
        if self.is_full && self.waits.during(self.sender.ready()).await.is_ok() {
            self.is_full = false;
        }
    }
}

/// WIT `create-udp-socket`.
pub(crate) fn create(
    view: &mut SandsockCtxView<'_>,
    family: IpAddressFamily,
) -> SocketResult<This> {
    let socket = udp::UdpSocket::create(view.ctx, family.into())?;
    Ok(view.table.push(UdpSocket { socket, is_binding: false })?)
}

/// WIT `[method]udp-socket.start-bind`.
pub(crate) fn start_bind(
    view: &mut SandsockCtxView<'_>,
    this: This,
    network: Resource<Network>,
    local: IpSocketAddress,
) -> SocketResult<()> {
    view.table.get(&network)?;
    let this = view.table.get_mut(&this)?;
    if this.is_binding {
        return Err(ErrorCode::ConcurrencyConflict.into());
    }
    this.socket.bind(view.ctx, local.into())?;
    this.is_binding = true;
    Ok(())
}

/// WIT `[method]udp-socket.finish-bind`.
pub(crate) fn finish_bind(view: &mut SandsockCtxView<'_>, this: This) -> SocketResult<()> {
    let this = view.table.get_mut(&this)?;
    if !std::mem::take(&mut this.is_binding) {
        return Err(ErrorCode::NotInProgress.into());
    }
    Ok(())
}

/// WIT `[method]udp-socket.stream`. WIT: it may trap while the previous streams are not dropped.
pub(crate) async fn stream<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (this, remote): (This, Option<IpSocketAddress>),
) -> SocketResult<Streams> {
    let view = store.view();
    let is_stream = |child: &(dyn std::any::Any + Send)| {
        child.is::<IncomingDatagramStream>() || child.is::<OutgoingDatagramStream>()
    };
    let has_streams = view.table.iter_children(&this)?.any(is_stream);
    if has_streams {
        return Err(SocketFault::trap("the socket's previous streams were not dropped"));
    }
    let socket = view.table.get(&this)?;
    if !socket.socket.is_bound() || socket.is_binding {
        return Err(ErrorCode::InvalidState.into());
    }
    let remote = remote.map(Into::into);
    if let Some(remote) = remote {
        socket.socket.check_remote(remote)?;
    }
    let (handle, before) = (Arc::clone(&socket.socket.handle), socket.socket.remote());
    if before.is_some() || remote.is_some() {
        let associated = udp::associate(store, &handle, before, remote).await;
        if let Err(fault) = associated {
            if sys::peer_address(handle.fd()).is_err() {
                // The previous association is gone.
                store.view().table.get_mut(&this)?.socket.associated(None);
            }
            return Err(udp::associate_fault(fault));
        }
    }
    let view = store.view();
    let socket = view.table.get_mut(&this)?;
    socket.socket.associated(remote);
    let receiver = Receiver::new(view.ctx, &socket.socket);
    let sender = Sender::new(view.ctx, &socket.socket);
    let waits = PollableWaits::new(view.ctx.watch(), Some(this.rep()));
    let socket = (this.rep(), handle);
    let incoming =
        IncomingDatagramStream { receiver, socket: socket.clone(), waits: waits.clone() };
    let outgoing = OutgoingDatagramStream { sender, socket, waits, permit: 0, is_full: false };
    Ok((view.table.push_child(incoming, &this)?, view.table.push_child(outgoing, &this)?))
}

/// WIT `[method]udp-socket.local-address`.
pub(crate) fn local_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.local_address()?.into())
}

/// WIT `[method]udp-socket.remote-address`.
pub(crate) fn remote_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.remote_address()?.into())
}

/// WIT `[method]udp-socket.address-family`.
pub(crate) fn address_family(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> wasmtime::Result<IpAddressFamily> {
    Ok(view.table.get(&this)?.socket.family.into())
}

option_functions! {
    in ResourceTable::get_mut;
    unicast_hop_limit, set_unicast_hop_limit = hop_limit, set_hop_limit: u8;
    receive_buffer_size, set_receive_buffer_size = receive_buffer_size, set_receive_buffer_size: u64;
    send_buffer_size, set_send_buffer_size = send_buffer_size, set_send_buffer_size: u64;
}

/// WIT `subscribe` of each resource of the interface.
pub(crate) fn subscribe<R: Pollable>(
    view: &mut SandsockCtxView<'_>,
    this: Resource<R>,
) -> wasmtime::Result<Resource<DynPollable>> {
    subscribe_to(view.table, this)
}

/// The drop of a `udp-socket`.
pub(crate) fn drop_socket(view: &mut SandsockCtxView<'_>, this: This) -> wasmtime::Result<()> {
    view.table.delete(this)?.socket.handle.retire();
    Ok(())
}

/// WIT `[method]incoming-datagram-stream.receive`.
pub(crate) fn receive(
    view: &mut SandsockCtxView<'_>,
    this: Resource<IncomingDatagramStream>,
    max_results: u64,
) -> SocketResult<Vec<IncomingDatagram>> {
    let receiver = &view.table.get(&this)?.receiver;
    let most = usize::try_from(max_results).unwrap_or(usize::MAX).min(DATAGRAMS_MAX);
    let limit = view.ctx.limits().transfer_bytes as usize;
    let (mut datagrams, mut bytes) = (Vec::new(), 0usize);
    while datagrams.len() < most && bytes < limit {
        match receiver.receive() {
            Ok((data, remote)) => {
                bytes += data.len();
                datagrams.push(IncomingDatagram { data, remote_address: remote.into() });
            }
            Err(Errno::AGAIN) => break,
            Err(errno) if datagrams.is_empty() => {
                let fault = SocketFault::from(errno);
                return Err(fault.with_code(Errno::CONNRESET, ErrorCode::RemoteUnreachable));
            }
            // What was received comes first.
            Err(_) => break,
        }
    }
    Ok(datagrams)
}

/// WIT `[method]outgoing-datagram-stream.check-send`.
pub(crate) fn check_send(
    view: &mut SandsockCtxView<'_>,
    this: Resource<OutgoingDatagramStream>,
) -> SocketResult<u64> {
    let stream = view.table.get_mut(&this)?;
    stream.is_full = stream.is_full && !stream.sender.is_writable();
    stream.permit = if stream.is_full { 0 } else { DATAGRAMS_MAX };
    Ok(stream.permit as u64)
}

/// WIT `[method]outgoing-datagram-stream.send`.
pub(crate) async fn send<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (this, datagrams): (Resource<OutgoingDatagramStream>, WasmList<OutgoingDatagram>),
) -> SocketResult<u64> {
    let stream = store.view().table.get_mut(&this)?;
    if datagrams.len() == 0 {
        return Ok(0);
    }
    if datagrams.len() > std::mem::take(&mut stream.permit) {
        return Err(SocketFault::trap("a send of more datagrams than check-send allowed"));
    }
    let sender = stream.sender.clone();
    let mut sent = 0;
    while let Some(datagram) = datagrams.get(&mut *store, sent) {
        let OutgoingDatagram { data, remote_address } = datagram.map_err(SocketFault::Trap)?;
        let result = match sender.judge(store, remote_address.map(Into::into)).await {
            Ok(to) => sender.send(data.as_le_slice(&*store), &to),
            Err(fault) => Err(fault),
        };
        match result {
            Ok(()) => sent += 1,
            Err(SocketFault::Code { code: ErrorCode::WouldBlock, .. }) => {
                store.view().table.get_mut(&this)?.is_full = true;
                break;
            }
            Err(fault @ SocketFault::Trap(_)) => return Err(fault),
            // WIT: an error after a datagram that was sent is not reported.
            Err(fault) if sent == 0 => return Err(fault),
            Err(_) => break,
        }
    }
    Ok(sent as u64)
}
