//! `SSLSession`: what a client needs to resume a session. The tickets stay in the host.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::context::SslContext;

/// The seconds for which OpenSSL takes a session as fresh.
const TIMEOUT: u32 = 7200;

/// A session that can be resumed.
#[pyclass(frozen, immutable_type, name = "SSLSession", module = "_ssl")]
pub(super) struct SslSession {
    /// The context that made it. Only its sessions can resume it.
    pub(super) context: Py<SslContext>,
    /// A name in place of TLS's own identifier, which stays in the host.
    id: [u8; 32],
    time: u64,
}

impl SslSession {
    /// Makes a session with a new identifier.
    pub(super) fn new(py: Python<'_>, context: Py<SslContext>) -> PyResult<Self> {
        let random = super::random(py, 32)?;
        let id = <[u8; 32]>::try_from(random.as_bytes());
        let id = id.map_err(|_| PyOSError::new_err("the random bytes are too few"))?;
        Ok(Self { context, id, time: now() })
    }

    /// Makes the session that has resumed another one.
    pub(super) fn resumed(py: Python<'_>, of: &Self) -> Self {
        Self { context: of.context.clone_ref(py), id: of.id, time: now() }
    }

    /// Makes another object for the same session.
    pub(super) fn again(&self, py: Python<'_>) -> Self {
        Self { context: self.context.clone_ref(py), id: self.id, time: self.time }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[pymethods]
impl SslSession {
    /// Session ID.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.id)
    }

    /// Session creation time (seconds since epoch).
    #[getter]
    const fn time(&self) -> u64 {
        self.time
    }

    /// Session timeout (delta in seconds).
    #[getter]
    const fn timeout(&self) -> u32 {
        TIMEOUT
    }

    /// Ticket life time hint.
    #[getter]
    const fn ticket_lifetime_hint(&self) -> u32 {
        TIMEOUT
    }

    /// Does the session contain a ticket?
    #[getter]
    const fn has_ticket(&self) -> bool {
        true
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.id == other.id
    }

    fn __hash__(&self) -> u64 {
        let [first, .., last] = self.id;
        u64::from(first) << 8 | u64::from(last)
    }
}
