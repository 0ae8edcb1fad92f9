//! The kind of file that a descriptor refers to.

use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::bindings::sandsock::socket::types::{DescriptorKind, SocketKind};
use crate::sys;

/// Returns the kind of file. This asks the file system, which may take time. So it must not be
/// called for descriptors of other processes on a thread that guests share.
pub(crate) fn kind_of(fd: BorrowedFd<'_>) -> Result<DescriptorKind, Errno> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(match FileType::from_raw_mode(mode) {
        // A socket's file opened with O_PATH is not a socket.
        FileType::Socket => socket_kind(fd).map_or(DescriptorKind::Other, DescriptorKind::Socket),
        FileType::Fifo => DescriptorKind::Pipe,
        FileType::RegularFile => DescriptorKind::File,
        FileType::Directory => DescriptorKind::Directory,
        FileType::CharacterDevice => DescriptorKind::CharacterDevice,
        FileType::BlockDevice => DescriptorKind::BlockDevice,
        _ => DescriptorKind::Other,
    })
}

/// Returns the kernel's SO_DOMAIN, SO_TYPE and SO_PROTOCOL. This never waits: for any other file
/// the kernel answers ENOTSOCK by itself.
pub(crate) fn socket_kind(fd: BorrowedFd<'_>) -> Result<SocketKind, Errno> {
    Ok(SocketKind {
        family: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?,
        type_: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?,
        protocol: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL)?,
    })
}
