//! The modules `_socket` and `_sandsock`.

use pyo3::exceptions::{PyOSError, PyTimeoutError};
use pyo3::prelude::*;
use sandsock::WarningCategory;
use sandsock::constants::{HAS_IPV6, SOCKET_MODULE, STRINGS};

use crate::error::{exception, gaierror, held, herror, interrupted, refusals};
use crate::panic::end_on_panic;
use crate::{errno, ffi, hashes, names, os, socket};

/// The module that CPython's `socket.py` is built on.
#[pymodule]
#[pyo3(name = "_socket")]
fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    end_on_panic();
    sandsock::set_interrupt_handler(Some(interrupted));
    sandsock::set_warning_handler(Some(warn));
    add(module).map_err(|_| PyErr::fetch(py))
}

/// Fills the module. `PyModule::add` would list the names in `__all__`, which CPython's module lacks,
/// and which would hide its functions from `from _socket import *`.
fn add(module: &Bound<'_, PyModule>) -> ffi::Result<()> {
    let py = module.py();
    module
        .setattr("__doc__", "CPython's _socket over sandsock. The module socket documents it.")?;
    module.setattr("herror", py.get_type::<herror>())?;
    module.setattr("gaierror", py.get_type::<gaierror>())?;
    module.setattr("error", py.get_type::<PyOSError>())?;
    module.setattr("timeout", py.get_type::<PyTimeoutError>())?;
    let class = ffi::socket_type::<socket::Type>(module, socket::METHODS)?;
    module.setattr("SocketType", &class)?;
    module.setattr("socket", class)?;
    module.setattr("has_ipv6", HAS_IPV6)?;
    for (name, value) in SOCKET_MODULE {
        module.setattr(*name, *value)?;
    }
    for (name, value) in STRINGS {
        module.setattr(*name, *value)?;
    }
    ffi::add_functions(module, names::FUNCTIONS)
}

/// Reports a warning of the guest crate. The finalizer warns of a socket that was not closed.
fn warn(category: WarningCategory, text: &str) -> sandsock::Result<()> {
    match category {
        WarningCategory::Runtime => ffi::warn_runtime(text).map_err(held),
        _ => Ok(()),
    }
}

/// Helpers of the runner.
#[pymodule]
#[pyo3(name = "_sandsock")]
fn init_helpers(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(errno::errnos, module)?)?;
    module.add_function(wrap_pyfunction!(to_wasi, module)?)?;
    module.add_function(wrap_pyfunction!(panic, module)?)?;
    module.add_function(wrap_pyfunction!(restrict, module)?)?;
    module.add_function(wrap_pyfunction!(refusals, module)?)?;
    module.add_function(wrap_pyfunction!(ffi::threads::start_threads, module)?)?;
    module.add_function(wrap_pyfunction!(ffi::settings::configure, module)?)?;
    module.add_function(wrap_pyfunction!(ffi::settings::set_flag, module)?)?;
    hashes::add(module)?;
    os::add(module)
}

/// Returns the number that an errno of Linux has in this interpreter.
#[pyfunction]
fn to_wasi(linux: i32) -> i32 {
    errno::to_wasi(linux)
}

/// Gives up every right that none of these rules allows.
#[pyfunction]
fn restrict(rules: Vec<String>) -> PyResult<()> {
    sandsock::restrict(&rules).map_err(|error| exception(&error))
}

/// Panics, so that a test can see how the guest ends.
#[pyfunction]
fn panic() {
    panic!("a test asked for it");
}
