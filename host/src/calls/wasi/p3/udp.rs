//! The resource `udp-socket`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable, WasmList};

use super::names::{after_look_up, take_expired_name, with_fresh_names};
use crate::calls::async_call::AsyncCall;
use crate::calls::wasi::error::{ErrorCode, SocketResult};
use crate::calls::wasi::options::option_functions;
use crate::calls::wasi::p2::types::{IpAddressFamily, IpSocketAddress};
use crate::calls::wasi::udp::{self, DATAGRAM_MAX, Datagram, Receiver, Sender, To};
use crate::ctx::{SandsockCtx, SandsockCtxView, SandsockView, StoreView as _};
use crate::error::Fault;
use crate::observe::{Identify, Identity, Place};
use crate::sys;

/// WIT `udp-socket`.
pub(crate) struct UdpSocket {
    socket: udp::UdpSocket,
    /// The place of its own by which observers know it. A call that waits can outlive the resource.
    place: u32,
    /// The bytes of the sends that wait.
    waiting: Arc<AtomicUsize>,
}

/// The most bytes of a socket's sends that wait. The guest can call any number of them.
const WAITING_MOST: usize = 256 * 1024;

/// A copy of the data of a send that waits.
struct Waiting {
    data: Vec<u8>,
    all: Arc<AtomicUsize>,
}

impl Waiting {
    /// Copies the data. ENOBUFS if too many bytes wait.
    fn new(data: &[u8], all: &Arc<AtomicUsize>) -> Result<Self, Errno> {
        if all.load(Ordering::Relaxed) + data.len() > WAITING_MOST {
            return Err(Errno::NOBUFS);
        }
        all.fetch_add(data.len(), Ordering::Relaxed);
        Ok(Self { data: data.to_vec(), all: Arc::clone(all) })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(self.data.len(), Ordering::Relaxed);
    }
}

type This = Resource<UdpSocket>;

impl Identify for UdpSocket {
    fn identify(resource: &Resource<Self>, table: &ResourceTable) -> Identity {
        Identity::Number(match table.get(resource) {
            Ok(this) => Place { index: this.place, handle: Some(Arc::clone(&this.socket.handle)) },
            Err(_) => Place { index: resource.rep(), handle: None },
        })
    }
}

/// WIT `[static]udp-socket.create`.
pub(crate) fn create(
    view: &mut SandsockCtxView<'_>,
    family: IpAddressFamily,
) -> SocketResult<This> {
    let socket = udp::UdpSocket::create(view.ctx, family.into())?;
    let place = view.ctx.own_place();
    Ok(view.table.push(UdpSocket { socket, place, waiting: Arc::default() })?)
}

/// WIT `[method]udp-socket.bind`.
pub(crate) fn bind(
    view: &mut SandsockCtxView<'_>,
    this: This,
    local: IpSocketAddress,
) -> SocketResult<()> {
    view.table.get_mut(&this)?.socket.bind(view.ctx, local.into())
}

/// WIT `[method]udp-socket.connect`.
pub(crate) async fn connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (this, remote): (This, IpSocketAddress),
) -> SocketResult<()> {
    let remote = remote.into();
    store.view().table.get(&this)?.socket.check_remote(remote)?;
    associate(store, &this, Some(remote)).await
}

/// WIT `[method]udp-socket.disconnect`.
pub(crate) async fn disconnect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (this,): (This,),
) -> SocketResult<()> {
    store.view().table.get(&this)?.socket.remote_address()?;
    associate(store, &this, None).await
}

async fn associate<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    this: &This,
    remote: Option<SocketAddr>,
) -> SocketResult<()> {
    let socket = &store.view().table.get(this)?.socket;
    let (handle, before) = (Arc::clone(&socket.handle), socket.remote());
    let result = udp::associate(store, &handle, before, remote).await;
    let socket = &mut store.view().table.get_mut(this)?.socket;
    socket.note_port();
    match result {
        Ok(()) => {
            socket.associated(remote);
            Ok(())
        }
        Err(fault) => {
            if sys::peer_address(handle.fd()).is_err() {
                // The previous association is gone.
                socket.associated(None);
            }
            Err(udp::associate_fault(fault))
        }
    }
}

/// What came of the first attempt to send.
enum Begun {
    Sent,
    Waits(Box<WaitingSend>),
}

/// A send that waits for a look-up or for room.
struct WaitingSend {
    sender: Sender,
    /// None if it goes to the address of the association.
    to: Option<SocketAddr>,
    waiting: Waiting,
    /// The policy's answer, and a name whose look-up may change it.
    expired: Option<(Fault, String)>,
}

