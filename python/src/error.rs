//! The crate's errors as Python's exceptions.

use pyo3::exceptions::{
    PyKeyError, PyMemoryError, PyOSError, PyOverflowError, PyTimeoutError, PyTypeError,
    PyUnicodeError, PyValueError,
};
use pyo3::prelude::*;
use sandsock::{Error, ErrorKind};

use crate::errno;

/// Returns the exception of an error: its class, its errno in WASI's numbers, and its text.
pub(crate) fn exception(error: &Error) -> PyErr {
    let text = error.strerror().into_owned();
    match error.kind() {
        ErrorKind::TimedOut => PyTimeoutError::new_err(text),
        ErrorKind::Value => PyValueError::new_err(text),
        ErrorKind::Type => PyTypeError::new_err(text),
        ErrorKind::Overflow => PyOverflowError::new_err(text),
        ErrorKind::Unicode => PyUnicodeError::new_err(text),
        ErrorKind::Key => PyKeyError::new_err(text),
        ErrorKind::Memory => PyMemoryError::new_err(()),
        _ => match error.errno() {
            Some(number) => PyOSError::new_err((errno::to_wasi(number), text)),
            None => PyOSError::new_err(text),
        },
    }
}
