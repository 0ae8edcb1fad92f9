//! The process: its standard input, its host name, and the parts that threads share.
#![allow(unsafe_code, reason = "unshare(2) has no safe wrapper")]

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::authority::permit::{Permit, ReadHostName, SetHostName};

/// Puts another file in place of standard input.
pub(crate) fn replace_standard_input(file: OwnedFd) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(file)
}

/// A part of the process that a thread may have its own copy of.
#[derive(Clone, Copy)]
pub(crate) enum OwnCopy {
    /// The working directory, the root and the umask.
    WorkingDirectory,
    /// The mounted file systems.
    Mounts,
    /// The users and their privileges.
    User,
    /// The network.
    Network,
    /// The host name.
    HostName,
}

/// unshare(2): gives the calling thread its own copy.
pub(crate) fn unshare(part: OwnCopy) -> Result<(), Errno> {
    let flags = match part {
        OwnCopy::WorkingDirectory => UnshareFlags::FS,
        OwnCopy::Mounts => UnshareFlags::NEWNS,
        OwnCopy::User => UnshareFlags::NEWUSER,
        OwnCopy::Network => UnshareFlags::NEWNET,
        OwnCopy::HostName => UnshareFlags::NEWUTS,
    };
    // SAFETY: the only unsafe part is the table of descriptors, which is not among these.
    unsafe { unshare_unsafe(flags) }
}

/// gethostname(2).
pub(crate) fn host_name(_permit: Permit<ReadHostName>) -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// sethostname(2).
pub(crate) fn set_host_name(permit: Permit<SetHostName>) -> Result<(), Errno> {
    rustix::system::sethostname(&permit.into_act().name)
}
