//! The arguments of the module `select`: descriptors, times and masks, with CPython's errors.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyTuple};
use sandsock::constants::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

use crate::ffi;

/// The first number that the guest crate gives to a descriptor. Lower numbers belong to files of
/// wasi-libc, or were handed over to the guest.
const FIRST_SOCKET: i32 = 1024;

/// Fails with CPython's text if a call has fewer or more arguments.
pub(super) fn count(name: &str, given: usize, least: usize, most: usize) -> PyResult<()> {
    let (bound, number) = match given {
        _ if (least..=most).contains(&given) => return Ok(()),
        _ if least == most => ("", least),
        _ if given < least => ("at least ", least),
        _ => ("at most ", most),
    };
    let s = if number == 1 { "" } else { "s" };
    Err(PyTypeError::new_err(format!("{name} expected {bound}{number} argument{s}, got {given}")))
}

/// Fails with CPython's text if a call of a method has keywords.
pub(super) fn no_keywords(method: &str, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    match keywords {
        Some(keywords) if !keywords.is_empty() => {
            Err(PyTypeError::new_err(format!("{method}() takes no keyword arguments")))
        }
        _ => Ok(()),
    }
}

/// Returns the only argument of a method that takes no keyword.
pub(super) fn only<'py>(
    method: &str,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    no_keywords(method, keywords)?;
    match arguments.len() {
        1 => arguments.get_item(0),
        given => {
            let text = format!("{method}() takes exactly one argument ({given} given)");
            Err(PyTypeError::new_err(text))
        }
    }
}

/// Returns the arguments by their places. None stands for one that was left out. CPython:
/// `_PyArg_UnpackKeywords`, which has these texts, and looks for wrong arguments in this order.
pub(super) fn unpack<'py, const N: usize>(
    name: &str,
    names: [&str; N],
    required: usize,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
    let positional = arguments.len();
    let given = positional + keywords.map_or(0, |keywords| keywords.len());
    let wrong = |text: String| Err(PyTypeError::new_err(text));
    if given > N {
        let keyword = if positional == 0 { "keyword " } else { "" };
        let s = if N == 1 { "" } else { "s" };
        return wrong(format!("{name}() takes at most {N} {keyword}argument{s} ({given} given)"));
    }
    let mut values = [const { None }; N];
    for (at, (value, &keyword)) in values.iter_mut().zip(&names).enumerate() {
        *value = match keywords {
            _ if at < positional => Some(arguments.get_item(at)?),
            Some(keywords) => keywords.get_item(keyword)?,
            None => None,
        };
        if value.is_none() && at < required {
            let place = at + 1;
            return wrong(format!("{name}() missing required argument '{keyword}' (pos {place})"));
        }
    }
    for keyword in keywords.into_iter().flat_map(|keywords| keywords.keys()) {
        let keyword: String = keyword.extract()?;
        match names.iter().position(|name| *name == keyword) {
            Some(at) if at < positional => {
                let place = at + 1;
                return wrong(format!(
                    "argument for {name}() given by name ('{keyword}') and position ({place})"
                ));
            }
            Some(_) => {}
            None => {
                return wrong(format!("{name}() got an unexpected keyword argument '{keyword}'"));
            }
        }
    }
    Ok(values)
}

/// Converts an argument to C's `int`.
pub(super) fn int(value: &Bound<'_, PyAny>) -> PyResult<i32> {
    ffi::int(value).map_err(|_| PyErr::fetch(value.py()))
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
