//! Network interfaces by number and by name.
#![allow(unsafe_code, reason = "rustix does not list the interfaces")]

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::last_errno;
use super::netdb::text;
use crate::authority::permit::{Interfaces, Permit};

/// if_nameindex(3).
pub(crate) fn interfaces(_permit: Permit<Interfaces>) -> Result<Vec<(u32, String)>, Errno> {
    // SAFETY: the call takes nothing. It returns a list or null.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(last_errno());
    }
    let mut all = Vec::new();
    // SAFETY: the list is glibc's own. It ends with an entry of index 0. The names before it end
    // with NUL. The list is freed once, after its last use.
    unsafe {
        let mut next = list;
        while (*next).if_index != 0 {
            all.push(((*next).if_index, text((*next).if_name)));
            next = next.add(1);
        }
        libc::if_freenameindex(list);
    }
    Ok(all)
}

/// if_nametoindex(3), or ENODEV.
pub(crate) fn interface_index(_permit: Permit<Interfaces>, name: &str) -> Result<u32, Errno> {
    name_to_index(any_socket()?, name)
}

/// if_indextoname(3), or ENXIO.
pub(crate) fn interface_name(_permit: Permit<Interfaces>, index: u32) -> Result<String, Errno> {
    own_interface_name(index).ok_or(Errno::NXIO)
}

/// if_indextoname(3) for the host's own decisions. None if no interface has this index, or if its
/// name is not UTF-8.
pub(crate) fn own_interface_name(index: u32) -> Option<String> {
    index_to_name(any_socket().ok()?, index).ok()
}

/// A socket through which the kernel is asked about interfaces. Its family does not matter (man 7
/// netdevice).
fn any_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}
