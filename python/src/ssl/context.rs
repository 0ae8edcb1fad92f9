//! `_SSLContext`: the settings of sessions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyDeprecationWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};

use super::bio::{MemoryBio, fetched};
use super::certificate::{facts, info};
use super::ciphers::{self, Suite};
use super::constants::{
    CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, HOSTFLAG_NO_PARTIAL_WILDCARDS, MAXIMUM_SUPPORTED,
    MINIMUM_SUPPORTED, OP_ALL, OP_CIPHER_SERVER_PREFERENCE, OP_ENABLE_MIDDLEBOX_COMPAT,
    OP_NO_COMPRESSION, OP_NO_SSLV3, OP_NO_TLSV1, OP_NO_TLSV1_1, OP_NO_TLSV1_2, OP_NO_TLSV1_3,
    PROTOCOL_TLS, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, PROTOCOL_TLSV1_2, SSLV3, TLSV1,
    TLSV1_2, TLSV1_3, VERIFY_X509_TRUSTED_FIRST,
};
use super::errors::{Class, of_library, plain, with_reason};
use super::identity::{Identities, Identity, OwnIdentity};
use super::key::{self, NoKey};
use super::pem::{is_certificate, sections};
use super::socket::{SslSocket, Transport};
use super::store::{Store, path_argument, read_file};
use crate::ffi::{self, Buffer};

/// The name in front of an identity that the embedder lends, in place of a file's name.
const IDENTITY: &str = "identity:";

/// What `session_stats` counts.
#[derive(Clone, Copy, Default)]
pub(super) struct Stats {
    pub(super) connect: u32,
    pub(super) connect_good: u32,
    pub(super) accept: u32,
    pub(super) accept_good: u32,
    pub(super) hits: u32,
}

/// The settings of a context.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) protocol: i32,
    pub(super) verify_mode: i32,
    pub(super) check_hostname: bool,
    pub(super) options: u64,
    pub(super) verify_flags: u32,
    host_flags: u32,
    minimum: i32,
    maximum: i32,
    pub(super) suites: Vec<&'static Suite>,
    /// Whether the caller has chosen the suites.
    pub(super) has_suites: bool,
    /// The groups of the key exchange, by IANA's numbers. Empty for all.
    pub(super) groups: Vec<u16>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) identities: Identities,
    post_handshake_auth: bool,
    tickets: i32,
}

impl Settings {
    /// Returns the lowest and the highest version, by their numbers in TLS. None if there is none
    /// between them.
    pub(super) fn versions(&self) -> Option<(i32, i32)> {
        let lowest = if self.minimum == MINIMUM_SUPPORTED { TLSV1_2 } else { self.minimum };
        let highest = if self.maximum == MAXIMUM_SUPPORTED { TLSV1_3 } else { self.maximum };
        let is_off = |version| {
            let option = if version == TLSV1_2 { OP_NO_TLSV1_2 } else { OP_NO_TLSV1_3 };
            self.options & option != 0
        };
        let mut versions = [TLSV1_2, TLSV1_3]
            .into_iter()
            .filter(|&version| (lowest..=highest).contains(&version) && !is_off(version));
        let first = versions.next()?;
        Some((first, versions.next().unwrap_or(first)))
    }
}

/// The settings of TLS sessions, which `ssl.SSLContext` is a subclass of.
#[pyclass(frozen, subclass, immutable_type, name = "_SSLContext", module = "_ssl", weakref)]
pub(super) struct SslContext {
    settings: Mutex<Settings>,
    store: Mutex<Store>,
    stats: Mutex<Stats>,
    sni_callback: Mutex<Option<Py<PyAny>>>,
    msg_callback: Mutex<Option<Py<PyAny>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SslContext {
    /// Returns the settings as they are now.
    pub(super) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    fn set<T>(&self, set: impl FnOnce(&mut Settings) -> T) -> T {
        set(&mut lock(&self.settings))
    }

    /// Returns what the context trusts, with the certificates of its folders.
    pub(super) fn trusted(&self, py: Python<'_>) -> PyResult<Store> {
        let mut store = lock(&self.store).clone();
        let found = store.of_folders(py)?;
        store.merge(found);
        Ok(store)
    }

    /// Keeps a certificate of a folder that a session has used, as OpenSSL does.
    pub(super) fn keep(&self, used: Store) {
        lock(&self.store).merge(used);
    }

    /// Counts.
    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut lock(&self.stats));
    }

    /// Returns the function that chooses by the client's hello.
    pub(super) fn callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.sni_callback).as_ref().map(|callback| callback.clone_ref(py))
    }
}

