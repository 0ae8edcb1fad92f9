//! The type `_socket.socket` and its objects.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyType;
use sandsock::Socket;

use super::arguments::Keywords;
use super::method::{Method, OfSocket, give};
use super::{Answer, Result, owned};

unsafe extern "C" {
    // These are not in the limited API.
    fn PyErr_FormatUnraisable(format: *const c_char, ...);
    fn PyObject_CallFinalizerFromDealloc(object: *mut PyObject) -> c_int;
}

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

impl<'a, 'py> This<'a, 'py> {
    /// Takes an object.
    ///
    /// # Safety
    /// The object is of the type, or of a subclass.
    pub(super) unsafe fn new(object: Borrowed<'a, 'py, PyAny>) -> Self {
        Self(object)
    }

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
        let arguments = Keywords::new(Borrowed::from_ptr(py, arguments), keywords);
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

/// Returns the socket of an object of the type, or of a subclass. None for another object.
pub(crate) fn socket_of(object: &Bound<'_, PyAny>) -> Option<Arc<Socket>> {
    let class = CLASS.load(Ordering::Relaxed);
    // SAFETY: the class is a type if it is not null, and the object is alive.
    unsafe {
        if class.is_null() || ffi::PyObject_TypeCheck(object.as_ptr(), class) == 0 {
            return None;
        }
        Some(This(object.as_borrowed()).socket())
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
