//! `select.epoll`.
//!
//! The guest crate gives a poller no number. Python's `fileno` and `fromfd` have one, so this file
//! keeps a table of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use sandsock::Error;
use sandsock::constants::{EPOLL_CLOEXEC, EPOLLIN, EPOLLOUT, EPOLLPRI, POLLIN, POLLNVAL, POLLOUT};
use sandsock::errno::{EBADF, EPERM};

use super::arguments::{
    count, file_events, int, limited_time, mask, no_keywords, only, time, unpack,
};
use super::raised;
use crate::ffi::file_descriptor;

/// The first number of a poller. The numbers of sockets are far below it.
const FIRST: i32 = 1 << 20;

/// An epoll instance. It is made at the first use: there is no host while the runner is made, when
/// `selectors` makes an `epoll` object.
type Shared = OnceLock<sandsock::Epoll>;

static TABLE: Mutex<BTreeMap<i32, Arc<Shared>>> = Mutex::new(BTreeMap::new());

fn table() -> MutexGuard<'static, BTreeMap<i32, Arc<Shared>>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the number is an open poller's.
pub(crate) fn is_open(fd: i32) -> bool {
    fd >= FIRST && table().contains_key(&fd)
}

/// Closes a poller by its number. False if the number is not a poller's.
pub(crate) fn close(fd: i32) -> bool {
    // The host closes the poller after the table is unlocked.
    let removed = (fd >= FIRST).then(|| table().remove(&fd)).flatten();
    removed.is_some()
}

/// Returns a poller, which is made at its first use.
fn made(shared: &Shared) -> sandsock::Result<&sandsock::Epoll> {
    if let Some(epoll) = shared.get() {
        return Ok(epoll);
    }
    let new = sandsock::Epoll::new()?;
    Ok(shared.get_or_init(|| new))
}

/// Returns another poller by its number. None if the number is not a poller's.
fn other(number: i32) -> Option<Arc<Shared>> {
    if number < FIRST { None } else { table().get(&number).cloned() }
}

/// Waits like poll(2) for numbers of which some are pollers'. Another poller waits for all of them.
/// Each number is there once.
pub(super) fn poll_all(
    wanted: &[(i32, i32)],
    timeout: Option<Duration>,
) -> sandsock::Result<Vec<(i32, i32)>> {
    let all = sandsock::Epoll::new()?;
    let mut found = BTreeMap::new();
    for &(fd, events) in wanted {
        let mask = events.cast_unsigned();
        let added = match other(fd) {
            Some(inner) => all.register_epoll(made(&inner)?, fd, mask),
            None => all.register(&fd, mask),
        };
        match added.map_err(|error| (error.errno(), error)) {
            Ok(()) => {}
            // man 2 epoll_ctl: it takes no regular file, which poll(2) finds ready.
            Err((Some(EPERM), _)) => {
                found.insert(fd, events & (POLLIN | POLLOUT));
            }
            Err((Some(EBADF), _)) => {
                found.insert(fd, POLLNVAL);
            }
            Err((_, error)) => return Err(error),
        }
    }
    found.retain(|_, events| *events != 0);
    let timeout = if found.is_empty() { timeout } else { Some(Duration::ZERO) };
    let most = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let ready = all.poll(timeout, Some(most.max(1)))?;
    found.extend(ready.into_iter().map(|(fd, events)| (fd, events.cast_signed())));
    Ok(wanted.iter().filter_map(|&(fd, _)| Some((fd, *found.get(&fd)?))).collect())
}

/// epoll(sizehint=-1, flags=0)
/// --
///
/// Returns an object that waits for many file descriptors at a cost that depends on the ready ones
/// only: epoll(7). `sizehint` must be positive or -1, and is not used. `flags` is 0 or
/// EPOLL_CLOEXEC.
#[pyclass(frozen, name = "epoll", module = "select")]
pub(super) struct Epoll(Mutex<State>);

#[derive(Clone)]
struct State {
    /// -1 if the object is closed.
    fd: i32,
    /// Without a poller if the number is not a poller's, or if the poller was closed by its number.
    shared: Weak<Shared>,
}

impl Epoll {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> PyResult<State> {
        let state = self.state().clone();
        if state.fd < 0 {
            return Err(PyValueError::new_err("I/O operation on closed epoll object"));
        }
        Ok(state)
    }

