//! The only system calls on sockets, and the only `unsafe` of the host.
//!
//! Every function that creates a socket, uses an address, sets an option or sends control data for
//! a guest takes a [`Permit`](crate::authority::permit::Permit). The permit owns the act that was
//! judged, so a forgotten check does not compile. This is the one import from a folder above.
//!
//! Functions whose names begin with `own_` read a state for the host's own decisions.

pub(crate) mod address;
pub(crate) mod closer;
pub(crate) mod control;
mod file;
mod guest_memory;
mod interface;
mod ioctl;
mod message;
pub(crate) mod netdb;
mod netlink;
mod option;
mod path;
mod process;
mod socket;

use std::ffi::CString;
use std::io;

use rustix::io::Errno;

pub(crate) use control::own_credentials;
pub(crate) use file::*;
pub(crate) use guest_memory::GuestMemory;
pub(crate) use interface::*;
pub(crate) use ioctl::*;
pub(crate) use message::*;
pub(crate) use netdb::*;
pub(crate) use netlink::*;
pub(crate) use option::*;
pub(crate) use path::*;
pub(crate) use process::*;
pub(crate) use socket::*;

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

fn check_size(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// A string for C. EINVAL if it contains a NUL.
pub(crate) fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::INVAL)
}
