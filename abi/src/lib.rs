//! The numbers and names that sandsock's host, guest and Python runner share.
//!
//! * [`errno`]: Linux's errnos with glibc's texts;
//! * [`constants`]: families, types, protocols, levels, options, flags, by name;
//! * [`option`]: the one table that says which socket options and control messages a guest may use;
//! * [`python_class`]: the exception that Python raises for an errno.
//!
//! It holds data and look-ups alone: no allocation, no dependency, no system call.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod constants;
pub mod errno;
pub mod ioctl;
pub mod option;

/// The subclass of `OSError` that Python raises for an errno; `OSError` itself for most.
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
