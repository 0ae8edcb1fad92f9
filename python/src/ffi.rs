//! The interpreter's C API behind safe functions. All unsafe code of this package is here.
//!
//! Arguments are parsed by the interpreter's own `PyArg_Parse*`, so that each error has CPython's
//! class and text. A method does not borrow its object's memory while it waits, because another
//! thread can use the object then.
//!
//! An error is [`Raised`]: the interpreter holds the exception, as in C. The types of PyO3 that own
//! an object without a token (`Py`, `PyErr`) do not occur, because PyO3 counts threads in a way that
//! does not hold for the threads of this interpreter.

#![allow(unsafe_code)]

mod arguments;
mod method;
mod numbers;
pub(crate) mod settings;
mod socket_type;
pub(crate) mod threads;

pub(crate) use arguments::{
    Buffer, Convert, Converted, FileSystemName, Format, Int, Keywords, MutableBuffer, Name, Names,
    NoneOnly, Object, Text, Typed, Units, parse, parse_one,
};
pub(crate) use method::{
    Arguments, Fast, Kind, Method, NoArguments, OfModule, OfSocket, One, Positional, WithKeywords,
    add_functions, methods,
};
pub(crate) use numbers::{
    Long, Size, int, is_index, is_overflow, long, long_long, small_size, uint16, uint32,
    unsigned_int,
};
pub(crate) use socket_type::{SocketType, This, new_socket, socket_of, socket_type};

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use pyo3::IntoPyObjectExt;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

unsafe extern "C" {
    // These are not in the limited API. This package is for one version of CPython.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
    fn PyType_Freeze(class: *mut ffi::PyTypeObject) -> c_int;
    fn _PyBytes_Resize(bytes: *mut *mut PyObject, size: isize) -> c_int;
}

/// An exception that the interpreter holds.
#[derive(Debug)]
pub(crate) struct Raised(());

pub(crate) type Result<T> = std::result::Result<T, Raised>;

/// The result of a method.
pub(crate) type Answer<'py> = Result<Bound<'py, PyAny>>;

impl Raised {
    /// Takes the exception that the interpreter holds. If it holds none, it gets a SystemError.
    pub(crate) fn held(_py: Python<'_>) -> Self {
        // SAFETY: the token shows that the thread is attached. The text is a C string.
        unsafe {
            if ffi::PyErr_Occurred().is_null() {
                let text = c"a call failed without an exception";
                ffi::PyErr_SetString(ffi::PyExc_SystemError, text.as_ptr());
            }
        }
        Self(())
    }

    /// Raises an exception of a class, with its argument or the tuple of its arguments.
    pub(crate) fn new(class: &Bound<'_, PyAny>, arguments: &Bound<'_, PyAny>) -> Self {
        // SAFETY: both are objects, and the thread is attached.
        unsafe { ffi::PyErr_SetObject(class.as_ptr(), arguments.as_ptr()) };
        Self(())
    }
}

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Self {
        // PyO3 drops the parts of the error at once only where it has counted the thread.
        Python::attach(|py| error.restore(py));
        Self(())
    }
}

/// Returns the number of a file descriptor that an object is or has: an integer, or the result of
/// its method `fileno`.
///
/// # Errors
/// CPython's own: TypeError for another object, ValueError for a negative number.
pub(crate) fn file_descriptor(object: &Bound<'_, PyAny>) -> PyResult<i32> {
    // SAFETY: the object is alive, and the thread is attached. -1 comes with an exception.
    match unsafe { ffi::PyObject_AsFileDescriptor(object.as_ptr()) } {
        -1 => Err(PyErr::fetch(object.py())),
        fd => Ok(fd),
    }
}

/// Makes a class immutable, as those of C code are. Its bases are immutable.
pub(crate) fn freeze(class: &Bound<'_, PyType>) -> Result<()> {
    // SAFETY: it is a class.
    checked(class.py(), unsafe { PyType_Freeze(class.as_type_ptr()) })
}

/// Whether the interpreter holds an exception.
pub(crate) fn is_raised(_py: Python<'_>) -> bool {
    // SAFETY: the thread is attached.
    unsafe { !ffi::PyErr_Occurred().is_null() }
}

/// Drops the exception that the interpreter holds.
pub(crate) fn clear(_raised: Raised) {
    // SAFETY: the error came from a call of the attached thread.
    unsafe { ffi::PyErr_Clear() }
}

/// Runs the interpreter's handlers of signals. `interrupted` adds a SIGINT to those that wait.
pub(crate) fn check_signals(interrupted: bool) -> Result<()> {
    const SIGINT: c_int = 2;
    // SAFETY: the guest crate calls this within a call from the interpreter.
    unsafe {
        if interrupted {
            ffi::PyErr_SetInterruptEx(SIGINT);
        }
        if ffi::PyErr_CheckSignals() == 0 { Ok(()) } else { Err(Raised(())) }
    }
}

/// Takes the result of a function that returns a new reference.
///
/// # Safety
/// The pointer is a new reference, or null with an exception.
unsafe fn owned<'py>(py: Python<'py>, object: *mut PyObject) -> Answer<'py> {
    // SAFETY: see above.
    unsafe { Bound::from_owned_ptr_or_opt(py, object) }.ok_or_else(|| Raised::held(py))
}

/// Takes the result of a function that returns a negative number with an exception.
fn checked(py: Python<'_>, status: c_int) -> Result<()> {
    if status < 0 { Err(Raised::held(py)) } else { Ok(()) }
}

