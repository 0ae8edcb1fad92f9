//! Descriptors of any file, and files whose bytes go into sockets.
#![allow(unsafe_code, reason = "descriptors by their bare numbers, and a signal mask")]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::sendfile;
use rustix::io::{Errno, FdFlags};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{check, errno};

/// close(2), with the kernel's answer. Linux has freed the number whatever the answer is.
pub(crate) fn close(fd: OwnedFd) -> Result<(), Errno> {
    // SAFETY: the descriptor is owned and given up here.
    check(unsafe { libc::close(fd.into_raw_fd()) }).map(drop)
}

/// The flags of any number; EBADF if it is not open.
fn flags_of(number: RawFd) -> Result<FdFlags, Errno> {
    // SAFETY: fcntl takes any number.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    Ok(FdFlags::from_bits_retain(flags.cast_unsigned()))
}

/// Takes a descriptor of this process by its number, for an embedder that asked for real numbers.
pub(crate) fn adopt(number: RawFd) -> Result<OwnedFd, Errno> {
    flags_of(number)?;
    // SAFETY: with `real_numbers` the embedder promised that its guests may use and close its
    // numbers.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes over a number that this process inherited. EBADF for a number that the process opened
/// itself, or that was taken before.
pub(crate) fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    /// Lets one of two callers with the same number see the mark of the other.
    static TAKING: Mutex<()> = Mutex::new(());
    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if flags_of(number)?.contains(FdFlags::CLOEXEC) {
        return Err(Errno::BADF);
    }
    // SAFETY: a number without FD_CLOEXEC came over exec: what Rust's std and the crates in use
    // open has the mark, and so has what was taken here before. Nobody in this process owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Registers a descriptor with this thread's tokio runtime.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Errno> {
    // SAFETY: an OwnedFd has the same open number for as long as it lives, which is as long as the
    // registration.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(|error| errno(error.into()))
}

/// An offset that the kernel takes for a file.
fn offset(from: u64) -> Result<u64, Errno> {
    if i64::try_from(from).is_ok() { Ok(from) } else { Err(Errno::INVAL) }
}

/// sendfile(2), from an offset of the file. EPIPE for a broken stream, and no signal.
pub(crate) fn send_file(
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    from: u64,
    count: usize,
) -> Result<usize, Errno> {
    let mut offset = offset(from)?;
    without_sigpipe(|| sendfile(fd, file, Some(&mut offset), count))
}

/// splice(2) of a part of a file into a socket, at most as much as a pipe holds. `more` gets the
/// number of bytes, and returns whether further bytes follow.
pub(crate) fn splice_file(
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    from: u64,
    count: usize,
    more: impl FnOnce(usize) -> bool,
) -> Result<usize, Errno> {
    let mut offset = offset(from)?;
    let (read, write) = io::pipe().map_err(errno)?;
    let length = splice(file, Some(&mut offset), &write, None, count, SpliceFlags::NONBLOCK)?;
    if length == 0 {
        return Ok(0);
    }
    let last = if more(length) { SpliceFlags::MORE } else { SpliceFlags::empty() };
    // Bytes that the socket does not take are lost with the pipe. They are read from the file again.
    without_sigpipe(|| splice(&read, None, fd, None, length, SpliceFlags::NONBLOCK | last))
}

/// Makes a system call that has no MSG_NOSIGNAL, in a process that may not ignore SIGPIPE.
fn without_sigpipe<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    // SAFETY: the calls below write to all-zero sets and actions, which are valid. sigaction only
    // reads the disposition. The mask is this thread's own, and the function restores it.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
        {
            // Rust programs ignore it by default.
            return call();
        }
        let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) =
            std::mem::zeroed();
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::sigpending(&raw mut pending);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before);
        let result = call();
        if libc::sigismember(&raw const pending, libc::SIGPIPE) == 0 {
            // Takes the signal that this call raised, if it did.
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&raw const pipe, std::ptr::null_mut(), &raw const at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}
