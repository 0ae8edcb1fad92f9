//! Receives straight into the caller's buffer.
//!
//! The canonical ABI puts a list from the host where the guest's `cabi_realloc` says. In the
//! generated bindings that is new memory. During one call, the `cabi_realloc` of this module
//! returns the caller's buffer instead, which saves an allocation and a copy.
//!
//! A program has one `cabi_realloc`. That of the bindings is a weak symbol, so this one replaces
//! it. If the linker keeps the other one, every list is in new memory, and is copied. A program
//! that defines a strong `cabi_realloc` of its own does not link with this crate.

#![allow(unsafe_code)]

use std::{
    alloc::{self, Layout},
    cell::Cell,
    ptr, slice,
};

use super::types::{Denial, Error, Wait};
use crate::raw::descriptors::Descriptor;

thread_local! {
    /// Where to put the next list of bytes, and how long it may be there.
    static PLACE: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
    /// The caller's buffer during a call. It is not an allocation, and must not be grown or freed.
    static LENT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// Returns memory for a result of the host. It replaces the function of the bindings, which is a
/// weak symbol.
///
/// # Safety
/// As in the canonical ABI: `old` came from this function, or is null with length 0.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_length: usize,
    align: usize,
    length: usize,
) -> *mut u8 {
    if old_length == 0 {
        if length == 0 {
            return ptr::without_provenance_mut(align);
        }
        let (place, room) = PLACE.take();
        if align == 1 && length <= room {
            return place;
        }
    }
    // SAFETY: the canonical ABI passes sizes and alignments of its types. `old` is the result of an
    // earlier call: an allocation, or the buffer. A text first gets the most room that it may need,
    // and is then grown or cut as it is converted.
    unsafe {
        let layout = |length| Layout::from_size_align_unchecked(length, align);
        let new = if length == 0 {
            if old != LENT.get() {
                alloc::dealloc(old, layout(old_length));
            }
            return ptr::without_provenance_mut(align);
        } else if old_length == 0 {
            alloc::alloc(layout(length))
        } else if old == LENT.get() {
            let new = alloc::alloc(layout(length));
            if !new.is_null() {
                ptr::copy_nonoverlapping(old, new, old_length.min(length));
            }
            new
        } else {
            alloc::realloc(old, layout(old_length), length)
        };
        if new.is_null() {
            std::process::abort();
        }
        new
    }
}

#[link(wasm_import_module = "sandsock:socket/transfers@0.1.0")]
unsafe extern "C" {
    /// `receive` as the canonical ABI flattens it.
    #[link_name = "receive"]
    fn import_receive(
        descriptor: i32,
        length: i64,
        flags: i32,
        wait: i32,
        time: i64,
        result: *mut Answer,
    );
}

/// `result<list<u8>, error>` as the canonical ABI lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct Answer {
    is_error: u8,
    /// The list, or the error.
    payload: Payload,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Payload {
    list: List,
    error: RawError,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct List {
    start: *mut u8,
    length: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RawError {
    is_denied: u8,
    value: ErrorValue,
}

#[repr(C)]
#[derive(Clone, Copy)]
union ErrorValue {
    errno: i32,
    denial: RawDenial,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RawDenial {
    has_grant: u8,
    grant: List,
    reason: List,
}

/// Calls `transfers.receive` with a buffer for the result. Returns the number of bytes.
pub(crate) fn receive_into(
    descriptor: &Descriptor,
    buffer: &mut [u8],
    flags: i32,
    wait: Wait,
) -> Result<usize, Error> {
    let (case, time) = match wait {
        Wait::None => (0, 0),
        Wait::Forever => (1, 0),
        Wait::Within(time) => (2, time),
        Wait::Until(time) => (3, time),
    };
    let start = buffer.as_mut_ptr();
    // SAFETY: an answer of zeros is valid. It is an empty list.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    PLACE.set((start, buffer.len()));
    LENT.set(start);
    // SAFETY: the handle is borrowed for the call, and `answer` has the layout of the result. The
    // host writes only into memory from `cabi_realloc`: the buffer, which is borrowed here, or new
    // memory.
    unsafe {
        import_receive(
            descriptor.handle() as i32,
            buffer.len() as i64,
            flags,
            case,
            time as i64,
            &raw mut answer,
        );
    }
    PLACE.set((ptr::null_mut(), 0));
    LENT.set(ptr::null_mut());
    // SAFETY: the discriminants say which case there is, and the pointers came from `cabi_realloc`.
    unsafe {
        if answer.is_error == 0 {
            let List { start: data, length } = answer.payload.list;
            if data == start {
                return Ok(length);
            }
            // No host returns more than the buffer's length. More would be cut.
            let count = length.min(buffer.len());
            buffer[..count].copy_from_slice(slice::from_raw_parts(data, count));
            release(data, length, start);
            return Ok(count);
        }
        let RawError { is_denied, value } = answer.payload.error;
        if is_denied == 0 {
            return Err(Error::Os(value.errno));
        }
        let RawDenial { has_grant, grant, reason } = value.denial;
        let grant = (has_grant != 0).then(|| text(grant, start));
        Err(Error::Denied(Denial { grant, reason: text(reason, start) }))
    }
}

/// Takes a string that the host wrote, perhaps into the buffer.
///
/// # Safety
/// The memory came from `cabi_realloc`, or is the buffer.
unsafe fn text(list: List, buffer: *mut u8) -> String {
    if list.length == 0 {
        return String::new();
    }
    // SAFETY: the host has written `length` bytes there.
    unsafe {
        let text =
            String::from_utf8_lossy(slice::from_raw_parts(list.start, list.length)).into_owned();
        release(list.start, list.length, buffer);
        text
    }
}

/// Frees memory that `cabi_realloc` allocated, and leaves the buffer alone.
///
/// # Safety
/// The memory came from `cabi_realloc`, or is the buffer.
unsafe fn release(start: *mut u8, length: usize, buffer: *mut u8) {
    if start != buffer && length > 0 {
        // SAFETY: `cabi_realloc` allocated it with this layout.
        unsafe { alloc::dealloc(start, Layout::from_size_align_unchecked(length, 1)) };
    }
}
