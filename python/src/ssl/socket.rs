//! `_SSLSocket`: a session over a socket, or over two memory BIOs.
//!
//! Threads may share an object. Its locks are held for moments without Python code and without
//! waits, so that no thread meets a lock that another one holds.

mod handshake;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};
use sandsock::errno::{EAGAIN, ECONNABORTED, ENOBUFS, ENOKEY, EPROTO};
use sandsock::{Error, ErrorKind, Socket};

use super::bio::{MemoryBio, fetched};
use super::certificate::{Certificate, info};
use super::ciphers;
use super::constants::{
    CERT_NONE, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, VERIFY_CRL_CHECK_LEAF,
};
use super::context::{Settings, SslContext};
use super::engine::{self, Engine};
use super::errors::{self, Class};
use super::session::SslSession;
use super::store::Store;
use crate::error::exception;
use crate::ffi::{Buffer, Format, MutableBuffer, Name, Raised, new_bytes, parse_one};

/// The most bytes that one step of a session without I/O takes from the host.
const STEP: usize = 64 << 10;

/// The most bytes of one read.
const MOST: usize = 1 << 20;

/// What carries the bytes of a session.
pub(super) enum Transport {
    /// A socket. The host makes the I/O.
    Socket(Arc<Socket>),
    /// Memory BIOs. The program makes the I/O.
    Bios { incoming: Py<MemoryBio>, outgoing: Py<MemoryBio> },
}

/// What both sides have agreed on, and this side has checked.
struct Agreed {
    info: engine::Info,
    /// The peer's chain as it was verified. Empty if it was not.
    verified: Vec<Arc<[u8]>>,
    peer: Vec<Arc<[u8]>>,
}

/// What changes while a session lasts.
struct Changing {
    context: Py<SslContext>,
    engine: Option<Arc<Engine>>,
    /// Whether the server has answered the client's hello.
    is_chosen: bool,
    agreed: Option<Arc<Agreed>>,
    /// The session to resume, and after the handshake the one that there is.
    session: Option<Py<SslSession>>,
    /// Whether this side has sent close_notify.
    is_closed: bool,
    /// Whether the peer has sent close_notify.
    is_ended: bool,
    /// The suites that the client has offered.
    offered: Vec<u16>,
}

/// A session of TLS.
#[pyclass(frozen, immutable_type, name = "_SSLSocket", module = "_ssl")]
pub(super) struct SslSocket {
    transport: Transport,
    /// The settings of the context at the start, as in OpenSSL.
    settings: Settings,
    trusted: Store,
    is_server: bool,
    hostname: Option<String>,
    owner: Mutex<Option<Py<PyWeakrefReference>>>,
    changing: Mutex<Changing>,
}

/// What a call was doing, for the texts of its errors.
#[derive(Clone, Copy)]
enum Doing {
    Handshake,
    Read,
    Write,
    Shutdown,
}

impl SslSocket {
    pub(super) fn new(
        context: &Bound<'_, SslContext>,
        transport: Transport,
        is_server: bool,
        hostname: Option<&Bound<'_, PyAny>>,
        owner: Option<&Bound<'_, PyAny>>,
        session: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = context.py();
        let settings = context.get().settings();
        let refused = |text| Err(errors::at_place(py, Class::Ssl, text));
        match settings.protocol {
            PROTOCOL_TLS_CLIENT if is_server => {
                return refused("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context");
            }
            PROTOCOL_TLS_SERVER if !is_server => {
                return refused("Cannot create a client socket with a PROTOCOL_TLS_SERVER context");
            }
            _ => {}
        }
        let hostname = hostname.filter(|name| !name.is_none()).map(read_hostname).transpose()?;
        let trusted = context.get().trusted(py)?;
        let made = Self {
            transport,
            settings,
            trusted,
            is_server,
            hostname,
            owner: Mutex::new(owner.map(reference).transpose()?.flatten()),
            changing: Mutex::new(Changing {
                context: context.clone().unbind(),
                engine: None,
                is_chosen: false,
                agreed: None,
                session: None,
                is_closed: false,
                is_ended: false,
                offered: Vec::new(),
            }),
        };
        if let Some(session) = session.filter(|session| !session.is_none()) {
            made.set_session(session)?;
        }
        Ok(made)
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, py: Python<'_>) -> Py<SslContext> {
        self.changing().context.clone_ref(py)
    }

    fn agreed(&self) -> Option<Arc<Agreed>> {
        self.changing().agreed.clone()
    }

