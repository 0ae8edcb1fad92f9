//! Descriptors whatever they refer to, and files that go into sockets.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{check, check_size, errno};

/// close(2), with what the kernel said. Linux has freed the number whatever it says.
pub(crate) fn close(fd: OwnedFd) -> Result<(), Errno> {
    // SAFETY: the descriptor is owned and given up here.
    check(unsafe { libc::close(fd.into_raw_fd()) }).map(drop)
}

/// Takes a descriptor of this process by its number, for an embedder that asked for real numbers.
pub(crate) fn adopt(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl takes any number; EBADF is the answer to one that is not open.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: the embedder promised by `real_numbers` that its numbers are for its guests to use
    // and to close.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes over a number that this process inherited; EBADF for one that it opened itself, or that
/// was taken before.
pub(crate) fn take_inherited(number: RawFd) -> Result<OwnedFd, Errno> {
    /// Of two that take the same number one must see the other's mark.
    static TAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _taking = TAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: fcntl takes any number; EBADF is the answer to one that is not open.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: as above.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: a number without FD_CLOEXEC came over exec: what Rust's std and the crates in use
    // open has the mark, and so has what was taken here before. Nobody in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Registers a descriptor with this thread's tokio runtime.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Errno> {
    // SAFETY: an OwnedFd gives the same open number for as long as it lives, which is as long as
    // the registration.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(|error| errno(error.into()))
}

/// sendfile(2), from an offset of the file's. A stream that is broken is EPIPE, and no signal.
pub(crate) fn send_file(
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    from: u64,
    count: usize,
) -> Result<usize, Errno> {
    let mut offset = libc::off_t::try_from(from).map_err(|_| Errno::INVAL)?;
    without_sigpipe(|| {
        // SAFETY: both descriptors are open, and the offset outlives the call.
        check_size(unsafe {
            libc::sendfile(fd.as_raw_fd(), file.as_raw_fd(), &raw mut offset, count)
        })
    })
}

/// splice(2) of a part of a file into a socket, as much as a pipe holds. `more` is told how many
/// bytes that is, and says whether others will follow them.
pub(crate) fn splice_file(
    fd: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    from: u64,
    count: usize,
    more: impl FnOnce(usize) -> bool,
) -> Result<usize, Errno> {
    let mut offset = libc::off_t::try_from(from).map_err(|_| Errno::INVAL)?;
    let (read, write) = io::pipe().map_err(errno)?;
    let nowhere = std::ptr::null_mut();
    // SAFETY: all three descriptors are open, and the offset outlives the call.
    let length = check_size(unsafe {
        libc::splice(
            file.as_raw_fd(),
            &raw mut offset,
            write.as_raw_fd(),
            nowhere,
            count,
            libc::SPLICE_F_NONBLOCK,
        )
    })?;
    if length == 0 {
        return Ok(0);
    }
    let flags = libc::SPLICE_F_NONBLOCK | if more(length) { libc::SPLICE_F_MORE } else { 0 };
    // What the socket does not take is gone with the pipe, and read from the file once more.
    without_sigpipe(|| {
        // SAFETY: both descriptors are open; the call takes no other pointer.
        check_size(unsafe {
            libc::splice(read.as_raw_fd(), nowhere, fd.as_raw_fd(), nowhere, length, flags)
        })
    })
}

/// Makes a system call that knows no MSG_NOSIGNAL, in a process that may not ignore SIGPIPE.
fn without_sigpipe<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    // SAFETY: all-zero sets and actions are valid places for the calls below to write to, sigaction
    // only reads the disposition, and the mask is this thread's own and put back before it returns.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
        {
            // As every Rust program has it.
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
            // The signal that this call made, if it did.
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(&raw const pipe, std::ptr::null_mut(), &raw const at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

/// Returns whether a name in a directory is a socket.
pub(crate) fn is_socket_in(parent: &Dir, name: &OsStr) -> bool {
    rustix::fs::statat(parent.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Where a file is now, every link followed.
pub(crate) fn real_path(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(link.as_bytes())))
}
