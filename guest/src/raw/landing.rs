//! Receiving straight into the caller's buffer.
//!
//! The canonical ABI has a list that the host returns put where the guest's `cabi_realloc` says,
//! which for the generated bindings is fresh memory. For one call this module says the caller's own
//! buffer instead, and spares an allocation and a copy.
//!
//! It rests on `cabi_realloc`, which a program has once: the bindings' own is a weak symbol and
//! returns way to this one. Where a link keeps the other one after all, every list is fresh memory,
//! and is copied. A program that defines a strong one of its own beside this crate does not link.

#![allow(unsafe_code)]

use std::{
    alloc::{self, Layout},
    cell::Cell,
    ptr, slice,
};

use super::types::{Denial, Error, Wait};
use crate::raw::descriptors::Descriptor;

thread_local! {
    /// Where the next list of bytes is to go, and how long it may be there.
    static PLACE: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
    /// The caller's buffer while a call may hold it: no allocation, and not to be grown or freed as
    /// one.
    static LENT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// What the host calls for the memory of what it returns. It takes the place of the bindings' own,
/// which is a weak symbol.
///
/// # Safety
/// As the canonical ABI has it: what is given is null with length 0, or came from here.
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
    // SAFETY: the canonical ABI gives sizes and alignments of its types, and for `old` what an
    // earlier call has returned: an allocation, or the buffer. A text is first given the most room
    // that it may need, and grown or cut as it is converted.
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

/// `transfers.receive` into a buffer. Returns how many bytes there are.
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
    // SAFETY: a null answer is a valid one, of no bytes.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    PLACE.set((start, buffer.len()));
    LENT.set(start);
    // SAFETY: the handle is borrowed for the call, and `answer` has the layout of the result. The
    // host writes into what `cabi_realloc` gives alone: the buffer, which is borrowed here, or
    // memory of its own.
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
    // SAFETY: the discriminants say which case there is, and its pointers came from `cabi_realloc`.
    unsafe {
        if answer.is_error == 0 {
            let List { start: data, length } = answer.payload.list;
            if data == start {
                return Ok(length);
            }
            // More than was asked for is cut: no host gives it.
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

/// A string that the host wrote, perhaps into the buffer.
///
/// # Safety
/// It is one that `cabi_realloc` gave the memory for.
unsafe fn text(list: List, buffer: *mut u8) -> String {
    if list.length == 0 {
        return String::new();
    }
    // SAFETY: the host has written so many bytes there.
    unsafe {
        let text =
            String::from_utf8_lossy(slice::from_raw_parts(list.start, list.length)).into_owned();
        release(list.start, list.length, buffer);
        text
    }
}

/// Frees what `cabi_realloc` has allocated; not the buffer.
///
/// # Safety
/// It is one that `cabi_realloc` gave the memory for.
unsafe fn release(start: *mut u8, length: usize, buffer: *mut u8) {
    if start != buffer && length > 0 {
        // SAFETY: it was allocated with this layout.
        unsafe { alloc::dealloc(start, Layout::from_size_align_unchecked(length, 1)) };
    }
}