fn deprecated(py: Python<'_>, text: &str) -> PyResult<()> {
    let text = std::ffi::CString::new(text)?;
    PyErr::warn(py, &py.get_type::<PyDeprecationWarning>(), &text, 2)
}

/// Checks a function that is an attribute. None is no function.
fn callable(value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    match value {
        value if value.is_none() => Ok(None),
        value if value.is_callable() => Ok(Some(value.clone().unbind())),
        _ => Err(PyTypeError::new_err("not a callable object")),
    }
}

/// The attributes that are set are never deleted: PyO3 raises AttributeError then.
#[pymethods]
impl SslContext {
    #[new]
    #[pyo3(signature = (protocol, /))]
    fn new(py: Python<'_>, protocol: i32) -> PyResult<Self> {
        match protocol {
            PROTOCOL_TLS => deprecated(py, "ssl.PROTOCOL_TLS is deprecated")?,
            PROTOCOL_TLSV1_2 => deprecated(py, "ssl.PROTOCOL_TLSv1_2 is deprecated")?,
            PROTOCOL_TLS_CLIENT | PROTOCOL_TLS_SERVER => {}
            _ => return Err(PyValueError::new_err("invalid or unsupported protocol version")),
        }
        let is_client = protocol == PROTOCOL_TLS_CLIENT;
        let is_fixed = protocol == PROTOCOL_TLSV1_2;
        Ok(Self {
            settings: Mutex::new(Settings {
                protocol,
                verify_mode: if is_client { CERT_REQUIRED } else { CERT_NONE },
                check_hostname: is_client,
                options: OP_ALL
                    | OP_NO_SSLV3
                    | OP_NO_COMPRESSION
                    | OP_CIPHER_SERVER_PREFERENCE
                    | OP_ENABLE_MIDDLEBOX_COMPAT,
                verify_flags: VERIFY_X509_TRUSTED_FIRST,
                host_flags: HOSTFLAG_NO_PARTIAL_WILDCARDS,
                minimum: TLSV1_2,
                maximum: if is_fixed { TLSV1_2 } else { MAXIMUM_SUPPORTED },
                suites: ciphers::all(),
                has_suites: false,
                groups: Vec::new(),
                alpn: Vec::new(),
                identities: Identities::default(),
                post_handshake_auth: false,
                tickets: 2,
            }),
            store: Mutex::default(),
            stats: Mutex::default(),
            sni_callback: Mutex::default(),
            msg_callback: Mutex::default(),
        })
    }

    #[getter]
    fn protocol(&self) -> i32 {
        self.settings().protocol
    }

    #[getter]
    fn verify_mode(&self) -> i32 {
        self.settings().verify_mode
    }

    #[setter]
    fn set_verify_mode(&self, value: i32) -> PyResult<()> {
        if !matches!(value, CERT_NONE | CERT_OPTIONAL | CERT_REQUIRED) {
            return Err(PyValueError::new_err("invalid value for verify_mode"));
        }
        self.set(|settings| {
            if value == CERT_NONE && settings.check_hostname {
                let text = "Cannot set verify_mode to CERT_NONE when check_hostname is enabled.";
                return Err(PyValueError::new_err(text));
            }
            settings.verify_mode = value;
            Ok(())
        })
    }

