//! The only system calls on sockets, and the only `unsafe` of the host.
//!
//! Whatever creates a socket, touches an address, sets an option or sends control data takes a
//! [`Permit`], which owns what it permits: a forgotten check does not compile.
#![allow(unsafe_code)]

pub(crate) mod address;
pub(crate) mod control;

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use sandsock_abi::constants::{SO_BUF_LOCK, SO_LOCK_FILTER, SO_MEMINFO};

use crate::authority::permit::{
    Bind, Connect, Control, Create, GetOption, Interfaces, Ioctl, Listen, Permit, ReadHostName,
    Resolve, ReverseResolve, SendTo, SetHostName, SetOption,
};
use crate::sys::address::RawAddress;
use crate::wait::strangers::{Strangers, Stray};
use sandsock_policy::Instruction;

/// The most descriptors of one message (man 7 unix: SCM_MAX_FD).
pub(crate) const RIGHTS_MAX: usize = 253;

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

/// The bytes that the peer has not taken yet. ioctl(SIOCOUTQ).
pub(crate) fn unsent(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ writes one integer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// This process's ids as SCM_CREDENTIALS carries them.
pub(crate) fn own_credentials() -> Vec<u8> {
    let ids: [u32; 3] = [
        std::process::id(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    ];
    ids.iter().flat_map(|id| id.to_ne_bytes()).collect()
}

/// if_indextoname(3) for the host's own judgement; none where no interface has this index, or its
/// name is no text.
pub(crate) fn own_interface_name(index: u32) -> Option<String> {
    let mut name = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that it is documented to need.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&name).ok()?.to_str().ok().map(str::to_owned)
}

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

/// Puts another file in place of standard input.
pub(crate) fn replace_standard_input(file: OwnedFd) -> Result<(), Errno> {
    // SAFETY: 0 is standard input's for the whole life of the process, and stays open under this.
    check(unsafe { libc::dup2(file.as_raw_fd(), libc::STDIN_FILENO) }).map(drop)
}

/// Gives the calling thread a view of its own of the mounted file systems, which goes on to follow
/// what is mounted elsewhere.
pub(crate) fn own_mounts() -> Result<(), Errno> {
    // SAFETY: unshare takes no pointer, and CLONE_NEWNS changes nothing that Rust relies on.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", libc::MS_SLAVE | libc::MS_REC)
}

/// Puts one file in place of another, for whoever shares this thread's mounts.
pub(crate) fn mount_over(file: &CStr, place: &CStr) -> Result<(), Errno> {
    mount(file, place, libc::MS_BIND)
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: both strings end with NUL; the kind of file system and the data are not looked at
    // with these flags.
    check(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), std::ptr::null(), flags, std::ptr::null())
    })
    .map(drop)
}

/// send(2).
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], flags: i32) -> Result<usize, Errno> {
    rustix::net::send(fd, data, SendFlags::from_bits_retain(flags as u32))
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

/// sendto(2). The permit stays with the caller for a retry, which has to renew it.
pub(crate) fn send_to(
    fd: BorrowedFd<'_>,
    data: &[u8],
    flags: i32,
    permit: &Permit<SendTo>,
) -> Result<usize, Errno> {
    rustix::net::sendto(
        fd,
        data,
        SendFlags::from_bits_retain(flags as u32),
        &Permitted(permit.act().address()),
    )
}

/// An address that a permit owns, as rustix takes it.
struct Permitted<'a>(&'a RawAddress);

// SAFETY: the pointer and the length are the address's own buffer's. It may hold anything: the
// kernel reads no further, and judges what it reads.
unsafe impl SocketAddrArg for Permitted<'_> {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(self.0.as_ptr().cast(), self.0.length())
    }
}

/// sendmsg(2) with an optional address and permitted control data.
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    buffers: &[io::IoSlice<'_>],
    flags: i32,
    address: Option<&Permit<SendTo>>,
    control: &Permit<Control>,
) -> Result<usize, Errno> {
    // SAFETY: an all-zero msghdr is a valid one: null pointers with length 0.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(permit) = address {
        let raw = permit.act().address();
        header.msg_name = raw.as_ptr().cast_mut().cast();
        header.msg_namelen = raw.length();
    }
    // IoSlice is guaranteed to have iovec's layout. The kernel only reads through it.
    header.msg_iov = buffers.as_ptr().cast_mut().cast();
    header.msg_iovlen = buffers.len() as _;
    let control = control.act().encoded();
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    // SAFETY: every pointer in the header describes memory that outlives the call, and the kernel
    // only reads it.
    check_size(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) })
}

