//! TLS whose methods are futures.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{AsyncSocket, reactor::Direction};
use crate::{Flags, Result, SessionFailure, SessionInfo, TlsIdentity, TlsOptions, TlsSession};

/// A [`TlsStream`](crate::TlsStream) whose methods are futures. While one waits, other tasks run.
///
/// The methods behave as those of `TlsStream`, except that they do not wait by the timeout.
/// [`timeout`](super::timeout) limits them. They take `&self`, so one task can send while another
/// receives. A handshake that is dropped has ended the connection.
///
/// ```no_run
/// use sandsock::aio::{self, AsyncSocket, AsyncTlsStream};
/// use sandsock::constants::{AF_INET, SOCK_STREAM};
/// use sandsock::{Error, Socket, TlsOptions};
///
/// async fn fetch() -> Result<Vec<u8>, Error> {
///     let socket = AsyncSocket::new(Socket::new(AF_INET, SOCK_STREAM, 0)?)?;
///     socket.connect(("api.example", 443)).await?;
///     let stream = AsyncTlsStream::connect(socket, "api.example", &TlsOptions::default()).await?;
///     stream.sendall(b"GET / HTTP/1.0\r\nHost: api.example\r\n\r\n").await?;
///     stream.recv(4096).await
/// }
///
/// fn main() -> Result<(), Error> {
///     println!("{:?}", aio::run(fetch())??);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct AsyncTlsStream {
    session: TlsSession,
    socket: AsyncSocket,
}

impl AsyncTlsStream {
    /// As [`TlsStream::connect`](crate::TlsStream::connect).
    ///
    /// # Errors
    /// `PermissionError` if no grant names the server; `ssl.SSLError` with the reason if the
    /// handshake fails.
    pub async fn connect(
        socket: AsyncSocket,
        server_name: &str,
        options: &TlsOptions,
    ) -> Result<Self> {
        let stream = Self::attached(options.client(server_name)?, socket)?;
        stream.shake().await?;
        Ok(stream)
    }

    /// As [`TlsStream::accept`](crate::TlsStream::accept).
    ///
    /// # Errors
    /// `PermissionError` if no grant allows the identity here; `ssl.SSLError` with the reason if the
    /// handshake fails.
    pub async fn accept(
        socket: AsyncSocket,
        identity: &TlsIdentity,
        options: &TlsOptions,
    ) -> Result<Self> {
        let stream = Self::attached(TlsSession::server()?, socket)?;
        if !stream.shake().await? {
            options.choose(&stream.session, identity)?;
            stream.shake().await?;
        }
        Ok(stream)
    }

    fn attached(session: TlsSession, socket: AsyncSocket) -> Result<Self> {
        session.attach(socket.get_ref())?;
        Ok(Self { session, socket })
    }

    async fn shake(&self) -> Result<bool> {
        let shake = || self.session.shake(self.socket.get_ref());
        self.socket.call(Direction::Either, shake).await
    }

    /// As [`TlsStream::recv`](crate::TlsStream::recv).
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed, also if the connection ended without close_notify.
    pub async fn recv(&self, size: usize) -> Result<Vec<u8>> {
        self.session.explained(self.socket.recv(size, Flags::NONE).await)
    }

    /// As [`TlsStream::send`](crate::TlsStream::send). It can send a part of the data. The next send
    /// has to begin with the rest.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed.
    pub async fn send(&self, data: &[u8]) -> Result<usize> {
        self.session.explained(self.socket.send(data, Flags::NONE).await)
    }

    /// As [`TlsStream::sendall`](crate::TlsStream::sendall). If the future is dropped, a part may
    /// have been sent.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed. The number of bytes that were sent before is not known.
    pub async fn sendall(&self, data: &[u8]) -> Result<()> {
        self.session.explained(self.socket.sendall(data, Flags::NONE).await)
    }

    /// As [`TlsStream::shutdown`](crate::TlsStream::shutdown).
    ///
    /// # Errors
    /// EPIPE if the connection is gone.
    pub async fn shutdown(&self) -> Result<()> {
        self.socket.call(Direction::Write, || self.close_notify()).await
    }

    fn close_notify(&self) -> Result<()> {
        self.session.close_notify(self.socket.get_ref())
    }

    /// As [`TlsStream::info`](crate::TlsStream::info).
    ///
    /// # Errors
    /// ENOTCONN if the handshake is not over.
    pub fn info(&self) -> Result<SessionInfo> {
        Ok(self.session.info()?)
    }

    /// As [`TlsStream::failure`](crate::TlsStream::failure).
    #[must_use]
    pub fn failure(&self) -> Option<SessionFailure> {
        self.session.failure()
    }

    /// As [`TlsStream::detach`](crate::TlsStream::detach).
    ///
    /// # Errors
    /// EBUSY if a side has not sent close_notify; `PermissionError` if the socket may move TLS
    /// alone.
    pub fn detach(self) -> Result<AsyncSocket> {
        self.session.detach(self.socket.get_ref())?;
        Ok(self.socket)
    }

    /// As [`TlsStream::keying_material`](crate::TlsStream::keying_material).
    ///
    /// # Errors
    /// `ValueError` for another length.
    pub fn keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<Vec<u8>> {
        self.session.export(label, context, length)
    }

    /// Returns the socket below. Its `send` and `recv` move the plain bytes of the session.
    #[must_use]
    pub const fn get_ref(&self) -> &AsyncSocket {
        &self.socket
    }
}

impl AsyncRead for &AsyncTlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.socket.get_ref();
        let receive = || self.session.explained(socket.recv_into(buffer, Flags::NONE));
        self.socket.poll_place(Direction::Read, context, receive)
    }
}

impl AsyncWrite for &AsyncTlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = || self.session.explained(self.socket.get_ref().send(data, Flags::NONE));
        self.socket.poll_place(Direction::Write, context, send)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this side with close_notify, so that the peer sees the end.
    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_place(Direction::Write, context, || self.close_notify())
    }
}

impl AsyncRead for AsyncTlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(context, buffer)
    }
}

impl AsyncWrite for AsyncTlsStream {
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
