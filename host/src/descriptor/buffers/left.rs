//! Bytes that a closed socket leaves in the kernel, because no peer has taken them yet.
//!
//! The kernel reports only for an open socket whether its bytes were taken. So the host shuts such
//! a socket down and closes it later. To the peer both look the same.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::in_flight;
use crate::sys::closer::{Closer, DeferredFd};
use crate::sys::{self, Memory};

use super::{Share, is_sampled};

/// How many there may be; beyond, TCP's oldest is reset, and where all are UNIX sockets the least
/// of them is not counted any more.
const LEFT_MAX: usize = 1024;
/// From how many on they are looked at, at every socket that is made.
const LOOKED_AT: usize = 16;
/// As long as the kernel goes on for a connection without a descriptor whose peer takes nothing
/// (net.ipv4.tcp_orphan_retries).
const GIVEN_UP: Duration = Duration::from_secs(180);
/// What a named UNIX datagram socket may leave behind without being kept: a sender learns from the
/// kernel that it is gone.
const SMALL: u64 = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Left {
    sockets: Vec<Socket>,
    /// From how many on they are looked at next.
    next: usize,
}

#[derive(Debug)]
pub(super) struct Socket {
    fd: Arc<DeferredFd>,
    share: Arc<Share>,
    is_tcp: bool,
    /// Since when its peer takes nothing.
    since: Instant,
    unsent: usize,
}

impl Socket {
    /// Whether there is nothing any more to count. TCP is reset where the kernel would give it up
    /// too.
    fn is_over(&mut self, now: Instant) -> bool {
        let unsent = sys::unsent(self.fd.as_fd());
        if let Ok(unsent) = unsent
            && unsent < self.unsent
        {
            (self.unsent, self.since) = (unsent, now);
        }
        if self.is_tcp && now.duration_since(self.since) > GIVEN_UP {
            reset(&self.fd);
            return true;
        }
        let over = unsent == Ok(0)
            || (unsent == Ok(1) && self.is_tcp && sys::has_sent_fin(self.fd.as_fd()));
        if !over && let Ok(memory) = sys::memory(self.fd.as_fd()) {
            self.share.set(held(self.is_tcp, &memory));
        }
        over
    }
}

/// man 7 socket: without time to linger a close drops what is left to send.
fn reset(fd: &DeferredFd) {
    let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
}

/// Whether the peer has taken all data. A FIN that it has not acknowledged is one byte of TCP's
/// queue (RFC 9293, 3.4), and every close leaves one.
fn is_all_taken(fd: BorrowedFd<'_>, is_tcp: bool) -> bool {
    match sys::unsent(fd) {
        Ok(0) => true,
        Ok(1) => is_tcp && sys::has_sent_fin(fd),
        _ => false,
    }
}

fn held(is_tcp: bool, memory: &Memory) -> u64 {
    if is_tcp { memory.queued } else { memory.written }
}

impl Left {
    fn is_full(&self) -> bool {
        self.sockets.len() >= LEFT_MAX
    }

    /// Keeps a socket of UNIX or TCP, whose last descriptor this is, where it must be counted on;
    /// else gives it back.
    pub(super) fn keep(
        &mut self,
        fd: OwnedFd,
        kind: SocketKind,
        memory: &Memory,
        share: &Arc<Share>,
        closer: &Closer,
    ) -> Option<OwnedFd> {
        let is_tcp = is_sampled(kind);
        let bytes = held(is_tcp, memory);
        if bytes == 0 || is_all_taken(fd.as_fd(), is_tcp) {
            return Some(fd);
        }
        let unread = rustix::io::ioctl_fionread(&fd).is_ok_and(|count| count > 0);
        let closes = if is_tcp {
            // The kernel resets the connection, and nothing is left of it (RFC 1122, 4.2.2.13; man
            // 7 socket: SO_LINGER).
            unread || rustix::net::sockopt::socket_linger(&fd).is_ok_and(|linger| linger.is_some())
        } else if kind.type_ == libc::SOCK_DGRAM {
            bytes <= SMALL
                && sys::local_address(fd.as_fd()).is_ok_and(|address| address.bytes().len() > 2)
        } else {
            // The peer is to find ECONNRESET, and it is one that accepted the connection: its queue
            // counts.
            unread && bytes <= super::measure::UNIX_LEFT
        };
        if closes {
            return Some(fd);
        }
        if sys::shutdown(fd.as_fd(), libc::SHUT_RDWR).is_err() && kind.type_ != libc::SOCK_DGRAM {
            return Some(fd);
        }
        share.set(bytes);
        if self.is_full() {
            drop(self.sweep(true));
        }
        if self.is_full() {
            match self.sockets.iter().position(|socket| socket.is_tcp) {
                // The kernel resets connections as well when too many have no descriptor (man 7
                // tcp: tcp_max_orphans).
                Some(oldest) => reset(&self.sockets.remove(oldest).fd),
                // Peers that read nothing must not keep an honest guest from making sockets.
                None => self.forget_least(),
            }
        }
        let unsent = sys::unsent(fd.as_fd()).unwrap_or(usize::MAX);
        let fd = Arc::new(closer.defer(fd));
        if !is_tcp {
            // Its peer gets back what was sent here and nobody will read.
            in_flight::empty(&fd, closer);
        }
        self.sockets.push(Socket {
            fd,
            share: Arc::clone(share),
            is_tcp,
            since: Instant::now(),
            unsent,
        });
        None
    }

    /// Closes the socket with the fewest bytes, which its peer's queue keeps uncounted.
    fn forget_least(&mut self) {
        let least = self
            .sockets
            .iter()
            .enumerate()
            .min_by_key(|(_, socket)| socket.share.bytes.load(Relaxed));
        if let Some(at) = least.map(|(at, _)| at) {
            self.sockets.swap_remove(at);
        }
    }

    /// Takes out those that are over, to be closed where no lock is held. Unless `all` are to be
    /// looked at it is done only now and then.
    pub(super) fn sweep(&mut self, all: bool) -> Vec<Socket> {
        if self.sockets.is_empty() || (!all && self.sockets.len() < self.next.max(LOOKED_AT)) {
            return Vec::new();
        }
        let now = Instant::now();
        let over = self.sockets.extract_if(.., |socket| socket.is_over(now)).collect();
        self.next = self.sockets.len() * 2;
        over
    }
}
