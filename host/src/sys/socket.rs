//! Sockets, and the addresses that they have.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::address::RawAddress;
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

/// bind(2). Gives back what the permit holds, for the check after the fact.
pub(crate) fn bind(fd: BorrowedFd<'_>, permit: Permit<Bind>) -> Result<Bind, Errno> {
    let bind = permit.into_act();
    let raw = bind.address();
    // SAFETY: the pointer and the length describe `raw`'s own buffer, which outlives the call.
    let act = || check(unsafe { libc::bind(fd.as_raw_fd(), raw.as_ptr(), raw.length()) }).map(drop);
    match bind.start() {
        Some(start) => within(start.as_fd(), act)?,
        None => act()?,
    }
    Ok(bind)
}

/// Runs a system call with a path that starts at this directory. Where the process is elsewhere it
/// is done on a thread of its own, which has a working directory to itself (man 2 unshare,
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
            // SAFETY: unshare takes no pointer, and CLONE_FS changes nothing for other threads.
            check(unsafe { libc::unshare(libc::CLONE_FS) })?;
            rustix::process::fchdir(start)?;
            act()
        };
        let thread =
            std::thread::Builder::new().name("sandsock-bind".to_owned()).spawn_scoped(scope, own);
        thread.map_err(errno)?.join().unwrap_or(Err(Errno::IO))
    })
}

/// connect(2). The permit comes back: a retry has to renew it.
pub(crate) fn connect(
    fd: BorrowedFd<'_>,
    permit: Permit<Connect>,
) -> (Result<(), Errno>, Permit<Connect>) {
    let raw = permit.act().address();
    // SAFETY: the pointer and the length describe `raw`'s own buffer, which outlives the call.
    let result = check(unsafe { libc::connect(fd.as_raw_fd(), raw.as_ptr(), raw.length()) });
    (result.map(drop), permit)
}

/// listen(2).
pub(crate) fn listen(fd: BorrowedFd<'_>, permit: Permit<Listen>) -> Result<(), Errno> {
    // SAFETY: listen takes no pointer.
    check(unsafe { libc::listen(fd.as_raw_fd(), permit.into_act().backlog) }).map(drop)
}

/// accept4(2), close-on-exec, with SOCK_NONBLOCK: the new description is this host's own. The
/// peer's address stays empty unless it is asked for.
pub(crate) fn accept(
    fd: BorrowedFd<'_>,
    with_address: bool,
) -> Result<(OwnedFd, RawAddress), Errno> {
    let mut raw = RawAddress::empty();
    let (pointer, length): (_, *mut libc::socklen_t) = if with_address {
        let (pointer, length) = raw.as_out();
        (pointer, length)
    } else {
        raw = RawAddress::from_bytes(&[]);
        (std::ptr::null_mut(), std::ptr::null_mut())
    };
    // SAFETY: the pointers are `raw`'s buffer and its length, which says how long the buffer is, or
    // both null.
    let new = check(unsafe {
        libc::accept4(fd.as_raw_fd(), pointer, length, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
    })?;
    raw.clamp();
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    Ok((unsafe { OwnedFd::from_raw_fd(new) }, raw))
}

/// getsockname(2).
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<RawAddress, Errno> {
    let mut raw = RawAddress::empty();
    let (pointer, length) = raw.as_out();
    // SAFETY: as in `accept`.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), pointer, length) })?;
    raw.clamp();
    Ok(raw)
}

/// getpeername(2).
pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> Result<RawAddress, Errno> {
    let mut raw = RawAddress::empty();
    let (pointer, length) = raw.as_out();
    // SAFETY: as in `accept`.
    check(unsafe { libc::getpeername(fd.as_raw_fd(), pointer, length) })?;
    raw.clamp();
    Ok(raw)
}

/// shutdown(2). Any number goes to the kernel: it says EINVAL itself.
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: shutdown takes no pointer.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}
