//! Tables of methods.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi::{self, PyMethodDefPointer, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::arguments::{Format, Keywords, Names, Units};
use super::socket_type::This;
use super::{Answer, Result, checked};

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
        // SAFETY: only the socket type has such methods, and the interpreter checks their objects.
        unsafe { This::new(object) }
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
    /// A tuple of the names of the last arguments, or null.
    names: *mut PyObject,
}

impl<'py> Arguments<'_, 'py> {
    pub(crate) fn py(&self) -> Python<'py> {
        self.py
    }

    /// Returns the number of arguments.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the argument at a place.
    pub(crate) fn get(&self, place: usize) -> Option<Bound<'py, PyAny>> {
        // SAFETY: the caller owns its arguments during the call.
        self.items.get(place).map(|&item| unsafe { Borrowed::from_ptr(self.py, item).to_owned() })
    }

    /// Returns the only argument.
    pub(crate) fn only(&self) -> Option<Borrowed<'_, 'py, PyAny>> {
        match self.items {
            // SAFETY: the caller owns its arguments during the call.
            &[item] if self.names.is_null() => Some(unsafe { Borrowed::from_ptr(self.py, item) }),
            _ => None,
        }
    }

    /// Parses the arguments, of which some may be given by name.
    pub(crate) fn parse<T: Units, const N: usize>(
        &self,
        format: &Format<T>,
        names: &'static Names<N>,
        values: &mut T,
    ) -> Result<()> {
        let mut positional = self.items.len();
        let mut keywords = None;
        if !self.names.is_null() {
            // SAFETY: the caller owns the tuple during the call.
            let given = unsafe { Borrowed::from_ptr(self.py, self.names) };
            positional = positional.saturating_sub(given.len()?);
            let dictionary = PyDict::new(self.py);
            for (name, &item) in given.try_iter()?.zip(self.items.iter().skip(positional)) {
                // SAFETY: as above.
                dictionary.set_item(name?, unsafe { Borrowed::from_ptr(self.py, item) })?;
            }
            keywords = Some(dictionary);
        }
        let items = self.items.iter().take(positional);
        // SAFETY: as above.
        let items: Vec<_> =
            items.map(|&item| unsafe { Borrowed::from_ptr(self.py, item) }).collect();
        let tuple = PyTuple::new(self.py, items)?.into_any();
        let keywords = keywords.as_ref().map_or(ptr::null_mut(), Bound::as_ptr);
        // SAFETY: they are a tuple, and a dictionary or null.
        let arguments = unsafe { Keywords::new(tuple.as_borrowed(), keywords) };
        arguments.parse(format, names, values)
    }

    /// Returns the arguments as a tuple, for `parse`.
    pub(crate) fn tuple(&self) -> Answer<'py> {
        let items = self.items.iter();
        // SAFETY: as above.
        let items = items.map(|&item| unsafe { Borrowed::from_ptr(self.py, item) });
        Ok(PyTuple::new(self.py, items)?.into_any())
    }
}

/// Returns a result to the interpreter.
pub(super) fn give(answer: Answer<'_>) -> *mut PyObject {
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
                let arguments = Arguments { py, items, names: ptr::null_mut() };
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &arguments))
            }
        }
        let pointer = PyMethodDefPointer { PyCFunctionFast: call::<K, F> };
        Self::new(name, doc, ffi::METH_FASTCALL, pointer)
    }

    pub(crate) const fn fast_keywords<F: Fast<K>>(name: &'static CStr, doc: &'static CStr) -> Self {
        unsafe extern "C" fn call<K: Kind, F: Fast<K>>(
            this: *mut PyObject,
            arguments: *const *mut PyObject,
            count: isize,
            names: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: as above, and with an argument more for each name.
            unsafe {
                let py = Python::assume_attached();
                let named = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
                let items = match count + named {
                    0 => &[],
                    count => std::slice::from_raw_parts(arguments, count.cast_unsigned()),
                };
                let arguments = Arguments { py, items, names };
                give(F::call(K::this(Borrowed::from_ptr(py, this)), &arguments))
            }
        }
        let pointer = PyMethodDefPointer { PyCFunctionFastWithKeywords: call::<K, F> };
        Self::new(name, doc, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, pointer)
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
                let arguments = Keywords::new(Borrowed::from_ptr(py, arguments), keywords);
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
    (@ fast_keywords $this:ident $kind:ty, $function:ident) => {
        $crate::ffi::methods!(@ fast $this $kind, $function);
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
