//! ioctl(2).
#![allow(
    unsafe_code,
    reason = "the numbers come from guests, and no safe wrapper takes any number"
)]

use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use sandsock_abi::constants::IOCTL_VM_SOCKETS_GET_LOCAL_CID;
use sandsock_abi::ioctl::{Shape, find};
use sandsock_abi::option::Access;

use super::{check, errno};
use crate::authority::permit::{Ioctl, Permit};

/// Makes a request of the table, except for the refused ones and for lists. EINVAL for any other.
fn request(fd: BorrowedFd<'_>, number: u32, argument: &mut [u8]) -> Result<i32, Errno> {
    let row = find(number).ok_or(Errno::INVAL)?;
    let refused = matches!(row.access, Access::Refused(_));
    if refused || row.shape == Shape::InterfaceList || argument.len() < row.shape.size() {
        return Err(Errno::INVAL);
    }
    // SAFETY: the table has the size of the argument that the kernel reads and writes, and the
    // buffer is no shorter. Requests with pointers in their arguments are refused or are lists.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), argument.as_mut_ptr()) })
}

/// Makes a request of the table whose argument is an integer that the kernel writes.
fn integer(fd: BorrowedFd<'_>, number: u32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    request(fd, number, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// ioctl(2) with an argument of the request's own size. Returns the result, and the argument after
/// the call.
pub(crate) fn ioctl(fd: BorrowedFd<'_>, permit: Permit<Ioctl>) -> Result<(i32, Vec<u8>), Errno> {
    let Ioctl { number, shape, mut argument } = permit.into_act();
    if shape != Shape::InterfaceList {
        let value = request(fd, number, &mut argument)?;
        return Ok((value, argument));
    }
    let mut list = libc::ifconf {
        ifc_len: libc::c_int::try_from(argument.len()).map_err(|_| Errno::INVAL)?,
        ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_buf: argument.as_mut_ptr().cast() },
    };
    // SAFETY: a request of this shape takes an `ifconf`. It points to `argument`'s own buffer with
    // its length.
    let value = check(unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), &raw mut list) })?;
    argument.truncate(usize::try_from(list.ifc_len).unwrap_or(0));
    Ok((value, argument))
}

/// The device that reports AF_VSOCK's context id (man 7 vsock).
pub(crate) fn vsock_device() -> Result<std::fs::File, Errno> {
    std::fs::File::open("/dev/vsock").map_err(errno)
}

/// This machine's own context id, for the host's own decisions. None if the machine has no
/// AF_VSOCK.
pub(crate) fn local_cid() -> Option<u32> {
    let device = vsock_device().ok()?;
    integer(device.as_fd(), IOCTL_VM_SOCKETS_GET_LOCAL_CID as u32).ok().map(i32::cast_unsigned)
}

/// Whether frames of an interface begin with an Ethernet header. Those of Ethernet and of the
/// loopback interface do (net/if_arp.h).
pub(crate) fn has_ethernet_header(fd: BorrowedFd<'_>, interface: &str) -> Result<bool, Errno> {
    // `struct ifreq`: the name with its NUL, and a union.
    let mut argument = [0; size_of::<libc::ifreq>()];
    for (to, from) in argument[..libc::IF_NAMESIZE - 1].iter_mut().zip(interface.bytes()) {
        *to = from;
    }
    request(fd, libc::SIOCGIFHWADDR as u32, &mut argument)?;
    // The union is a `struct sockaddr`, whose family is the kind of device.
    let kind = u16::from_ne_bytes([argument[libc::IF_NAMESIZE], argument[libc::IF_NAMESIZE + 1]]);
    Ok(matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK))
}

/// The number of bytes that the peer has not taken yet: ioctl(SIOCOUTQ).
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let count = integer(fd, libc::TIOCOUTQ as u32)?;
    Ok(usize::try_from(count).unwrap_or(0))
}
