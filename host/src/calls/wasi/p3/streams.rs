//! The two streams of a TCP connection, which read and write the guest's memory.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::event::PollFlags;
use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, FutureReader, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult,
};

use super::types::ErrorCode;
use crate::bindings::sandsock::socket::types::Error;
use crate::calls::wasi::connection::{self, Connection, Stop, Taken};
use crate::calls::wasi::error;
use crate::ctx::SandsockCtx;
use crate::observe::{PollableWait, StreamFunctions};
use crate::wait::polled::{Attempt, PolledWait};

/// The functions of the streams, as observers know them.
pub(super) const FUNCTIONS: StreamFunctions =
    StreamFunctions { read: "stream.read", write: "stream.write" };

/// The room for one receive, if the stream goes to the host and not to a guest.
const HOST_BUFFER: usize = 8 * 1024;

/// How a direction of a connection ended.
type End = Result<(), ErrorCode>;

/// What `send` returns.
pub(crate) type Sent = FutureReader<End>;

/// What `receive` returns.
pub(crate) type Received = (StreamReader<u8>, FutureReader<End>);

/// One direction of a connection, from the call of `send` or `receive` to its end.
struct Direction {
    connection: Arc<Connection>,
    wait: PolledWait,
    /// The wait that is under way, for observers.
    waiting: Option<PollableWait>,
    /// SHUT_RD or SHUT_WR.
    how: i32,
    /// None after the end.
    end: Option<oneshot::Sender<End>>,
}

impl Direction {
    fn new(
        ctx: &SandsockCtx,
        connection: Arc<Connection>,
        how: i32,
    ) -> (Self, oneshot::Receiver<End>) {
        let (end, ended) = oneshot::channel();
        let events = if how == libc::SHUT_WR { PollFlags::OUT } else { PollFlags::IN };
        let wait = PolledWait::new(&ctx.pollables, events);
        (Self { connection, wait, waiting: None, how, end: Some(end) }, ended)
    }

    /// Ends the direction. The future gets the result after the peer does.
    fn end(&mut self, result: End) {
        if let Some(end) = self.end.take() {
            self.connection.shutdown(self.how);
            // The guest may have dropped the future.
            let _ = end.send(result);
        }
    }

    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&Connection) -> Attempt<R>,
    ) -> Poll<Result<R, Errno>> {
        let (connection, handle) = (&self.connection, self.connection.handle());
        let own = (handle.fd(), &handle.registration);
        let poll = self.wait.poll(cx, own, || {
            // Before the attempt, whose call reports it.
            self.waiting = None;
            attempt(connection)
        });
        if poll.is_pending() && self.waiting.is_none() {
            self.waiting = connection.waits.begin();
        }
        poll
    }

    /// The result of a poll for the Component Model. `finish` says that the guest cancels.
    fn result(
        &mut self,
        poll: Poll<Result<(), Errno>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        Poll::Ready(Ok(match poll {
            Poll::Ready(Ok(())) => StreamResult::Completed,
            Poll::Ready(Err(errno)) => {
                self.end(Err(code_of(errno)));
                StreamResult::Dropped
            }
            Poll::Pending if finish => StreamResult::Cancelled,
            Poll::Pending => return Poll::Pending,
        }))
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

fn code_of(errno: Errno) -> ErrorCode {
    ErrorCode::new(errno.into(), Some(&Error::Os(errno.raw_os_error())))
}

/// Receives for the stream that `receive` returns. Its drop ends the direction.
struct Receiver(Direction);

impl<D: 'static> StreamProducer<D> for Receiver {
    type Item = u8;
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let direction = &mut self.0;
        if direction.end.is_none() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        if destination.remaining(&mut store) == Some(0) {
            // The guest asks whether there is something.
            let poll = direction.poll(cx, |connection| match connection.can_receive() {
                Ok(()) => Attempt::Done(Ok(())),
                Err(stop) => stopped(stop),
            });
            return direction.result(poll, finish);
        }
        let mut destination = destination.as_direct(store, HOST_BUFFER);
        let buffer = destination.remaining();
        let poll = direction.poll(cx, |connection| match connection.receive_into(buffer) {
            Ok(connection::Received { value, is_drained: true }) => Attempt::Drained(value),
            Ok(connection::Received { value, .. }) => Attempt::Done(Ok(value)),
            Err(stop) => stopped(stop),
        });
        match poll {
            Poll::Ready(Ok(0)) => {
                direction.end(Ok(()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Ready(Ok(count)) => {
                destination.mark_written(count);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            poll => direction.result(poll.map_ok(drop), finish),
        }
    }
}

/// Sends what comes from the stream that `send` got. Its drop ends the direction.
struct Sender(Direction);

impl<D: 'static> StreamConsumer<D> for Sender {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let direction = &mut self.0;
        if direction.end.is_none() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let mut source = source.as_direct(store);
        let data = source.remaining();
        if data.is_empty() {
            // The guest asks whether a write would be taken.
            let poll = direction.poll(cx, |connection| match connection.can_send() {
                Ok(()) => Attempt::Done(Ok(())),
                Err(stop) => stopped(stop),
            });
            return direction.result(poll, finish);
        }
        let poll = direction.poll(cx, |connection| match connection.send(data) {
            Ok(Taken { count, is_full: true }) => Attempt::Drained(count),
            Ok(Taken { count, .. }) => Attempt::Done(Ok(count)),
            Err(stop) => stopped(stop),
        });
        if let Poll::Ready(Ok(count)) = &poll {
            source.mark_read(*count);
        }
        direction.result(poll.map_ok(drop), finish)
    }
}

/// Returns what comes of an attempt in which nothing moved.
fn stopped<R>(stop: Stop) -> Attempt<R> {
    match stop {
        Stop::Os(Errno::AGAIN) => Attempt::NotReady,
        Stop::Os(errno) => Attempt::Done(Err(errno)),
        Stop::Held(time) => Attempt::Pause(time),
    }
}

/// Sends the bytes of the stream over the connection.
pub(super) fn send<T: 'static>(
    ctx: &SandsockCtx,
    connection: Arc<Connection>,
) -> (impl StreamConsumer<T, Item = u8> + use<T>, oneshot::Receiver<End>) {
    let (direction, end) = Direction::new(ctx, connection, libc::SHUT_WR);
    (Sender(direction), end)
}

/// Makes the stream of what comes over the connection.
pub(super) fn receive<T: 'static>(
    ctx: &SandsockCtx,
    connection: Arc<Connection>,
) -> (impl StreamProducer<T, Item = u8> + use<T>, oneshot::Receiver<End>) {
    let (direction, end) = Direction::new(ctx, connection, libc::SHUT_RD);
    (Receiver(direction), end)
}

/// The future of a direction that could not begin.
pub(super) fn failed<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    code: error::ErrorCode,
) -> wasmtime::Result<FutureReader<End>> {
    FutureReader::new(store, ready(wasmtime::error::Ok(Err(ErrorCode::new(code, None)))))
}