/// recv(2) into a buffer of this capacity that is never zeroed.
///
/// Returns the bytes and the call's result, which MSG_TRUNC makes greater than their number.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    capacity: usize,
    flags: i32,
) -> Result<(Vec<u8>, usize), Errno> {
    let mut data: Vec<u8> = Vec::with_capacity(capacity);
    let room = &mut data.spare_capacity_mut()[..capacity];
    let (_, length) = rustix::net::recv(fd, room, RecvFlags::from_bits_retain(flags as u32))?;
    let discarded = flags & libc::MSG_TRUNC != 0 && is_stream(fd);
    let written = if discarded { 0 } else { length.min(capacity) };
    // SAFETY: the kernel has written this many bytes.
    unsafe { data.set_len(written) };
    // man 7 tcp: MSG_TRUNC throws the bytes away and tells their number. An empty answer would be
    // the stream's end.
    data.resize(length.min(capacity), 0);
    Ok((data, length))
}

fn is_stream(fd: BorrowedFd<'_>) -> bool {
    own_option(fd, libc::SOL_SOCKET, libc::SO_TYPE) == Ok(libc::SOCK_STREAM)
        && own_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN) != Ok(libc::AF_UNIX)
}

/// What recvmsg(2) gave.
pub(crate) struct Message {
    pub(crate) data: Vec<u8>,
    /// The call's result.
    pub(crate) length: usize,
    pub(crate) address: RawAddress,
    /// The control data, in the kernel's layout.
    pub(crate) control: ControlBuffer,
    pub(crate) flags: i32,
}

impl Message {
    /// What recv(2) gave: no address, no control data.
    pub(crate) fn of_bytes(data: Vec<u8>, length: usize) -> Self {
        let control = ControlBuffer::new(ControlRoom::of_bytes(0));
        Self { data, length, address: RawAddress::from_bytes(&[]), control, flags: 0 }
    }
}

/// The room for control data of one message.
#[derive(Clone, Copy)]
pub(crate) struct ControlRoom<'a> {
    /// How much the guest asked for.
    asked: usize,
    /// On an AF_UNIX socket, who closes the descriptors that come in and are not taken.
    strangers: Option<&'a Strangers>,
}

impl<'a> ControlRoom<'a> {
    /// All control data and their headers, the most of an AF_UNIX socket's: a timestamp,
    /// credentials, a label, a pidfd and, the last to be written, SCM_MAX_FD descriptors.
    const OF_UNIX: usize = 2048;

    /// Of a family that passes no descriptors.
    pub(crate) fn of_bytes(asked: usize) -> Self {
        Self { asked, strangers: None }
    }

    /// Of an AF_UNIX socket. Descriptors for which there is no room the kernel would close itself,
    /// on the thread that receives: so there is always room, and what the guest did not ask for is
    /// cut afterwards.
    pub(crate) fn of_unix(asked: usize, strangers: &'a Strangers) -> Self {
        Self { asked, strangers: Some(strangers) }
    }

    pub(crate) fn is_of_unix(self) -> bool {
        self.strangers.is_some()
    }

    fn size(self) -> usize {
        if self.strangers.is_some() { self.asked.max(Self::OF_UNIX) } else { self.asked }
    }
}

/// Received control data. Descriptors in it that nobody takes are left to the instance's strangers
/// on drop.
pub(crate) struct ControlBuffer {
    /// u64 for cmsghdr's alignment.
    words: Vec<u64>,
    length: usize,
    /// How much the guest asked for.
    asked: usize,
    strangers: Option<Strangers>,
    taken: bool,
}

impl ControlBuffer {
    fn new(room: ControlRoom<'_>) -> Self {
        let words = vec![0; room.size().div_ceil(8)];
        Self {
            words,
            length: 0,
            asked: room.asked,
            strangers: room.strangers.cloned(),
            taken: false,
        }
    }

    /// The control data as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: u64s are plain bytes, and `length` is never above the buffer's size
        // (`receive_message`).
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }

    /// The messages one by one, as they are in the room that was asked for, descriptors as owned
    /// ones; and whether some did not fit in there. It can be walked once.
    pub(crate) fn take(&mut self) -> (Vec<ReceivedControl>, bool) {
        if std::mem::replace(&mut self.taken, true) {
            return (Vec::new(), false);
        }
        let mut room = crate::sys::control::Room::new(self.asked);
        let mut items = Vec::new();
        let mut cut = false;
        for item in crate::sys::control::split(self.bytes()) {
            let (level, kind) = (item.level, item.kind);
            let mut received = ReceivedControl {
                level,
                kind,
                data: Vec::new(),
                fds: Vec::new(),
                whole: item.whole,
            };
            let fits = if level == libc::SOL_SOCKET
                && matches!(kind, libc::SCM_RIGHTS | crate::sys::control::SCM_PIDFD)
            {
                received.fds = self.owned(item.data);
                // The rest is dropped here, and closed elsewhere.
                let fits = room.take_rights(received.fds.len());
                let sent = received.fds.len();
                received.fds.truncate(fits);
                cut |= fits < sent;
                fits > 0
            } else {
                let fits = room.take_data(item.data.len());
                received.data = item.data[..fits.unwrap_or(0)].to_vec();
                cut |= fits != Some(item.data.len());
                fits.is_some()
            };
            if fits {
                items.push(received);
            }
        }
        (items, cut)
    }

    /// The descriptors whose numbers these are.
    fn owned(&self, numbers: &[u8]) -> Vec<Stray> {
        let strangers = self.strangers.clone().unwrap_or_else(Strangers::of_nobody);
        numbers
            .chunks_exact(4)
            .map(|four| RawFd::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .filter(|&number| number >= 0)
            // SAFETY: the kernel has just put these descriptors into this process for this message,
            // and `taken` lets nobody take them twice.
            .map(|number| strangers.stray(unsafe { OwnedFd::from_raw_fd(number) }))
            .collect()
    }
}