    #[getter]
    fn check_hostname(&self) -> bool {
        self.settings().check_hostname
    }

    #[setter]
    fn set_check_hostname(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = value.is_truthy()?;
        self.set(|settings| {
            settings.check_hostname = value;
            // CPython: a check of the name needs a certificate.
            if value && settings.verify_mode == CERT_NONE {
                settings.verify_mode = CERT_REQUIRED;
            }
        });
        Ok(())
    }

    #[getter]
    fn options(&self) -> u64 {
        self.settings().options
    }

    #[setter]
    fn set_options(&self, py: Python<'_>, value: u64) -> PyResult<()> {
        const OLD: u64 = OP_NO_SSLV3 | OP_NO_TLSV1 | OP_NO_TLSV1_1 | OP_NO_TLSV1_2 | OP_NO_TLSV1_3;
        let set = value & !self.settings().options;
        if set & OLD != 0 {
            deprecated(py, "ssl.OP_NO_SSL*/ssl.OP_NO_TLS* options are deprecated")?;
        }
        self.set(|settings| settings.options = value);
        Ok(())
    }

    #[getter]
    fn verify_flags(&self) -> u32 {
        self.settings().verify_flags
    }

    #[setter]
    fn set_verify_flags(&self, value: u32) {
        self.set(|settings| settings.verify_flags = value);
    }

    #[getter]
    fn _host_flags(&self) -> u32 {
        self.settings().host_flags
    }

    #[setter(_host_flags)]
    fn set_host_flags(&self, value: u32) {
        self.set(|settings| settings.host_flags = value);
    }

    #[getter]
    fn minimum_version(&self) -> i32 {
        self.settings().minimum
    }

    #[setter]
    fn set_minimum_version(&self, py: Python<'_>, value: i32) -> PyResult<()> {
        let value = self.version(py, value)?;
        // OpenSSL keeps a version in place of the other end's name.
        let value = if value == MAXIMUM_SUPPORTED { TLSV1_3 } else { value };
        self.set(|settings| settings.minimum = value);
        Ok(())
    }

    #[getter]
    fn maximum_version(&self) -> i32 {
        self.settings().maximum
    }

    #[setter]
    fn set_maximum_version(&self, py: Python<'_>, value: i32) -> PyResult<()> {
        let value = self.version(py, value)?;
        let value = if value == MINIMUM_SUPPORTED { TLSV1 } else { value };
        self.set(|settings| settings.maximum = value);
        Ok(())
    }

    #[getter]
    fn security_level(&self) -> i32 {
        2
    }

    #[getter]
    fn num_tickets(&self) -> i32 {
        self.settings().tickets
    }

    #[setter]
    fn set_num_tickets(&self, value: i64) -> PyResult<()> {
        let Ok(value @ 0..) = i32::try_from(value) else {
            return Err(PyValueError::new_err("value must be non-negative"));
        };
        self.set(|settings| {
            if settings.protocol != PROTOCOL_TLS_SERVER {
                return Err(PyValueError::new_err("SSLContext is not a server context."));
            }
            settings.tickets = value;
            Ok(())
        })
    }

    #[getter]
    fn post_handshake_auth(&self) -> bool {
        self.settings().post_handshake_auth
    }

    #[setter]
    fn set_post_handshake_auth(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = value.is_truthy()?;
        self.set(|settings| settings.post_handshake_auth = value);
        Ok(())
    }

