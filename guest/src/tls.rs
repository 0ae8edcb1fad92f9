//! TLS. The host does the cryptography, keeps the keys that the embedder lends, and verifies
//! certificates.

mod session;
mod ssl;

use std::io::{self, Read, Write};

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use crate::raw::tls::{
    ClientCertificate, FailureKind, RevocationCheck, SessionFailure, SessionInfo, Version,
};
use crate::raw::tls::{ClientOptions, Identity, OwnIdentity, OwnTrust, ServerOptions, Trust};
use crate::{Error, Flags, Result, Socket};
pub use session::TlsSession;
pub use ssl::{SslObject, ssl};

/// A certificate chain with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsIdentity {
    /// The embedder's identity of this name. The program never sees its key. It needs a grant of
    /// `tls-identity`, or of `tls-listen` where the socket was accepted.
    Lent(String),
    /// A chain in DER, the own certificate first, and its key in DER: PKCS #8, PKCS #1 or SEC1.
    Own(Vec<Vec<u8>>, Vec<u8>),
}

impl TlsIdentity {
    /// Reads a chain and a key in PEM. The first certificate is the own one, and its issuers follow.
    /// The key is PKCS #8, PKCS #1 or SEC1, and not encrypted. Both texts may be the same.
    ///
    /// The host finds out whether the key belongs to the certificate.
    ///
    /// # Errors
    /// `ssl.SSLError` if one of the two is missing or can't be read.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .map(|der| der.map(|der| der.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable("certificates", &error))?;
        if certificates.is_empty() {
            return Err(unreadable("certificates", &pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unreadable("key", &error))?;
        Ok(Self::Own(certificates, key.secret_der().to_vec()))
    }
}

fn unreadable(what: &str, error: &pem::Error) -> Error {
    let text = match error {
        pem::Error::NoItemsFound => format!("the file has no {what} in PEM that can be used"),
        error => format!("the {what} can't be read: {error}"),
    };
    Error::exception("ssl.SSLError", &text)
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

impl TlsOptions {
    /// Begins a client's session.
    pub(crate) fn client(&self, server_name: &str) -> Result<TlsSession> {
        let lent = Lent::new(self, self.identity.as_ref());
        TlsSession::client(ClientOptions {
            server_name: Some(server_name),
            check_name: self.check_name,
            trust: lent.trust(&self.trust),
            alpn: &lent.alpn,
            lowest: self.lowest,
            highest: self.highest,
            ciphers: &[],
            groups: &[],
            identity: self.identity.as_ref().map(|identity| lent.identity(identity)),
            resume: self.resume,
        })
    }

    /// Tells a server's session what it offers, after the client's hello has come.
    pub(crate) fn choose(&self, session: &TlsSession, identity: &TlsIdentity) -> Result<()> {
        let lent = Lent::new(self, Some(identity));
        Ok(session.choose(ServerOptions {
            identity: lent.identity(identity),
            trust: lent.trust(&self.trust),
            client_certificate: self.client_certificate,
            alpn: &lent.alpn,
            lowest: self.lowest,
            highest: self.highest,
            ciphers: &[],
            groups: &[],
        })?)
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
        let stream = Self::attached(options.client(server_name)?, socket)?;
        stream.session.shake(&stream.socket)?;
        Ok(stream)
    }

    /// Makes the handshake of a server that shows this identity.
    ///
    /// # Errors
    /// `PermissionError` if no grant allows the identity here; `ssl.SSLError` with the reason if the
    /// handshake fails; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn accept(socket: Socket, identity: &TlsIdentity, options: &TlsOptions) -> Result<Self> {
        let stream = Self::attached(TlsSession::server()?, socket)?;
        if !stream.session.shake(&stream.socket)? {
            options.choose(&stream.session, identity)?;
            stream.session.shake(&stream.socket)?;
        }
        Ok(stream)
    }

    fn attached(session: TlsSession, socket: Socket) -> Result<Self> {
        session.attach(&socket)?;
        Ok(Self { session, socket })
    }

    /// Receives at most `size` bytes. No bytes are the end that the peer announced.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed, also if the connection ended without close_notify;
    /// `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn recv(&self, size: usize) -> Result<Vec<u8>> {
        self.session.explained(self.socket.recv(size, Flags::NONE))
    }

    /// Sends bytes, and returns how many. Without a timeout it sends all of them.
    ///
    /// # Errors
    /// `ssl.SSLError` if the session failed; `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn send(&self, data: &[u8]) -> Result<usize> {
        self.session.explained(self.socket.send(data, Flags::NONE))
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn sendall(&self, data: &[u8]) -> Result<()> {
        self.session.explained(self.socket.sendall(data, Flags::NONE))
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
        self.session.export(label, context, length)
    }

    /// Returns the socket below. Its `send` and `recv` move the plain bytes of the session.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.session.explained(self.socket.recv_into(buffer, Flags::NONE))?;
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
