//! The stream of a listener's new connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, Resource, ResourceTable, StreamProducer, StreamReader, StreamResult,
};

use super::tcp::TcpSocket;
use crate::bindings::sandsock::socket::types::Error;
use crate::calls::connections::is_ready;
use crate::calls::wasi::error::{ErrorCode, SocketFault};
use crate::calls::wasi::tcp;
use crate::ctx::{SandsockCtx, SandsockView, StoreView as _};
use crate::observe::{self, Function, Place, ToValue, Value, ValueBuilder, WatchedData};
use crate::wait::polled::{Attempt, PolledWait};

/// How long a listener waits before it looks again whether the instance's limits, or the process's,
/// let it accept.
const LIMIT_PAUSE: Duration = Duration::from_millis(10);

/// What `listen` returns.
pub(crate) type Clients = StreamReader<Resource<TcpSocket>>;

/// An accept, as observers know it.
const ACCEPT: Function =
    Function { interface: "types", name: "stream.accept", parameters: &["self"] };

/// Accepts when the guest reads, and not ahead of it.
pub(super) struct Acceptor {
    listener: tcp::Listener,
    /// The listener, as observers know it. Its resource may be gone.
    place: ListenerPlace,
    wait: PolledWait,
}

impl Acceptor {
    pub(super) fn new(ctx: &SandsockCtx, listener: tcp::Listener, place: u32) -> Self {
        let handle = Arc::clone(&listener.handle);
        let wait = PolledWait::new(&ctx.pollables, PollFlags::IN);
        Self { listener, place: ListenerPlace(place, handle), wait }
    }
}

impl<D: SandsockView + 'static> StreamProducer<D> for Acceptor {
    type Item = Resource<TcpSocket>;
    type Buffer = Option<Resource<TcpSocket>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let Self { listener, place, wait } = &mut *self;
        let own = (listener.handle.fd(), &listener.handle.registration);
        let asks = destination.remaining(&mut store) == Some(0);
        let poll = wait.poll(cx, own, || {
            if asks {
                // The guest asks whether there is a connection.
                return match is_ready(&listener.handle, PollFlags::IN) {
                    true => Attempt::Done(Ok(None)),
                    false => Attempt::NotReady,
                };
            }
            accept(&mut store, listener, place)
        });
        Poll::Ready(match poll {
            Poll::Ready(Ok(accepted)) => match accepted.transpose() {
                Ok(accepted) => {
                    destination.set_buffer(accepted);
                    Ok(StreamResult::Completed)
                }
                Err(trap) => Err(trap),
            },
            // WIT: the stream ends at a fatal error.
            Poll::Ready(Err(_)) => Ok(StreamResult::Dropped),
            Poll::Pending if finish => Ok(StreamResult::Cancelled),
            Poll::Pending => return Poll::Pending,
        })
    }
}

/// The outer result is of the attempt, and the inner one a trap.
type Accepted = Option<wasmtime::Result<Resource<TcpSocket>>>;

/// Tries to accept. WIT: errors of one connection are skipped.
fn accept<D: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, D>,
    listener: &tcp::Listener,
    place: &ListenerPlace,
) -> Attempt<Accepted> {
    loop {
        let fault = match listener.accept(store.view().ctx) {
            Ok(accepted) => return Attempt::Done(Ok(Some(push(store, accepted, place)))),
            Err(fault) => fault,
        };
        return match fault {
            SocketFault::Trap(trap) => Attempt::Done(Ok(Some(Err(trap)))),
            SocketFault::Code { code: ErrorCode::ConnectionAborted, .. } => continue,
            SocketFault::Code { cause: Some(Error::Os(libc::EAGAIN)), .. } => Attempt::NotReady,
            // The connection waits in the queue until the guest closes others.
            SocketFault::Code {
                code: ErrorCode::NewSocketLimit | ErrorCode::OutOfMemory, ..
            } => Attempt::Pause(LIMIT_PAUSE),
            SocketFault::Code { cause: Some(Error::Os(number)), .. } => {
                Attempt::Done(Err(Errno::from_raw_os_error(number)))
            }
            SocketFault::Code { .. } => Attempt::Done(Err(Errno::IO)),
        };
    }
}

/// Gives the guest an accepted socket.
fn push<D: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, D>,
    accepted: tcp::TcpSocket,
    place: &ListenerPlace,
) -> wasmtime::Result<Resource<TcpSocket>> {
    observe::begin(store, &ACCEPT, &(place,));
    let view = store.view();
    let accepted = TcpSocket::new(view.ctx, accepted);
    let result = view.table.push(accepted).map_err(wasmtime::Error::from);
    let result = result.map(|accepted| (accepted,));
    observe::end(store, &result, None);
    result.map(|(accepted,)| accepted)
}

/// The place of a listener, for observers.
struct ListenerPlace(u32, Arc<crate::descriptor::Handle>);

impl ListenerPlace {
    fn place(&self) -> Place {
        Place { index: self.0, handle: Some(Arc::clone(&self.1)) }
    }
}

impl ToValue for &ListenerPlace {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        builder.descriptor(ListenerPlace::place(self))
    }

    fn place(&self, _: &ResourceTable) -> Option<Place> {
        Some(ListenerPlace::place(self))
    }
}
