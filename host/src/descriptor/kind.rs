//! What kind of file a descriptor refers to, as the kernel says.

use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::bindings::sandsock::socket::types::{DescriptorKind, SocketKind};
use crate::sys;

/// What kind of file a descriptor refers to. It asks the file's system, which may take its time:
/// not for strangers' descriptors on a thread that guests share.
pub(crate) fn kind_of(fd: BorrowedFd<'_>) -> Result<DescriptorKind, Errno> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(match FileType::from_raw_mode(mode) {
        // One that was opened by O_PATH is a socket's file, and no socket.
        FileType::Socket => socket_kind(fd).map_or(DescriptorKind::Other, DescriptorKind::Socket),
        FileType::Fifo => DescriptorKind::Pipe,
        FileType::RegularFile => DescriptorKind::File,
        FileType::Directory => DescriptorKind::Directory,
        FileType::CharacterDevice => DescriptorKind::CharacterDevice,
        FileType::BlockDevice => DescriptorKind::BlockDevice,
        _ => DescriptorKind::Other,
    })
}

/// The kernel's SO_DOMAIN, SO_TYPE and SO_PROTOCOL. It never waits: of what is no socket the kernel
/// says so by itself.
pub(crate) fn socket_kind(fd: BorrowedFd<'_>) -> Result<SocketKind, Errno> {
    Ok(SocketKind {
        family: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)?,
        type_: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?,
        protocol: sys::own_option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL)?,
    })
}