    /// Returns the session's socket. None over memory BIOs.
    fn socket(&self) -> Option<&Socket> {
        match &self.transport {
            Transport::Socket(socket) => Some(socket),
            Transport::Bios { .. } => None,
        }
    }

    /// Returns the session of the host, which the first use begins.
    fn engine(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        if let Some(engine) = &self.changing().engine {
            return Ok(Arc::clone(engine));
        }
        self.check_lists(py)?;
        let resumes = self.changing().session.is_some();
        let made = if self.is_server {
            Engine::server()
        } else {
            let no_versions = || errors::reason(py, "NO_PROTOCOLS_AVAILABLE");
            let versions = self.settings.versions().ok_or_else(no_versions)?;
            let hostname = self.hostname.as_deref();
            Engine::client(&self.settings, &self.trusted, versions, hostname, resumes)
        };
        let engine = made.and_then(|engine| match self.socket() {
            Some(socket) => engine.attach(socket).map(|()| engine),
            None => Ok(engine),
        });
        let engine = Arc::new(engine.map_err(|error| refused(py, &error))?);
        let context = self.current(py);
        context.get().count(|stats| {
            let count = if self.is_server { &mut stats.accept } else { &mut stats.connect };
            *count += 1;
        });
        let mut changing = self.changing();
        Ok(Arc::clone(changing.engine.get_or_insert(engine)))
    }

    /// Refuses a check for revoked certificates without a list of them, before anything is sent.
    fn check_lists(&self, py: Python<'_>) -> PyResult<()> {
        /// OpenSSL: X509_V_ERR_UNABLE_TO_GET_CRL.
        const NO_LIST: i32 = 3;
        let is_checked = self.settings.verify_mode != CERT_NONE
            && self.settings.verify_flags & VERIFY_CRL_CHECK_LEAF != 0;
        if is_checked && self.trusted.revocations.is_empty() {
            return Err(errors::verification(py, NO_LIST, "unable to get certificate CRL"));
        }
        Ok(())
    }

    /// Moves the bytes of a session without I/O: those of the peer to the session, and the session's
    /// to the program.
    fn pump(&self, py: Python<'_>, engine: &Engine) -> sandsock::Result<()> {
        let Transport::Bios { incoming, outgoing } = &self.transport else { return Ok(()) };
        let _ = py;
        let result = incoming.get().take(|bytes| engine.feed(bytes));
        // A session that has failed has an alert to send.
        self.drain(engine, outgoing)?;
        result?;
        if incoming.get().is_at_end() {
            engine.feed_end()?;
        }
        Ok(())
    }

    fn drain(&self, engine: &Engine, outgoing: &Py<MemoryBio>) -> sandsock::Result<()> {
        loop {
            let bytes = match engine.drain(STEP) {
                // WIT: the program has to send what it has, on a socket for TLS alone.
                Err(error) if error.errno() == Some(ENOBUFS) => return Ok(()),
                bytes => bytes?,
            };
            if bytes.is_empty() {
                return Ok(());
            }
            outgoing.get().append(&bytes);
        }
    }

    /// Moves what the session has to send to the program.
    fn flush(&self, engine: &Engine) -> sandsock::Result<()> {
        match &self.transport {
            Transport::Bios { outgoing, .. } => self.drain(engine, outgoing),
            Transport::Socket(_) => Ok(()),
        }
    }

    /// Returns the exception of a call that failed.
    fn error(&self, py: Python<'_>, engine: &Engine, error: &Error, doing: Doing) -> PyErr {
        match (error.kind(), error.errno()) {
            (ErrorKind::TimedOut, _) => {
                let name = match doing {
                    Doing::Handshake => "handshake operation",
                    Doing::Read => "read operation",
                    Doing::Write => "write operation",
                    Doing::Shutdown => "read operation",
                };
                PyTimeoutError::new_err(format!("_ssl.c:1: The {name} timed out"))
            }
            (_, Some(EAGAIN)) => match doing {
                Doing::Write => errors::want_write(py),
                _ => errors::want_read(py),
            },
            (_, Some(ECONNABORTED)) => errors::unexpected_eof(py),
            (_, Some(EPROTO)) => match engine.failure() {
                Some(failure) => {
                    engine::explain(py, &failure, self.hostname.as_deref(), self.agreed().is_some())
                }
                None => exception(error),
            },
            _ => exception(error),
        }
    }

