//! Sockets, and the addresses that they have.
#![allow(unsafe_code, reason = "some calls have no safe wrapper that keeps every errno and length")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};

use super::address::RawAddress;
use super::process::{OwnCopy, unshare};
use super::{check, errno};
use crate::authority::permit::{Bind, Connect, Create, Listen, Permit};

/// socket(2), non-blocking and close-on-exec.
pub(crate) fn socket(permit: Permit<Create>) -> Result<OwnedFd, Errno> {
    let Create { domain, kind, protocol } = permit.into_act();
    let kind = socket2::Type::from(kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let protocol = (protocol != 0).then(|| socket2::Protocol::from(protocol));
    socket2::Socket::new_raw(socket2::Domain::from(domain), kind, protocol)
        .map(OwnedFd::from)
        .map_err(errno)
}

/// socketpair(2), non-blocking and close-on-exec.
pub(crate) fn socketpair(permit: Permit<Create>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let Create { domain, kind, protocol } = permit.into_act();
    let kind = socket2::Type::from(kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let protocol = (protocol != 0).then(|| socket2::Protocol::from(protocol));
    socket2::Socket::pair_raw(socket2::Domain::from(domain), kind, protocol)
        .map(|(a, b)| (a.into(), b.into()))
        .map_err(errno)
}

/// An address that a permit owns, as rustix takes it. [`RawAddress`] itself is no argument of
/// rustix's calls, so that no call takes an address without a permit.
pub(super) struct Permitted<'a>(pub(super) &'a RawAddress);

// SAFETY: the pointer and the length are those of the address's own buffer. It may hold any bytes:
// the kernel reads no further and checks what it reads.
unsafe impl SocketAddrArg for Permitted<'_> {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(self.0.as_ptr().cast(), self.0.length())
    }
}

/// bind(2). Returns the act, for the check afterwards.
pub(crate) fn bind(fd: BorrowedFd<'_>, permit: Permit<Bind>) -> Result<Bind, Errno> {
    let bind = permit.into_act();
    let act = || rustix::net::bind(fd, &Permitted(bind.address()));
    match bind.start() {
        Some(start) => within(start.as_fd(), act)?,
        None => act()?,
    }
    Ok(bind)
}

/// Makes a system call with a path that starts at this directory. If the process is in another
/// directory, the call is made on a thread with its own working directory (man 2 unshare,
/// CLONE_FS).
fn within(
    start: BorrowedFd<'_>,
    act: impl FnOnce() -> Result<(), Errno> + Send,
) -> Result<(), Errno> {
    let (here, there) = (rustix::fs::stat(c".")?, rustix::fs::fstat(start)?);
    if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) {
        return act();
    }
    std::thread::scope(|scope| {
        let own = move || {
            unshare(OwnCopy::WorkingDirectory)?;
            rustix::process::fchdir(start)?;
            act()
        };
        let thread =
            std::thread::Builder::new().name("sandsock-bind".to_owned()).spawn_scoped(scope, own);
        thread.map_err(errno)?.join().unwrap_or(Err(Errno::IO))
    })
}

/// connect(2). Returns the permit too, because a caller that retries must renew it.
pub(crate) fn connect(
    fd: BorrowedFd<'_>,
    permit: Permit<Connect>,
) -> (Result<(), Errno>, Permit<Connect>) {
    (rustix::net::connect(fd, &Permitted(permit.act().address())), permit)
}

/// listen(2).
pub(crate) fn listen(fd: BorrowedFd<'_>, permit: Permit<Listen>) -> Result<(), Errno> {
    rustix::net::listen(fd, permit.into_act().backlog)
}

/// accept4(2), close-on-exec and non-blocking: the new open file description is the host's own. The
/// peer's address is empty unless `with_address` asks for it.
pub(crate) fn accept(
    fd: BorrowedFd<'_>,
    with_address: bool,
) -> Result<(OwnedFd, RawAddress), Errno> {
    if !with_address {
        let new = rustix::net::accept_with(fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        return Ok((new, RawAddress::from_bytes(&[])));
    }
    let mut raw = RawAddress::empty();
    let (pointer, length) = raw.as_out();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the pointers are `raw`'s buffer and its length.
    let new = check(unsafe { libc::accept4(fd.as_raw_fd(), pointer, length, flags) })?;
    raw.clamp();
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok((unsafe { OwnedFd::from_raw_fd(new) }, raw))
}

/// getsockname(2).
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<RawAddress, Errno> {
    address_by(libc::getsockname, fd)
}

/// getpeername(2).
pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> Result<RawAddress, Errno> {
    address_by(libc::getpeername, fd)
}

/// rustix's own calls panic at a length that is no address's.
fn address_by(
    call: unsafe extern "C" fn(
        libc::c_int,
        *mut libc::sockaddr,
        *mut libc::socklen_t,
    ) -> libc::c_int,
    fd: BorrowedFd<'_>,
) -> Result<RawAddress, Errno> {
    let mut raw = RawAddress::empty();
    let (pointer, length) = raw.as_out();
    // SAFETY: `call` is getsockname or getpeername. Both write to a buffer of this length, and the
    // pointers are `raw`'s buffer and its length.
    check(unsafe { call(fd.as_raw_fd(), pointer, length) })?;
    raw.clamp();
    Ok(raw)
}

/// shutdown(2). The kernel checks the number: which errno a wrong one gets depends on the family.
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: shutdown takes no pointer.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// dup3(2): lets the number of `fd` refer to another description. Whoever uses the number at this
/// moment uses either the one or the other.
///
/// # Errors
///
/// The kernel's error.
pub(crate) fn replace(fd: BorrowedFd<'_>, by: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both numbers are open for the whole call. The number of `fd` stays open and with its
    // owner, and only its description is another one.
    check(unsafe { libc::dup3(by.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
}
