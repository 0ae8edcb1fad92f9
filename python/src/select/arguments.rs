//! The arguments of the module `select`: descriptors, times and masks, with CPython's errors.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyTuple};
use sandsock::constants::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

/// The first number that the guest crate gives to a descriptor. Lower numbers belong to files of
/// wasi-libc, or were handed over to the guest.
const FIRST_SOCKET: i32 = 1024;

/// Fails with CPython's text if a call has fewer or more arguments.
pub(super) fn count(
    name: &str,
    arguments: &Bound<'_, PyTuple>,
    least: usize,
    most: usize,
) -> PyResult<()> {
    let given = arguments.len();
    let (bound, number) = match given {
        _ if (least..=most).contains(&given) => return Ok(()),
        _ if least == most => ("", least),
        _ if given < least => ("at least ", least),
        _ => ("at most ", most),
    };
    let s = if number == 1 { "" } else { "s" };
    Err(PyTypeError::new_err(format!("{name} expected {bound}{number} argument{s}, got {given}")))
}

/// Returns an argument that may be left out.
pub(super) fn optional<'py>(
    arguments: &Bound<'py, PyTuple>,
    place: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if place < arguments.len() { arguments.get_item(place).map(Some) } else { Ok(None) }
}

/// A time in nanoseconds, rounded away from zero. None is without end.
pub(super) fn time(
    value: Option<&Bound<'_, PyAny>>,
    nanoseconds: i64,
    type_error: &'static str,
) -> PyResult<Option<i64>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    if let Ok(float) = value.cast::<PyFloat>() {
        let time = float.value() * nanoseconds as f64;
        if time.is_nan() {
            return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
        }
        let time = if time < 0.0 { time.floor() } else { time.ceil() };
        // 2^63 is the first number that does not fit.
        if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&time) {
            return Err(PyOverflowError::new_err("timestamp out of range for platform time_t"));
        }
        return Ok(Some(time as i64));
    }
    let large = || PyOverflowError::new_err("timestamp too large to convert to C PyTime_t");
    let units: i64 = value.extract().map_err(|error: PyErr| {
        let py = value.py();
        if error.is_instance_of::<PyOverflowError>(py) {
            large()
        } else if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(type_error)
        } else {
            error
        }
    })?;
    units.checked_mul(nanoseconds).ok_or_else(large).map(Some)
}

/// A time for poll(2) and epoll_wait(2), which take an `int` of milliseconds. A negative one is
/// without end.
pub(super) fn limited_time(nanoseconds: Option<i64>) -> PyResult<Option<Duration>> {
    const MILLISECOND: i64 = 1_000_000;
    let Some(time) = nanoseconds else {
        return Ok(None);
    };
    if i32::try_from(time / MILLISECOND).is_err() {
        return Err(PyOverflowError::new_err("timeout is too large"));
    }
    Ok(u64::try_from(time).ok().map(Duration::from_nanos))
}

/// The events of poll(2), an `unsigned short`.
pub(super) fn short_mask(value: &Bound<'_, PyAny>) -> PyResult<i32> {
    let large = || PyOverflowError::new_err("Python int too large for C unsigned short");
    let negative = || PyValueError::new_err("Cannot convert negative int");
    match value.extract::<i64>() {
        Ok(..0) => Err(negative()),
        Ok(mask) => u16::try_from(mask).map(i32::from).map_err(|_| large()),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Err(if value.lt(0)? { negative() } else { large() })
        }
        Err(error) => Err(error),
    }
}

/// The events of epoll(7), an `unsigned int` of which higher bits are lost.
pub(super) fn mask(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    match value.extract::<i64>() {
        Ok(mask) => Ok(mask as u32),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            value.bitand(u32::MAX)?.extract()
        }
        Err(error) => Err(error),
    }
}

/// Returns the events for which a file of wasi-libc is ready, which is always. None if the number
/// is not a file's.
pub(super) fn file_events(py: Python<'_>, fd: i32) -> PyResult<Option<i32>> {
    if !(0..FIRST_SOCKET).contains(&fd) || sandsock::get_inheritable(fd).is_ok() {
        return Ok(None);
    }
    if py.import("os")?.call_method1("fstat", (fd,)).is_err() {
        return Ok(None);
    }
    const IN: i32 = POLLIN | POLLRDNORM;
    const OUT: i32 = POLLOUT | POLLWRNORM;
    // Standard input is read-only, and the outputs are write-only.
    Ok(Some(match fd {
        0 => IN,
        1 | 2 => OUT,
        _ => IN | OUT,
    }))
}
