//! TLS. The host does the cryptography, keeps the keys that the embedder lends, and verifies
//! certificates.

mod session;

use std::io::{self, Read, Write};

use sandsock_abi::errno;

pub use crate::raw::tls::{
    ClientCertificate, FailureKind, RevocationCheck, SessionFailure, SessionInfo, Version,
};
use crate::raw::tls::{ClientOptions, Identity, OwnIdentity, OwnTrust, ServerOptions, Trust};
use crate::{Error, ErrorKind, Flags, Result, Socket};
pub use session::TlsSession;

/// A certificate chain with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsIdentity {
    /// The embedder's identity of this name. The program never sees its key. It needs a grant of
    /// `tls-identity`.
    Lent(String),
    /// A chain in DER, the own certificate first, and its key in DER: PKCS #8, PKCS #1 or SEC1.
    Own(Vec<Vec<u8>>, Vec<u8>),
}

/// Which certificates of the peer are good. On a socket that was connected by a grant of
/// `tls-connect`, the embedder's roots have to prove the peer too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsTrust {
    /// Those that the embedder's roots prove.
    #[default]
    Embedder,
    /// Those that these certificates prove.
    Own(TlsRoots),
    /// All. The peer is not verified.
    None,
}

/// Certificates that the program trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoots {
    /// Certificates in DER. A certificate that is itself one of them needs no chain.
    pub certificates: Vec<Vec<u8>>,
    /// Whether the embedder's roots count too.
    pub with_embedder: bool,
    /// Lists of revoked certificates (CRL) in DER.
    pub revoked: Vec<Vec<u8>>,
    /// For which certificates the lists count.
    pub check_revoked: RevocationCheck,
}

/// Lists of bytes as the host takes them, for the time of a call.
struct Lent<'a> {
    trust: (Vec<&'a [u8]>, Vec<&'a [u8]>),
    chain: Vec<&'a [u8]>,
    alpn: Vec<&'a [u8]>,
}

fn slices(lists: &[Vec<u8>]) -> Vec<&[u8]> {
    lists.iter().map(Vec::as_slice).collect()
}

impl<'a> Lent<'a> {
    fn new(options: &'a TlsOptions, identity: Option<&'a TlsIdentity>) -> Self {
        let trust = match &options.trust {
            TlsTrust::Own(roots) => (slices(&roots.certificates), slices(&roots.revoked)),
            TlsTrust::Embedder | TlsTrust::None => (Vec::new(), Vec::new()),
        };
        let chain = match identity {
            Some(TlsIdentity::Own(chain, _)) => slices(chain),
            Some(TlsIdentity::Lent(_)) | None => Vec::new(),
        };
        let alpn = options.alpn.iter().map(String::as_bytes).collect();
        Self { trust, chain, alpn }
    }

    fn trust(&self, trust: &TlsTrust) -> Trust<'_> {
        match trust {
            TlsTrust::Embedder => Trust::Embedder,
            TlsTrust::None => Trust::None,
            TlsTrust::Own(roots) => Trust::Own(OwnTrust {
                roots: &self.trust.0,
                with_embedder: roots.with_embedder,
                revoked: &self.trust.1,
                check_revoked: roots.check_revoked,
            }),
        }
    }

    fn identity<'b>(&'b self, identity: &'b TlsIdentity) -> Identity<'b> {
        match identity {
            TlsIdentity::Lent(name) => Identity::Lent(name),
            TlsIdentity::Own(_, key) => Identity::Own(OwnIdentity { chain: &self.chain, key }),
        }
    }
}

/// What a session may agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Which certificates of the peer are good.
    pub trust: TlsTrust,
    /// Whether the server's certificate has to prove its name. It has by default.
    pub check_name: bool,
    /// The protocols of ALPN, the preferred one first: at most 32, each of 1 to 255 bytes.
    pub alpn: Vec<String>,
    /// The lowest version. TLS 1.2 by default.
    pub lowest: Version,
    /// The highest version. TLS 1.3 by default.
    pub highest: Version,
    /// The identity that a client shows if the server asks for one.
    pub identity: Option<TlsIdentity>,
    /// Whether a server asks clients for certificates. It does not by default.
    pub client_certificate: ClientCertificate,
    /// Whether a client offers to resume an earlier session. It does by default.
    pub resume: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            trust: TlsTrust::Embedder,
            check_name: true,
            alpn: Vec::new(),
            lowest: Version::Tls12,
            highest: Version::Tls13,
            identity: None,
            client_certificate: ClientCertificate::None,
            resume: true,
        }
    }
}

/// A connected stream socket with a session of TLS.
///
/// The server's certificate is verified, unless the options say otherwise. A program that may only
/// `tls-connect` can't turn the verification off. The methods wait by the socket's timeout.
///
/// ```no_run
/// use std::io::{Read as _, Write as _};
///
/// use sandsock::{ConnectTimeout, TlsOptions, TlsStream, create_connection};
///
/// let socket = create_connection(("api.example", 443), ConnectTimeout::Default, None, false)?;
/// let mut stream = TlsStream::connect(socket, "api.example", &TlsOptions::default())?;
/// stream.write_all(b"GET / HTTP/1.0\r\nHost: api.example\r\n\r\n")?;
/// let mut page = String::new();
/// stream.read_to_string(&mut page)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TlsStream {
    session: TlsSession,
    socket: Socket,
}

