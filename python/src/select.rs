//! The module `select`.

mod arguments;
mod epoll;
mod poll;

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use sandsock::constants::{CONSTANTS, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI};
use sandsock::errno::EBADF;
use sandsock::{Error, Fileno, Ready};
use smallvec::SmallVec;

use crate::error::exception;
use crate::ffi::{Answer, Arguments, OfModule, add_functions, file_descriptor, methods};
use arguments::{count, file_events, time};
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
    module.add_function(wrap_pyfunction!(poll::poll, module)?)?;
    // PyO3 adds the list of names, which CPython's module does not have.
    module.delattr("__all__")?;
    add_functions(module, FUNCTIONS).map_err(|_| PyErr::fetch(py))
}

/// man 2 select: the most descriptors of a set.
const FD_SETSIZE: usize = 1024;

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

/// A list for a call. Most calls wait for a few descriptors, and need no memory of the heap for them.
type Few<T> = SmallVec<[T; 4]>;

/// One of the lists of `select`.
#[derive(Default)]
struct Wanted<'py> {
    objects: Few<Bound<'py, PyAny>>,
    items: Few<Item>,
    /// The places of files that are ready. They stand in no list of items.
    files: Vec<usize>,
}

impl<'py> Wanted<'py> {
    fn new(list: &Bound<'py, PyAny>, events: i32) -> PyResult<Self> {
        let py = list.py();
        let mut wanted = Self::default();
        let mut add = |object: Bound<'py, PyAny>| {
            let fd = file_descriptor(&object)?;
            let place = wanted.objects.len();
            if place >= FD_SETSIZE {
                return Err(PyValueError::new_err("too many file descriptors in select()"));
            }
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

/// Does what `sandsock::select` does, for lists with pollers.
fn select_pollers(lists: [&[Item]; 3], timeout: Option<Duration>) -> sandsock::Result<Ready<Item>> {
    let mut wanted: BTreeMap<i32, i32> = BTreeMap::new();
    for (list, events) in lists.iter().zip([POLLIN, POLLOUT, POLLPRI]) {
        for item in *list {
            *wanted.entry(item.fd).or_default() |= events;
        }
    }
    let ready = epoll::poll_all(&wanted.into_iter().collect::<Vec<_>>(), timeout)?;
    let ready: BTreeMap<i32, i32> = ready.into_iter().collect();
    if ready.values().any(|events| events & POLLNVAL != 0) {
        return Err(Error::from_errno(EBADF));
    }
    // man 2 select: the events of poll that each list counts.
    let among = |list: &[Item], events: i32| {
        let is_ready = |item: &&Item| ready.get(&item.fd).is_some_and(|found| found & events != 0);
        list.iter().filter(is_ready).copied().collect()
    };
    let [read, write, exceptional] = lists;
    Ok((
        among(read, POLLIN | POLLHUP | POLLERR),
        among(write, POLLOUT | POLLERR),
        among(exceptional, POLLPRI),
    ))
}

methods! {
    static FUNCTIONS: OfModule {
        fast select c"select" c"select(rlist, wlist, xlist, timeout=None, /)\n--\n\n\
            Waits until a file descriptor of one of three lists is ready for reading, for writing, or has\n\
            an exceptional condition.\n\n\
            The lists hold numbers, or objects with a method fileno(). The timeout is in seconds, and may be\n\
            a float. Without it, or with None, the call waits without end. The result is a tuple of three\n\
            lists, with the objects that are ready."
    }
}

fn select<'py>(_: Borrowed<'_, 'py, PyAny>, arguments: &Arguments<'_, 'py>) -> Answer<'py> {
    let py = arguments.py();
    count("select", arguments.len(), 3, 4)?;
    let timeout = arguments.get(3);
    let timeout = time(timeout.as_ref(), 1_000_000_000, "timeout must be a float or None")?;
    let timeout = match timeout.map(u64::try_from) {
        None => None,
        Some(Ok(nanoseconds)) => Some(Duration::from_nanos(nanoseconds)),
        Some(Err(_)) => {
            return Err(PyValueError::new_err("timeout must be non-negative").into());
        }
    };
    let wanted = |place: usize, events: i32| match arguments.get(place) {
        Some(list) => Wanted::new(&list, events),
        None => Ok(Wanted::default()),
    };
    // A file never has an exceptional condition.
    let (read, write, exceptional) = (wanted(0, POLLIN)?, wanted(1, POLLOUT)?, wanted(2, 0)?);
    let has_ready_files = !(read.files.is_empty() && write.files.is_empty());
    let timeout = if has_ready_files { Some(Duration::ZERO) } else { timeout };
    let lists = [&read.items, &write.items, &exceptional.items].map(SmallVec::as_slice);
    let ready = if lists.iter().copied().flatten().any(|item| is_epoll(item.fd)) {
        select_pollers(lists, timeout)
    } else {
        sandsock::select(lists[0], lists[1], lists[2], timeout)
    };
    let (r, w, x) = ready.map_err(|error| raised(py, &error))?;
    let ready = (read.ready(py, &r)?, write.ready(py, &w)?, exceptional.ready(py, &x)?);
    Ok(ready.into_pyobject(py)?.into_any())
}
