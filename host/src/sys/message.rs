//! Sending and receiving, with addresses and control data.
#![allow(unsafe_code, reason = "headers with raw control data, and buffers that are never zeroed")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::address::RawAddress;
use super::closer::{Closer, DeferredFd};
use super::option::own_option;
use super::socket::Permitted;
use super::{check, check_size, control};
use crate::authority::permit::{Control, Permit, SendTo};

/// The most descriptors of one message (man 7 unix: SCM_MAX_FD).
pub(crate) const RIGHTS_MAX: usize = 253;

/// send(2).
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], flags: i32) -> Result<usize, Errno> {
    rustix::net::send(fd, data, SendFlags::from_bits_retain(flags as u32))
}

/// sendmsg(2) of several pieces to the peer.
pub(crate) fn send_pieces(
    fd: BorrowedFd<'_>,
    pieces: &[io::IoSlice<'_>],
    flags: i32,
) -> Result<usize, Errno> {
    let flags = SendFlags::from_bits_retain(flags as u32);
    rustix::net::sendmsg(fd, pieces, &mut SendAncillaryBuffer::default(), flags)
}

/// sendto(2). The caller keeps the permit for a retry, and must renew it first.
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

/// recv(2) into a buffer of this capacity, which is not zeroed first.
///
/// Returns the bytes and the result of the call. With MSG_TRUNC the result may be greater than the
/// number of bytes.
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
    // SAFETY: the kernel has written this many bytes of the capacity.
    unsafe { data.set_len(written) };
    // man 7 tcp: MSG_TRUNC discards the bytes and returns their number. An empty answer would mean
    // the end of the stream.
    data.resize(length.min(capacity), 0);
    Ok((data, length))
}

/// recv(2) into memory of the guest, or another buffer that has bytes.
pub(crate) fn receive_into(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: i32,
) -> Result<usize, Errno> {
    rustix::net::recv(fd, buffer, RecvFlags::from_bits_retain(flags as u32)).map(|(count, _)| count)
}

/// Whether MSG_TRUNC discards the bytes: on a stream, but not on an AF_UNIX one.
fn is_stream(fd: BorrowedFd<'_>) -> bool {
    own_option(fd, libc::SOL_SOCKET, libc::SO_TYPE) == Ok(libc::SOCK_STREAM)
        && own_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN) != Ok(libc::AF_UNIX)
}

/// The result of recvmsg(2).
pub(crate) struct ReceivedMessage {
    pub(crate) data: Vec<u8>,
    /// The result of the call.
    pub(crate) length: usize,
    pub(crate) address: RawAddress,
    /// The control data, in the kernel's layout.
    pub(crate) control: ControlBuffer,
    pub(crate) flags: i32,
}

impl ReceivedMessage {
    /// The result of recv(2), which has no address and no control data.
    pub(crate) fn of_bytes(data: Vec<u8>, length: usize) -> Self {
        let control = ControlBuffer::new(ControlRoom::of_bytes(0));
        Self { data, length, address: RawAddress::from_bytes(&[]), control, flags: 0 }
    }
}

/// The room for control data of one message.
#[derive(Clone, Copy)]
pub(crate) struct ControlRoom<'a> {
    /// The bytes that the guest asked for.
    asked: usize,
    /// On an AF_UNIX socket, the closer of the received descriptors that nobody takes.
    closer: Option<&'a Closer>,
}

impl<'a> ControlRoom<'a> {
    /// Room for all control data that one message of an AF_UNIX socket can have, with the headers:
    /// a timestamp, credentials, a label, a pidfd and, written last, SCM_MAX_FD descriptors.
    const OF_UNIX: usize = 2048;

    /// The room on a socket of a family that passes no descriptors.
    pub(crate) fn of_bytes(asked: usize) -> Self {
        Self { asked, closer: None }
    }

    /// The room on an AF_UNIX socket. The kernel would close descriptors without room itself, on the
    /// receiving thread. So there is always room, and [`ControlBuffer::take`] cuts what the guest
    /// did not ask for.
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

/// Received control data. On drop, the instance's closer closes the descriptors that nobody took.
pub(crate) struct ControlBuffer {
    room: Vec<u8>,
    /// The bytes that the kernel has filled in.
    length: usize,
    /// The bytes that the guest asked for.
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

