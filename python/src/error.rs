//! The crate's errors as Python's exceptions.

use std::sync::{Mutex, PoisonError};

use pyo3::PyTypeInfo;
use pyo3::exceptions::{
    PyKeyError, PyMemoryError, PyOSError, PyOverflowError, PyTimeoutError, PyTypeError,
    PyUnicodeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::PyString;
use sandsock::constants::address_info_text;
use sandsock::{Error, ErrorKind};

use crate::errno;
use crate::ffi::{self, Raised, Result};

/// The exceptions that the module makes, by their names in Python.
#[allow(non_camel_case_types)]
mod exceptions {
    pyo3::create_exception!(socket, gaierror, pyo3::exceptions::PyOSError);
    pyo3::create_exception!(socket, herror, pyo3::exceptions::PyOSError);
}

pub(crate) use exceptions::{gaierror, herror};

/// The name of the error that stands for an exception that the interpreter holds already.
const HELD: &str = "BaseException";

/// Returns an error of the guest crate for an exception that the interpreter holds.
pub(crate) fn held(_raised: Raised) -> Error {
    Error::exception(HELD, "")
}

/// The texts of the denials so far, of which each is there once.
static REFUSALS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The most texts of denials that are kept.
const REFUSALS_KEPT: usize = 64;

/// Notes a denial. A program that handles its exception can hide what was refused.
fn note_refusal(text: &str) {
    let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
    if refusals.len() < REFUSALS_KEPT && !refusals.iter().any(|other| other == text) {
        refusals.push(text.to_owned());
    }
}

/// Returns the first `most` texts of denials.
#[pyfunction]
pub(crate) fn refusals(most: usize) -> Vec<String> {
    let refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
    refusals.iter().take(most).cloned().collect()
}

/// Raises the exception of an error: its class, its errno in WASI's numbers, and its text.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> Raised {
    let text = error.strerror();
    if error.kind() == ErrorKind::Denied {
        note_refusal(text.strip_prefix("Permission denied: ").unwrap_or(&text));
    }
    match (error.kind(), error.errno()) {
        (ErrorKind::Other, _) if error.class() == HELD => Raised::held(py),
        (ErrorKind::TimedOut, _) => with_text::<PyTimeoutError>(py, &text),
        (ErrorKind::Value, _) => with_text::<PyValueError>(py, &text),
        (ErrorKind::Type, _) => with_text::<PyTypeError>(py, &text),
        (ErrorKind::Overflow, _) => with_text::<PyOverflowError>(py, &text),
        (ErrorKind::Unicode, _) => with_text::<PyUnicodeError>(py, &text),
        (ErrorKind::Key, _) => with_text::<PyKeyError>(py, &text),
        (ErrorKind::Memory, _) => with_text::<PyMemoryError>(py, &text),
        (ErrorKind::AddressInfo, Some(code)) => with_errno::<gaierror>(py, code, &text),
        (ErrorKind::Host, Some(code)) => with_errno::<herror>(py, code, &text),
        (_, Some(errno)) => with_errno::<PyOSError>(py, errno::to_wasi(errno), &text),
        (_, None) => with_text::<PyOSError>(py, &text),
    }
}

/// Raises gaierror with a code of getaddrinfo.
pub(crate) fn address_info(py: Python<'_>, code: i32) -> Raised {
    let text = address_info_text(code).unwrap_or("Unknown error");
    with_errno::<gaierror>(py, code, text)
}

/// Raises an exception of a class with an errno and a text.
fn with_errno<T: PyTypeInfo>(py: Python<'_>, errno: i32, text: &str) -> Raised {
    match (errno, text).into_pyobject(py) {
        Ok(arguments) => Raised::new(T::type_object(py).as_any(), &arguments),
        Err(error) => error.into(),
    }
}

/// Raises an exception of a class with a text.
pub(crate) fn with_text<T: PyTypeInfo>(py: Python<'_>, text: &str) -> Raised {
    Raised::new(T::type_object(py).as_any(), PyString::new(py, text).as_any())
}

/// Returns the exception of an error, for code on PyO3's own functions.
pub(crate) fn exception(error: &Error) -> PyErr {
    Python::attach(|py| {
        let Raised { .. } = raise(py, error);
        PyErr::fetch(py)
    })
}

/// Turns the errors of the guest crate into exceptions.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> Result<T>;
}

impl<T> OrRaise<T> for sandsock::Result<T> {
    #[inline]
    fn or_raise(self, py: Python<'_>) -> Result<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// Runs Python's handlers when the host interrupts a wait.
pub(crate) fn interrupted() -> sandsock::Result<()> {
    ffi::check_signals(true).map_err(held)
}