impl Drop for ControlBuffer {
    fn drop(&mut self) {
        self.take();
    }
}

/// The flags of a receive by the host: it never blocks, and descriptors are close-on-exec.
pub(crate) fn receiving_flags(family: i32, flags: i32) -> i32 {
    // They have no descriptors to pass, and AF_PACKET, CAN_ISOTP and CAN_J1939 refuse flags that
    // they do not know.
    let close_on_exec =
        if matches!(family, libc::AF_PACKET | libc::AF_CAN) { 0 } else { libc::MSG_CMSG_CLOEXEC };
    flags | libc::MSG_DONTWAIT | close_on_exec
}

/// One received control message.
pub(crate) struct ReceivedControl {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: Vec<u8>,
    /// SCM_RIGHTS' and SCM_PIDFD's descriptors.
    pub(crate) fds: Vec<Stray>,
    /// False where the message was cut.
    pub(crate) whole: bool,
}

/// recvmsg(2) into a buffer of this capacity, with this room for control data. The flags are
/// [`receiving_flags`]'s.
pub(crate) fn receive_message(
    fd: BorrowedFd<'_>,
    capacity: usize,
    room: ControlRoom<'_>,
    flags: i32,
) -> Result<Message, Errno> {
    let control_room = room.size();
    let mut data: Vec<u8> = Vec::with_capacity(capacity);
    let mut address = RawAddress::empty();
    let mut control = ControlBuffer::new(room);
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: capacity };
    // SAFETY: an all-zero msghdr is a valid one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let (name, name_length) = address.as_out();
    header.msg_name = name.cast();
    header.msg_namelen = *name_length;
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if control_room > 0 {
        header.msg_control = control.words.as_mut_ptr().cast();
        header.msg_controllen = control_room as _;
    }
    // SAFETY: every pointer in the header describes a buffer of the length beside it that outlives
    // the call.
    let length = check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) })?;
    control.length = if control_room > 0 { header.msg_controllen.min(control_room) } else { 0 };
    address.set_length(header.msg_namelen);
    let discarded = flags & libc::MSG_TRUNC != 0 && is_stream(fd);
    let written = if discarded { 0 } else { length.min(capacity) };
    // SAFETY: the kernel has written this many bytes.
    unsafe { data.set_len(written) };
    Ok(Message {
        data,
        length,
        address,
        control,
        flags: header.msg_flags & !libc::MSG_CMSG_CLOEXEC,
    })
}

/// One message of a batch to send: how long it is, where it goes and what goes with it.
pub(crate) struct BatchItem {
    pub(crate) length: usize,
    /// The place of its permit in the batch's list: messages in a row to one address share it.
    pub(crate) permit: Option<usize>,
    pub(crate) control: Option<Permit<Control>>,
}

/// sendmmsg(2): the messages' bytes follow one another in `data`, whose length is theirs. Gives how
/// many were sent.
pub(crate) fn send_batch(
    fd: BorrowedFd<'_>,
    data: &[u8],
    items: &[BatchItem],
    permits: &[Permit<SendTo>],
    flags: i32,
) -> Result<usize, Errno> {
    let mut rest = data;
    let mut iovs = Vec::with_capacity(items.len());
    for item in items {
        let (bytes, after) = rest.split_at_checked(item.length).ok_or(Errno::INVAL)?;
        iovs.push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        rest = after;
    }
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(items.len());
    for (item, iov) in items.iter().zip(&mut iovs) {
        // SAFETY: an all-zero mmsghdr is a valid one.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        if let Some(place) = item.permit {
            // One that is not there would send without an address.
            let raw = permits.get(place).ok_or(Errno::INVAL)?.act().address();
            header.msg_hdr.msg_name = raw.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = raw.length();
        }
        header.msg_hdr.msg_iov = iov;
        header.msg_hdr.msg_iovlen = 1;
        let control = item.control.as_ref().map_or(&[][..], |control| control.act().encoded());
        if !control.is_empty() {
            header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = control.len() as _;
        }
        headers.push(header);
    }
    // SAFETY: every pointer in the headers describes memory that outlives the call and that the
    // kernel only reads; it writes the headers' own msg_len.
    let sent = check(unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), headers.len() as _, flags as _)
    })?;
    Ok(usize::try_from(sent).unwrap_or(0))
}