    #[getter]
    fn sni_callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.callback(py)
    }

    #[setter]
    fn set_sni_callback(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.settings().protocol == PROTOCOL_TLS_CLIENT {
            let text = "sni_callback cannot be set on TLS_CLIENT context";
            return Err(PyValueError::new_err(text));
        }
        let callback = callable(value)?;
        // Dropping the old function can run Python, so the lock is not held then.
        let old = std::mem::replace(&mut *lock(&self.sni_callback), callback);
        drop(old);
        Ok(())
    }

    #[getter]
    fn _msg_callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        lock(&self.msg_callback).as_ref().map(|callback| callback.clone_ref(py))
    }

    #[setter(_msg_callback)]
    fn set_msg_callback(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let callback = callable(value)
            .map_err(|_| PyTypeError::new_err(format!("{value} is not callable.")))?;
        let old = std::mem::replace(&mut *lock(&self.msg_callback), callback);
        drop(old);
        Ok(())
    }

    #[pyo3(signature = (cipherlist, /))]
    fn set_ciphers(&self, py: Python<'_>, cipherlist: &str) -> PyResult<()> {
        let none = || plain(py, Class::Ssl, "No cipher can be selected.");
        let suites = ciphers::select(cipherlist).ok_or_else(none)?;
        self.set(|settings| (settings.suites, settings.has_suites) = (suites, true));
        Ok(())
    }

    fn get_ciphers<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.settings().suites.iter().map(|suite| suite.describe(py)).collect()
    }

    #[pyo3(signature = (protos, /))]
    fn _set_alpn_protocols(&self, py: Python<'_>, protos: &Bound<'_, PyAny>) -> PyResult<()> {
        let buffer = Buffer::of(protos).map_err(fetched(py))?;
        let (mut rest, mut protocols) = (buffer.get(), Vec::new());
        while let [length, after @ ..] = rest {
            let (protocol, after) = after
                .split_at_checked(usize::from(*length))
                .filter(|(protocol, _)| !protocol.is_empty())
                .ok_or_else(|| PyValueError::new_err("malformed list of ALPN protocols"))?;
            protocols.push(protocol.to_vec());
            rest = after;
        }
        self.set(|settings| settings.alpn = protocols);
        Ok(())
    }

    #[pyo3(signature = (certfile, keyfile = None, password = None))]
    fn load_cert_chain(
        &self,
        certfile: &Bound<'_, PyAny>,
        keyfile: Option<&Bound<'_, PyAny>>,
        password: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = certfile.py();
        if let Some(name) = lent(certfile)? {
            if keyfile.is_some() {
                let text = "an identity of the embedder has its own key; leave out keyfile";
                return Err(PyValueError::new_err(text));
            }
            self.set(|settings| settings.identities.add(Identity::Lent(name)));
            return Ok(());
        }
        path_argument(certfile, "certfile")?;
        if let Some(keyfile) = keyfile {
            path_argument(keyfile, "keyfile")?;
        }
        if let Some(password) = password.filter(|password| !password.is_callable()) {
            key::check_password(password)?;
        }
        let unreadable = || of_library(py, "SSL", "PEM lib");
        let data = read_file(certfile)?;
        let text = String::from_utf8_lossy(&data);
        let chain = sections(&text)
            .iter()
            .filter(|section| is_certificate(section.label))
            .map(|section| section.decode().filter(|der| facts(der).is_some()))
            .collect::<Option<Vec<_>>>()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(unreadable)?;
        let key_data = keyfile.map(read_file).transpose()?;
        let key_text = key_data.as_deref().map(String::from_utf8_lossy);
        let key = key::find(&sections(key_text.as_ref().unwrap_or(&text)), password);
        let key = key.map_err(|error| match error {
            NoKey::Unreadable => unreadable(),
            NoKey::Encrypted => {
                let text = "PEM lib: the key is encrypted; pass its password, as PKCS #8";
                of_library(py, "SSL", text)
            }
            NoKey::Raised(error) => error,
        })?;
        let facts = chain.first().and_then(|der| facts(der)).ok_or_else(unreadable)?;
        if key::matches(&key, &facts) == Some(false) {
            let text = "key values mismatch";
            return Err(with_reason(py, Class::Ssl, "X509", "KEY_VALUES_MISMATCH", text));
        }
        let identity = Identity::Own(Arc::new(OwnIdentity { chain, key, kind: facts.key_kind }));
        self.set(|settings| settings.identities.add(identity));
        Ok(())
    }

    #[pyo3(signature = (cafile = None, capath = None, cadata = None))]
    fn load_verify_locations(
        &self,
        cafile: Option<&Bound<'_, PyAny>>,
        capath: Option<&Bound<'_, PyAny>>,
        cadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if cafile.is_none() && capath.is_none() && cadata.is_none() {
            return Err(PyTypeError::new_err("cafile, capath and cadata cannot be all omitted"));
        }
        if let Some(cafile) = cafile {
            path_argument(cafile, "cafile")?;
        }
        if let Some(capath) = capath {
            path_argument(capath, "capath")?;
        }
        let mut added = Store::default();
        if let Some(cadata) = cadata {
            added.add_data(cadata)?;
        }
        if let Some(cafile) = cafile {
            added.add_file(cafile)?;
        }
        if let Some(capath) = capath {
            added.add_folder(capath)?;
        }
        lock(&self.store).merge(added);
        Ok(())
    }

    /// The embedder's roots stand for OpenSSL's default files. man 3 SSL_CTX_set_default_verify_paths:
    /// variables name others.
    fn set_default_verify_paths(&self, py: Python<'_>) -> PyResult<()> {
        let environ = py.import("os")?.getattr("environ")?;
        let variable = |name: &str| environ.call_method1("get", (name,));
        let (file, folder) = (variable("SSL_CERT_FILE")?, variable("SSL_CERT_DIR")?);
        let mut added = Store::default();
        if file.is_none() && folder.is_none() {
            added.has_defaults = true;
        }
        if !file.is_none() {
            // OpenSSL ignores a default file that it can't read.
            let _ = added.add_file(&file);
        }
        if !folder.is_none() {
            added.add_folder(&folder)?;
        }
        lock(&self.store).merge(added);
        Ok(())
    }

    fn cert_store_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (certificates, lists, authorities) = lock(&self.store).counts();
        let dict = PyDict::new(py);
        dict.set_item("x509", certificates)?;
        dict.set_item("crl", lists)?;
        dict.set_item("x509_ca", authorities)?;
        Ok(dict)
    }

    /// Returns the loaded certificates of authorities. The embedder's roots stay in the host.
    #[pyo3(signature = (binary_form = false))]
    fn get_ca_certs<'py>(
        &self,
        py: Python<'py>,
        binary_form: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let roots = lock(&self.store).roots.clone();
        let list = PyList::empty(py);
        for root in roots.iter().filter(|root| root.facts.is_authority) {
            if binary_form {
                list.append(PyBytes::new(py, &root.der))?;
            } else {
                list.append(info(py, &root.der)?)?;
            }
        }
        Ok(list)
    }

    fn session_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = *lock(&self.stats);
        let counts = [
            ("number", 0),
            ("connect", stats.connect),
            ("connect_good", stats.connect_good),
            ("connect_renegotiate", 0),
            ("accept", stats.accept),
            ("accept_good", stats.accept_good),
            ("accept_renegotiate", 0),
            ("hits", stats.hits),
            ("misses", 0),
            ("timeouts", 0),
            ("cache_full", 0),
        ];
        let dict = PyDict::new(py);
        counts.iter().try_for_each(|(name, count)| dict.set_item(*name, *count))?;
        Ok(dict)
    }

    /// The host has no suite with finite-field groups, so the parameters have no effect.
    #[pyo3(signature = (path, /))]
    fn load_dh_params(&self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = path.py();
        let data = read_file(path)?;
        let text = String::from_utf8_lossy(&data);
        if sections(&text).iter().any(|section| section.label.ends_with("DH PARAMETERS")) {
            return Ok(());
        }
        Err(with_reason(py, Class::Ssl, "PEM", "NO_START_LINE", "no start line"))
    }

    /// Sets the one group of the key exchange, by a name of OpenSSL's.
    #[pyo3(signature = (name, /))]
    fn set_ecdh_curve(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = super::store::path_bytes(name)?;
        let number = match bytes.as_bytes() {
            b"prime256v1" | b"secp256r1" | b"P-256" => 23,
            b"secp384r1" | b"P-384" => 24,
            b"X25519" | b"x25519" => 29,
            _ => {
                let text = format!("unknown elliptic curve name {}", name.repr()?);
                return Err(PyValueError::new_err(text));
            }
        };
        self.set(|settings| settings.groups = vec![number]);
        Ok(())
    }

    #[pyo3(signature = (callback))]
    fn set_psk_client_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        no_psk(callback)
    }

    #[pyo3(signature = (callback, identity_hint = None))]
    fn set_psk_server_callback(
        &self,
        callback: &Bound<'_, PyAny>,
        identity_hint: Option<&str>,
    ) -> PyResult<()> {
        let _ = identity_hint;
        no_psk(callback)
    }

    #[pyo3(signature = (sock, server_side, server_hostname = None, *, owner = None, session = None))]
    fn _wrap_socket(
        slf: &Bound<'_, Self>,
        sock: &Bound<'_, PyAny>,
        server_side: bool,
        server_hostname: Option<&Bound<'_, PyAny>>,
        owner: Option<&Bound<'_, PyAny>>,
        session: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<SslSocket> {
        let not_a_socket = || PyTypeError::new_err("_wrap_socket() argument 1 must be a socket");
        let socket = ffi::socket_of(sock).ok_or_else(not_a_socket)?;
        SslSocket::new(slf, Transport::Socket(socket), server_side, server_hostname, owner, session)
    }

    #[pyo3(signature = (incoming, outgoing, server_side, server_hostname = None, *, owner = None, session = None))]
    fn _wrap_bio(
        slf: &Bound<'_, Self>,
        incoming: Py<MemoryBio>,
        outgoing: Py<MemoryBio>,
        server_side: bool,
        server_hostname: Option<&Bound<'_, PyAny>>,
        owner: Option<&Bound<'_, PyAny>>,
        session: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<SslSocket> {
        let transport = Transport::Bios { incoming, outgoing };
        SslSocket::new(slf, transport, server_side, server_hostname, owner, session)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for callback in [&self.sni_callback, &self.msg_callback] {
            if let Ok(callback) = callback.try_lock() {
                visit.call(&*callback)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let callbacks = (lock(&self.sni_callback).take(), lock(&self.msg_callback).take());
        drop(callbacks);
    }
}

impl SslContext {
    /// Checks a version that is set.
    fn version(&self, py: Python<'_>, value: i32) -> PyResult<i32> {
        if self.settings().protocol == PROTOCOL_TLSV1_2 {
            let text = "The context's protocol doesn't support modification of highest and lowest version.";
            return Err(PyValueError::new_err(text));
        }
        let name = match value {
            SSLV3 => "SSLv3",
            TLSV1 => "TLSv1",
            0x302 => "TLSv1_1",
            TLSV1_2 | TLSV1_3 | MINIMUM_SUPPORTED | MAXIMUM_SUPPORTED => return Ok(value),
            _ => {
                let text = format!("Unsupported TLS/SSL version 0x{value:x}");
                return Err(PyValueError::new_err(text));
            }
        };
        deprecated(py, &format!("ssl.TLSVersion.{name} is deprecated"))?;
        Ok(value)
    }
}

/// Returns the name of an identity, if this is one in place of a file.
fn lent(certfile: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let Ok(text) = certfile.cast::<PyString>() else { return Ok(None) };
    Ok(text.to_cow()?.strip_prefix(IDENTITY).map(str::to_owned))
}

/// Refuses keys that both sides know before.
fn no_psk(callback: &Bound<'_, PyAny>) -> PyResult<()> {
    if callback.is_none() {
        return Ok(());
    }
    let text = "this TLS has no pre-shared keys; use certificates";
    Err(pyo3::exceptions::PyNotImplementedError::new_err(text))
}
