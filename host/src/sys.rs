//! The only system calls on sockets, and the only `unsafe` of the host.
//!
//! Whatever creates a socket, touches an address, sets an option or sends control data takes a
//! [`Permit`](crate::authority::permit::Permit), which owns what it permits: a forgotten check does
//! not compile.

pub(crate) mod address;
pub(crate) mod closer;
pub(crate) mod control;
mod file;
mod interface;
mod ioctl;
mod message;
mod netdb;
mod option;
mod process;
mod socket;

use std::ffi::CString;
use std::io;

use rustix::io::Errno;

pub(crate) use control::own_credentials;
pub(crate) use file::*;
pub(crate) use interface::*;
pub(crate) use ioctl::*;
pub(crate) use message::*;
pub(crate) use netdb::*;
pub(crate) use option::*;
pub(crate) use process::*;
pub(crate) use socket::*;

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

fn check_size(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// A string for C, or EINVAL where it has a NUL.
pub(crate) fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::INVAL)
}

/// The generic netlink families of this host, as the control family dumps them (linux/genetlink.h).
pub(crate) fn generic_families() -> Result<Vec<u8>, Errno> {
    use std::io::{Read, Write};
    const GENL_ID_CTRL: u16 = 0x10;
    /// NLM_F_REQUEST, NLM_F_DUMP.
    const REQUEST_DUMP: u16 = 0x301;
    /// CTRL_CMD_GETFAMILY.
    const GET_FAMILY: u8 = 3;
    /// NLMSG_DONE.
    const DONE: u16 = 3;
    let generic = socket2::Protocol::from(libc::NETLINK_GENERIC);
    let mut socket = socket2::Socket::new(
        socket2::Domain::from(libc::AF_NETLINK),
        socket2::Type::DGRAM,
        Some(generic),
    )
    .map_err(errno)?;
    let mut request = [0; 20];
    request[..4].copy_from_slice(&20u32.to_ne_bytes());
    request[4..6].copy_from_slice(&GENL_ID_CTRL.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[16..18].copy_from_slice(&[GET_FAMILY, 1]);
    // The kernel answers within the call: a dump is in the queue before `send` is over.
    socket.set_nonblocking(true).map_err(errno)?;
    socket.write_all(&request).map_err(errno)?;
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = socket.read(&mut buffer).map_err(errno)?;
        let part = buffer.get(..count).ok_or(Errno::IO)?;
        all.extend_from_slice(part);
        let ended = crate::authority::family::netlink::messages(part)
            .any(|message| message.is_ok_and(|message| message.kind == DONE));
        if ended || count == 0 {
            return Ok(all);
        }
    }
}
