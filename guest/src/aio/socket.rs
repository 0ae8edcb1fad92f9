//! Sockets whose methods are futures.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use sandsock_abi::{
    constants::SHUT_WR,
    errno::{EAGAIN, EALREADY, EINPROGRESS, EINTR, EISCONN, ENOTCONN},
};

use super::{
    reactor::{Direction, Place, Source},
    runtime, sleep,
};
use crate::{
    Address, Ancillary, Error, Family, Flags, Received, Result, Socket, SocketType, ToAddress, fds,
    raw::{
        connections,
        types::{self, Wait},
    },
};

/// The least and the longest sleep of a back-off, for calls whose readiness the kernel does not
/// report.
const STEP_MIN: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(50);

/// A [`Socket`] whose methods are futures. While one waits, other tasks run.
///
/// The methods behave as those of [`Socket`], except that they do not wait by the timeout.
/// [`timeout`](super::timeout) limits them. They take `&self`, so one task can send while another
/// receives. Dropping the socket closes it.
///
/// Python: a socket with timeout 0 and the event loop's `sock_recv`, `sock_sendall`, `sock_accept`,
/// `sock_connect` and so on.
#[derive(Debug)]
pub struct AsyncSocket {
    // Declared first, so that it is closed before the registration is dropped.
    socket: Socket,
    registration: Registration,
    /// The places of `poll_read` and `poll_write`, which have no future to keep them.
    places: [Cell<Place>; 2],
}

/// The socket's entry in the reactor, while it lives.
#[derive(Debug, Default)]
struct Registration(Rc<Source>);

impl Registration {
    fn end(&self, is_closed: bool) {
        runtime::with(|runtime| runtime.reactor.forget(&self.0, is_closed));
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl AsyncSocket {
    /// Wraps a socket, and sets its timeout to 0. It must stay 0.
    ///
    /// # Errors
    /// EBADF on a closed socket.
    pub fn new(socket: Socket) -> Result<Self> {
        socket.setblocking(false)?;
        Ok(Self { socket, registration: Registration::default(), places: Default::default() })
    }

    /// Returns the socket itself, for calls that do not wait: options, addresses, `shutdown`.
    #[must_use]
    pub const fn get_ref(&self) -> &Socket {
        &self.socket
    }

    /// Returns the socket. Its timeout is 0.
    #[must_use]
    pub fn into_inner(self) -> Socket {
        self.registration.end(false);
        self.socket
    }

    /// Tries a call. If it would wait, the next event wakes the task.
    fn poll<T>(
        &self,
        direction: Direction,
        place: &mut Place,
        context: &Context<'_>,
        call: &mut impl FnMut() -> Result<T>,
    ) -> Poll<Result<T>> {
        let attempt = runtime::with(|runtime| {
            if !runtime.may_call(context) {
                return Poll::Pending;
            }
            match call() {
                Err(error) if would_wait(&error) => {
                    self.registration.0.wait(direction, place, context.waker());
                    let descriptor = fds::get(self.socket.fileno())?;
                    runtime.reactor.register(&self.registration.0, &descriptor)?;
                    Poll::Pending
                }
                result => Poll::Ready(result),
            }
        });
        // A thread that ends runs no more tasks.
        attempt.unwrap_or(Poll::Pending)
    }

    /// Repeats a call until it does not have to wait.
    pub(super) async fn call<T>(
        &self,
        direction: Direction,
        mut call: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let mut waiting = Waiting { source: &self.registration.0, direction, place: None };
        poll_fn(|context| self.poll(direction, &mut waiting.place, context, &mut call)).await
    }

    /// As [`Socket::accept`]. The new socket is asynchronous too.
    ///
    /// # Errors
    /// The errors of accept(2).
    pub async fn accept(&self) -> Result<(Self, Address)> {
        let (socket, address) = self.call(Direction::Read, || self.socket.accept()).await?;
        Ok((Self::new(socket)?, address))
    }

    /// As [`Socket::connect`]. A name is looked up first, and that stops the whole guest until it
    /// ends.
    ///
    /// If the future is dropped, the connection can still be made. Close the socket, or connect
    /// again: the call then waits for that same connection, whatever its address is.
    ///
    /// # Errors
    /// Those of [`Socket::connect`].
    pub async fn connect(&self, address: impl ToAddress) -> Result<()> {
        let address = address.to_address();
        let mut step = STEP_MIN;
        loop {
            match self.socket.connect(&address) {
                // The backlog of the UNIX listener is full, and the kernel does not report when it
                // has room. For other families EAGAIN means that the look-ups allowed at once are
                // used up.
                Err(error)
                    if error.errno() == Some(EAGAIN) && self.socket.family() == Family::UNIX =>
                {
                    back_off(&mut step).await;
                }
                // A UNIX socket that is interrupted has not begun to connect.
                Err(error)
                    if error.errno() == Some(EINTR) && self.socket.family() == Family::UNIX => {}
                Err(error) if is_under_way(&error) => break,
                result => return result,
            }
        }
        self.call(Direction::Write, || {
            let descriptor = fds::get(self.socket.fileno())?;
            match connections::finish_connect(&descriptor, Wait::None) {
                Ok(()) | Err(types::Error::Os(EISCONN)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// As [`Socket::recv`].
    ///
    /// # Errors
    /// The errors of recv(2).
    pub async fn recv(&self, bufsize: usize, flags: impl Into<Flags>) -> Result<Vec<u8>> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recv(bufsize, flags)).await
    }

    /// As [`Socket::recv_into`].
    ///
    /// # Errors
    /// The errors of recv(2).
    pub async fn recv_into(&self, buffer: &mut [u8], flags: impl Into<Flags>) -> Result<usize> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recv_into(buffer, flags)).await
    }

    /// As [`Socket::recvfrom`].
    ///
    /// # Errors
    /// The errors of recv(2).
    pub async fn recvfrom(
        &self,
        bufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<(Vec<u8>, Address)> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recvfrom(bufsize, flags)).await
    }

    /// As [`Socket::recvfrom_into`].
    ///
    /// # Errors
    /// The errors of recv(2).
    pub async fn recvfrom_into(
        &self,
        buffer: &mut [u8],
        flags: impl Into<Flags>,
    ) -> Result<(usize, Address)> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recvfrom_into(buffer, flags)).await
    }