/// Whether a number is an open file of the C library.
pub(crate) fn is_file(fd: i32) -> bool {
    // SAFETY: the call takes any number, and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Returns a value as a Python object.
pub(crate) fn object<'py>(py: Python<'py>, value: impl IntoPyObject<'py>) -> Answer<'py> {
    Ok(value.into_bound_py_any(py)?)
}

/// Returns None.
pub(crate) fn none(py: Python<'_>) -> Answer<'_> {
    Ok(py.None().into_bound(py))
}

/// Makes a bytes object of at most `size` bytes. `fill` writes them, and returns how many.
pub(crate) fn new_bytes<'py>(
    py: Python<'py>,
    size: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Answer<'py> {
    let length = isize::try_from(size).unwrap_or(isize::MAX);
    // SAFETY: a null pointer asks for a new object whose bytes are not set.
    let bytes = unsafe { owned(py, ffi::PyBytes_FromStringAndSize(ptr::null(), length)) }?;
    // SAFETY: nobody else has the object yet. Its memory is of this size, and comes from the
    // interpreter's allocator, so that each byte has some value.
    let place = unsafe {
        std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(bytes.as_ptr()).cast::<u8>(), size)
    };
    let count = fill(place)?.min(size);
    if count == size {
        return Ok(bytes);
    }
    let mut pointer = bytes.into_ptr();
    // SAFETY: this is the only reference. On failure the function drops it.
    unsafe {
        let status = _PyBytes_Resize(&mut pointer, count.cast_signed());
        checked(py, status).map(|()| Bound::from_owned_ptr(py, pointer))
    }
}

/// Decodes a name as the file system's are.
pub(crate) fn file_system_text<'py>(py: Python<'py>, name: &[u8]) -> Answer<'py> {
    let length = name.len().cast_signed();
    // SAFETY: the bytes are of this length.
    unsafe { owned(py, ffi::PyUnicode_DecodeFSDefaultAndSize(name.as_ptr().cast(), length)) }
}

/// Encodes a str as a name of the file system.
pub(crate) fn file_system_bytes<'py>(text: &Bound<'py, PyAny>) -> Answer<'py> {
    // SAFETY: it is an object, and the function checks that it is a str.
    unsafe { owned(text.py(), ffi::PyUnicode_EncodeFSDefault(text.as_ptr())) }
}

/// Encodes a str.
pub(crate) fn encode<'py>(text: &Bound<'py, PyAny>, encoding: &CStr) -> Answer<'py> {
    // SAFETY: it is an object, and the function checks that it is a str.
    unsafe {
        let bytes = ffi::PyUnicode_AsEncodedString(text.as_ptr(), encoding.as_ptr(), ptr::null());
        owned(text.py(), bytes)
    }
}

/// Returns the items of an iterable. `text` is the TypeError's for any other object.
pub(crate) fn items<'py>(iterable: &Bound<'py, PyAny>, text: &CStr) -> Result<Bound<'py, PyTuple>> {
    let py = iterable.py();
    // SAFETY: it is an object, and the text is a C string. The items are copied, because getting an
    // item's buffer can run code that changes a list.
    unsafe {
        let fast = owned(py, ffi::PySequence_Fast(iterable.as_ptr(), text.as_ptr()))?;
        let tuple = owned(py, ffi::PySequence_Tuple(fast.as_ptr()))?;
        Ok(tuple.cast_into_unchecked())
    }
}

/// Returns the integer of an object that has `__index__`.
pub(crate) fn index<'py>(object: &Bound<'py, PyAny>) -> Answer<'py> {
    // SAFETY: it is an object.
    unsafe { owned(object.py(), ffi::PyNumber_Index(object.as_ptr())) }
}

/// Returns the name of an object's type as C code shows it (`tp_name`): a type of the library has
/// the name of its module too.
pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    // SAFETY: in every version of CPython the name follows the head of the type.
    unsafe {
        let class = ffi::Py_TYPE(object.as_ptr());
        let name = *class.cast::<ffi::PyVarObject>().add(1).cast::<*const c_char>();
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// Warns of ancillary data.
pub(crate) fn warn_runtime(text: &str) -> Result<()> {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    // SAFETY: the guest crate calls this within a call from the interpreter.
    let status = unsafe { ffi::PyErr_WarnEx(ffi::PyExc_RuntimeWarning, text.as_ptr(), 1) };
    if status < 0 { Err(Raised(())) } else { Ok(()) }
}

/// Raises an audit event with two arguments.
pub(crate) fn audit_pair(
    event: &CStr,
    first: &Bound<'_, PyAny>,
    second: &Bound<'_, PyAny>,
) -> Result<()> {
    // SAFETY: the format is for two objects. Without hooks the function makes no tuple.
    let status =
        unsafe { PySys_Audit(event.as_ptr(), c"OO".as_ptr(), first.as_ptr(), second.as_ptr()) };
    checked(first.py(), status)
}

/// Raises an audit event.
pub(crate) fn audit(event: &CStr, arguments: &Bound<'_, PyTuple>) -> Result<()> {
    // SAFETY: `O` with a tuple passes the tuple's items.
    let status = unsafe { PySys_Audit(event.as_ptr(), c"O".as_ptr(), arguments.as_ptr()) };
    checked(arguments.py(), status)
}
