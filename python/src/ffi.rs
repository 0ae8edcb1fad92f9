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

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, offset_of};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyMethodDefPointer, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use sandsock::Socket;

use crate::address::convert_host;

unsafe extern "C" {
    // These are not in the limited API. This package is for one version of CPython.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
    fn _PyBytes_Resize(bytes: *mut *mut PyObject, size: isize) -> c_int;
    fn PyErr_FormatUnraisable(format: *const c_char, ...);
    fn PyObject_CallFinalizerFromDealloc(object: *mut PyObject) -> c_int;
    fn _PyLong_UInt16_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
    fn _PyLong_UInt32_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
    fn _PyLong_UnsignedInt_Converter(object: *mut PyObject, place: *mut c_void) -> c_int;
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

// Arguments

/// The most places of one format.
const PLACES: usize = 10;

/// Where `PyArg_Parse*` puts values, in the order of its format.
#[derive(Default)]
pub(crate) struct Pointers {
    places: [Pointer; PLACES],
    count: usize,
}

#[derive(Clone, Copy)]
struct Pointer(*const c_void);

impl Default for Pointer {
    fn default() -> Self {
        Self(ptr::null())
    }
}

impl Pointers {
    fn add<T>(&mut self, place: *const T) {
        self.places[self.count] = Pointer(place.cast());
        self.count += 1;
    }
}

/// A type that holds the value of one unit of a format.
///
/// # Safety
/// `add` adds the pointers that the unit takes. They stay valid while the value is borrowed.
pub(crate) unsafe trait Unit {
    /// The unit, as CPython's documentation lists it (Parsing arguments and building values).
    const CODE: &'static str;

    /// Adds the pointers.
    fn add(&mut self, pointers: &mut Pointers);
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

type Converter = unsafe extern "C" fn(*mut PyObject, *mut c_void) -> c_int;

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

/// An argument of any type. It lives as long as the arguments.
pub(crate) struct Object<'a>(*mut PyObject, PhantomData<&'a PyObject>);

impl Default for Object<'_> {
    fn default() -> Self {
        Self(ptr::null_mut(), PhantomData)
    }
}

impl Object<'_> {
    /// Returns the object. None if the argument was left out.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the arguments own the object.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, self.0) }
    }
}

// SAFETY: the unit stores a borrowed reference.
unsafe impl Unit for Object<'_> {
    const CODE: &'static str = "O";

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(&raw mut self.0);
    }
}

/// The types that [`Typed`] can require.
pub(crate) trait Required {
    /// Returns the type.
    fn required() -> *mut PyTypeObject;
}

/// `int`.
pub(crate) struct Int;

impl Required for Int {
    fn required() -> *mut PyTypeObject {
        &raw mut ffi::PyLong_Type
    }
}

/// The type of None.
pub(crate) struct NoneOnly;

impl Required for NoneOnly {
    fn required() -> *mut PyTypeObject {
        // SAFETY: None is an object, and its type lives for ever.
        unsafe { ffi::Py_TYPE(ffi::Py_None()) }
    }
}

/// An argument of one type.
pub(crate) struct Typed<'a, T>(Object<'a>, PhantomData<T>);

impl<T> Default for Typed<'_, T> {
    fn default() -> Self {
        Self(Object::default(), PhantomData)
    }
}

impl<T> Typed<'_, T> {
    /// Returns the object. None if the argument was left out.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.get(py)
    }
}

// SAFETY: the unit takes a type, and stores a borrowed reference.
unsafe impl<T: Required> Unit for Typed<'_, T> {
    const CODE: &'static str = "O!";

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(T::required());
        self.0.add(pointers);
    }
}

/// A C string that an argument owns: `s` for str, `y` for bytes.
pub(crate) struct Text<'a, const BYTES: bool = false>(*const c_char, PhantomData<&'a [u8]>);

impl<const BYTES: bool> Default for Text<'_, BYTES> {
    fn default() -> Self {
        Self(ptr::null(), PhantomData)
    }
}

impl<'a, const BYTES: bool> Text<'a, BYTES> {
    /// Returns the bytes. None if the argument was left out.
    pub(crate) fn get(&self) -> Option<&'a [u8]> {
        // SAFETY: the unit stored a C string, which lives as long as the arguments.
        (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) }.to_bytes())
    }
}

