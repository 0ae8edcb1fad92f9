//! The exceptions of `_ssl`, with the texts and attributes that OpenSSL's errors have in CPython.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use super::constants::{
    ALERTS, ERROR_EOF, ERROR_SSL, ERROR_WANT_READ, ERROR_WANT_WRITE, ERROR_ZERO_RETURN,
};

/// The classes, in the order of [`NAMES`].
static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// The names of the classes.
const NAMES: [&str; 7] = [
    // A class comes after its base.
    "SSLError",
    "SSLZeroReturnError",
    "SSLWantReadError",
    "SSLWantWriteError",
    "SSLEOFError",
    "SSLCertVerificationError",
    // Nothing here raises it: the errors of the socket are raised as they are.
    "SSLSyscallError",
];

/// A class of exceptions, by its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Ssl,
    ZeroReturn,
    WantRead,
    WantWrite,
    Eof,
    Verification,
}

impl Class {
    /// The errno of the exceptions of this class, which are OpenSSL's error codes.
    const fn errno(self) -> i32 {
        match self {
            Self::Ssl | Self::Verification => ERROR_SSL,
            Self::ZeroReturn => ERROR_ZERO_RETURN,
            Self::WantRead => ERROR_WANT_READ,
            Self::WantWrite => ERROR_WANT_WRITE,
            Self::Eof => ERROR_EOF,
        }
    }
}

/// Makes the classes, and adds them to the module.
pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let source = std::ffi::CString::new(include_str!("errors.py"))?;
    let errors = PyModule::from_code(py, &source, c"_ssl/errors.py", c"_ssl")?;
    let mut classes = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        let class = errors.getattr(name)?.cast_into::<PyType>()?;
        crate::ffi::freeze(&class).map_err(|_| PyErr::fetch(py))?;
        module.setattr(name, &class)?;
        classes.push(class.unbind());
    }
    // A module is initialised once.
    let _ = CLASSES.set(py, classes);
    Ok(())
}

/// Where in `_ssl` an error came up. CPython's texts end with the line of its C code, and programs
/// drop it.
const PLACE: &str = "(_ssl.c:1)";

/// Makes an exception of a class with a text as it is.
///
/// The exception exists from the start. PyO3 would make it when something first asks for its value,
/// and would give the interpreter's lock away meanwhile.
pub(super) fn plain(py: Python<'_>, class: Class, text: &str) -> PyErr {
    match CLASSES.get(py).and_then(|classes| classes.get(class as usize)) {
        Some(class_object) => match class_object.bind(py).call1((class.errno(), text)) {
            Ok(value) => PyErr::from_value(value),
            Err(error) => error,
        },
        None => pyo3::exceptions::PySystemError::new_err("_ssl is not initialised"),
    }
}

/// Makes an exception whose text ends with the place in the code.
pub(super) fn at_place(py: Python<'_>, class: Class, text: &str) -> PyErr {
    plain(py, class, &format!("{text} {PLACE}"))
}

/// Makes an exception with a library and a reason of OpenSSL's, whose text is made of both.
pub(super) fn with_reason(
    py: Python<'_>,
    class: Class,
    library: &str,
    reason: &str,
    text: &str,
) -> PyErr {
    let error = at_place(py, class, &format!("[{library}: {reason}] {text}"));
    attributes(py, error, &[("library", library), ("reason", reason)])
}

/// Makes an exception of a library of OpenSSL's without a reason.
pub(super) fn of_library(py: Python<'_>, library: &str, text: &str) -> PyErr {
    let error = at_place(py, Class::Ssl, &format!("[{library}] {text}"));
    attributes(py, error, &[("library", library)])
}

/// Makes the exception of a protocol error, whose text is the reason in words.
pub(super) fn reason(py: Python<'_>, reason: &str) -> PyErr {
    with_reason(py, Class::Ssl, "SSL", reason, &words(reason))
}

/// Makes the exception of an alert that the peer has sent.
pub(super) fn alert(py: Python<'_>, number: u8) -> PyErr {
    match ALERTS.iter().find(|alert| alert.number == number) {
        Some(alert) => reason(py, alert.reason),
        None => of_library(py, "SSL", &format!("unknown alert {number}")),
    }
}

/// Makes the exception of a certificate that is not good.
pub(super) fn verification(py: Python<'_>, code: i32, message: &str) -> PyErr {
    let text = format!("certificate verify failed: {message}");
    let error = with_reason(py, Class::Verification, "SSL", "CERTIFICATE_VERIFY_FAILED", &text);
    let value = error.value(py);
    match value.setattr("verify_code", code).and(value.setattr("verify_message", message)) {
        Ok(()) => error,
        Err(other) => other,
    }
}

/// Makes the exception of a connection that ended without close_notify.
pub(super) fn unexpected_eof(py: Python<'_>) -> PyErr {
    let text = "EOF occurred in violation of protocol";
    with_reason(py, Class::Eof, "SSL", "UNEXPECTED_EOF_WHILE_READING", text)
}

/// Makes the exception of a session that both sides have closed.
pub(super) fn zero_return(py: Python<'_>) -> PyErr {
    at_place(py, Class::ZeroReturn, "TLS/SSL connection has been closed (EOF)")
}

/// Makes the exception of a call that needs more bytes of the peer.
pub(super) fn want_read(py: Python<'_>) -> PyErr {
    at_place(py, Class::WantRead, "The operation did not complete (read)")
}

/// Makes the exception of a call that needs room to send.
pub(super) fn want_write(py: Python<'_>) -> PyErr {
    at_place(py, Class::WantWrite, "The operation did not complete (write)")
}

/// Returns OpenSSL's words for a reason.
fn words(reason: &str) -> String {
    reason.to_ascii_lowercase().replace('_', " ")
}

fn attributes(py: Python<'_>, error: PyErr, attributes: &[(&str, &str)]) -> PyErr {
    let value = error.value(py);
    match attributes.iter().try_for_each(|(name, text)| value.setattr(*name, *text)) {
        Ok(()) => error,
        Err(other) => other,
    }
}
