//! Network interfaces by number and by name.
#![allow(unsafe_code)]

use std::ffi::CStr;

use rustix::io::Errno;

use super::last_errno;
use super::netdb::text;
use crate::authority::permit::{Interfaces, Permit};

/// if_nameindex(3).
pub(crate) fn interfaces(_permit: Permit<Interfaces>) -> Result<Vec<(u32, String)>, Errno> {
    // SAFETY: it takes nothing, and gives a list that ends with index 0, or null.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(last_errno());
    }
    let mut all = Vec::new();
    let mut next = list;
    // SAFETY: `next` stays within the list: it goes on until its entry of index 0, whose name is
    // null.
    while let libc::if_nameindex { if_index: index @ 1.., if_name: name } = unsafe { &*next } {
        // SAFETY: the name of an entry before the last ends with NUL and lives as long as the list.
        all.push((*index, unsafe { text(*name) }));
        // SAFETY: this was not the last entry.
        next = unsafe { next.add(1) };
    }
    // SAFETY: `list` is if_nameindex's own, freed once.
    unsafe { libc::if_freenameindex(list) };
    Ok(all)
}

/// if_nametoindex(3); ENODEV.
pub(crate) fn interface_index(_permit: Permit<Interfaces>, name: &CStr) -> Result<u32, Errno> {
    // SAFETY: the name ends with NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(last_errno()),
        index => Ok(index),
    }
}

/// if_indextoname(3); ENXIO.
pub(crate) fn interface_name(_permit: Permit<Interfaces>, index: u32) -> Result<String, Errno> {
    own_interface_name(index).ok_or(Errno::NXIO)
}

/// if_indextoname(3) for the host's own judgement; none where no interface has this index, or its
/// name is no text.
pub(crate) fn own_interface_name(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that it is documented to need.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&name).ok()?.to_str().ok().map(str::to_owned)
}