// SAFETY: the units store a pointer to a C string.
unsafe impl<const BYTES: bool> Unit for Text<'_, BYTES> {
    const CODE: &'static str = if BYTES { "y" } else { "s" };

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(&raw mut self.0);
    }
}

/// A host's name: str in the encoding `idna`, and bytes or bytearray as they are.
pub(crate) struct Name(*mut c_char);

impl Default for Name {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl Name {
    pub(crate) fn get(&self) -> &[u8] {
        if self.0.is_null() {
            return &[];
        }
        // SAFETY: the unit stored a C string.
        unsafe { CStr::from_ptr(self.0) }.to_bytes()
    }
}

// SAFETY: the unit takes the name of an encoding, and stores memory that the caller frees.
unsafe impl Unit for Name {
    const CODE: &'static str = "et";

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(c"idna".as_ptr());
        pointers.add(&raw mut self.0);
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: the memory is the interpreter's, or null.
        unsafe { ffi::PyMem_Free(self.0.cast()) }
    }
}

/// A name in the encoding of the file system: str, bytes or a path.
pub(crate) struct FileSystemName(*mut PyObject);

impl Default for FileSystemName {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl FileSystemName {
    pub(crate) fn get(&self) -> &[u8] {
        if self.0.is_null() {
            return &[];
        }
        // SAFETY: the converter stored a bytes object, which is owned here.
        unsafe {
            let start = ffi::PyBytes_AsString(self.0).cast::<u8>();
            std::slice::from_raw_parts(start, ffi::PyBytes_Size(self.0).cast_unsigned())
        }
    }
}

// SAFETY: the unit takes a converter, which stores a new reference at its place.
unsafe impl Unit for FileSystemName {
    const CODE: &'static str = "O&";

    fn add(&mut self, pointers: &mut Pointers) {
        let converter: Converter = ffi::PyUnicode_FSConverter;
        pointers.add(converter as *const c_void);
        pointers.add(&raw mut self.0);
    }
}

impl Drop for FileSystemName {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, or null.
        unsafe { ffi::Py_XDECREF(self.0) }
    }
}

/// The host of an address: str, bytes or bytearray. ASCII is taken as it is, and other text is
/// encoded by IDNA.
#[derive(Default)]
pub(crate) struct Host(pub(crate) Vec<u8>);

impl Host {
    unsafe extern "C" fn convert(object: *mut PyObject, place: *mut c_void) -> c_int {
        // SAFETY: the interpreter calls this with an argument, and the place of a `Host`.
        let (object, place) = unsafe {
            let py = Python::assume_attached();
            (Borrowed::from_ptr(py, object), &mut *place.cast::<Self>())
        };
        convert_host(&object).map_or(0, |host| {
            place.0 = host;
            1
        })
    }
}

// SAFETY: the unit takes a converter, and the place that it stores to.
unsafe impl Unit for Host {
    const CODE: &'static str = "O&";

    fn add(&mut self, pointers: &mut Pointers) {
        let converter: Converter = Self::convert;
        pointers.add(converter as *const c_void);
        pointers.add(&raw mut *self);
    }
}

/// The bytes of an object: a bytes-like object, or with `MUTABLE` a writable one.
pub(crate) struct Buffer<const MUTABLE: bool = false>(ffi::Py_buffer);

/// The bytes of a writable object.
pub(crate) type MutableBuffer = Buffer<true>;

impl<const MUTABLE: bool> Default for Buffer<MUTABLE> {
    fn default() -> Self {
        // SAFETY: a view of zeros is a released view.
        Self(unsafe { MaybeUninit::zeroed().assume_init() })
    }
}

impl<const MUTABLE: bool> Buffer<MUTABLE> {
    /// Whether the argument was given.
    pub(crate) fn is_given(&self) -> bool {
        !self.0.buf.is_null()
    }

    pub(crate) fn get(&self) -> &[u8] {
        if self.0.len <= 0 {
            return &[];
        }
        // SAFETY: the view is contiguous and of this length, and the object keeps its memory while
        // the view lasts.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len.cast_unsigned()) }
    }
}

impl Buffer {
    /// Returns the bytes of an object.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Result<Self> {
        let mut buffer = Self::default();
        // SAFETY: the view is filled, or stays released.
        let status =
            unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut buffer.0, ffi::PyBUF_SIMPLE) };
        checked(object.py(), status).map(|()| buffer)
    }
}

