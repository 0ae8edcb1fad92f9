//! Socket options.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use sandsock_abi::constants::{SO_BUF_LOCK, SO_LOCK_FILTER, SO_MEMINFO};
use sandsock_policy::Instruction;

use super::{check, errno};
use crate::authority::permit::{GetOption, Permit, SetOption};

/// The value that a permitted `setsockopt` sets.
#[derive(Debug)]
pub(crate) enum OptionBytes {
    /// A buffer.
    Bytes(Vec<u8>),
    /// A null pointer with a length.
    Null(u32),
    /// A classic BPF program, for which the host makes the `sock_fprog`.
    Program(Vec<libc::sock_filter>),
}

/// getsockopt(2) as bytes, cut to what the kernel filled in.
pub(crate) fn get_option(fd: BorrowedFd<'_>, permit: Permit<GetOption>) -> Result<Vec<u8>, Errno> {
    let GetOption { level, name, length } = permit.into_act();
    let mut value = vec![0u8; length as usize];
    let mut filled = length;
    // SAFETY: the pointers are `value`'s buffer and its length.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut filled)
    })?;
    value.truncate(filled as usize);
    Ok(value)
}

/// A 4-byte integer option that the host itself asks for.
pub(crate) fn own_option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = 0i32;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the pointers are an integer and its length.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    })?;
    Ok(value)
}

/// An unsigned 8-byte option that the host itself asks for.
pub(crate) fn own_long(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<u64, Errno> {
    let [low, high] = own_words(fd, level, name)?.map(u32::to_ne_bytes);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&low);
    bytes[4..].copy_from_slice(&high);
    Ok(u64::from_ne_bytes(bytes))
}

/// An option of 32-bit words that the host itself asks for. Words that the kernel does not know are
/// 0.
fn own_words<const N: usize>(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<[u32; N], Errno> {
    let mut words = [0u32; N];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the pointers are the words and their length.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, words.as_mut_ptr().cast(), &raw mut length)
    })?;
    Ok(words)
}

/// SO_MEMINFO, in bytes (linux/sock_diag.h: SK_MEMINFO_*).
#[derive(Debug)]
pub(crate) struct Memory {
    /// What lies in the receive queue.
    pub(crate) received: u64,
    pub(crate) receive_buffer: u64,
    /// What was sent and is not taken yet: by a UNIX peer, by a device.
    pub(crate) written: u64,
    pub(crate) send_buffer: u64,
    /// TCP's queue of what is to be sent or sent again.
    pub(crate) queued: u64,
    /// Filters, memberships and the like.
    pub(crate) options: u64,
}

/// What the kernel holds for a socket.
pub(crate) fn memory(fd: BorrowedFd<'_>) -> Result<Memory, Errno> {
    let [received, receive_buffer, written, send_buffer, _, queued, options, ..] =
        memory_info(fd)?.map(u64::from);
    Ok(Memory { received, receive_buffer, written, send_buffer, queued, options })
}

/// How many connections wait in a TCP listener's queue: TCP_INFO's tcpi_unacked, the seventh word
/// (linux/tcp.h).
pub(crate) fn waiting_connections(fd: BorrowedFd<'_>) -> u32 {
    own_words::<7>(fd, libc::IPPROTO_TCP, libc::TCP_INFO).map_or(0, |words| words[6])
}

/// Sets SO_BUF_LOCK, which says which buffers' sizes the kernel may no more choose. Where it has no
/// such option, they stay locked.
pub(crate) fn unlock_buffers(fd: BorrowedFd<'_>, lock: i32) {
    let (pointer, length) = ((&raw const lock).cast(), size_of::<i32>() as libc::socklen_t);
    // SAFETY: the pointer and the length describe `lock`.
    unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_BUF_LOCK, pointer, length) };
}

/// SO_RCVTIMEO or SO_SNDTIMEO in nanoseconds; none is no timeout.
pub(crate) fn own_timeout(fd: BorrowedFd<'_>, name: i32) -> Option<u64> {
    let mut value = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut length = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the pointers are a timeval and its length.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result < 0 || (value.tv_sec == 0 && value.tv_usec == 0) {
        return None;
    }
    let seconds = u64::try_from(value.tv_sec).unwrap_or(0);
    let micros = u64::try_from(value.tv_usec).unwrap_or(0);
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(micros * 1000))
}

/// The number by which the kernel knows a socket for as long as the machine runs; none for what is
/// no socket.
pub(crate) fn cookie(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut value = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the pointers are an integer and its length.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(value)
}

/// SO_LINGER's seconds, where a close of this descriptor may wait.
pub(crate) fn linger(fd: BorrowedFd<'_>) -> Option<i32> {
    let mut value = libc::linger { l_onoff: 0, l_linger: 0 };
    let mut length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the pointers are a linger and its length.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (result == 0 && value.l_onoff != 0 && value.l_linger != 0).then_some(value.l_linger)
}

/// Sets SO_LINGER to so many seconds; none lets a close return at once and the kernel send what is
/// left behind it. For sockets that nobody else has.
pub(crate) fn set_linger(fd: BorrowedFd<'_>, seconds: Option<i32>) {
    let value = libc::linger { l_onoff: seconds.is_some().into(), l_linger: seconds.unwrap_or(0) };
    // SAFETY: the pointer and the length describe `value`. A failure leaves the socket as it was.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const value).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        );
    }
}

/// Attaches a program as the socket's filter, in place of the one that it has.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), Errno> {
    let program: Vec<_> =
        program.iter().map(|i| socket2::SockFilter::new(i.code, i.jt, i.jf, i.k)).collect();
    socket2::SockRef::from(&fd).attach_filter(&program).map_err(errno)
}

/// Takes the socket's filter from it, if it has one.
pub(crate) fn detach_filter(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match socket2::SockRef::from(&fd).detach_filter().map_err(errno) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Sets SO_LOCK_FILTER. A failure leaves the socket as it was.
pub(crate) fn lock_filter(fd: BorrowedFd<'_>) {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe an integer.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_LOCK_FILTER,
            (&raw const on).cast(),
            length,
        )
    };
}

/// Places in [`memory_info`] (linux/sock_diag.h): the bytes that wait to be received, and the
/// packets that were dropped.
pub(crate) const MEMINFO_RECEIVED: usize = 0;
pub(crate) const MEMINFO_DROPS: usize = 8;

/// SO_MEMINFO.
pub(crate) fn memory_info(fd: BorrowedFd<'_>) -> Result<[u32; 9], Errno> {
    let mut info = [0u32; 9];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointers are an array and its length in bytes.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    })?;
    Ok(info)
}

/// setsockopt(2).
pub(crate) fn set_option(fd: BorrowedFd<'_>, permit: Permit<SetOption>) -> Result<(), Errno> {
    let SetOption { level, name, value } = permit.into_act();
    let program;
    let (pointer, length) = match &value {
        OptionBytes::Program(instructions) => {
            let len = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
            program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut() };
            ((&raw const program).cast(), size_of::<libc::sock_fprog>() as libc::socklen_t)
        }
        OptionBytes::Bytes(bytes) => (bytes.as_ptr().cast(), bytes.len() as libc::socklen_t),
        OptionBytes::Null(length) => (std::ptr::null(), *length),
    };
    // SAFETY: the pointer is null, which the kernel answers itself, or a buffer of this length; a
    // program's pointer is that of its own instructions, which the kernel only reads.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) }).map(drop)
}
