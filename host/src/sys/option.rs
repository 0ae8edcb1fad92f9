//! Socket options.
#![allow(
    unsafe_code,
    reason = "the numbers come from guests, and no safe wrapper takes any number"
)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use sandsock_abi::constants::{SO_BUF_LOCK, SO_LOCK_FILTER, SO_MEMINFO};
use sandsock_policy::filter::Instruction;

use super::{check, errno};
use crate::authority::permit::{GetOption, Permit, SetOption};

/// The value that a permitted setsockopt(2) sets.
#[derive(Debug)]
pub(crate) enum OptionBytes {
    /// A buffer.
    Bytes(Vec<u8>),
    /// A null pointer with a length.
    Null(u32),
    /// A classic BPF program, for which the host makes the `sock_fprog`.
    Program(Vec<libc::sock_filter>),
}

impl OptionBytes {
    /// Returns the buffer, if it is one.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Null(_) | Self::Program(_) => None,
        }
    }
}

/// Reads an option into a buffer. Returns the length that the kernel reports.
fn read(fd: BorrowedFd<'_>, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the pointers are `value`'s buffer and its length. No buffer here is longer than the
    // 32 bits of a length.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
    })?;
    Ok(length as usize)
}

/// Sets an option to these bytes.
fn write(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let (pointer, length) = (value.as_ptr().cast(), value.len() as libc::socklen_t);
    // SAFETY: the pointer and the length are `value`'s, and the kernel only reads.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) }).map(drop)
}

/// getsockopt(2) as bytes, cut to what the kernel filled in.
pub(crate) fn get_option(fd: BorrowedFd<'_>, permit: Permit<GetOption>) -> Result<Vec<u8>, Errno> {
    let GetOption { level, name, length } = permit.into_act();
    let mut value = vec![0; length as usize];
    let filled = read(fd, level, name, &mut value)?;
    value.truncate(filled);
    Ok(value)
}

