//! The module `_socket`.

use pyo3::prelude::*;

use crate::errno;

#[pymodule]
#[pyo3(name = "_socket")]
fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, value) in sandsock::constants::SOCKET_MODULE {
        module.add(*name, *value)?;
    }
    Ok(())
}

/// Helpers of the runner.
#[pymodule]
#[pyo3(name = "_sandsock")]
fn init_helpers(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(errno::errnos, module)?)?;
    module.add_function(wrap_pyfunction!(to_wasi, module)?)?;
    crate::os::add(module)
}

/// Returns the number that an errno of Linux has in this interpreter.
#[pyfunction]
fn to_wasi(linux: i32) -> i32 {
    errno::to_wasi(linux)
}
