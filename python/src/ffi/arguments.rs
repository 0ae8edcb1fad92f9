//! The arguments of a call, which the interpreter parses by a format.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;

use super::{Raised, Result, checked};

/// A converter for the unit `O&`.
pub(super) type Converter = unsafe extern "C" fn(*mut PyObject, *mut c_void) -> c_int;

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
    pub(super) fn add<T>(&mut self, place: *const T) {
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

/// A type with a conversion of its own.
pub(crate) trait Convert: Sized {
    fn convert(object: &Bound<'_, PyAny>) -> Result<Self>;
}

/// An argument that its type converts.
#[derive(Default)]
pub(crate) struct Converted<T>(pub(crate) T);

unsafe extern "C" fn convert<T: Convert>(object: *mut PyObject, place: *mut c_void) -> c_int {
    // SAFETY: the interpreter calls this with an argument, and the place of a `Converted`.
    let (object, place) = unsafe {
        let py = Python::assume_attached();
        (Borrowed::from_ptr(py, object), &mut *place.cast::<Converted<T>>())
    };
    T::convert(&object).map_or(0, |value| {
        place.0 = value;
        1
    })
}

// SAFETY: the unit takes a converter, and the place that it stores to.
unsafe impl<T: Convert> Unit for Converted<T> {
    const CODE: &'static str = "O&";

    fn add(&mut self, pointers: &mut Pointers) {
        let converter: Converter = convert::<T>;
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
    /// Returns the bytes of an object. None if the object has no bytes that can be written, which
    /// the format `w*` reports.
    pub(crate) fn of_writable(object: &Bound<'_, PyAny>) -> Option<Self> {
        let mut buffer = Self::default();
        // SAFETY: the view is filled, or stays released. Without strides it is contiguous.
        unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), &mut buffer.0, ffi::PyBUF_WRITABLE) == 0 {
                return Some(buffer);
            }
            ffi::PyErr_Clear();
        }
        None
    }

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

impl<'a, 'py> Keywords<'a, 'py> {
    /// Takes the arguments of a call.
    ///
    /// # Safety
    /// They are a tuple, and a dictionary or null.
    pub(super) unsafe fn new(arguments: Borrowed<'a, 'py, PyAny>, keywords: *mut PyObject) -> Self {
        Self { arguments, keywords }
    }

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