    /// The control messages as far as they fit in the room that the guest asked for, and whether
    /// that room was too small. A second call returns none.
    pub(crate) fn take(&mut self) -> (Vec<ReceivedCmsg>, bool) {
        if std::mem::replace(&mut self.taken, true) {
            return (Vec::new(), false);
        }
        let mut room = control::Room::new(self.asked);
        let mut items = Vec::new();
        let mut cut = false;
        for item in control::split(self.bytes()) {
            let (level, kind) = (item.level, item.kind);
            let mut received =
                ReceivedCmsg { level, kind, data: Vec::new(), fds: Vec::new(), whole: item.whole };
            let fits = if level == libc::SOL_SOCKET
                && matches!(kind, libc::SCM_RIGHTS | control::SCM_PIDFD)
            {
                received.fds = self.owned(item.data);
                // The closer closes the rest.
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

    /// The descriptors with these numbers.
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

/// The flags of every receive of the host. It never blocks, and received descriptors are
/// close-on-exec.
pub(crate) fn receiving_flags(family: i32, flags: i32) -> i32 {
    // These families pass no descriptors, and AF_PACKET, CAN_ISOTP and CAN_J1939 refuse flags that
    // they do not know.
    let close_on_exec =
        if matches!(family, libc::AF_PACKET | libc::AF_CAN) { 0 } else { libc::MSG_CMSG_CLOEXEC };
    flags | libc::MSG_DONTWAIT | close_on_exec
}

/// One received control message.
pub(crate) struct ReceivedCmsg {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: Vec<u8>,
    /// The descriptors of SCM_RIGHTS and SCM_PIDFD.
    pub(crate) fds: Vec<DeferredFd>,
    /// False if the kernel cut the message.
    pub(crate) whole: bool,
}

/// recvmsg(2) into a buffer of this capacity, with this room for control data. `flags` come from
/// [`receiving_flags`].
pub(crate) fn receive_message(
    fd: BorrowedFd<'_>,
    capacity: usize,
    room: ControlRoom<'_>,
    flags: i32,
) -> Result<ReceivedMessage, Errno> {
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
    // SAFETY: the kernel has written this many bytes of the capacity.
    unsafe { data.set_len(written) };
    Ok(ReceivedMessage {
        data,
        length,
        address,
        control,
        flags: header.msg_flags & !libc::MSG_CMSG_CLOEXEC,
    })
}

/// One message of a batch to send.
pub(crate) struct BatchItem {
    pub(crate) length: usize,
    /// The index of its permit in the batch's list. Successive messages to one address share it.
    pub(crate) permit: Option<usize>,
    pub(crate) control: Option<Permit<Control>>,
}

/// sendmmsg(2). The bytes of the messages follow one another in `data`, which holds nothing else.
/// Returns the number of messages sent.
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
            // Without its permit the message would be sent without an address.
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
    // SAFETY: every pointer in the headers describes memory that outlives the call. The kernel only
    // reads it, and writes the headers' own msg_len.
    let sent = check(unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), headers.len() as _, flags as _)
    })?;
    Ok(usize::try_from(sent).unwrap_or(0))
}

/// The result of recvmmsg(2).
pub(crate) struct ReceivedBatch {
    /// The messages' bytes, one after the other.
    pub(crate) data: Vec<u8>,
    pub(crate) parts: Vec<BatchMessage>,
}

/// One message of a received batch.
pub(crate) struct BatchMessage {
    /// The number of its bytes.
    pub(crate) size: usize,
    pub(crate) address: RawAddress,
    pub(crate) control: ControlBuffer,
    pub(crate) flags: i32,
}

/// [`receive_batch`] on an AF_UNIX socket. It receives message by message, and ends after a message
/// with descriptors: the host holds the descriptors of at most one message at once.
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
            Ok(ReceivedMessage { data, address, control, flags, .. }) => {
                let rights = control::has_rights(control.bytes());
                batch.data.extend_from_slice(&data);
                batch.parts.push(BatchMessage { size: data.len(), address, control, flags });
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
/// control data. `flags` come from [`receiving_flags`].
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
    let mut parts: Vec<BatchMessage> = Vec::with_capacity(count);
    parts.resize_with(count, || BatchMessage {
        size: 0,
        address: RawAddress::empty(),
        control: ControlBuffer::new(room),
        flags: 0,
    });
    let rooms = data.spare_capacity_mut().chunks_exact_mut(capacity.max(1)).map(<[_]>::as_mut_ptr);
    // Without capacity there are no rooms, and the pointers are never used.
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
        // SAFETY: the kernel has written this many bytes at `number * capacity`. `filled` is not
        // behind it, because no message is longer than `capacity`. Both lie in the vector's room.
        unsafe {
            std::ptr::copy(start.add(number * capacity), start.add(filled), part.size);
            data.set_len(filled + part.size);
        }
    }
    Ok(ReceivedBatch { data, parts })
}