impl MutableBuffer {
    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        if self.0.len <= 0 {
            return &mut [];
        }
        // SAFETY: as in `get`, and the view is writable.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.0.len.cast_unsigned()) }
    }
}

// SAFETY: the units fill a view.
unsafe impl<const MUTABLE: bool> Unit for Buffer<MUTABLE> {
    const CODE: &'static str = if MUTABLE { "w*" } else { "y*" };

    fn add(&mut self, pointers: &mut Pointers) {
        pointers.add(&raw mut self.0);
    }
}

impl<const MUTABLE: bool> Drop for Buffer<MUTABLE> {
    fn drop(&mut self) {
        // SAFETY: the view is filled once. Releasing a released view does nothing.
        unsafe { ffi::PyBuffer_Release(&mut self.0) }
    }
}

/// The places of a format.
pub(crate) trait Units {
    const CODES: &'static [&'static str];

    fn pointers(&mut self) -> Pointers;
}

macro_rules! tuples {
    ($(($($unit:ident $index:tt),*))*) => {
        $(
            impl<$($unit: Unit),*> Units for ($($unit,)*) {
                const CODES: &'static [&'static str] = &[$($unit::CODE),*];

                fn pointers(&mut self) -> Pointers {
                    let mut pointers = Pointers::default();
                    $(self.$index.add(&mut pointers);)*
                    pointers
                }
            }
        )*
    };
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// The longest format, with its end.
const FORMAT: usize = 128;

/// A format of `PyArg_Parse*` that fits the types of its values.
pub(crate) struct Format<T>([u8; FORMAT], PhantomData<T>);

impl<T: Units> Format<T> {
    /// Checks a format. Call it in a constant.
    pub(crate) const fn new(format: &'static CStr) -> Self {
        assert!(fits(format.to_bytes(), T::CODES), "the format fits the types");
        Self(converting(format.to_bytes()), PhantomData)
    }