/// What recvmmsg(2) gave.
pub(crate) struct ReceivedBatch {
    /// The messages' bytes, one after the other.
    pub(crate) data: Vec<u8>,
    pub(crate) parts: Vec<Part>,
}

/// One message of a received batch.
pub(crate) struct Part {
    /// How many of the bytes are its own.
    pub(crate) size: usize,
    pub(crate) address: RawAddress,
    pub(crate) control: ControlBuffer,
    pub(crate) flags: i32,
}

/// The same as a batch on an AF_UNIX socket, message by message: descriptors may come with each, of
/// which one message's are as many as are held at once.
fn receive_batch_of_unix(
    fd: BorrowedFd<'_>,
    count: usize,
    capacity: usize,
    room: ControlRoom<'_>,
    flags: i32,
) -> Result<ReceivedBatch, Errno> {
    let mut batch = ReceivedBatch { data: Vec::new(), parts: Vec::new() };
    while batch.parts.len() < count {
        match receive_message(fd, capacity, room, flags) {
            Ok(Message { data, address, control, flags, .. }) => {
                let rights = crate::sys::control::has_rights(control.bytes());
                batch.data.extend_from_slice(&data);
                batch.parts.push(Part { size: data.len(), address, control, flags });
                if rights {
                    break;
                }
            }
            Err(errno) if batch.parts.is_empty() => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(batch)
}

/// recvmmsg(2): at most `count` messages of at most `capacity` bytes, each with this room for
/// control data. The flags are [`receiving_flags`]'s.
pub(crate) fn receive_batch(
    fd: BorrowedFd<'_>,
    count: usize,
    capacity: usize,
    room: ControlRoom<'_>,
    flags: i32,
) -> Result<ReceivedBatch, Errno> {
    if room.is_of_unix() {
        return receive_batch_of_unix(fd, count, capacity, room, flags);
    }
    let control_room = room.size();
    let mut data: Vec<u8> = Vec::with_capacity(count * capacity);
    let mut parts: Vec<Part> = Vec::with_capacity(count);
    parts.resize_with(count, || Part {
        size: 0,
        address: RawAddress::empty(),
        control: ControlBuffer::new(room),
        flags: 0,
    });
    let rooms = data.spare_capacity_mut().chunks_exact_mut(capacity.max(1)).map(<[_]>::as_mut_ptr);
    // Messages without room for a byte have no room at all.
    let mut iovs: Vec<libc::iovec> = rooms
        .chain(std::iter::repeat(std::ptr::dangling_mut()))
        .take(count)
        .map(|room| libc::iovec { iov_base: room.cast(), iov_len: capacity })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(count);
    for (iov, part) in iovs.iter_mut().zip(&mut parts) {
        // SAFETY: an all-zero mmsghdr is a valid one.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let (name, name_length) = part.address.as_out();
        header.msg_hdr.msg_name = name.cast();
        header.msg_hdr.msg_namelen = *name_length;
        header.msg_hdr.msg_iov = iov;
        header.msg_hdr.msg_iovlen = 1;
        if control_room > 0 {
            header.msg_hdr.msg_control = part.control.words.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control_room as _;
        }
        headers.push(header);
    }
    // SAFETY: every pointer in the headers describes a buffer of the length beside it that outlives
    // the call, each one its own.
    let got = check(unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as _,
            flags as _,
            std::ptr::null_mut(),
        )
    })?;
    parts.truncate(usize::try_from(got).unwrap_or(0));
    for (number, (part, header)) in parts.iter_mut().zip(&headers).enumerate() {
        part.size = (header.msg_len as usize).min(capacity);
        part.address.set_length(header.msg_hdr.msg_namelen);
        part.control.length =
            if control_room > 0 { header.msg_hdr.msg_controllen.min(control_room) } else { 0 };
        part.flags = header.msg_hdr.msg_flags & !libc::MSG_CMSG_CLOEXEC;
        let (filled, start) = (data.len(), data.as_mut_ptr());
        // SAFETY: the kernel has written this many bytes at `number * capacity`, which is not
        // before `filled`, as no message is longer than `capacity`; both lie in the vector's room.
        unsafe {
            std::ptr::copy(start.add(number * capacity), start.add(filled), part.size);
            data.set_len(filled + part.size);
        }
    }
    Ok(ReceivedBatch { data, parts })
}

