//! Numbers: the units of formats, and conversions of single objects.

use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use super::arguments::{Converter, Pointers, Unit};
use super::{Raised, Result, is_raised};

unsafe extern "C" {
    // These are not in the limited API.
    fn _PyLong_UInt16_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
    fn _PyLong_UInt32_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
    fn _PyLong_UnsignedInt_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
}

macro_rules! numbers {
    ($($type:ty => $code:literal)*) => {
        $(
            // SAFETY: the unit stores a number of this type.
            unsafe impl Unit for $type {
                const CODE: &'static str = $code;

                fn add(&mut self, pointers: &mut Pointers) {
                    pointers.add(&raw mut *self);
                }
            }
        )*
    };
}

/// A number of C's that the interpreter's unit converts otherwise than on Linux, because C's `long`
/// has 32 bits here. A converter takes its place.
macro_rules! converted {
    ($($(#[$doc:meta])* $type:ty => $code:literal, $convert:ident;)*) => {
        $(
            // SAFETY: `Format` puts `O&` in the place of the unit, which takes a converter and the
            // place that it stores to.
            unsafe impl Unit for $type {
                const CODE: &'static str = $code;

                fn add(&mut self, pointers: &mut Pointers) {
                    let converter: Converter = $convert;
                    pointers.add(converter as *const c_void);
                    pointers.add(&raw mut *self);
                }
            }
        )*
    };
}

converted! {
    i32 => "i", convert_int;
    Size => "n", convert_size;
}

/// C's `Py_ssize_t` of Linux.
#[derive(Clone, Copy, Default)]
pub(crate) struct Size(pub(crate) i64);

/// Converts to C's `int`, with the errors of Linux.
unsafe extern "C" fn convert_int(object: *mut PyObject, place: *mut c_void) -> c_int {
    // SAFETY: the interpreter calls this with an argument, and the place of an `i32`.
    unsafe {
        let value = ffi::PyLong_AsLongLong(object);
        if value == -1 && !ffi::PyErr_Occurred().is_null() {
            return too_large(c"Python int too large to convert to C long");
        }
        let text = match i32::try_from(value) {
            Ok(value) => {
                place.cast::<i32>().write(value);
                return 1;
            }
            Err(_) if value < 0 => c"signed integer is less than minimum",
            Err(_) => c"signed integer is greater than maximum",
        };
        ffi::PyErr_SetString(ffi::PyExc_OverflowError, text.as_ptr());
        0
    }
}

/// Converts to C's `Py_ssize_t`, with the range of Linux.
unsafe extern "C" fn convert_size(object: *mut PyObject, place: *mut c_void) -> c_int {
    // SAFETY: the interpreter calls this with an argument, and the place of a `Size`.
    unsafe {
        let value = ffi::PyLong_AsLongLong(object);
        if value == -1 && !ffi::PyErr_Occurred().is_null() {
            return too_large(c"Python int too large to convert to C ssize_t");
        }
        place.cast::<Size>().write(Size(value));
        1
    }
}

/// Gives an OverflowError another text. Returns the status of a converter that failed.
///
/// # Safety
/// The thread is attached, and the interpreter holds an exception.
unsafe fn too_large(text: &CStr) -> c_int {
    // SAFETY: see above.
    unsafe {
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_OverflowError) != 0 {
            ffi::PyErr_SetString(ffi::PyExc_OverflowError, text.as_ptr());
        }
    }
    0
}

numbers! {
    u8 => "B"
    u16 => "H"
    u32 => "I"
    u64 => "K"
}

/// C's `unsigned long`. The high bits of a larger integer are lost.
#[derive(Default)]
pub(crate) struct Long(std::ffi::c_ulong);

impl Long {
    /// Returns the low 32 bits.
    pub(crate) fn low(&self) -> u32 {
        self.0
    }
}

// SAFETY: the unit stores an unsigned long.
unsafe impl Unit for Long {
    const CODE: &'static str = "k";

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(&raw mut self.0);
    }
}

macro_rules! converters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $converter:ident;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(object: &Bound<'_, PyAny>) -> Result<$type> {
                let mut value: $type = 0;
                // SAFETY: the converter stores a number of this type.
                let converted = unsafe { $converter(object.as_ptr(), (&raw mut value).cast()) };
                if converted == 0 { Err(Raised::held(object.py())) } else { Ok(value) }
            }
        )*
    };
}

converters! {
    /// Converts an object to C's `uint16_t`.
    uint16: u16 = _PyLong_UInt16_Converter;
    /// Converts an object to C's `uint32_t`.
    uint32: u32 = _PyLong_UInt32_Converter;
    /// Converts an object to C's `unsigned int`.
    unsigned_int: u32 = _PyLong_UnsignedInt_Converter;
}

/// Converts an object to C's `int`, as `PyLong_AsInt` does.
pub(crate) fn int(object: &Bound<'_, PyAny>) -> Result<i32> {
    const TOO_LARGE: &CStr = c"Python int too large to convert to C int";
    let value = long_long(object).inspect_err(|_| {
        // SAFETY: the thread is attached, and the interpreter holds an exception.
        unsafe { too_large(TOO_LARGE) };
    })?;
    i32::try_from(value).map_err(|_| {
        // SAFETY: the thread is attached, and the text is a C string.
        unsafe { ffi::PyErr_SetString(ffi::PyExc_OverflowError, TOO_LARGE.as_ptr()) };
        Raised(())
    })
}

/// Converts an object to C's `long`, as `PyLong_AsLong` does on Linux.
pub(crate) fn long(object: &Bound<'_, PyAny>) -> Result<i64> {
    long_long(object).inspect_err(|_| {
        // SAFETY: the thread is attached, and the interpreter holds an exception.
        unsafe { too_large(c"Python int too large to convert to C long") };
    })
}

/// Converts an object to C's `long long`.
pub(crate) fn long_long(object: &Bound<'_, PyAny>) -> Result<i64> {
    // SAFETY: it is an object.
    match unsafe { ffi::PyLong_AsLongLong(object.as_ptr()) } {
        -1 if is_raised(object.py()) => Err(Raised(())),
        number => Ok(number),
    }
}

/// Whether the interpreter holds an OverflowError.
pub(crate) fn is_overflow(_py: Python<'_>) -> bool {
    // SAFETY: the thread is attached, and the caller has an exception.
    unsafe { ffi::PyErr_ExceptionMatches(ffi::PyExc_OverflowError) != 0 }
}

/// Whether an object can be an index: it has `__index__`.
pub(crate) fn is_index(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: it is an object.
    unsafe { ffi::PyIndex_Check(object.as_ptr()) != 0 }
}

/// Returns the value of an `int` that is not below 0, and is small.
pub(crate) fn small_size(object: Borrowed<'_, '_, PyAny>) -> Option<usize> {
    // SAFETY: it is an int, and an overflow is no exception.
    unsafe {
        if ffi::PyLong_CheckExact(object.as_ptr()) == 0 {
            return None;
        }
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongAndOverflow(object.as_ptr(), &mut overflow);
        if overflow == 0 { usize::try_from(value).ok() } else { None }
    }
}
