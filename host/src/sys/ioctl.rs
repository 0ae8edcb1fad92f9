//! ioctl(2).
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::{check, errno};
use crate::authority::permit::{Ioctl, Permit};

/// ioctl(2) with an argument of the request's own size: the return value, and the argument after
/// the call.
pub(crate) fn ioctl(fd: BorrowedFd<'_>, permit: Permit<Ioctl>) -> Result<(i32, Vec<u8>), Errno> {
    let Ioctl { number, shape, mut argument } = permit.into_act();
    // u64s, for the alignment that any of the structures has.
    let mut words = vec![0u64; argument.len().div_ceil(8)];
    for (word, bytes) in words.iter_mut().zip(argument.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(eight);
    }
    let value = if shape == sandsock_abi::ioctl::Shape::InterfaceList {
        let ifc_len = libc::c_int::try_from(argument.len()).map_err(|_| Errno::INVAL)?;
        let buffer = words.as_mut_ptr().cast::<libc::c_char>();
        let mut list =
            libc::ifconf { ifc_len, ifc_ifcu: libc::__c_anonymous_ifc_ifcu { ifcu_buf: buffer } };
        // SAFETY: the list names `words`' own buffer and no more than its length.
        let value = check(unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), &raw mut list) })?;
        argument.truncate(usize::try_from(list.ifc_len).unwrap_or(0));
        value
    } else {
        // SAFETY: the table has each request with the size of what the kernel reads and writes,
        // which `Judge::ioctl` demanded.
        check(unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), words.as_mut_ptr()) })?
    };
    for (bytes, word) in argument.chunks_mut(8).zip(&words) {
        bytes.copy_from_slice(&word.to_ne_bytes()[..bytes.len()]);
    }
    Ok((value, argument))
}

/// The device that tells AF_VSOCK's context id (man 7 vsock).
pub(crate) fn vsock_device() -> Result<std::fs::File, Errno> {
    std::fs::File::open("/dev/vsock").map_err(errno)
}

/// This machine's own context id, for the host's own judgement; none where it has no AF_VSOCK.
pub(crate) fn local_cid() -> Option<u32> {
    let device = vsock_device().ok()?;
    let mut cid = 0u32;
    let request = sandsock_abi::constants::IOCTL_VM_SOCKETS_GET_LOCAL_CID;
    // SAFETY: IOCTL_VM_SOCKETS_GET_LOCAL_CID writes one integer.
    check(unsafe { libc::ioctl(device.as_raw_fd(), request as _, &raw mut cid) }).ok()?;
    Some(cid)
}

/// Whether frames of an interface begin with an Ethernet header: those of Ethernet and of the
/// loopback do (net/if_arp.h).
pub(crate) fn has_ethernet_header(fd: BorrowedFd<'_>, interface: &str) -> Result<bool, Errno> {
    // SAFETY: an all-zero ifreq is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(room)) {
        *to = from as libc::c_char;
    }
    // SAFETY: SIOCGIFHWADDR reads the name and writes the address within the ifreq.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) })?;
    // SAFETY: the kernel has just filled in this part of the union.
    let kind = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
    Ok(matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK))
}

/// The bytes that the peer has not taken yet. ioctl(SIOCOUTQ).
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ writes one integer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}