    /// Calls a function with the poller.
    fn with<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&sandsock::Epoll) -> sandsock::Result<T>,
    ) -> PyResult<T> {
        let shared = self.open()?.shared.upgrade();
        let result = shared.ok_or(Error::from_errno(EBADF)).and_then(|shared| call(made(&shared)?));
        result.map_err(|error| raised(py, &error))
    }

    /// Checks that a poller takes a descriptor. man 2 epoll_ctl: EPERM for a regular file.
    fn check(&self, py: Python<'_>, number: i32) -> PyResult<()> {
        self.open()?;
        match file_events(py, number)? {
            Some(_) => Err(raised(py, &Error::from_errno(EPERM))),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl Epoll {
    #[new]
    #[pyo3(signature = (*arguments, **keywords), text_signature = "(sizehint=-1, flags=0)")]
    fn new(arguments: &Bound<'_, PyTuple>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let [sizehint, flags] = unpack("epoll", ["sizehint", "flags"], 0, arguments, keywords)?;
        let sizehint = sizehint.as_ref().map_or(Ok(-1), int)?;
        let flags = flags.as_ref().map_or(Ok(0), int)?;
        if sizehint != -1 && sizehint <= 0 {
            return Err(PyValueError::new_err("negative sizehint"));
        }
        if flags != 0 && flags.cast_unsigned() != EPOLL_CLOEXEC {
            return Err(PyOSError::new_err("invalid flags"));
        }
        let shared = Arc::new(Shared::new());
        let mut table = table();
        let free = table.keys().zip(FIRST..).find(|&(&used, free)| used != free);
        let fd = match free {
            Some((_, free)) => free,
            None => table.last_key_value().map_or(FIRST, |(&last, _)| last.saturating_add(1)),
        };
        let state = State { fd, shared: Arc::downgrade(&shared) };
        table.insert(fd, shared);
        Ok(Self(Mutex::new(state)))
    }

    /// Returns an epoll object with the number of an open one.
    #[classmethod]
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($type, fd, /)")]
    fn fromfd(
        _class: &Bound<'_, PyType>,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let fd = int(&only("epoll.fromfd", arguments, keywords)?)?;
        let shared = table().get(&fd).map(Arc::downgrade).unwrap_or_default();
        Ok(Self(Mutex::new(State { fd, shared })))
    }

    /// Closes the object. Further operations raise an exception.
    fn close(&self) {
        let fd = std::mem::replace(&mut self.state().fd, -1);
        close(fd);
    }

    /// True if the epoll object is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.state().fd < 0
    }

    /// Returns the number of the epoll object.
    fn fileno(&self) -> PyResult<i32> {
        self.open().map(|state| state.fd)
    }

    /// Registers a file descriptor. It fails if it is registered already.
    #[pyo3(
        signature = (*arguments, **keywords),
        text_signature = "($self, fd, eventmask=EPOLLIN | EPOLLPRI | EPOLLOUT)"
    )]
    fn register(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = arguments.py();
        let values = unpack("register", ["fd", "eventmask"], 1, arguments, keywords)?;
        let (number, events) = pair(&values)?;
        let events = events.unwrap_or(EPOLLIN | EPOLLPRI | EPOLLOUT);
        self.check(py, number)?;
        self.with(py, |epoll| match other(number) {
            Some(other) => epoll.register_epoll(made(&other)?, number, events),
            None => epoll.register(&number, events),
        })
    }

    /// Changes the events of a registered file descriptor.
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($self, fd, eventmask)")]
    fn modify(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = arguments.py();
        let values = unpack("modify", ["fd", "eventmask"], 2, arguments, keywords)?;
        let (number, events) = pair(&values)?;
        self.check(py, number)?;
        let events = events.unwrap_or_default();
        self.with(py, |epoll| match is_open(number) {
            true => epoll.modify_epoll(number, events),
            false => epoll.modify(&number, events),
        })
    }

    /// Removes a registered file descriptor.
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($self, fd)")]
    fn unregister(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = arguments.py();
        let [fd] = unpack("unregister", ["fd"], 1, arguments, keywords)?;
        let (number, _) = pair(&[fd, None])?;
        self.check(py, number)?;
        self.with(py, |epoll| match is_open(number) {
            true => epoll.unregister_epoll(number),
            false => epoll.unregister(&number),
        })
    }

    /// Waits for events. The timeout is in seconds. None, and a negative number, are without end.
    /// `maxevents` is the most events that it returns, and -1 is no limit.
    ///
    /// Returns a list of pairs: a file descriptor and its events.
    #[pyo3(
        signature = (*arguments, **keywords),
        text_signature = "($self, timeout=None, maxevents=-1)"
    )]
    fn poll(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<(i32, u32)>> {
        let py = arguments.py();
        let [timeout, maxevents] =
            unpack("poll", ["timeout", "maxevents"], 0, arguments, keywords)?;
        let maxevents = maxevents.as_ref().map_or(Ok(-1), int)?;
        self.open()?;
        let timeout = time(timeout.as_ref(), 1_000_000_000, "timeout must be an integer or None")?;
        let timeout = limited_time(timeout)?;
        let most = match maxevents {
            -1 => None,
            ..=0 => {
                let text = format!("maxevents must be greater than 0, got {maxevents}");
                return Err(PyValueError::new_err(text));
            }
            most => Some(most.unsigned_abs()),
        };
        self.with(py, |epoll| epoll.poll(timeout, most))
    }

    fn __enter__<'py>(this: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        this.get().open()?;
        Ok(this)
    }

    #[pyo3(
        signature = (*arguments, **keywords),
        text_signature = "($self, exc_type=None, exc_value=None, exc_tb=None, /)"
    )]
    fn __exit__(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        no_keywords("epoll.__exit__", keywords)?;
        count("__exit__", arguments.len(), 0, 3)?;
        self.close();
        Ok(())
    }
}

/// Returns the number and the events of a registration. The events may be left out.
fn pair(values: &[Option<Bound<'_, PyAny>>; 2]) -> PyResult<(i32, Option<u32>)> {
    let [fd, events] = values;
    // The caller has unpacked the number.
    let number = fd.as_ref().map_or(Ok(-1), file_descriptor)?;
    Ok((number, events.as_ref().map(mask).transpose()?))
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.close();
    }
}