    /// As [`Socket::recvmsg`].
    ///
    /// # Errors
    /// Those of [`Socket::recvmsg`].
    pub async fn recvmsg(
        &self,
        bufsize: usize,
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<Vec<u8>>> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recvmsg(bufsize, ancbufsize, flags)).await
    }

    /// As [`Socket::recvmsg_into`].
    ///
    /// # Errors
    /// Those of [`Socket::recvmsg_into`].
    pub async fn recvmsg_into(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<usize>> {
        let flags = flags.into();
        self.call(Direction::Read, || self.socket.recvmsg_into(buffers, ancbufsize, flags)).await
    }

    /// As [`Socket::send`]. It can send a part of the data.
    ///
    /// # Errors
    /// The errors of send(2).
    pub async fn send(&self, data: &[u8], flags: impl Into<Flags>) -> Result<usize> {
        let flags = flags.into();
        self.call(Direction::Write, || self.socket.send(data, flags)).await
    }

    /// As [`Socket::sendall`]. If the future is dropped, a part may have been sent.
    ///
    /// # Errors
    /// The errors of send(2). The number of bytes that were sent before is not known.
    pub async fn sendall(&self, data: &[u8], flags: impl Into<Flags>) -> Result<()> {
        let flags = flags.into();
        let mut rest = data;
        loop {
            let sent = self.send(rest, flags).await?;
            rest = rest.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// As [`Socket::sendto`].
    ///
    /// # Errors
    /// Those of [`Socket::sendto`].
    pub async fn sendto(
        &self,
        data: &[u8],
        flags: impl Into<Flags>,
        address: impl ToAddress,
    ) -> Result<usize> {
        let (flags, address) = (flags.into(), address.to_address());
        self.message(|| self.socket.sendto(data, flags, &address), true).await
    }

    /// As [`Socket::sendmsg`].
    ///
    /// # Errors
    /// Those of [`Socket::sendmsg`].
    pub async fn sendmsg(
        &self,
        buffers: &[IoSlice<'_>],
        ancillary: &[Ancillary],
        flags: impl Into<Flags>,
        address: Option<&dyn ToAddress>,
    ) -> Result<usize> {
        let flags = flags.into();
        self.message(|| self.socket.sendmsg(buffers, ancillary, flags, address), address.is_some())
            .await
    }

    /// Sends a message. If a UNIX peer that is named by its address is full, the kernel does not
    /// report when it has room.
    async fn message(
        &self,
        mut call: impl FnMut() -> Result<usize>,
        addressed: bool,
    ) -> Result<usize> {
        if self.socket.family() != Family::UNIX
            || self.socket.kind() == SocketType::STREAM
            || !addressed
        {
            return self.call(Direction::Write, call).await;
        }
        let mut step = STEP_MIN;
        loop {
            match call() {
                Err(error) if error.errno() == Some(EAGAIN) => back_off(&mut step).await,
                result => return result,
            }
        }
    }

    /// As [`call`](Self::call), for the methods of the traits.
    pub(super) fn poll_place<T>(
        &self,
        direction: Direction,
        context: &Context<'_>,
        mut call: impl FnMut() -> Result<T>,
    ) -> Poll<io::Result<T>> {
        let kept = &self.places[direction as usize];
        let mut place = kept.take();
        let result = self.poll(direction, &mut place, context, &mut call);
        kept.set(place);
        result.map_err(io::Error::from)
    }
}

/// Whether a call waits after this error, which is Python's `BlockingIOError`. A send that connects
/// (MSG_FASTOPEN) fails with it too.
fn would_wait(error: &Error) -> bool {
    matches!(error.errno(), Some(EAGAIN | EALREADY | EINPROGRESS))
}

/// Whether a connect is in progress. It can be an earlier one that was cancelled, and this one then
/// waits for it.
fn is_under_way(error: &Error) -> bool {
    matches!(error.errno(), Some(EALREADY | EINPROGRESS | EINTR))
}

async fn back_off(step: &mut Duration) {
    sleep(*step).await;
    *step = step.saturating_mul(2).min(STEP_MAX);
}

/// The place of a waiting call, which is removed when the call ends.
struct Waiting<'a> {
    source: &'a Source,
    direction: Direction,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.source.leave(self.direction, &mut self.place);
    }
}

impl AsyncRead for &AsyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_place(Direction::Read, context, || self.socket.recv_into(buffer, Flags::NONE))
    }
}

impl AsyncWrite for &AsyncSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_place(Direction::Write, context, || self.socket.send(data, Flags::NONE))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts the socket for writing, so that the peer sees the end.
    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.socket.shutdown(SHUT_WR) {
            Err(error) if error.errno() != Some(ENOTCONN) => Err(error.into()),
            Ok(()) | Err(Error { .. }) => Ok(()),
        })
    }
}

impl AsyncRead for AsyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(context, buffer)
    }
}

impl AsyncWrite for AsyncSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(context)
    }
}