    const fn text(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// Puts converters in the place of the units `i` and `n`.
const fn converting(format: &[u8]) -> [u8; FORMAT] {
    let mut out = [0; FORMAT];
    let (mut at, mut to, mut units) = (0, 0, true);
    while at < format.len() {
        if matches!(format[at], b':' | b';') {
            units = false;
        }
        if units && matches!(format[at], b'i' | b'n') {
            (out[to], out[to + 1]) = (b'O', b'&');
            to += 2;
        } else {
            out[to] = format[at];
            to += 1;
        }
        at += 1;
    }
    assert!(to < FORMAT, "the format has an end");
    out
}

/// Whether the units of a format are these.
const fn fits(format: &[u8], codes: &[&str]) -> bool {
    let (mut at, mut unit) = (0, 0);
    while at < format.len() {
        match format[at] {
            b':' | b';' => break,
            b'|' | b'$' | b'(' | b')' => at += 1,
            _ => {
                if unit == codes.len() {
                    return false;
                }
                let code = codes[unit].as_bytes();
                let mut i = 0;
                while i < code.len() {
                    if at == format.len() || format[at] != code[i] {
                        return false;
                    }
                    (at, i) = (at + 1, i + 1);
                }
                // The longer units begin like shorter ones.
                if at < format.len() && matches!(format[at], b'*' | b'&' | b'!' | b'#' | b't') {
                    return false;
                }
                unit += 1;
            }
        }
    }
    unit == codes.len()
}

/// Calls a variadic function with all places. It reads only as many as its format has.
macro_rules! with_places {
    ($pointers:ident, $function:path, $($argument:expr),*) => {{
        let [a, b, c, d, e, f, g, h, i, j] = $pointers.places.map(|pointer| pointer.0);
        $function($($argument,)* a, b, c, d, e, f, g, h, i, j)
    }};
}

/// Parses a tuple of arguments.
pub(crate) fn parse<T: Units>(
    arguments: &Bound<'_, PyAny>,
    format: &Format<T>,
    values: &mut T,
) -> Result<()> {
    let pointers = values.pointers();
    // SAFETY: the format fits the places.
    let parsed =
        unsafe { with_places!(pointers, ffi::PyArg_ParseTuple, arguments.as_ptr(), format.text()) };
    if parsed == 0 { Err(Raised::held(arguments.py())) } else { Ok(()) }
}

/// Parses one object.
pub(crate) fn parse_one<T: Units>(
    object: &Bound<'_, PyAny>,
    format: &Format<T>,
    values: &mut T,
) -> Result<()> {
    let pointers = values.pointers();
    // SAFETY: the format fits the places.
    let parsed =
        unsafe { with_places!(pointers, ffi::PyArg_Parse, object.as_ptr(), format.text()) };
    if parsed == 0 { Err(Raised::held(object.py())) } else { Ok(()) }
}

/// The arguments of a call with keywords.
pub(crate) struct Keywords<'a, 'py> {
    arguments: Borrowed<'a, 'py, PyAny>,
    keywords: *mut PyObject,
}

/// The names of arguments, and an end.
pub(crate) struct Names<const N: usize>([*const c_char; N]);

// SAFETY: the names are constants.
unsafe impl<const N: usize> Sync for Names<N> {}

impl<const N: usize> Names<N> {
    /// Takes the names. The last one is empty, and becomes the end.
    pub(crate) const fn new(names: [&'static CStr; N]) -> Self {
        let mut pointers = [ptr::null(); N];
        let mut at = 0;
        while at + 1 < N {
            pointers[at] = names[at].as_ptr();
            at += 1;
        }
        assert!(N > 0 && names[N - 1].is_empty(), "the last name is empty");
        Self(pointers)
    }
}

impl Keywords<'_, '_> {
    /// Parses the arguments.
    pub(crate) fn parse<T: Units, const N: usize>(
        &self,
        format: &Format<T>,
        names: &'static Names<N>,
        values: &mut T,
    ) -> Result<()> {
        assert!(N == T::CODES.len() + 1, "each value has a name");
        let pointers = values.pointers();
        // SAFETY: the format fits the places and the names. The keywords are a dictionary or null.
        let parsed = unsafe {
            with_places!(
                pointers,
                ffi::PyArg_ParseTupleAndKeywords,
                self.arguments.as_ptr(),
                self.keywords,
                format.text(),
                names.0.as_ptr()
            )
        };
        if parsed == 0 { Err(Raised::held(self.arguments.py())) } else { Ok(()) }
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

/// Whether a number is an open file of the C library.
pub(crate) fn is_file(fd: i32) -> bool {
    // SAFETY: the call takes any number, and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Whether an object can be an index: it has `__index__`.
pub(crate) fn is_index(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: it is an object.
    unsafe { ffi::PyIndex_Check(object.as_ptr()) != 0 }
}

// Objects

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

// Methods

/// The kind of function in a table: of a module, or of the socket type.
pub(crate) trait Kind {
    /// What the function is called on.
    type This<'a, 'py>;

    /// Returns it.
    ///
    /// # Safety
    /// The object is of the kind.
    unsafe fn this<'a, 'py>(object: Borrowed<'a, 'py, PyAny>) -> Self::This<'a, 'py>;
}

/// A function of a module, called on the module.
pub(crate) struct OfModule;

impl Kind for OfModule {
    type This<'a, 'py> = Borrowed<'a, 'py, PyAny>;

    unsafe fn this<'a, 'py>(object: Borrowed<'a, 'py, PyAny>) -> Self::This<'a, 'py> {
        object
    }
}

/// A method of the socket type.
pub(crate) struct OfSocket;

impl Kind for OfSocket {
    type This<'a, 'py> = This<'a, 'py>;

    unsafe fn this<'a, 'py>(object: Borrowed<'a, 'py, PyAny>) -> Self::This<'a, 'py> {
        This(object)
    }
}

/// A method without arguments.
pub(crate) trait NoArguments<K: Kind> {
    fn call<'py>(this: K::This<'_, 'py>, py: Python<'py>) -> Answer<'py>;
}

/// A method with one argument.
pub(crate) trait One<K: Kind> {
    fn call<'py>(this: K::This<'_, 'py>, argument: &Bound<'py, PyAny>) -> Answer<'py>;
}

/// A method with a tuple of arguments.
pub(crate) trait Positional<K: Kind> {
    fn call<'py>(this: K::This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py>;
}

/// A method with a few arguments, which are not made a tuple unless something is odd about them.
pub(crate) trait Fast<K: Kind> {
    fn call<'py>(this: K::This<'_, 'py>, arguments: &Arguments<'_, 'py>) -> Answer<'py>;
}

/// A method with arguments by keyword.
pub(crate) trait WithKeywords<K: Kind> {
    fn call<'py>(this: K::This<'_, 'py>, arguments: &Keywords<'_, 'py>) -> Answer<'py>;
}

/// The arguments of a call, where the caller has them.
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    items: &'a [*mut PyObject],
}

impl<'py> Arguments<'_, 'py> {
    pub(crate) fn py(&self) -> Python<'py> {
        self.py
    }

    /// Returns the only argument.
    pub(crate) fn only(&self) -> Option<Borrowed<'_, 'py, PyAny>> {
        match self.items {
            // SAFETY: the caller owns its arguments during the call.
            &[item] => Some(unsafe { Borrowed::from_ptr(self.py, item) }),
            _ => None,
        }
    }

    /// Returns the arguments as a tuple, for `parse`.
    pub(crate) fn tuple(&self) -> Answer<'py> {
        let items = self.items.iter();
        // SAFETY: as above.
        let items = items.map(|&item| unsafe { Borrowed::from_ptr(self.py, item) });
        Ok(PyTuple::new(self.py, items)?.into_any())
    }
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

/// Returns a result to the interpreter.
fn give(answer: Answer<'_>) -> *mut PyObject {
    answer.map_or(ptr::null_mut(), Bound::into_ptr)
}

/// A method in a table.
#[repr(transparent)]
pub(crate) struct Method<K>(ffi::PyMethodDef, PhantomData<K>);

// SAFETY: the names and the texts are constants.
unsafe impl<K> Sync for Method<K> {}

impl<K: Kind> Method<K> {
    /// The end of a table.
    pub(crate) const END: Self = Self(ffi::PyMethodDef::zeroed(), PhantomData);

