//! The numbers and names that sandsock's host, guest and Python runner share.
//!
//! * [`errno`]: Linux's errnos with glibc's texts.
//! * [`constants`]: families, types, protocols, levels, options and flags, by name.
//! * [`option`]: the table of socket options and control messages that a guest may use.
//! * [`ioctl`]: the table of ioctl requests that a guest may use.
//! * [`python_class`]: the exception that Python raises for an errno.
//!
//! The crate has only data and look-ups: no allocation, no dependency, no system call.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod constants;
pub mod errno;
pub mod ioctl;
pub mod option;

/// The subclass of `OSError` that Python raises for an errno. For most it is `OSError` itself.
#[must_use]
pub fn python_class(errno: i32) -> &'static str {
    match errno {
        errno::EAGAIN | errno::EALREADY | errno::EINPROGRESS => "BlockingIOError",
        errno::ECHILD => "ChildProcessError",
        errno::EPIPE | errno::ESHUTDOWN => "BrokenPipeError",
        errno::ECONNABORTED => "ConnectionAbortedError",
        errno::ECONNREFUSED => "ConnectionRefusedError",
        errno::ECONNRESET => "ConnectionResetError",
        errno::EEXIST => "FileExistsError",
        errno::ENOENT => "FileNotFoundError",
        errno::EISDIR => "IsADirectoryError",
        errno::ENOTDIR => "NotADirectoryError",
        errno::EINTR => "InterruptedError",
        errno::EACCES | errno::EPERM => "PermissionError",
        errno::ESRCH => "ProcessLookupError",
        errno::ETIMEDOUT => "TimeoutError",
        _ => "OSError",
    }
}
