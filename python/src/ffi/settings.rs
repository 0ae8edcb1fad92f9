//! The interpreter's settings, which the options of `python3` decide. The snapshot was made before
//! they are known.

use std::ffi::{CString, c_char, c_int};

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

unsafe extern "C" {
    // This is not in the limited API. This package is for one version of CPython.
    fn PyConfig_Set(name: *const c_char, value: *mut PyObject) -> c_int;
}

/// Sets a setting, and its flag in `sys.flags` if it has one. CPython: `PyConfig_Set`.
#[pyfunction]
pub(crate) fn configure(name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let name = CString::new(name)?;
    // SAFETY: the name is a C string, the value is an object, and the thread is attached.
    match unsafe { PyConfig_Set(name.as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(value.py())),
    }
}

/// Sets a member of `sys.flags` by its place.
#[pyfunction]
pub(crate) fn set_flag(place: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let flags = value.py().import("sys")?.getattr("flags")?;
    if place >= flags.len()? {
        return Err(pyo3::exceptions::PyIndexError::new_err("there is no such flag"));
    }
    // SAFETY: `sys.flags` is a struct sequence with this place. The function takes a reference of the
    // value, and leaves that of the old one alone. Old values are small integers and bools, which live
    // for ever anyway.
    unsafe {
        ffi::Py_IncRef(value.as_ptr());
        ffi::PyStructSequence_SetItem(flags.as_ptr(), place.cast_signed(), value.as_ptr());
    }
    Ok(())
}