    const fn new(
        name: &'static CStr,
        doc: &'static CStr,
        flags: c_int,
        pointer: PyMethodDefPointer,
    ) -> Self {
        let method = ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: pointer,
            ml_flags: flags,
            ml_doc: doc.as_ptr(),
        };
        Self(method, PhantomData)
    }

    pub(crate) const fn no_arguments<F: NoArguments<K>>(
        name: &'static CStr,
        doc: &'static CStr,
    ) -> Self {
        unsafe extern "C" fn call<K: Kind, F: NoArguments<K>>(
            this: *mut PyObject,
            _: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: the interpreter calls this with the lock and an object of the table's kind.
            unsafe {
                let py = Python::assume_attached();
                give(F::call(K::this(Borrowed::from_ptr(py, this)), py))
            }
        }
        Self::new(name, doc, ffi::METH_NOARGS, PyMethodDefPointer { PyCFunction: call::<K, F> })
    }

    pub(crate) const fn one<F: One<K>>(name: &'static CStr, doc: &'static CStr) -> Self {
        unsafe extern "C" fn call<K: Kind, F: One<K>>(
            this: *mut PyObject,
            argument: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: as above, and with one argument.
            unsafe {
                let py = Python::assume_attached();
                let argument = Borrowed::from_ptr(py, argument);
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &argument))
            }
        }
        Self::new(name, doc, ffi::METH_O, PyMethodDefPointer { PyCFunction: call::<K, F> })
    }

    pub(crate) const fn positional<F: Positional<K>>(
        name: &'static CStr,
        doc: &'static CStr,
    ) -> Self {
        unsafe extern "C" fn call<K: Kind, F: Positional<K>>(
            this: *mut PyObject,
            arguments: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: as above, and with a tuple of arguments.
            unsafe {
                let py = Python::assume_attached();
                let arguments = Borrowed::from_ptr(py, arguments);
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &arguments))
            }
        }
        Self::new(name, doc, ffi::METH_VARARGS, PyMethodDefPointer { PyCFunction: call::<K, F> })
    }

    pub(crate) const fn fast<F: Fast<K>>(name: &'static CStr, doc: &'static CStr) -> Self {
        unsafe extern "C" fn call<K: Kind, F: Fast<K>>(
            this: *mut PyObject,
            arguments: *mut *mut PyObject,
            count: isize,
        ) -> *mut PyObject {
            // SAFETY: as above, and with this many arguments. Without any, the pointer may be null.
            unsafe {
                let py = Python::assume_attached();
                let items = match count {
                    0 => &[],
                    count => std::slice::from_raw_parts(arguments, count.cast_unsigned()),
                };
                let arguments = Arguments { py, items };
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &arguments))
            }
        }
        let pointer = PyMethodDefPointer { PyCFunctionFast: call::<K, F> };
        Self::new(name, doc, ffi::METH_FASTCALL, pointer)
    }

    pub(crate) const fn keywords<F: WithKeywords<K>>(
        name: &'static CStr,
        doc: &'static CStr,
    ) -> Self {
        unsafe extern "C" fn call<K: Kind, F: WithKeywords<K>>(
            this: *mut PyObject,
            arguments: *mut PyObject,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: as above, and with a tuple of arguments and a dictionary or null.
            unsafe {
                let py = Python::assume_attached();
                let arguments = Keywords { arguments: Borrowed::from_ptr(py, arguments), keywords };
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &arguments))
            }
        }
        let pointer = PyMethodDefPointer { PyCFunctionWithKeywords: call::<K, F> };
        Self::new(name, doc, ffi::METH_VARARGS | ffi::METH_KEYWORDS, pointer)
    }
}