/// WIT `[method]udp-socket.send`. The first attempt sends from the guest's memory, which the guest
/// may use again when it waits.
pub(crate) async fn send<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (this, data, to): (This, WasmList<u8>, Option<IpSocketAddress>),
) -> SocketResult<()> {
    if data.len() > DATAGRAM_MAX {
        return Err(ErrorCode::DatagramTooLarge.into());
    }
    let begun = call.with(|store| -> SocketResult<_> {
        let view = store.view();
        let socket = view.table.get(&this)?;
        let sender = Sender::new(view.ctx, &socket.socket);
        let waiting = Arc::clone(&socket.waiting);
        let to = sender.check(to.map(SocketAddr::from))?;
        let expired = match judge(&sender, view.ctx, to) {
            Ok(permit) => match sender.send(data.as_le_slice(&*store), &permit) {
                Ok(()) => {
                    store.view().table.get_mut(&this)?.socket.note_port();
                    return Ok(Begun::Sent);
                }
                Err(fault) if fault.is(Errno::AGAIN) => None,
                Err(fault) => return Err(fault),
            },
            Err(fault) => match take_expired_name(store.view().ctx, &fault) {
                Some(name) => Some((fault, name)),
                None => return Err(fault.into()),
            },
        };
        let waiting = Waiting::new(data.as_le_slice(&*store), &waiting)?;
        store.view().table.get_mut(&this)?.socket.note_port();
        Ok(Begun::Waits(Box::new(WaitingSend { sender, to, waiting, expired })))
    })?;
    match begun {
        Begun::Sent => Ok(()),
        // In a box, so that the future of a send that does not wait is small.
        Begun::Waits(send) => Box::pin(wait_to_send(call, this, send)).await,
    }
}

async fn wait_to_send<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    this: This,
    send: Box<WaitingSend>,
) -> SocketResult<()> {
    let WaitingSend { sender, to, waiting, expired } = *send;
    let mut permit = match expired {
        Some((fault, name)) => {
            Some(after_look_up(call, fault, &name, |ctx| judge(&sender, ctx, to)).await?)
        }
        None => None,
    };
    loop {
        if let Some(permit) = permit.take() {
            match sender.send(&waiting.data, &permit) {
                Err(fault) if fault.is(Errno::AGAIN) => {}
                result => break result?,
            }
        }
        call.wait(sender.ready()).await??;
        // A rule by name may not have the address any more.
        permit = Some(with_fresh_names(call, |ctx| judge(&sender, ctx, to)).await?);
    }
    // The guest may have dropped the socket.
    call.with(|store| {
        if let Ok(this) = store.view().table.get_mut(&this) {
            this.socket.note_port();
        }
    });
    Ok(())
}

fn judge(sender: &Sender, ctx: &SandsockCtx, to: Option<SocketAddr>) -> Result<To, Fault> {
    to.map_or(Ok(To::Associated), |to| sender.judge_now(ctx, to))
}

/// WIT `[method]udp-socket.receive`.
pub(crate) async fn receive<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (this,): (This,),
) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
    let (receiver, received) = call.with(|store| -> SocketResult<_> {
        let view = store.view();
        let socket = &view.table.get(&this)?.socket;
        if !socket.is_bound() {
            return Err(ErrorCode::InvalidState.into());
        }
        let receiver = Receiver::new(view.ctx, socket);
        let received = receiver.receive();
        Ok((receiver, received))
    })?;
    let (data, from) = match received {
        // In a box, so that the future of a receive that does not wait is small.
        Err(Errno::AGAIN) => Box::pin(wait_to_receive(call, receiver)).await?,
        received => received.map_err(|errno| udp::send_fault(errno.into()))?,
    };
    Ok((data, from.into()))
}

async fn wait_to_receive<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    receiver: Receiver,
) -> SocketResult<Datagram> {
    loop {
        call.wait(receiver.ready()).await??;
        match call.with(|_| receiver.receive()) {
            Err(Errno::AGAIN) => {}
            received => return received.map_err(|errno| udp::send_fault(errno.into())),
        }
    }
}

/// WIT `[method]udp-socket.get-local-address`.
pub(crate) fn get_local_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.local_address()?.into())
}

/// WIT `[method]udp-socket.get-remote-address`.
pub(crate) fn get_remote_address(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> SocketResult<IpSocketAddress> {
    Ok(view.table.get(&this)?.socket.remote_address()?.into())
}

/// WIT `[method]udp-socket.get-address-family`.
pub(crate) fn get_address_family(
    view: &mut SandsockCtxView<'_>,
    this: This,
) -> wasmtime::Result<IpAddressFamily> {
    Ok(view.table.get(&this)?.socket.family.into())
}

option_functions! {
    in ResourceTable::get_mut;
    get_unicast_hop_limit, set_unicast_hop_limit = hop_limit, set_hop_limit: u8;
    get_receive_buffer_size, set_receive_buffer_size = receive_buffer_size, set_receive_buffer_size: u64;
    get_send_buffer_size, set_send_buffer_size = send_buffer_size, set_send_buffer_size: u64;
}

/// The drop of a `udp-socket`.
pub(crate) fn drop_socket(view: &mut SandsockCtxView<'_>, this: This) -> wasmtime::Result<()> {
    drop(view.table.delete(this)?);
    Ok(())
}
