//! Makes TLS handshakes for guests that know nothing of TLS.

use std::io;
use std::os::fd::AsFd as _;

use rustix::io::Errno;
use sandsock_tls::{ClientAuth, Server, ServerOptions, Session, Versions};
use tokio::io::Interest;

use crate::descriptor::inherited::Inherited;
use crate::sys;
use crate::tls::TlsSettings;
use crate::wait::registration::register;

/// The most bytes that are read from the kernel, and given to it, at once.
const PIECE: usize = 16 * 1024;

/// A TLS server in front of guests: it makes the handshake of a connection, and the guest that
/// inherits the connection moves plain bytes. The guest can't tell that there is TLS, and its policy
/// needs no rule for the identity.
#[derive(Debug)]
pub struct TlsTerminator(Server);

/// Why there is no terminator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsTerminatorError {
    /// The settings have no identity of this name.
    #[error("there is no identity {0}")]
    NoIdentity(String),
    /// The options can't be used.
    #[error("{0}")]
    Options(String),
}

impl TlsTerminator {
    /// Makes a terminator that shows this identity of the settings, and takes these protocols by
    /// ALPN, the preferred one first. It asks clients for no certificate.
    ///
    /// # Errors
    ///
    /// There is no such identity, or the protocols are out of bounds: at most 32, each of 1 to 255
    /// bytes.
    pub fn new(
        settings: &TlsSettings,
        identity: &str,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, TlsTerminatorError> {
        let Some(known) = settings.find_identity(identity) else {
            return Err(TlsTerminatorError::NoIdentity(identity.to_owned()));
        };
        let options = ServerOptions {
            identity: known,
            client_auth: ClientAuth::None,
            versions: Versions::default(),
            alpn,
        };
        let server = Server::new(&options);
        server.map(Self).map_err(|error| TlsTerminatorError::Options(error.to_string()))
    }

    /// Makes the handshake on a connection, with this thread's runtime, which must have IO enabled.
    /// Returns the connection for one guest to inherit: a clone of it can't be inherited too. The
    /// caller bounds the time.
    ///
    /// # Errors
    ///
    /// The client does not speak TLS, or has no version, cipher suite or protocol in common with the
    /// server. Or the connection ends.
    pub async fn handshake(&self, connection: Inherited) -> io::Result<Inherited> {
        let mut session = self.0.session().map_err(io::Error::other)?;
        let own = register(connection.as_fd())?;
        let (mut outgoing, mut incoming) = (Vec::new(), Vec::new());
        loop {
            // Other tasks run even if the client's bytes arrive without end.
            tokio::task::coop::consume_budget().await;
            let flushed = flush(&mut session, &mut outgoing, &connection)?;
            if let Some(failure) = session.failure() {
                return Err(io::Error::other(failure.to_string()));
            }
            if flushed && !session.is_handshaking() {
                // The registration has a duplicate, and the guest's socket is its alone.
                drop(own);
                return Ok(connection.with_session(session, incoming)?);
            }
            let interest = if flushed { Interest::READABLE } else { Interest::WRITABLE };
            let mut ready = own.ready(interest).await?;
            if !flushed {
                ready.clear_ready();
                continue;
            }
            match sys::receive(connection.as_fd(), PIECE, libc::MSG_DONTWAIT) {
                Ok((bytes, _)) if bytes.is_empty() => session.feed_end(),
                Ok((bytes, _)) => incoming.extend(bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
            // A failure shows in the next round, after its alert is sent.
            let fed = session.feed(&incoming).unwrap_or(incoming.len());
            incoming.drain(..fed);
        }
    }
}

/// Gives the kernel all bytes of the session. Returns false if it does not take all.
fn flush(session: &mut Session, outgoing: &mut Vec<u8>, to: &Inherited) -> Result<bool, Errno> {
    loop {
        if outgoing.is_empty() {
            *outgoing = session.drain(PIECE);
        }
        if outgoing.is_empty() {
            return Ok(true);
        }
        match sys::send(to.as_fd(), outgoing, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) {
            Ok(count) => drop(outgoing.drain(..count)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
}