/// Makes a table of methods: its kind, then for each method how it takes arguments, its function,
/// and its documentation.
macro_rules! methods {
    ($visibility:vis static $table:ident: $kind:ty {
        $($convention:ident $function:ident $name:literal $doc:literal)*
    }) => {
        $visibility static $table: &[$crate::ffi::Method<$kind>] = &[
            $({
                struct This;
                $crate::ffi::methods!(@ $convention This $kind, $function);
                $crate::ffi::Method::<$kind>::$convention::<This>($name, $doc)
            },)*
            $crate::ffi::Method::END,
        ];
    };
    (@ no_arguments $this:ident $kind:ty, $function:ident) => {
        impl $crate::ffi::NoArguments<$kind> for $this {
            fn call<'py>(
                this: <$kind as $crate::ffi::Kind>::This<'_, 'py>,
                py: Python<'py>,
            ) -> $crate::ffi::Answer<'py> {
                $function(this, py)
            }
        }
    };
    (@ one $this:ident $kind:ty, $function:ident) => {
        impl $crate::ffi::One<$kind> for $this {
            fn call<'py>(
                this: <$kind as $crate::ffi::Kind>::This<'_, 'py>,
                argument: &Bound<'py, PyAny>,
            ) -> $crate::ffi::Answer<'py> {
                $function(this, argument)
            }
        }
    };
    (@ positional $this:ident $kind:ty, $function:ident) => {
        impl $crate::ffi::Positional<$kind> for $this {
            fn call<'py>(
                this: <$kind as $crate::ffi::Kind>::This<'_, 'py>,
                arguments: &Bound<'py, PyAny>,
            ) -> $crate::ffi::Answer<'py> {
                $function(this, arguments)
            }
        }
    };
    (@ fast $this:ident $kind:ty, $function:ident) => {
        impl $crate::ffi::Fast<$kind> for $this {
            fn call<'py>(
                this: <$kind as $crate::ffi::Kind>::This<'_, 'py>,
                arguments: &$crate::ffi::Arguments<'_, 'py>,
            ) -> $crate::ffi::Answer<'py> {
                $function(this, arguments)
            }
        }
    };
    (@ keywords $this:ident $kind:ty, $function:ident) => {
        impl $crate::ffi::WithKeywords<$kind> for $this {
            fn call<'py>(
                this: <$kind as $crate::ffi::Kind>::This<'_, 'py>,
                arguments: &$crate::ffi::Keywords<'_, 'py>,
            ) -> $crate::ffi::Answer<'py> {
                $function(this, arguments)
            }
        }
    };
}

pub(crate) use methods;

/// Adds functions to a module.
pub(crate) fn add_functions(
    module: &Bound<'_, PyModule>,
    functions: &'static [Method<OfModule>],
) -> Result<()> {
    // SAFETY: a `Method` is a PyMethodDef, and the table has an end and lives for ever.
    let status = unsafe {
        ffi::PyModule_AddFunctions(module.as_ptr(), functions.as_ptr().cast_mut().cast())
    };
    checked(module.py(), status)
}

