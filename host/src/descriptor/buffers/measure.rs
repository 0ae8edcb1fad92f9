//! The memory that one socket can make the kernel hold, by the kernel's own numbers.

use std::os::fd::BorrowedFd;

pub(crate) use sandsock_abi::constants::SO_BUF_LOCK;
use sandsock_abi::constants::{SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_VM_SOCKETS_BUFFER_SIZE};

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::sys::{self, Memory};

/// What may lie in a UNIX socket's queue from senders that are closed, counted as its receive
/// buffer though the kernel makes no use of that: net.core.rmem_default as Linux has it.
pub(super) const UNIX_LEFT: u64 = 212_992;

/// How often its send buffer the kernel may hold for a UNIX socket of messages: one is taken while
/// the buffer is not full, as long as the buffer, in pages that are up to twice as many.
const UNIX_MESSAGES: u64 = 3;

/// How often its receive buffer AF_TIPC takes of messages of the highest importance
/// (net/tipc/socket.c: rcvbuf_limit).
const TIPC_IMPORTANCE: u64 = 8;

/// Which of a socket's two buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffer {
    Send,
    Receive,
}

/// The buffer whose size an option sets.
pub(super) fn buffer_of(level: i32, name: i32) -> Option<Buffer> {
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_SNDBUF | SO_SNDBUFFORCE) => Some(Buffer::Send),
        (libc::SOL_SOCKET, libc::SO_RCVBUF | SO_RCVBUFFORCE) => Some(Buffer::Receive),
        _ => None,
    }
}

/// Whether setting an option of this level may make the kernel hold more: buffers, filters,
/// memberships (net.core.optmem_max).
pub(super) fn changes(level: i32) -> bool {
    level != libc::IPPROTO_TCP
}

/// Whether the kernel sizes this socket's buffers itself, so that what it holds must be measured:
/// TCP.
pub(crate) fn is_sampled(kind: SocketKind) -> bool {
    kind.type_ == libc::SOCK_STREAM && matches!(kind.family, libc::AF_INET | libc::AF_INET6)
}

fn is_unix_messages(kind: SocketKind) -> bool {
    kind.family == libc::AF_UNIX && kind.type_ != libc::SOCK_STREAM
}

/// The bytes that the kernel holds, or may come to hold, for a socket; none if it does not say. A
/// TCP socket listens if it has a `backlog`.
pub(super) fn bytes(fd: BorrowedFd<'_>, kind: SocketKind, backlog: u32) -> Option<u64> {
    let memory = sys::memory(fd).ok()?;
    if backlog > 0 {
        // A connection that waits has the listener's receive buffer.
        return Some(u64::from(sys::waiting_connections(fd)).saturating_mul(memory.receive_buffer));
    }
    if is_sampled(kind) {
        return Some(memory.receive_buffer.max(memory.received) + memory.queued + memory.options);
    }
    Some(of_buffers(kind, &memory) + memory.options + of_vsock(fd, kind))
}

fn receive_side(kind: SocketKind, memory: &Memory) -> u64 {
    let receive = memory.receive_buffer.max(memory.received);
    match kind.family {
        libc::AF_UNIX => receive.max(UNIX_LEFT),
        libc::AF_TIPC => receive.saturating_mul(TIPC_IMPORTANCE),
        _ => receive,
    }
}

fn of_buffers(kind: SocketKind, memory: &Memory) -> u64 {
    // A buffer that was made smaller still holds what it held.
    let both = memory.send_buffer.max(memory.written) + receive_side(kind, memory);
    if is_unix_messages(kind) {
        both.max(memory.send_buffer.saturating_mul(UNIX_MESSAGES))
    } else {
        both
    }
}

/// AF_VSOCK has buffers of its own (linux/vm_sockets.h), which a peer fills.
fn of_vsock(fd: BorrowedFd<'_>, kind: SocketKind) -> u64 {
    if kind.family != libc::AF_VSOCK {
        return 0;
    }
    sys::own_long(fd, libc::AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE).unwrap_or(0)
}

/// How great one of the buffers may become, where the socket may come to `budget` bytes.
pub(super) fn most_for(fd: BorrowedFd<'_>, kind: SocketKind, buffer: Buffer, budget: u64) -> u64 {
    let Ok(memory) = sys::memory(fd) else { return u64::MAX };
    let budget = budget.saturating_sub(memory.options);
    match buffer {
        Buffer::Receive if is_sampled(kind) => budget.saturating_sub(memory.queued),
        Buffer::Receive => {
            let beside = budget.saturating_sub(memory.send_buffer.max(memory.written));
            if kind.family == libc::AF_TIPC { beside / TIPC_IMPORTANCE } else { beside }
        }
        Buffer::Send => {
            let beside = budget.saturating_sub(receive_side(kind, &memory));
            if is_unix_messages(kind) { beside.min(budget / UNIX_MESSAGES) } else { beside }
        }
    }
}