    /// Reads at most as many bytes as the place has. 0 is the end that the peer announced.
    fn read_into(&self, py: Python<'_>, place: &mut [u8]) -> PyResult<usize> {
        let engine = self.shake(py)?;
        if place.is_empty() {
            return Ok(0);
        }
        let read = match self.socket() {
            Some(socket) => engine.receive(socket, place),
            None => {
                let pumped = self.pump(py, &engine);
                // Plain bytes that came before a failure are read first.
                let read = engine.read(place);
                self.flush(&engine).and(match read {
                    Err(error) if error.errno() == Some(EAGAIN) => pumped.and(Err(error)),
                    read => read,
                })
            }
        };
        match read {
            Ok(0) => {
                let mut changing = self.changing();
                changing.is_ended = true;
                if changing.is_closed { Err(errors::zero_return(py)) } else { Ok(0) }
            }
            Ok(count) => Ok(count),
            Err(error) => Err(self.error(py, &engine, &error, Doing::Read)),
        }
    }

    fn write_bytes(&self, py: Python<'_>, data: &[u8]) -> PyResult<usize> {
        let engine = self.shake(py)?;
        if self.changing().is_closed {
            return Err(errors::reason(py, "PROTOCOL_IS_SHUTDOWN"));
        }
        if data.is_empty() {
            return Ok(0);
        }
        let written = match self.socket() {
            Some(socket) => engine.send(socket, data),
            None => self.write_all(py, &engine, data),
        };
        written.map_err(|error| self.error(py, &engine, &error, Doing::Write))
    }

    /// Writes bytes to a session without I/O, whose bytes to send have all the room that they need.
    fn write_all(&self, py: Python<'_>, engine: &Engine, data: &[u8]) -> sandsock::Result<usize> {
        let _ = py;
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            let count = engine.write(&rest[..rest.len().min(STEP)])?;
            self.flush(engine)?;
            if count == 0 {
                break;
            }
            done += count;
        }
        Ok(done)
    }

    /// Waits for the end that the peer announces, after this side has announced its own.
    fn finish(&self, py: Python<'_>, engine: &Engine) -> PyResult<()> {
        if self.changing().is_ended {
            return Ok(());
        }
        let mut place = [0; 1];
        let read = match self.socket() {
            Some(socket) => engine.receive(socket, &mut place),
            None => {
                let pumped = self.pump(py, engine);
                match engine.read(&mut place) {
                    Err(error) if error.errno() == Some(EAGAIN) => pumped.and(Err(error)),
                    read => read,
                }
            }
        };
        match read {
            Ok(0) => {
                self.changing().is_ended = true;
                Ok(())
            }
            Ok(_) => Err(errors::reason(py, "APPLICATION_DATA_AFTER_CLOSE_NOTIFY")),
            Err(error) => Err(self.error(py, engine, &error, Doing::Shutdown)),
        }
    }

    fn chain(
        &self,
        py: Python<'_>,
        choose: impl FnOnce(&Agreed) -> &[Arc<[u8]>],
    ) -> PyResult<Option<Vec<Py<Certificate>>>> {
        let Some(agreed) = self.agreed() else { return Ok(None) };
        let chain = choose(&agreed);
        if chain.is_empty() {
            return Ok(None);
        }
        chain
            .iter()
            .map(|der| Py::new(py, Certificate(Arc::clone(der))))
            .collect::<PyResult<_>>()
            .map(Some)
    }
}

/// Returns the exception of a session that the host does not begin.
fn refused(py: Python<'_>, error: &Error) -> PyErr {
    if error.errno() == Some(ENOKEY) {
        // OpenSSL makes the handshake, and finds no issuer then.
        return errors::verification(py, 20, "unable to get local issuer certificate");
    }
    exception(error)
}

/// Reads the name of the server, which `ssl` has encoded.
fn read_hostname(name: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = name.py();
    let mut value = (Name::default(),);
    parse_one(name, const { &Format::new(c"et:_wrap_socket") }, &mut value).map_err(fetched(py))?;
    let name = String::from_utf8_lossy(value.0.get()).into_owned();
    if name.is_empty() || name.starts_with('.') {
        let text = "server_hostname cannot be an empty string or start with a leading dot.";
        return Err(PyValueError::new_err(text));
    }
    Ok(name)
}