// The socket type

/// An object of the type `_socket.socket`.
#[repr(C)]
struct Instance {
    base: PyObject,
    family: c_int,
    kind: c_int,
    proto: c_int,
    /// Set by `tp_new`. A call clones it, so that it can be replaced while the call waits.
    socket: ManuallyDrop<Arc<Socket>>,
}

/// A borrowed object of the type `_socket.socket`, or of a subclass.
#[derive(Clone, Copy)]
pub(crate) struct This<'a, 'py>(Borrowed<'a, 'py, PyAny>);

impl<'py> This<'_, 'py> {
    pub(crate) fn object(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> Arc<Socket> {
        // SAFETY: the object is of the type, and `tp_new` has set its socket.
        unsafe { Arc::clone(&(*self.0.as_ptr().cast::<Instance>()).socket) }
    }

    /// Gives the object another socket.
    pub(crate) fn set_socket(&self, socket: Socket) {
        let instance = self.0.as_ptr().cast::<Instance>();
        // SAFETY: as above. No reference into the object is alive. The old socket is dropped last,
        // because that can run other code.
        let old = unsafe {
            (*instance).family = socket.family().0;
            (*instance).kind = socket.kind().0;
            (*instance).proto = socket.proto();
            ptr::replace(&raw mut (*instance).socket, ManuallyDrop::new(Arc::new(socket)))
        };
        drop(ManuallyDrop::into_inner(old));
    }
}

/// What the socket type does beside its methods.
pub(crate) trait SocketType {
    /// `tp_init`.
    fn init(this: This<'_, '_>, arguments: &Keywords<'_, '_>) -> Result<()>;
    /// `tp_repr`.
    fn repr<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py>;
    /// The attribute `timeout`.
    fn timeout<'py>(this: This<'_, 'py>, py: Python<'py>) -> Answer<'py>;
    /// The documentation.
    const DOC: &'static CStr;
}

/// Returns an empty object of the type or of a subclass.
unsafe extern "C" fn tp_new(
    class: *mut PyTypeObject,
    _: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the interpreter calls this with a type. `tp_alloc` returns an object of zeros or null.
    unsafe {
        let allocate: ffi::allocfunc =
            std::mem::transmute(ffi::PyType_GetSlot(class, ffi::Py_tp_alloc));
        let object = allocate(class, 0);
        if !object.is_null() {
            let socket = ManuallyDrop::new(Arc::new(Socket::unopened()));
            (&raw mut (*object.cast::<Instance>()).socket).write(socket);
        }
        object
    }
}

unsafe extern "C" fn tp_init<T: SocketType>(
    object: *mut PyObject,
    arguments: *mut PyObject,
    keywords: *mut PyObject,
) -> c_int {
    // SAFETY: the interpreter calls this with an object of the type.
    unsafe {
        let py = Python::assume_attached();
        let arguments = Keywords { arguments: Borrowed::from_ptr(py, arguments), keywords };
        T::init(This(Borrowed::from_ptr(py, object)), &arguments).map_or(-1, |()| 0)
    }
}

unsafe extern "C" fn tp_repr<T: SocketType>(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let py = Python::assume_attached();
        give(T::repr(This(Borrowed::from_ptr(py, object)), py))
    }
}

unsafe extern "C" fn get_timeout<T: SocketType>(
    object: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let py = Python::assume_attached();
        give(T::timeout(This(Borrowed::from_ptr(py, object)), py))
    }
}

/// Closes a socket that was not closed, with a ResourceWarning.
unsafe extern "C" fn tp_finalize(object: *mut PyObject) {
    // SAFETY: as above. The exception of the caller is kept.
    unsafe {
        let socket = This(Borrowed::from_ptr(Python::assume_attached(), object)).socket();
        if socket.fileno() == -1 {
            return;
        }
        let exception = ffi::PyErr_GetRaisedException();
        if ffi::PyErr_ResourceWarning(object, 1, c"unclosed %R".as_ptr(), object) != 0 {
            // CPython: other errors can occur while the interpreter ends.
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_Warning) != 0 {
                let text = c"Exception ignored while finalizing socket %R";
                PyErr_FormatUnraisable(text.as_ptr(), object);
            } else {
                ffi::PyErr_Clear();
            }
        }
        // CPython ignores the error of a close here too.
        let _ = socket.close();
        ffi::PyErr_SetRaisedException(exception);
    }
}

