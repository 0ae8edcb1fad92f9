//! The module `select`.

use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "select")]
fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PIPE_BUF", 4096)
}
