//! `MemoryBIO`: a buffer of bytes that is written at one end and read at the other.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::{Class, plain};
use crate::ffi::{Buffer, Raised, new_bytes};

#[derive(Default)]
struct State {
    data: VecDeque<u8>,
    is_ended: bool,
}

/// A memory BIO: `MemoryBIO()`.
#[pyclass(frozen, immutable_type, name = "MemoryBIO", module = "_ssl")]
#[derive(Default)]
pub(super) struct MemoryBio(Mutex<State>);

impl MemoryBio {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends bytes.
    pub(super) fn append(&self, data: &[u8]) {
        self.state().data.extend(data);
    }

    /// Gives the bytes at the front to a function, which returns how many it has taken.
    pub(super) fn take<E>(&self, take: impl FnOnce(&[u8]) -> Result<usize, E>) -> Result<usize, E> {
        let mut state = self.state();
        let count = take(state.data.make_contiguous())?;
        state.data.drain(..count);
        Ok(count)
    }

    /// Whether there are no bytes, and none will come.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.state();
        state.is_ended && state.data.is_empty()
    }
}

/// Turns the error of a function of `ffi` into PyO3's.
pub(super) fn fetched(py: Python<'_>) -> impl FnOnce(Raised) -> PyErr {
    move |_| PyErr::fetch(py)
}

#[pymethods]
impl MemoryBio {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Read up to size bytes from the memory BIO.
    #[pyo3(signature = (size = -1, /))]
    fn read<'py>(&self, py: Python<'py>, size: i32) -> PyResult<Bound<'py, PyAny>> {
        let pending = self.state().data.len();
        let size = usize::try_from(size).map_or(pending, |size| size.min(pending));
        let bytes = new_bytes(py, size, |place| {
            let mut state = self.state();
            let count = size.min(state.data.len());
            for (place, byte) in place.iter_mut().zip(state.data.drain(..count)) {
                *place = byte;
            }
            Ok(count)
        });
        bytes.map_err(fetched(py))
    }

    /// Writes the bytes b into the memory BIO.
    #[pyo3(signature = (b, /))]
    fn write(&self, py: Python<'_>, b: &Bound<'_, PyAny>) -> PyResult<usize> {
        let length = if let Ok(bytes) = b.cast_exact::<PyBytes>() {
            self.write_bytes(py, bytes.as_bytes())?
        } else {
            let buffer = Buffer::of(b).map_err(fetched(py)).map_err(|error| {
                let is_known = error.is_instance_of::<PyBufferError>(py)
                    || error.is_instance_of::<PyTypeError>(py);
                if is_known {
                    error
                } else {
                    PyTypeError::new_err("a bytes-like object is required")
                }
            })?;
            self.write_bytes(py, buffer.get())?
        };
        Ok(length)
    }

    /// Write an EOF marker to the memory BIO.
    ///
    /// When all data has been read, the "eof" property will be True.
    fn write_eof(&self) {
        self.state().is_ended = true;
    }

    /// The number of bytes pending in the memory BIO.
    #[getter]
    fn pending(&self) -> usize {
        self.state().data.len()
    }

    /// Whether the memory BIO is at EOF.
    #[getter]
    fn eof(&self) -> bool {
        self.is_at_end()
    }
}

impl MemoryBio {
    fn write_bytes(&self, py: Python<'_>, data: &[u8]) -> PyResult<usize> {
        if self.state().is_ended {
            return Err(plain(py, Class::Ssl, "cannot write() after write_eof()"));
        }
        self.append(data);
        Ok(data.len())
    }
}