impl TlsStream {
    /// Makes the handshake of a client. The server's certificate has to prove `server_name`, a host
    /// name or an IP address.
    ///
    /// # Errors
    /// `PermissionError` if no grant names the server; `ssl.SSLError` with the reason if the
    /// handshake fails; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn connect(socket: Socket, server_name: &str, options: &TlsOptions) -> Result<Self> {
        let lent = Lent::new(options, options.identity.as_ref());
        let session = TlsSession::client(ClientOptions {
            server_name: Some(server_name),
            check_name: options.check_name,
            trust: lent.trust(&options.trust),
            alpn: &lent.alpn,
            lowest: options.lowest,
            highest: options.highest,
            ciphers: &[],
            groups: &[],
            identity: options.identity.as_ref().map(|identity| lent.identity(identity)),
            resume: options.resume,
        })?;
        let stream = Self::attached(session, socket)?;
        stream.explained(stream.shake())?;
        Ok(stream)
    }

    /// Makes the handshake of a server that shows this identity.
    ///
    /// # Errors
    /// `PermissionError` if no grant allows the identity here; `ssl.SSLError` with the reason if the
    /// handshake fails; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn accept(socket: Socket, identity: &TlsIdentity, options: &TlsOptions) -> Result<Self> {
        let stream = Self::attached(TlsSession::server()?, socket)?;
        // The host says when the client's hello has come.
        let hello = stream.shake();
        if hello.as_ref().err().and_then(Error::errno) != Some(errno::EINPROGRESS) {
            stream.explained(hello)?;
            return Ok(stream);
        }
        let lent = Lent::new(options, Some(identity));
        stream.session.choose(ServerOptions {
            identity: lent.identity(identity),
            trust: lent.trust(&options.trust),
            client_certificate: options.client_certificate,
            alpn: &lent.alpn,
            lowest: options.lowest,
            highest: options.highest,
            ciphers: &[],
            groups: &[],
        })?;
        stream.explained(stream.shake())?;
        Ok(stream)
    }

    fn attached(session: TlsSession, socket: Socket) -> Result<Self> {
        session.attach(&socket)?;
        Ok(Self { session, socket })
    }

    fn shake(&self) -> Result<()> {
        self.session.handshake(&self.socket)
    }

    /// Puts the reason of the session's failure in the place of its errno.
    fn explained<T>(&self, result: Result<T>) -> Result<T> {
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

    /// Receives at most `size` bytes. No bytes are the end that the peer announced.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed, also if the connection ended without close_notify;
    /// `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn recv(&self, size: usize) -> Result<Vec<u8>> {
        self.explained(self.socket.recv(size, Flags::NONE))
    }

    /// Sends bytes, and returns how many. Without a timeout it sends all of them.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn send(&self, data: &[u8]) -> Result<usize> {
        self.explained(self.socket.send(data, Flags::NONE))
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn sendall(&self, data: &[u8]) -> Result<()> {
        self.explained(self.socket.sendall(data, Flags::NONE))
    }

    /// Ends this side of the session with close_notify. The peer may send more.
    ///
    /// # Errors
    /// `TimeoutError` and `BlockingIOError` by the timeout; EPIPE if the connection is gone.
    pub fn shutdown(&self) -> Result<()> {
        self.session.close_notify(&self.socket)
    }

    /// Returns what both sides have agreed on.
    ///
    /// # Errors
    /// ENOTCONN if the handshake is not over.
    pub fn info(&self) -> Result<SessionInfo> {
        Ok(self.session.info()?)
    }

    /// Returns why the session failed. None if it did not.
    #[must_use]
    pub fn failure(&self) -> Option<SessionFailure> {
        self.session.failure()
    }

    /// Ends the use of TLS after both sides have sent close_notify, and returns the socket. It moves
    /// plain bytes again.
    ///
    /// # Errors
    /// EBUSY if a side has not sent close_notify; `PermissionError` if the socket may move TLS alone.
    pub fn detach(self) -> Result<Socket> {
        self.session.detach(&self.socket)?;
        Ok(self.socket)
    }

    /// Exports `length` bytes of keying material (RFC 5705), at most 8,160. The label and the
    /// context have at most 255 bytes.
    ///
    /// # Errors
    /// `ValueError` for another length.
    pub fn keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<Vec<u8>> {
        let length = u32::try_from(length)
            .map_err(|_| Error::text(ErrorKind::Value, "the length is above 8160"))?;
        Ok(self.session.keying_material(label, context, length)?)
    }

    /// Returns the socket below. Its `send` and `recv` move the plain bytes of the session.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.explained(self.socket.recv_into(buffer, Flags::NONE))?;
        Ok(received)
    }
}

impl Write for TlsStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.send(data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
