//! `select.poll`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use sandsock::constants::{POLLIN, POLLNVAL, POLLOUT, POLLPRI};
use sandsock::errno::ENOENT;
use sandsock::{Error, ErrorKind};

use super::arguments::{
    count, file_events, limited_time, no_keywords, only, optional, short_mask, time,
};
use super::epoll::{is_open, poll_all};
use super::raised;
use crate::ffi::file_descriptor;

/// What a `poll` object waits for.
#[derive(Clone, Default)]
struct Wanted {
    sockets: sandsock::Poll,
    /// The files of wasi-libc, with the wanted events.
    files: Vec<(i32, i32)>,
}

/// Returns a polling object. It registers and unregisters file descriptors, and polls them for
/// events.
#[pyfunction]
#[pyo3(text_signature = "()")]
pub(super) fn poll() -> Poll {
    Poll { wanted: Mutex::default(), is_running: AtomicBool::new(false) }
}

/// The file descriptors that are registered, and the events that are wanted.
#[pyclass(frozen, name = "poll", module = "select")]
pub(super) struct Poll {
    wanted: Mutex<Wanted>,
    is_running: AtomicBool,
}

impl Poll {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a file. False if it was not registered.
    fn remove_file(&self, fd: i32) -> bool {
        let mut wanted = self.wanted();
        let before = wanted.files.len();
        wanted.files.retain(|file| file.0 != fd);
        wanted.files.len() != before
    }

    /// Adds a descriptor, or changes its events.
    fn put(&self, py: Python<'_>, fd: i32, events: i32) -> PyResult<()> {
        let file = file_events(py, fd)?;
        self.remove_file(fd);
        let mut wanted = self.wanted();
        match file {
            Some(_) => {
                wanted.files.push((fd, events));
                Ok(())
            }
            None => wanted.sockets.register(&fd, events).map_err(|error| raised(py, &error)),
        }
    }
}

#[pymethods]
impl Poll {
    /// Registers a file descriptor, or changes its events.
    #[pyo3(
        signature = (*arguments, **keywords),
        text_signature = "($self, fd, eventmask=POLLIN | POLLPRI | POLLOUT, /)"
    )]
    fn register(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        no_keywords("poll.register", keywords)?;
        count("register", arguments.len(), 1, 2)?;
        let fd = file_descriptor(&arguments.get_item(0)?)?;
        let events = match optional(arguments, 1)? {
            Some(events) => short_mask(&events)?,
            None => POLLIN | POLLPRI | POLLOUT,
        };
        self.put(arguments.py(), fd, events)
    }

    /// Changes the events of a registered file descriptor.
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($self, fd, eventmask, /)")]
    fn modify(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = arguments.py();
        no_keywords("poll.modify", keywords)?;
        count("modify", arguments.len(), 2, 2)?;
        let fd = file_descriptor(&arguments.get_item(0)?)?;
        let events = short_mask(&arguments.get_item(1)?)?;
        if self.wanted().files.iter().any(|file| file.0 == fd) {
            return self.put(py, fd, events);
        }
        let modified = self.wanted().sockets.modify(&fd, events);
        modified.map_err(|error| match error.errno() {
            // CPython sets the errno alone, so its text is that of strerror.
            Some(ENOENT) => raised(py, &Error::from_errno(ENOENT)),
            _ => raised(py, &error),
        })
    }

    /// Removes a file descriptor.
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($self, fd, /)")]
    fn unregister(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let fd = only("poll.unregister", arguments, keywords)?;
        let fd_number = file_descriptor(&fd)?;
        if self.remove_file(fd_number) {
            return Ok(());
        }
        let removed = self.wanted().sockets.unregister(&fd_number);
        removed.map_err(|error| match error.kind() {
            // CPython: the key is the number.
            ErrorKind::Key => PyKeyError::new_err(fd_number),
            _ => raised(fd.py(), &error),
        })
    }

    /// Waits until a registered file descriptor is ready. The timeout is in milliseconds. None, and
    /// a negative number, are without end.
    ///
    /// Returns a list of pairs: a file descriptor and its events.
    #[pyo3(signature = (*arguments, **keywords), text_signature = "($self, timeout=None, /)")]
    fn poll(
        &self,
        arguments: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<(i32, i32)>> {
        let py = arguments.py();
        no_keywords("poll.poll", keywords)?;
        count("poll", arguments.len(), 0, 1)?;
        let timeout = optional(arguments, 0)?;
        let timeout = time(timeout.as_ref(), 1_000_000, "timeout must be an integer or None")?;
        let mut timeout = limited_time(timeout)?;
        // CPython: a poll that waits uses the object's own list.
        if self.is_running.swap(true, Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("concurrent poll() invocation"));
        }
        let wanted = self.wanted().clone();
        let mut ready: Vec<(i32, i32)> = Vec::new();
        for (fd, events) in wanted.files {
            // A file that was closed has no events.
            let events =
                file_events(py, fd).map(|ready| ready.map_or(POLLNVAL, |ready| ready & events));
            match events {
                Ok(0) => {}
                Ok(events) => ready.push((fd, events)),
                Err(error) => {
                    self.is_running.store(false, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        if !ready.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        let sockets = if wanted.sockets.registered().any(|(fd, _)| is_open(fd)) {
            poll_all(&wanted.sockets.registered().collect::<Vec<_>>(), timeout)
        } else {
            wanted.sockets.poll(timeout)
        };
        self.is_running.store(false, Ordering::Relaxed);
        ready.extend(sockets.map_err(|error| raised(py, &error))?);
        Ok(ready)
    }
}