/// Registers a descriptor with this thread's tokio runtime.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Errno> {
    // SAFETY: an OwnedFd gives the same open number for as long as it lives, which is as long as
    // the registration.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(|error| errno(error.into()))
}

/// getaddrinfo(3)'s hints: AF_*, SOCK_*, IPPROTO_*, AI_*.
#[derive(Clone, Copy)]
pub(crate) struct Hints {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
    pub(crate) flags: i32,
}

/// How a name is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Lookup {
    /// The hosts file has it, and is asked first.
    pub(crate) in_hosts_file: bool,
    /// The names that lead to the answer are wanted: aliases and canonical names.
    pub(crate) other_names: bool,
}

/// getaddrinfo(3) of a name, and the other names of the answer where they are wanted. It blocks:
/// for the pools' threads alone.
pub(crate) fn get_address_info(
    permit: Permit<Resolve>,
    service: Option<&CStr>,
    mut hints: Hints,
    lookup: Lookup,
) -> Result<(Vec<AddressInfo>, Vec<String>), NameFailure> {
    without_host_aliases()?;
    let name = permit.into_act().asked(lookup.in_hosts_file).map_err(NameFailure::System)?;
    let canonical = hints.flags & libc::AI_CANONNAME != 0;
    if lookup.other_names {
        hints.flags |= libc::AI_CANONNAME;
    }
    let mut answers = address_info(Some(&name), service, hints)?;
    let mut names = Vec::new();
    if lookup.other_names {
        names.extend(answers.iter().filter_map(|info| info.canonical_name.clone()));
        if !canonical {
            answers.iter_mut().for_each(|info| info.canonical_name = None);
        }
        // getaddrinfo(3) gives the last name alone, not those between.
        let mut families: Vec<i32> = answers
            .iter()
            .filter_map(|info| Some(info.address.to_ip()?.ip()))
            .map(family_of)
            .collect();
        families.sort_unstable();
        families.dedup();
        for family in families {
            let entry = host_by_name(&name, family).map_err(|failure| match failure {
                NameFailure::System(errno) => NameFailure::System(errno),
                _ => NameFailure::Code(libc::EAI_AGAIN),
            })?;
            names.push(entry.name);
            names.extend(entry.aliases);
        }
    }
    Ok((answers, names))
}

/// The family in which an address is looked up.
fn family_of(address: IpAddr) -> i32 {
    if address.to_canonical().is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// The first fields of resolv.h's `struct __res_state`, which are part of glibc's binary interface.
#[repr(C)]
struct ResolverState {
    _retrans: libc::c_int,
    _retry: libc::c_int,
    options: libc::c_ulong,
}

/// resolv.h: RES_INIT and RES_NOALIASES.
const RES_INIT: libc::c_ulong = 0x0001;
const RES_NOALIASES: libc::c_ulong = 0x1000;

/// Makes the calling thread's resolver anew, by what resolv.conf says now, and without the aliases
/// of the host's environment (HOSTALIASES), which would make a question of another name.
fn without_host_aliases() -> Result<(), NameFailure> {
    // SAFETY: `__res_state` gives this thread's own state, which lives as long as the thread and is
    // used by nobody else meanwhile. It is closed only where it was opened (man 3 resolver).
    unsafe {
        let state = __res_state();
        if (*state).options & RES_INIT != 0 {
            __res_nclose(state);
        }
        if __res_ninit(state) != 0 {
            return Err(NameFailure::System(Errno::NOMEM));
        }
        (*state).options |= RES_NOALIASES;
    }
    Ok(())
}

/// getaddrinfo(3) of a number, or of no host. A service that is a name is looked for in the
/// system's tables.
pub(crate) fn numeric_address_info(
    host: Option<&CStr>,
    service: Option<&CStr>,
    mut hints: Hints,
) -> Result<Vec<AddressInfo>, NameFailure> {
    if host.is_some() {
        hints.flags |= libc::AI_NUMERICHOST;
    }
    address_info(host, service, hints)
}

fn address_info(
    host: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
) -> Result<Vec<AddressInfo>, NameFailure> {
    // SAFETY: an all-zero addrinfo is a valid hint.
    let mut hint: libc::addrinfo = unsafe { std::mem::zeroed() };
    hint.ai_family = hints.family;
    hint.ai_socktype = hints.kind;
    hint.ai_protocol = hints.protocol;
    hint.ai_flags = hints.flags;
    let mut list = MaybeUninit::<*mut libc::addrinfo>::uninit();
    // SAFETY: the strings end with NUL, the hint is whole, and the list is read only after success.
    let code = unsafe {
        libc::getaddrinfo(
            host.map_or(std::ptr::null(), CStr::as_ptr),
            service.map_or(std::ptr::null(), CStr::as_ptr),
            &raw const hint,
            list.as_mut_ptr(),
        )
    };
    if code == libc::EAI_SYSTEM {
        return Err(NameFailure::System(last_errno()));
    }
    if code != 0 {
        return Err(NameFailure::Code(code));
    }
    // SAFETY: getaddrinfo succeeded, so the list was written.
    let head = unsafe { list.assume_init() };
    let mut answers = Vec::new();
    let mut next = head;
    while !next.is_null() {
        // SAFETY: `next` is a node of the list that getaddrinfo made and nobody has freed.
        let node = unsafe { &*next };
        let canonical_name = (!node.ai_canonname.is_null())
            // SAFETY: ai_canonname ends with NUL and lives as long as the list.
            .then(|| unsafe { CStr::from_ptr(node.ai_canonname) }.to_string_lossy().into_owned());
        // SAFETY: ai_addr points to ai_addrlen bytes that live as long as the list.
        let bytes = unsafe {
            std::slice::from_raw_parts(node.ai_addr.cast::<u8>(), node.ai_addrlen as usize)
        };
        answers.push(AddressInfo {
            family: node.ai_family,
            kind: node.ai_socktype,
            protocol: node.ai_protocol,
            canonical_name,
            address: RawAddress::from_bytes(bytes),
        });
        next = node.ai_next;
    }
    // SAFETY: `head` is getaddrinfo's own list, freed once.
    unsafe { libc::freeaddrinfo(head) };
    Ok(answers)
}

/// One answer of getaddrinfo(3).
pub(crate) struct AddressInfo {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
    pub(crate) canonical_name: Option<String>,
    pub(crate) address: RawAddress,
}

/// Why a look-up failed.
pub(crate) enum NameFailure {
    /// An EAI_* code.
    Code(i32),
    /// An h_errno.
    Host(i32),
    /// EAI_SYSTEM's or NETDB_INTERNAL's errno.
    System(Errno),
}

/// A string for C, or EINVAL where it has a NUL.
pub(crate) fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::INVAL)
}

