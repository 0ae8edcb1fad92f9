//! Data into sockets and out of them, with addresses and control data.
#![allow(unsafe_code, reason = "headers with raw control data, and buffers that are never zeroed")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::address::RawAddress;
use super::option::own_option;
use super::socket::Permitted;
use super::{check, check_size};
use crate::authority::permit::{Control, Permit, SendTo};
use crate::sys::closer::{Closer, DeferredFd};

/// The most descriptors of one message (man 7 unix: SCM_MAX_FD).
pub(crate) const RIGHTS_MAX: usize = 253;

/// send(2).
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], flags: i32) -> Result<usize, Errno> {
    rustix::net::send(fd, data, SendFlags::from_bits_retain(flags as u32))
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

/// An empty header: null pointers with length 0.
const EMPTY: libc::msghdr = libc::msghdr {
    msg_name: std::ptr::null_mut(),
    msg_namelen: 0,
    msg_iov: std::ptr::null_mut(),
    msg_iovlen: 0,
    msg_control: std::ptr::null_mut(),
    msg_controllen: 0,
    msg_flags: 0,
};

/// sendmsg(2) with an optional address and permitted control data.
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    buffers: &[io::IoSlice<'_>],
    flags: i32,
    address: Option<&Permit<SendTo>>,
    control: &Permit<Control>,
) -> Result<usize, Errno> {
    let mut header = EMPTY;
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
    closer: Option<&'a Closer>,
}

impl<'a> ControlRoom<'a> {
    /// All control data and their headers, the most of an AF_UNIX socket's: a timestamp,
    /// credentials, a label, a pidfd and, the last to be written, SCM_MAX_FD descriptors.
    const OF_UNIX: usize = 2048;

    /// Of a family that passes no descriptors.
    pub(crate) fn of_bytes(asked: usize) -> Self {
        Self { asked, closer: None }
    }

    /// Of an AF_UNIX socket. Descriptors for which there is no room the kernel would close itself,
    /// on the thread that receives: so there is always room, and what the guest did not ask for is
    /// cut afterwards.
    pub(crate) fn of_unix(asked: usize, closer: &'a Closer) -> Self {
        Self { asked, closer: Some(closer) }
    }

    pub(crate) fn is_of_unix(self) -> bool {
        self.closer.is_some()
    }

    fn size(self) -> usize {
        if self.closer.is_some() { self.asked.max(Self::OF_UNIX) } else { self.asked }
    }
}

/// Received control data. Descriptors in it that nobody takes are left to the instance's closer
/// on drop.
pub(crate) struct ControlBuffer {
    room: Vec<u8>,
    length: usize,
    /// How much the guest asked for.
    asked: usize,
    closer: Option<Closer>,
    taken: bool,
}

impl ControlBuffer {
    fn new(room: ControlRoom<'_>) -> Self {
        let (bytes, closer) = (vec![0; room.size()], room.closer.cloned());
        Self { room: bytes, length: 0, asked: room.asked, closer, taken: false }
    }

    /// The control data as bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
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
    fn owned(&self, numbers: &[u8]) -> Vec<DeferredFd> {
        let closer = self.closer.clone().unwrap_or_else(Closer::detached);
        numbers
            .chunks_exact(4)
            .map(|four| RawFd::from_ne_bytes([four[0], four[1], four[2], four[3]]))
            .filter(|&number| number >= 0)
            // SAFETY: the kernel has just put these descriptors into this process for this message,
            // and `taken` lets nobody take them twice.
            .map(|number| closer.defer_received(unsafe { OwnedFd::from_raw_fd(number) }))
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
    pub(crate) fds: Vec<DeferredFd>,
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
    let mut header = EMPTY;
    let (name, name_length) = address.as_out();
    header.msg_name = name.cast();
    header.msg_namelen = *name_length;
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if control_room > 0 {
        header.msg_control = control.room.as_mut_ptr().cast();
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
        let mut header = libc::mmsghdr { msg_hdr: EMPTY, msg_len: 0 };
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
        let mut header = libc::mmsghdr { msg_hdr: EMPTY, msg_len: 0 };
        let (name, name_length) = part.address.as_out();
        header.msg_hdr.msg_name = name.cast();
        header.msg_hdr.msg_namelen = *name_length;
        header.msg_hdr.msg_iov = iov;
        header.msg_hdr.msg_iovlen = 1;
        if control_room > 0 {
            header.msg_hdr.msg_control = part.control.room.as_mut_ptr().cast();
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
