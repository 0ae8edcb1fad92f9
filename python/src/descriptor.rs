//! The number of a Python object that has a file descriptor.

#![allow(unsafe_code)]

use pyo3::prelude::*;

/// Returns the number that an object is or has: an integer, or the result of its method `fileno`.
///
/// # Errors
/// CPython's own: TypeError for another object, ValueError for a negative number.
pub(crate) fn file_descriptor(object: &Bound<'_, PyAny>) -> PyResult<i32> {
    // SAFETY: the object is alive, and the thread is attached. -1 comes with an exception.
    match unsafe { pyo3::ffi::PyObject_AsFileDescriptor(object.as_ptr()) } {
        -1 => Err(PyErr::fetch(object.py())),
        fd => Ok(fd),
    }
}