// glibc's reentrant look-ups and its resolver's state (man 3 gethostbyname, getservbyname_r,
// getprotobyname_r, resolver), which `libc` does not declare.
unsafe extern "C" {
    fn __res_state() -> *mut ResolverState;
    fn __res_ninit(state: *mut ResolverState) -> libc::c_int;
    fn __res_nclose(state: *mut ResolverState);
    fn gethostbyname2_r(
        name: *const libc::c_char,
        family: libc::c_int,
        entry: *mut libc::hostent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::hostent,
        h_errno: *mut libc::c_int,
    ) -> libc::c_int;
    fn gethostbyaddr_r(
        address: *const libc::c_void,
        length: libc::socklen_t,
        family: libc::c_int,
        entry: *mut libc::hostent,
        buffer: *mut libc::c_char,
        buffer_length: usize,
        result: *mut *mut libc::hostent,
        h_errno: *mut libc::c_int,
    ) -> libc::c_int;
    fn getservbyname_r(
        name: *const libc::c_char,
        protocol: *const libc::c_char,
        entry: *mut libc::servent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::servent,
    ) -> libc::c_int;
    fn getservbyport_r(
        port: libc::c_int,
        protocol: *const libc::c_char,
        entry: *mut libc::servent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::servent,
    ) -> libc::c_int;
    fn getprotobyname_r(
        name: *const libc::c_char,
        entry: *mut libc::protoent,
        buffer: *mut libc::c_char,
        length: usize,
        result: *mut *mut libc::protoent,
    ) -> libc::c_int;
}

/// The longest entry that is read.
const ENTRY_MAX: usize = 1 << 20;

/// Makes one of these calls with a buffer that grows until the entry fits. Gives what `read` makes
/// of the entry, or the call's result where there is none.
fn find_entry<E, R>(
    mut call: impl FnMut(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
    read: impl FnOnce(&E) -> R,
) -> Result<R, libc::c_int> {
    let mut length = 1 << 10;
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut buffer: Vec<libc::c_char> = Vec::with_capacity(length);
        let mut result = std::ptr::null_mut();
        let code = call(entry.as_mut_ptr(), buffer.as_mut_ptr(), length, &raw mut result);
        if code == libc::ERANGE && length < ENTRY_MAX {
            length *= 4;
            continue;
        }
        // SAFETY: the result is null, or points to `entry`, which was then filled with pointers
        // into `buffer`; both live here.
        return unsafe { result.as_ref() }.map(read).ok_or(code);
    }
}

