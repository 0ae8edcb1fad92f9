//! A session of the host's with the waits of a socket.

use std::ops::Deref;

use sandsock_abi::constants::{POLLIN, POLLOUT};
use sandsock_abi::errno;

use crate::raw::tls::{self, ClientOptions, Session};
use crate::timeout::Waiting;
use crate::{Error, ErrorKind, Flags, Result, Socket};

/// A session of TLS: the layer below [`TlsStream`](crate::TlsStream). It either moves its bytes
/// through a socket, or has no I/O. The functions of [`Session`] are its own.
#[derive(Debug)]
pub struct TlsSession(Session);

impl TlsSession {
    /// Begins a session as a client.
    ///
    /// # Errors
    /// `PermissionError` if no grant lends the identity; EBADMSG for a certificate that can't be
    /// read.
    pub fn client(options: ClientOptions<'_>) -> Result<Self> {
        Ok(Self(Session::client(options)?))
    }

    /// Begins a session as a server, which waits for the client's hello.
    ///
    /// # Errors
    /// EMFILE and EDQUOT by the limits.
    pub fn server() -> Result<Self> {
        Ok(Self(Session::server()?))
    }

    /// Lets the host move the session's bytes through a connected stream socket.
    ///
    /// # Errors
    /// `PermissionError` if the socket may have other sessions only; EISCONN if it has one.
    pub fn attach(&self, socket: &Socket) -> Result<()> {
        Ok(self.0.attach(&*socket.descriptor()?)?)
    }

    /// Ends the use of the socket after both sides have sent close_notify.
    ///
    /// # Errors
    /// EBUSY if a side has not sent it; `PermissionError` if the socket may move TLS alone.
    pub fn detach(&self, socket: &Socket) -> Result<()> {
        Ok(self.0.detach(&*socket.descriptor()?)?)
    }

    /// Makes the handshake, or the rest of it, on the socket that the session is attached to.
    ///
    /// # Errors
    /// EINPROGRESS if a server has to choose; EPROTO if the session failed; `TimeoutError` and
    /// `BlockingIOError` by the timeout.
    pub fn handshake(&self, socket: &Socket) -> Result<()> {
        let mut waiting = Waiting::spanning(socket.timeout());
        socket.attempt(&mut waiting, (POLLIN, Flags::NONE), tls::handshake)
    }

    /// Makes the handshake go on, and returns whether it is over. If it is not, a server has to
    /// choose what it offers.
    pub(crate) fn shake(&self, socket: &Socket) -> Result<bool> {
        match self.handshake(socket) {
            Err(error) if error.errno() == Some(errno::EINPROGRESS) => Ok(false),
            result => self.explained(result).map(|()| true),
        }
    }

    /// Puts the reason of the session's failure in the place of its errno.
    pub(crate) fn explained<T>(&self, result: Result<T>) -> Result<T> {
        let is_failure =
            |error: &Error| matches!(error.errno(), Some(errno::EPROTO | errno::ECONNABORTED));
        match result {
            Err(error) if is_failure(&error) => match self.failure() {
                Some(failure) => Err(Error::exception("ssl.SSLError", &failure.reason)),
                None => Err(error),
            },
            result => result,
        }
    }

    /// Exports keying material. `ValueError` for a length that no session has.
    pub(crate) fn export(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<Vec<u8>> {
        let length = u32::try_from(length)
            .map_err(|_| Error::text(ErrorKind::Value, "the length is above 8160"))?;
        Ok(self.keying_material(label, context, length)?)
    }

    /// Ends this side with close_notify on the socket that the session is attached to.
    ///
    /// # Errors
    /// `TimeoutError` and `BlockingIOError` by the timeout; EPIPE if the connection is gone.
    pub fn close_notify(&self, socket: &Socket) -> Result<()> {
        let mut waiting = Waiting::spanning(socket.timeout());
        socket.attempt(&mut waiting, (POLLOUT, Flags::NONE), tls::close_notify)
    }
}

impl Deref for TlsSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}
