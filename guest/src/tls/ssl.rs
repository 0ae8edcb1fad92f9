//! The `ssl` function of Python's early `socket` module.

use std::io::Read as _;

use super::{TlsIdentity, TlsOptions, TlsStream};
use crate::{Error, File, Result, Socket, x509};

/// The most bytes that are read of a PEM file. The host takes 64 KiB of an identity in DER.
const PEM_MAX: u64 = 1 << 20;

/// The names of the embedder's identities begin with it, as in Python programs.
const LENT: &str = "identity:";

/// Makes TLS on a connected socket, as a client. Python 2: `socket.ssl(sock, keyfile, certfile)`.
///
/// Unlike the old function, it **verifies** the server's certificate: its chain up to the
/// embedder's roots, its time, and the name of the host that the socket was connected to by
/// [`Socket::connect`] or [`create_connection`](crate::create_connection). If the socket was
/// connected to an address, the certificate has to be for the address. [`TlsStream`] takes another
/// name, and roots of the program.
///
/// If the server asks for a certificate, the client shows that of `certfile`, whose key is in
/// `keyfile`. Both are PEM files in folders that the guest was given. A `certfile` of the form
/// `identity:NAME` is the embedder's identity NAME, whose key the guest never sees, and has no
/// `keyfile`. It needs a grant of `tls-identity`.
///
/// ```no_run
/// use sandsock::{ConnectTimeout, create_connection, ssl};
///
/// let socket = create_connection(("api.example", 443), ConnectTimeout::Default, None, false)?;
/// let ssl = ssl(socket, None, None)?;
/// ssl.write(b"GET / HTTP/1.0\r\nHost: api.example\r\n\r\n")?;
/// println!("{}: {:?}", ssl.server(), ssl.read(1024)?);
/// # Ok::<(), sandsock::Error>(())
/// ```
///
/// # Errors
/// `PermissionError` if no grant names the server or the identity; `ssl.SSLError` with the reason
/// if the server is not verified, if the handshake fails for another reason, or if the files have no
/// identity; the errors of [`File::open`]; ENOTCONN on a socket that is not connected;
/// `TimeoutError` and `BlockingIOError` by the timeout.
pub fn ssl(sock: Socket, keyfile: Option<&str>, certfile: Option<&str>) -> Result<SslObject> {
    let identity = identity(keyfile, certfile)?;
    let name = match sock.peer_name() {
        Some(name) => name.into(),
        None => sock.getpeername()?.host().unwrap_or_default(),
    };
    let options = TlsOptions { identity, ..TlsOptions::default() };
    let stream = TlsStream::connect(sock, &name, &options)?;
    let chain = stream.info()?.peer_chain;
    let (server, issuer) = chain.first().and_then(|der| x509::names(der)).unwrap_or_default();
    Ok(SslObject { stream, server, issuer })
}

fn identity(keyfile: Option<&str>, certfile: Option<&str>) -> Result<Option<TlsIdentity>> {
    let lent = certfile.and_then(|certfile| certfile.strip_prefix(LENT));
    match (keyfile, certfile, lent) {
        (None, None, _) => Ok(None),
        (None, _, Some(name)) => Ok(Some(TlsIdentity::Lent(name.to_owned()))),
        (Some(keyfile), Some(certfile), None) => {
            TlsIdentity::from_pem(&contents(certfile)?, &contents(keyfile)?).map(Some)
        }
        (Some(_), _, Some(_)) => {
            Err(refused("an identity has a key of its own: leave out keyfile"))
        }
        (None, Some(_), None) | (Some(_), None, _) => {
            Err(refused("keyfile and certfile must be given together"))
        }
    }
}

fn refused(text: &str) -> Error {
    Error::exception("ssl.SSLError", text)
}

fn contents(path: &str) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut contents = Vec::new();
    file.take(PEM_MAX)
        .read_to_end(&mut contents)
        .map_err(|error| error.downcast().unwrap_or_else(|_| refused("the file can't be read")))?;
    Ok(contents)
}

/// A connection over TLS, made by [`ssl()`]. Python 2: `SSLObject`.
#[derive(Debug)]
pub struct SslObject {
    stream: TlsStream,
    server: String,
    issuer: String,
}

impl SslObject {
    /// Receives at most `n` bytes. No bytes are the end that the server announced.
    ///
    /// # Errors
    /// Those of [`TlsStream::recv`].
    pub fn read(&self, n: usize) -> Result<Vec<u8>> {
        self.stream.recv(n)
    }

    /// Sends bytes, and returns how many. Without a timeout it sends all of them.
    ///
    /// # Errors
    /// Those of [`TlsStream::send`].
    pub fn write(&self, data: &[u8]) -> Result<usize> {
        self.stream.send(data)
    }

    /// Returns the subject of the server's certificate, as `/C=US/O=Example/CN=api.example`.
    ///
    /// It is for a person. What the server has proved is the name that it was connected by, which
    /// need not be here. Several certificates can have the same text.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the issuer of the server's certificate, in the form of [`server`](Self::server).
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the stream, for everything that the old object did not have.
    #[must_use]
    pub const fn stream(&self) -> &TlsStream {
        &self.stream
    }

    /// Returns the stream itself.
    #[must_use]
    pub fn into_stream(self) -> TlsStream {
        self.stream
    }
}
