//! `select.epoll`.
//!
//! The guest crate gives a poller no number. Python's `fileno` and `fromfd` have one, so this file
//! keeps a table of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use sandsock::Error;
use sandsock::constants::{EPOLL_CLOEXEC, EPOLLIN, EPOLLOUT, EPOLLPRI};
use sandsock::errno::{EBADF, EPERM};

use super::arguments::{file_events, limited_time, mask, time};
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
        let result = shared.ok_or(Error::from_errno(EBADF)).and_then(|shared| {
            if let Some(epoll) = shared.get() {
                return call(epoll);
            }
            let new = sandsock::Epoll::new()?;
            call(shared.get_or_init(|| new))
        });
        result.map_err(|error| raised(py, &error))
    }

    /// Returns the number of a descriptor that a poller takes: man 2 epoll_ctl: EPERM for a regular
    /// file.
    fn number(&self, fd: &Bound<'_, PyAny>) -> PyResult<i32> {
        self.open()?;
        let number = file_descriptor(fd)?;
        match file_events(fd.py(), number)? {
            Some(_) => Err(raised(fd.py(), &Error::from_errno(EPERM))),
            None => Ok(number),
        }
    }
}

#[pymethods]
impl Epoll {
    #[new]
    #[pyo3(signature = (sizehint = -1, flags = 0))]
    fn new(sizehint: i32, flags: i32) -> PyResult<Self> {
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
    #[pyo3(signature = (fd, /))]
    fn fromfd(_class: &Bound<'_, PyType>, fd: i32) -> Self {
        let shared = table().get(&fd).map(Arc::downgrade).unwrap_or_default();
        Self(Mutex::new(State { fd, shared }))
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
        signature = (fd, eventmask = None),
        text_signature = "($self, fd, eventmask=EPOLLIN | EPOLLPRI | EPOLLOUT)"
    )]
    fn register(
        &self,
        fd: &Bound<'_, PyAny>,
        eventmask: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let number = self.number(fd)?;
        let events = match eventmask {
            Some(events) => mask(events)?,
            None => EPOLLIN | EPOLLPRI | EPOLLOUT,
        };
        self.with(fd.py(), |epoll| epoll.register(&number, events))
    }

    /// Changes the events of a registered file descriptor.
    fn modify(&self, fd: &Bound<'_, PyAny>, eventmask: &Bound<'_, PyAny>) -> PyResult<()> {
        let number = self.number(fd)?;
        let events = mask(eventmask)?;
        self.with(fd.py(), |epoll| epoll.modify(&number, events))
    }

    /// Removes a registered file descriptor.
    fn unregister(&self, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        let number = self.number(fd)?;
        self.with(fd.py(), |epoll| epoll.unregister(&number))
    }

    /// Waits for events. The timeout is in seconds. None, and a negative number, are without end.
    /// `maxevents` is the most events that it returns, and -1 is no limit.
    ///
    /// Returns a list of pairs: a file descriptor and its events.
    #[pyo3(signature = (timeout = None, maxevents = -1))]
    fn poll(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        maxevents: i32,
    ) -> PyResult<Vec<(i32, u32)>> {
        self.open()?;
        let timeout = time(timeout, 1_000_000_000, "timeout must be an integer or None")?;
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

    #[pyo3(signature = (exc_type = None, exc_value = None, exc_tb = None, /))]
    fn __exit__(
        &self,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        exc_tb: Option<&Bound<'_, PyAny>>,
    ) {
        let _ = (exc_type, exc_value, exc_tb);
        self.close();
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.close();
    }
}