/// A 4-byte integer option that the host reads for itself.
pub(crate) fn own_option(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    read(fd, level, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// An unsigned 8-byte option that the host reads for itself.
pub(crate) fn own_long(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<u64, Errno> {
    let mut value = [0; 8];
    read(fd, level, name, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

/// An option of 32-bit words that the host reads for itself. Words that the kernel does not fill in
/// are 0.
fn own_words<const N: usize>(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<[u32; N], Errno> {
    let mut words = [[0; 4]; N];
    read(fd, level, name, words.as_flattened_mut())?;
    Ok(words.map(u32::from_ne_bytes))
}

/// SO_MEMINFO, in bytes (linux/sock_diag.h: SK_MEMINFO_*).
#[derive(Debug)]
pub(crate) struct Memory {
    /// The receive queue's data.
    pub(crate) received: u64,
    pub(crate) receive_buffer: u64,
    /// Sent data that a UNIX peer or a device has not taken yet.
    pub(crate) written: u64,
    pub(crate) send_buffer: u64,
    /// TCP's queue of data to send or to send again.
    pub(crate) queued: u64,
    /// Filters, memberships and the like.
    pub(crate) options: u64,
}

/// The memory that the kernel holds for a socket.
pub(crate) fn memory(fd: BorrowedFd<'_>) -> Result<Memory, Errno> {
    let [received, receive_buffer, written, send_buffer, _, queued, options, ..] =
        memory_info(fd)?.map(u64::from);
    Ok(Memory { received, receive_buffer, written, send_buffer, queued, options })
}

/// The number of connections that wait in a TCP listener's queue: TCP_INFO's tcpi_unacked, the
/// seventh word (linux/tcp.h).
pub(crate) fn waiting_connections(fd: BorrowedFd<'_>) -> u32 {
    own_words::<7>(fd, libc::IPPROTO_TCP, libc::TCP_INFO).map_or(0, |words| words[6])
}

/// Whether a TCP socket has a FIN in its queue that the peer has not acknowledged: TCP_INFO's
/// tcpi_state, the first byte (linux/tcp.h).
pub(crate) fn has_sent_fin(fd: BorrowedFd<'_>) -> bool {
    /// linux/tcp_states.h: TCP_FIN_WAIT1, TCP_LAST_ACK and TCP_CLOSING.
    const STATES: [u8; 3] = [4, 9, 11];
    own_words::<1>(fd, libc::IPPROTO_TCP, libc::TCP_INFO)
        .is_ok_and(|[word]| STATES.contains(&word.to_ne_bytes()[0]))
}

/// Sets SO_BUF_LOCK, which says the sizes of which buffers the kernel must not change. A kernel
/// without this option leaves them locked.
pub(crate) fn unlock_buffers(fd: BorrowedFd<'_>, lock: i32) {
    let _ = write(fd, libc::SOL_SOCKET, SO_BUF_LOCK, &lock.to_ne_bytes());
}

/// SO_RCVTIMEO or SO_SNDTIMEO in nanoseconds. None if there is no timeout.
pub(crate) fn own_timeout(fd: BorrowedFd<'_>, name: i32) -> Option<u64> {
    // `struct timeval`.
    let mut value = [[0; 8]; 2];
    read(fd, libc::SOL_SOCKET, name, value.as_flattened_mut()).ok()?;
    let [seconds, micros] = value.map(i64::from_ne_bytes);
    if seconds == 0 && micros == 0 {
        return None;
    }
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let micros = u64::try_from(micros).unwrap_or(0);
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(micros * 1000))
}

/// SO_COOKIE: the number by which the kernel knows a socket until the machine restarts. None if the
/// descriptor is no socket.
pub(crate) fn cookie(fd: BorrowedFd<'_>) -> Option<u64> {
    own_long(fd, libc::SOL_SOCKET, libc::SO_COOKIE).ok()
}

/// SO_LINGER's seconds, if a close of this descriptor may wait.
pub(crate) fn linger(fd: BorrowedFd<'_>) -> Option<i32> {
    // `struct linger`.
    let [on, seconds] = own_words(fd, libc::SOL_SOCKET, libc::SO_LINGER).ok()?;
    (on != 0 && seconds != 0).then_some(seconds as i32)
}

/// Sets SO_LINGER. With None, close(2) returns at once and the kernel sends the rest in the
/// background. Only for sockets that nobody else has. A failure leaves the socket as it was.
pub(crate) fn set_linger(fd: BorrowedFd<'_>, seconds: Option<i32>) {
    // `struct linger`.
    let value = [i32::from(seconds.is_some()), seconds.unwrap_or(0)].map(i32::to_ne_bytes);
    let _ = write(fd, libc::SOL_SOCKET, libc::SO_LINGER, value.as_flattened());
}

/// Attaches a program as the socket's filter, in place of the present one.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), Errno> {
    let program: Vec<_> =
        program.iter().map(|i| socket2::SockFilter::new(i.code, i.jt, i.jf, i.k)).collect();
    socket2::SockRef::from(&fd).attach_filter(&program).map_err(errno)
}

/// Detaches the socket's filter, if it has one.
pub(crate) fn detach_filter(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match socket2::SockRef::from(&fd).detach_filter().map_err(errno) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Sets SO_LOCK_FILTER. A failure leaves the socket as it was.
pub(crate) fn lock_filter(fd: BorrowedFd<'_>) {
    let _ = write(fd, libc::SOL_SOCKET, SO_LOCK_FILTER, &1i32.to_ne_bytes());
}

/// Places in [`memory_info`] (linux/sock_diag.h): the bytes that wait to be received, and the
/// packets that were dropped.
pub(crate) const MEMINFO_RECEIVED: usize = 0;
pub(crate) const MEMINFO_DROPS: usize = 8;

/// SO_MEMINFO.
pub(crate) fn memory_info(fd: BorrowedFd<'_>) -> Result<[u32; 9], Errno> {
    own_words(fd, libc::SOL_SOCKET, SO_MEMINFO)
}

/// setsockopt(2).
pub(crate) fn set_option(fd: BorrowedFd<'_>, permit: Permit<SetOption>) -> Result<(), Errno> {
    let SetOption { level, name, value } = permit.into_act();
    let program;
    let (pointer, length) = match &value {
        OptionBytes::Bytes(bytes) => return write(fd, level, name, bytes),
        OptionBytes::Program(instructions) => {
            let len = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
            program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut() };
            ((&raw const program).cast(), size_of::<libc::sock_fprog>() as libc::socklen_t)
        }
        OptionBytes::Null(length) => (std::ptr::null(), *length),
    };
    // SAFETY: the pointer is null, which the kernel answers itself, or a program of this length,
    // whose pointer is that of its own instructions. The kernel only reads them.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) }).map(drop)
}
