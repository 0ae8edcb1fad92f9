//! The functions of `os` and `fcntl` for the numbers of sockets and pollers, which wasi-libc does
//! not know. The runner's module `_sandsock_os` calls them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sandsock_abi::ioctl;

use crate::error::exception;
use crate::select::{close_epoll, is_epoll};

/// Adds the functions to a module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_open, module)?)?;
    module.add_function(wrap_pyfunction!(close, module)?)?;
    module.add_function(wrap_pyfunction!(dup, module)?)?;
    module.add_function(wrap_pyfunction!(dup2, module)?)?;
    module.add_function(wrap_pyfunction!(read, module)?)?;
    module.add_function(wrap_pyfunction!(write, module)?)?;
    module.add_function(wrap_pyfunction!(get_blocking, module)?)?;
    module.add_function(wrap_pyfunction!(set_blocking, module)?)?;
    module.add_function(wrap_pyfunction!(get_inheritable, module)?)?;
    module.add_function(wrap_pyfunction!(set_inheritable, module)?)?;
    module.add_function(wrap_pyfunction!(make_ioctl, module)?)?;
    module.add_function(wrap_pyfunction!(unlink, module)?)?;
    module.add_function(wrap_pyfunction!(bind_of, module)?)?;
    module.add_function(wrap_pyfunction!(wait_for_stdin, module)?)
}

/// Converts the error of a call.
fn call<T>(result: sandsock::Result<T>) -> PyResult<T> {
    result.map_err(|error| exception(&error))
}

/// Whether the number is a socket's or a poller's.
#[pyfunction]
fn is_open(fd: i32) -> bool {
    is_epoll(fd) || sandsock::get_inheritable(fd).is_ok()
}

#[pyfunction]
fn close(fd: i32) -> PyResult<()> {
    if close_epoll(fd) { Ok(()) } else { call(sandsock::close(fd)) }
}

#[pyfunction]
fn dup(fd: i32) -> PyResult<i32> {
    call(sandsock::dup(fd))
}

#[pyfunction]
fn dup2(fd: i32, target: i32, inheritable: bool) -> PyResult<i32> {
    call(sandsock::dup2(fd, target, inheritable))
}

#[pyfunction]
fn read(py: Python<'_>, fd: i32, length: usize) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(py, &call(sandsock::read(fd, length))?))
}

/// `data` is bytes: `os.write` makes a copy of other buffers, because another thread can change
/// them while this one waits.
#[pyfunction]
fn write(fd: i32, data: &[u8]) -> PyResult<usize> {
    call(sandsock::write(fd, data))
}

#[pyfunction]
fn get_blocking(fd: i32) -> PyResult<bool> {
    call(sandsock::get_blocking(fd))
}

#[pyfunction]
fn set_blocking(fd: i32, blocking: bool) -> PyResult<()> {
    call(sandsock::set_blocking(fd, blocking))
}

#[pyfunction]
fn get_inheritable(fd: i32) -> PyResult<bool> {
    // A guest has no child processes, so the flag of a poller stays as it is.
    if is_epoll(fd) { Ok(false) } else { call(sandsock::get_inheritable(fd)) }
}

#[pyfunction]
fn set_inheritable(fd: i32, inheritable: bool) -> PyResult<()> {
    if is_epoll(fd) { Ok(()) } else { call(sandsock::set_inheritable(fd, inheritable)) }
}

/// Removes the name of a UNIX socket that the program has bound.
#[pyfunction]
fn unlink(path: &[u8]) -> PyResult<()> {
    call(sandsock::unlink(path))
}

/// Returns the number of the bind that made the name of a UNIX socket. None if the program has not made
/// it, or has removed it.
#[pyfunction]
fn bind_of(path: &[u8]) -> Option<u64> {
    sandsock::bind_of(path)
}

/// Waits until a read of standard input returns at once, while other threads run.
#[pyfunction]
fn wait_for_stdin() -> PyResult<()> {
    call(sandsock::wait_for_stdin())
}

/// Returns the value of the call and the argument after it.
///
/// Like the kernel's, this call takes a longer argument than the request has, and leaves the rest
/// alone. A shorter one is filled up with zeros.
#[pyfunction(name = "ioctl")]
fn make_ioctl<'py>(
    py: Python<'py>,
    fd: i32,
    request: u32,
    argument: &[u8],
) -> PyResult<(i32, Bound<'py, PyBytes>)> {
    let shape = ioctl::find(request).map(|row| row.shape);
    let mut own = argument.to_vec();
    if let Some(shape) = shape.filter(|&shape| shape != ioctl::Shape::InterfaceList) {
        own.resize(shape.size(), 0);
    }
    let (value, result) = call(sandsock::ioctl(fd, request, &own))?;
    Ok((value, PyBytes::new(py, &result)))
}