/// Returns a weak reference to an object. None for None.
fn reference(object: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyWeakrefReference>>> {
    if object.is_none() {
        return Ok(None);
    }
    PyWeakrefReference::new(object).map(|reference| Some(reference.unbind()))
}

#[pymethods]
impl SslSocket {
    fn do_handshake(&self, py: Python<'_>) -> PyResult<()> {
        self.shake(py).map(drop)
    }

    /// Read up to size bytes from the SSL socket, or into a buffer.
    #[pyo3(signature = (size, buffer = None, /))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        size: i64,
        buffer: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(buffer) = buffer else {
            let size = usize::try_from(size)
                .map_err(|_| PyValueError::new_err("size should not be negative"))?;
            // A read gives no more than the session has, and a large object would take memory for
            // nothing.
            let fill = |place: &mut [u8]| self.read_into(py, place).map_err(Raised::from);
            return new_bytes(py, size.min(MOST), fill).map_err(fetched(py));
        };
        let mut view = (MutableBuffer::default(),);
        parse_one(buffer, const { &Format::new(c"w*:read") }, &mut view).map_err(fetched(py))?;
        let place = view.0.get_mut();
        let length = usize::try_from(size).unwrap_or(0);
        let length = if length == 0 { place.len() } else { length.min(place.len()) };
        let count = self.read_into(py, &mut place[..length])?;
        Ok(count.into_pyobject(py)?.into_any())
    }

    /// Writes the bytes-like object b into the SSL object. Returns the number of bytes written.
    #[pyo3(signature = (b, /))]
    fn write(&self, py: Python<'_>, b: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(bytes) = b.cast_exact::<PyBytes>() {
            return self.write_bytes(py, bytes.as_bytes());
        }
        let buffer = Buffer::of(b).map_err(fetched(py))?;
        self.write_bytes(py, buffer.get())
    }

    /// Returns the number of already decrypted bytes available for read, pending on the connection.
    fn pending(&self) -> usize {
        let engine = self.changing().engine.clone();
        engine.map_or(0, |engine| engine.pending())
    }

    /// Does the SSL shutdown handshake with the remote end. Returns the socket.
    fn shutdown(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let engine = self.engine(py)?;
        if self.agreed().is_none() {
            return Err(errors::reason(py, "SHUTDOWN_WHILE_IN_INIT"));
        }
        let is_new = !std::mem::replace(&mut self.changing().is_closed, true);
        if is_new {
            let closed = match self.socket() {
                Some(socket) => engine.close_notify(socket),
                None => engine.close().and_then(|()| self.flush(&engine)),
            };
            if let Err(error) = closed {
                if error.kind() == ErrorKind::TimedOut || error.errno() == Some(EAGAIN) {
                    self.changing().is_closed = false;
                }
                return Err(self.error(py, &engine, &error, Doing::Write));
            }
        }
        self.finish(py, &engine)?;
        let Some(socket) = self.socket() else { return Ok(None) };
        match engine.detach(socket) {
            // TLS has ended all the same. A socket for TLS alone moves nothing more.
            Err(error) if error.kind() != ErrorKind::Denied => Err(exception(&error)),
            _ => Ok(self.owner(py)),
        }
    }

    /// Returns the certificate of the peer: a dict, or DER. None if it has sent none.
    #[pyo3(signature = (binary_mode = false, /))]
    fn getpeercert<'py>(
        &self,
        py: Python<'py>,
        binary_mode: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let not_yet = || PyValueError::new_err("handshake not done yet");
        let agreed = self.agreed().ok_or_else(not_yet)?;
        let Some(der) = agreed.peer.first() else { return Ok(None) };
        if binary_mode {
            return Ok(Some(PyBytes::new(py, der).into_any()));
        }
        if self.settings.verify_mode == CERT_NONE {
            return Ok(Some(pyo3::types::PyDict::new(py).into_any()));
        }
        info(py, der).map(|dict| Some(dict.into_any()))
    }

    fn get_verified_chain(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<Certificate>>>> {
        self.chain(py, |agreed| &agreed.verified)
    }

    fn get_unverified_chain(&self, py: Python<'_>) -> PyResult<Option<Vec<Py<Certificate>>>> {
        self.chain(py, |agreed| &agreed.peer)
    }

    /// Returns the name, the version and the bits of the cipher suite.
    fn cipher(&self) -> Option<(&'static str, &'static str, i32)> {
        let suite = ciphers::find(self.agreed()?.info.cipher)?;
        Some((suite.name, suite.version(), suite.bits))
    }

    /// Returns the suites that the client has offered, and this server has.
    fn shared_ciphers(&self, py: Python<'_>) -> Option<Vec<(&'static str, &'static str, i32)>> {
        self.agreed().filter(|_| self.is_server)?;
        let suites = self.current(py).get().settings().suites;
        let offered = self.changing().offered.clone();
        let shared = offered.iter().filter_map(|number| {
            let suite = suites.iter().find(|suite| suite.number == *number)?;
            Some((suite.name, suite.version(), suite.bits))
        });
        Some(shared.collect())
    }

    fn version(&self) -> Option<&'static str> {
        self.agreed().map(|agreed| agreed.info.version)
    }

    fn selected_alpn_protocol(&self) -> PyResult<Option<String>> {
        let Some(agreed) = self.agreed() else { return Ok(None) };
        let text = agreed.info.alpn.as_ref();
        Ok(text.map(|name| String::from_utf8_lossy(name).into_owned()))
    }

    /// Compression is never used.
    #[expect(clippy::unused_self, reason = "a method of the object")]
    const fn compression(&self) -> Option<&'static str> {
        None
    }

    /// Get channel binding data for current connection. None: the host's TLS has no tls-unique.
    #[pyo3(signature = (cb_type = "tls-unique"))]
    #[expect(clippy::unused_self, reason = "a method of the object")]
    fn get_channel_binding(&self, cb_type: &str) -> PyResult<Option<Py<PyBytes>>> {
        if cb_type == "tls-unique" {
            return Ok(None);
        }
        let text = format!("'{cb_type}' channel binding type not implemented");
        Err(PyValueError::new_err(text))
    }

    /// Initiate TLS 1.3 post-handshake authentication. No client of rustls offers it, and this server
    /// does not ask for it.
    fn verify_client_post_handshake(&self, py: Python<'_>) -> PyResult<()> {
        let is_tls13 = self.version() == Some("TLSv1.3");
        Err(errors::reason(
            py,
            match () {
                () if !self.is_server => "NOT_SERVER",
                () if !is_tls13 => "WRONG_SSL_VERSION",
                () => "EXTENSION_NOT_RECEIVED",
            },
        ))
    }

    #[getter]
    const fn server_side(&self) -> bool {
        self.is_server
    }

    #[getter]
    fn server_hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    #[getter]
    fn context(&self, py: Python<'_>) -> Py<SslContext> {
        self.current(py)
    }

    /// Sets another context, whose identity and protocols a server then shows.
    #[setter]
    fn set_context(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let context = value.cast::<SslContext>();
        let context =
            context.map_err(|_| PyTypeError::new_err("The value must be a SSLContext"))?;
        let old = std::mem::replace(&mut self.changing().context, context.clone().unbind());
        drop(old);
        Ok(())
    }

    /// The Python-level owner, for the function that chooses by the client's hello.
    #[getter]
    fn owner(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.as_ref()?.bind(py).upgrade().map(Bound::unbind)
    }

    #[setter]
    fn set_owner(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let new = reference(value)?;
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *owner, new);
        drop(owner);
        drop(old);
        Ok(())
    }

    /// The session of this connection. None before the handshake.
    #[getter]
    fn session(&self, py: Python<'_>) -> PyResult<Option<Py<SslSession>>> {
        if self.agreed().is_none() {
            return Ok(None);
        }
        let session = self.changing().session.as_ref().map(|session| session.clone_ref(py));
        session.map(|session| Py::new(py, session.get().again(py))).transpose()
    }

    #[setter]
    fn set_session(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let session = value.cast::<SslSession>();
        let session = session.map_err(|_| PyTypeError::new_err("Value is not a SSLSession."))?;
        if !session.get().context.is(self.current(py)) {
            return Err(PyValueError::new_err("Session refers to a different SSLContext."));
        }
        if self.is_server {
            return Err(PyValueError::new_err("Cannot set session for server-side SSLSocket."));
        }
        if self.agreed().is_some() {
            return Err(PyValueError::new_err("Cannot set session after handshake."));
        }
        let old = self.changing().session.replace(session.clone().unbind());
        drop(old);
        Ok(())
    }

    /// Whether this connection has resumed an earlier one.
    #[getter]
    fn session_reused(&self) -> bool {
        self.agreed().is_some_and(|agreed| agreed.info.resumed)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(changing) = self.changing.try_lock() {
            visit.call(&changing.context)?;
            visit.call(&changing.session)?;
        }
        Ok(())
    }
}