/// A text of C's.
///
/// # Safety
/// It ends with NUL and lives during the call.
unsafe fn text(pointer: *const libc::c_char) -> String {
    // SAFETY: as this function demands.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// The pointers of a list that ends with a null.
///
/// # Safety
/// The list lives during the call.
unsafe fn pointers(mut list: *mut *mut libc::c_char) -> Vec<*mut libc::c_char> {
    let mut all = Vec::new();
    // SAFETY: the list goes on until its null.
    while !list.is_null() && !unsafe { *list }.is_null() {
        // SAFETY: as above: this element is no null, so there is a next one.
        unsafe {
            all.push(*list);
            list = list.add(1);
        }
    }
    all
}

/// What gethostbyname(3) or gethostbyaddr(3) said.
pub(crate) struct HostEntry {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl HostEntry {
    /// Of the system's entry, whose pointers must be what glibc made them.
    fn read(entry: &libc::hostent) -> Self {
        let address = |pointer: *mut libc::c_char| {
            let pointer = pointer.cast::<u8>();
            match (entry.h_addrtype, entry.h_length) {
                // SAFETY: each address of the list has h_length bytes.
                (libc::AF_INET, 4) => {
                    Some(IpAddr::from(Ipv4Addr::from(unsafe { *pointer.cast::<[u8; 4]>() })))
                }
                // SAFETY: as above.
                (libc::AF_INET6, 16) => {
                    Some(IpAddr::from(Ipv6Addr::from(unsafe { *pointer.cast::<[u8; 16]>() })))
                }
                _ => None,
            }
        };
        // SAFETY: glibc filled the entry: its texts end with NUL, its lists with a null, and all
        // live as long as the entry.
        unsafe {
            Self {
                name: text(entry.h_name),
                aliases: pointers(entry.h_aliases).into_iter().map(|alias| text(alias)).collect(),
                addresses: pointers(entry.h_addr_list).into_iter().filter_map(address).collect(),
            }
        }
    }
}

/// The failure that an h_errno and the call's result are.
fn host_failure(h_errno: libc::c_int, code: libc::c_int) -> NameFailure {
    match h_errno {
        // NETDB_INTERNAL: errno says more.
        ..=0 => {
            NameFailure::System(if code > 0 { Errno::from_raw_os_error(code) } else { Errno::IO })
        }
        code => NameFailure::Host(code),
    }
}

/// gethostbyname2(3). It blocks: for the pools' threads alone.
pub(crate) fn get_host_by_name(
    permit: Permit<Resolve>,
    family: i32,
    in_hosts_file: bool,
) -> Result<HostEntry, NameFailure> {
    without_host_aliases()?;
    host_by_name(&permit.into_act().asked(in_hosts_file).map_err(NameFailure::System)?, family)
}

fn host_by_name(name: &CStr, family: i32) -> Result<HostEntry, NameFailure> {
    let mut h_errno = 0;
    let found = find_entry(
        // SAFETY: the name ends with NUL, and `find_entry` gives an entry, a buffer of this length
        // and a place for the result.
        |entry, buffer, length, result| unsafe {
            gethostbyname2_r(name.as_ptr(), family, entry, buffer, length, result, &raw mut h_errno)
        },
        HostEntry::read,
    );
    found.map_err(|code| host_failure(h_errno, code))
}

/// gethostbyaddr(3). It blocks: for the name pool's threads alone.
pub(crate) fn get_host_by_address(
    permit: Permit<ReverseResolve>,
) -> Result<HostEntry, NameFailure> {
    let (octets, family) = match permit.into_act().address {
        IpAddr::V4(v4) => (v4.octets().to_vec(), libc::AF_INET),
        IpAddr::V6(v6) => (v6.octets().to_vec(), libc::AF_INET6),
    };
    let mut h_errno = 0;
    let found = find_entry(
        // SAFETY: the address is of its family's length, the rest as in `get_host_by_name`.
        |entry, buffer, length, result| unsafe {
            let address = octets.as_ptr().cast();
            gethostbyaddr_r(
                address,
                octets.len() as _,
                family,
                entry,
                buffer,
                length,
                result,
                &raw mut h_errno,
            )
        },
        HostEntry::read,
    );
    found.map_err(|code| host_failure(h_errno, code))
}

/// netdb.h: NI_MAXHOST.
const HOST_TEXT_MAX: usize = 1025;

/// getnameinfo(3)'s host, by these flags.
fn host_text(address: IpAddr, flags: i32) -> Result<String, NameFailure> {
    let raw = RawAddress::from_ip(SocketAddr::new(address, 0));
    let mut host = [0 as libc::c_char; HOST_TEXT_MAX];
    // SAFETY: the pointers and lengths are `raw`'s and `host`'s own; no service is asked for.
    let code = unsafe {
        libc::getnameinfo(
            raw.as_ptr(),
            raw.length(),
            host.as_mut_ptr(),
            HOST_TEXT_MAX as _,
            std::ptr::null_mut(),
            0,
            flags,
        )
    };
    match code {
        // SAFETY: getnameinfo succeeded, so the text ends with NUL within the buffer.
        0 => Ok(unsafe { text(host.as_ptr()) }),
        libc::EAI_SYSTEM => Err(NameFailure::System(last_errno())),
        code => Err(NameFailure::Code(code)),
    }
}

/// The name of an address: getnameinfo(3) with NI_NAMEREQD, and NI_NOFQDN to cut this host's own
/// domain. It blocks: for the name pool's threads alone.
pub(crate) fn get_name(permit: Permit<ReverseResolve>, cut: bool) -> Result<String, NameFailure> {
    host_text(permit.into_act().address, libc::NI_NAMEREQD | if cut { libc::NI_NOFQDN } else { 0 })
}

/// An address as glibc writes it.
pub(crate) fn numeric_host(address: IpAddr) -> String {
    host_text(address, libc::NI_NUMERICHOST).unwrap_or_else(|_| address.to_string())
}

fn or_null(text: Option<&CStr>) -> *const libc::c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}

/// getservbyname(3): the port in host byte order; ENOENT. It may block: for the name pool's threads
/// alone.
pub(crate) fn service_port(name: &CStr, protocol: Option<&CStr>) -> Result<u16, Errno> {
    let found = find_entry(
        // SAFETY: the texts end with NUL, the rest as in `get_host_by_name`.
        |entry, buffer, length, result| unsafe {
            getservbyname_r(name.as_ptr(), or_null(protocol), entry, buffer, length, result)
        },
        |entry: &libc::servent| u16::from_be(entry.s_port as u16),
    );
    found.map_err(|_| Errno::NOENT)
}

/// getservbyport(3) of a port in host byte order; ENOENT. It may block: for the name pool's threads
/// alone.
pub(crate) fn service_name(port: u16, protocol: Option<&CStr>) -> Result<String, Errno> {
    let found = find_entry(
        // SAFETY: as in `service_port`.
        |entry, buffer, length, result| unsafe {
            getservbyport_r(port.to_be().into(), or_null(protocol), entry, buffer, length, result)
        },
        // SAFETY: glibc filled the entry: its name ends with NUL and lives as long as it.
        |entry: &libc::servent| unsafe { text(entry.s_name) },
    );
    found.map_err(|_| Errno::NOENT)
}

/// getprotobyname(3); ENOENT. It may block: for the name pool's threads alone.
pub(crate) fn protocol_number(name: &CStr) -> Result<i32, Errno> {
    let found = find_entry(
        // SAFETY: as in `service_port`.
        |entry, buffer, length, result| unsafe {
            getprotobyname_r(name.as_ptr(), entry, buffer, length, result)
        },
        |entry: &libc::protoent| entry.p_proto,
    );
    found.map_err(|_| Errno::NOENT)
}

/// if_nameindex(3).
pub(crate) fn interfaces(_permit: Permit<Interfaces>) -> Result<Vec<(u32, String)>, Errno> {
    // SAFETY: it takes nothing, and gives a list that ends with index 0, or null.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(last_errno());
    }
    let mut all = Vec::new();
    let mut next = list;
    // SAFETY: `next` stays within the list: it goes on until its entry of index 0, whose name is
    // null.
    while let libc::if_nameindex { if_index: index @ 1.., if_name: name } = unsafe { &*next } {
        // SAFETY: the name of an entry before the last ends with NUL and lives as long as the list.
        all.push((*index, unsafe { text(*name) }));
        // SAFETY: this was not the last entry.
        next = unsafe { next.add(1) };
    }
    // SAFETY: `list` is if_nameindex's own, freed once.
    unsafe { libc::if_freenameindex(list) };
    Ok(all)
}

/// if_nametoindex(3); ENODEV.
pub(crate) fn interface_index(_permit: Permit<Interfaces>, name: &CStr) -> Result<u32, Errno> {
    // SAFETY: the name ends with NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(last_errno()),
        index => Ok(index),
    }
}

/// if_indextoname(3); ENXIO.
pub(crate) fn interface_name(_permit: Permit<Interfaces>, index: u32) -> Result<String, Errno> {
    own_interface_name(index).ok_or(Errno::NXIO)
}

/// gethostname(2).
pub(crate) fn host_name(_permit: Permit<ReadHostName>) -> String {
    // man 2 gethostname: at most 64 bytes and the NUL, for which the buffer has room.
    let mut name = [0 as libc::c_char; 256];
    // SAFETY: the pointer and the length are the buffer's, the last byte left out.
    unsafe { libc::gethostname(name.as_mut_ptr(), name.len() - 1) };
    // SAFETY: the buffer's last byte is NUL.
    unsafe { text(name.as_ptr()) }
}

/// sethostname(2).
pub(crate) fn set_host_name(permit: Permit<SetHostName>) -> Result<(), Errno> {
    let name = permit.into_act().name;
    // SAFETY: the pointer and the length are the name's.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}