unsafe extern "C" fn tp_traverse(
    object: *mut PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: an object of a heap type owns its type.
    unsafe { visit(ffi::Py_TYPE(object).cast(), argument) }
}

unsafe extern "C" fn tp_dealloc(object: *mut PyObject) {
    // SAFETY: the interpreter drops the last reference. The finalizer can make a new one.
    unsafe {
        if PyObject_CallFinalizerFromDealloc(object) < 0 {
            return;
        }
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        ManuallyDrop::drop(&mut (*object.cast::<Instance>()).socket);
        let free: ffi::freefunc = std::mem::transmute(ffi::PyType_GetSlot(class, ffi::Py_tp_free));
        free(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// The type `_socket.socket`, which lives for ever.
static CLASS: AtomicPtr<PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// Makes the type `_socket.socket`.
pub(crate) fn socket_type<'py, T: SocketType>(
    module: &Bound<'py, PyModule>,
    methods: &'static [Method<OfSocket>],
) -> Result<Bound<'py, PyType>> {
    let member = |name: &'static CStr, offset: usize, doc: &'static CStr| ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_INT,
        offset: offset.cast_signed(),
        flags: ffi::Py_READONLY,
        doc: doc.as_ptr(),
    };
    // The interpreter copies the slots, but keeps the tables.
    let members = Box::leak(Box::new([
        member(c"family", offset_of!(Instance, family), c"the socket family"),
        member(c"type", offset_of!(Instance, kind), c"the socket type"),
        member(c"proto", offset_of!(Instance, proto), c"the socket protocol"),
        ffi::PyMemberDef::default(),
    ]));
    let timeout = ffi::PyGetSetDef {
        name: c"timeout".as_ptr(),
        get: Some(get_timeout::<T>),
        doc: c"the socket timeout".as_ptr(),
        ..Default::default()
    };
    let attributes = Box::leak(Box::new([timeout, ffi::PyGetSetDef::default()]));
    let slot = |slot, pfunc: *const c_void| ffi::PyType_Slot { slot, pfunc: pfunc.cast_mut() };
    let mut slots = [
        slot(ffi::Py_tp_new, tp_new as *const c_void),
        slot(ffi::Py_tp_init, tp_init::<T> as *const c_void),
        slot(ffi::Py_tp_repr, tp_repr::<T> as *const c_void),
        slot(ffi::Py_tp_finalize, tp_finalize as *const c_void),
        slot(ffi::Py_tp_traverse, tp_traverse as *const c_void),
        slot(ffi::Py_tp_dealloc, tp_dealloc as *const c_void),
        slot(ffi::Py_tp_doc, T::DOC.as_ptr().cast()),
        slot(ffi::Py_tp_methods, methods.as_ptr().cast()),
        slot(ffi::Py_tp_members, members.as_ptr().cast()),
        slot(ffi::Py_tp_getset, attributes.as_ptr().cast()),
        ffi::PyType_Slot::default(),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_BASETYPE
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    let mut spec = ffi::PyType_Spec {
        name: c"_socket.socket".as_ptr(),
        basicsize: size_of::<Instance>() as c_int,
        itemsize: 0,
        flags: flags as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the slots' functions have their slots' types, and the tables live for ever.
    unsafe {
        let class = ffi::PyType_FromModuleAndSpec(module.as_ptr(), &mut spec, ptr::null_mut());
        let class: Bound<'py, PyType> = owned(module.py(), class)?.cast_into_unchecked();
        CLASS.store(class.clone().into_ptr().cast(), Ordering::Relaxed);
        Ok(class)
    }
}

/// Makes an object of the type `_socket.socket` itself.
pub(crate) fn new_socket(py: Python<'_>, socket: Socket) -> Answer<'_> {
    let class = CLASS.load(Ordering::Relaxed);
    assert!(!class.is_null(), "the module is initialised");
    // SAFETY: `socket_type` made the type.
    unsafe {
        let object = owned(py, tp_new(class, ptr::null_mut(), ptr::null_mut()))?;
        This(object.as_borrowed()).set_socket(socket);
        Ok(object)
    }
}
