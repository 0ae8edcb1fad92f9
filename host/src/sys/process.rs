//! What the process has: its standard input, its mounts, its host name.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;
use super::netdb::text;
use crate::authority::permit::{Permit, ReadHostName, SetHostName};

/// Puts another file in place of standard input.
pub(crate) fn replace_standard_input(file: OwnedFd) -> Result<(), Errno> {
    // SAFETY: 0 is standard input's for the whole life of the process, and stays open under this.
    check(unsafe { libc::dup2(file.as_raw_fd(), libc::STDIN_FILENO) }).map(drop)
}

/// Gives the calling thread a view of its own of the mounted file systems, which goes on to follow
/// what is mounted elsewhere.
pub(crate) fn own_mounts() -> Result<(), Errno> {
    // SAFETY: unshare takes no pointer, and CLONE_NEWNS changes nothing that Rust relies on.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", libc::MS_SLAVE | libc::MS_REC)
}

/// Puts one file in place of another, for whoever shares this thread's mounts.
pub(crate) fn mount_over(file: &CStr, place: &CStr) -> Result<(), Errno> {
    mount(file, place, libc::MS_BIND)
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: both strings end with NUL; the kind of file system and the data are not looked at
    // with these flags.
    check(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), std::ptr::null(), flags, std::ptr::null())
    })
    .map(drop)
}

/// gethostname(2).
pub(crate) fn host_name(_permit: Permit<ReadHostName>) -> String {
    // man 2 gethostname: at most 64 bytes and the NUL, for which the buffer has room.
    let mut name = [0 as libc::c_char; 256];
    // SAFETY: the pointer and the length are the buffer's, the last byte left out.
    unsafe { libc::gethostname(name.as_mut_ptr(), name.len() - 1) };
    // SAFETY: the buffer's last byte is NUL.
    unsafe { text(name.as_ptr()) }
}

/// sethostname(2).
pub(crate) fn set_host_name(permit: Permit<SetHostName>) -> Result<(), Errno> {
    let name = permit.into_act().name;
    // SAFETY: the pointer and the length are the name's.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}
