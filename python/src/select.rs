//! The module `select`.

mod arguments;
mod epoll;
mod poll;

use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use sandsock::constants::{CONSTANTS, POLLIN, POLLOUT};
use sandsock::{Error, Fileno};

use crate::error::exception;
use crate::ffi::file_descriptor;
use arguments::{count, file_events, optional, time};
pub(crate) use epoll::close as close_epoll;
pub(crate) use epoll::is_open as is_epoll;

#[pymodule]
#[pyo3(name = "select")]
fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    for (name, value) in CONSTANTS {
        if name.starts_with("POLL") || name.starts_with("EPOLL") {
            module.add(*name, *value)?;
        }
    }
    module.add("PIPE_BUF", 4096)?;
    module.add("error", py.get_type::<PyOSError>())?;
    module.add_class::<epoll::Epoll>()?;
    module.add_function(wrap_pyfunction!(select, module)?)?;
    module.add_function(wrap_pyfunction!(poll::poll, module)?)?;
    // PyO3 adds the list of names, which CPython's module does not have.
    module.delattr("__all__")
}

/// Returns the exception of an error.
fn raised(_py: Python<'_>, error: &Error) -> PyErr {
    exception(error)
}

/// An item of one of the lists: its number, and its place in the list.
#[derive(Clone, Copy)]
struct Item {
    fd: i32,
    place: usize,
}

impl Fileno for Item {
    fn fileno(&self) -> i32 {
        self.fd
    }
}

/// One of the lists of `select`.
struct Wanted<'py> {
    objects: Vec<Bound<'py, PyAny>>,
    items: Vec<Item>,
    /// The places of files that are ready. They stand in no list of items.
    files: Vec<usize>,
}

impl<'py> Wanted<'py> {
    fn new(list: &Bound<'py, PyAny>, events: i32) -> PyResult<Self> {
        let py = list.py();
        let mut wanted = Self { objects: Vec::new(), items: Vec::new(), files: Vec::new() };
        let mut add = |object: Bound<'py, PyAny>| {
            let fd = file_descriptor(&object)?;
            let place = wanted.objects.len();
            match file_events(py, fd)? {
                None => wanted.items.push(Item { fd, place }),
                Some(ready) if ready & events != 0 => wanted.files.push(place),
                Some(_) => {}
            }
            wanted.objects.push(object);
            Ok::<(), PyErr>(())
        };
        // A list is read in place: `fileno` may change it.
        if let Ok(list) = list.cast::<PyList>() {
            let mut at = 0;
            while at < list.len() {
                add(list.get_item(at)?)?;
                at += 1;
            }
        } else {
            let items = list.try_iter().map_err(|error| {
                if error.is_instance_of::<PyTypeError>(py) {
                    PyTypeError::new_err("arguments 1-3 must be sequences")
                } else {
                    error
                }
            })?;
            // CPython makes a list first.
            for object in items.collect::<PyResult<Vec<_>>>()? {
                add(object)?;
            }
        }
        Ok(wanted)
    }

    /// Returns a list of the ready objects, in the order of the argument.
    fn ready(self, py: Python<'py>, ready: &[Item]) -> PyResult<Bound<'py, PyList>> {
        if self.files.is_empty() {
            return PyList::new(py, ready.iter().filter_map(|item| self.objects.get(item.place)));
        }
        let mut places: Vec<usize> = ready.iter().map(|item| item.place).collect();
        places.extend(self.files);
        places.sort_unstable();
        PyList::new(py, places.iter().filter_map(|&place| self.objects.get(place)))
    }
}

/// The three lists of ready objects.
type Lists<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// select(rlist, wlist, xlist, timeout=None, /)
/// --
///
/// Waits until a file descriptor of one of three lists is ready for reading, for writing, or has
/// an exceptional condition.
///
/// The lists hold numbers, or objects with a method fileno(). The timeout is in seconds, and may be
/// a float. Without it, or with None, the call waits without end. The result is a tuple of three
/// lists, with the objects that are ready.
#[pyfunction]
#[pyo3(signature = (*arguments), text_signature = None)]
fn select<'py>(py: Python<'py>, arguments: &Bound<'py, PyTuple>) -> PyResult<Lists<'py>> {
    count("select", arguments, 3, 4)?;
    let timeout = optional(arguments, 3)?;
    let timeout = time(timeout.as_ref(), 1_000_000_000, "timeout must be a float or None")?;
    let timeout = match timeout.map(u64::try_from) {
        None => None,
        Some(Ok(nanoseconds)) => Some(Duration::from_nanos(nanoseconds)),
        Some(Err(_)) => return Err(PyValueError::new_err("timeout must be non-negative")),
    };
    let read = Wanted::new(&arguments.get_item(0)?, POLLIN)?;
    let write = Wanted::new(&arguments.get_item(1)?, POLLOUT)?;
    // A file never has an exceptional condition.
    let exceptional = Wanted::new(&arguments.get_item(2)?, 0)?;
    let has_ready_files = !(read.files.is_empty() && write.files.is_empty());
    let timeout = if has_ready_files { Some(Duration::ZERO) } else { timeout };
    let (r, w, x) = sandsock::select(&read.items, &write.items, &exceptional.items, timeout)
        .map_err(|error| raised(py, &error))?;
    Ok((read.ready(py, &r)?, write.ready(py, &w)?, exceptional.ready(py, &x)?))
}
