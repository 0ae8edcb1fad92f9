//! Counts what the kernel holds for one instance, which is the buffers of its sockets, against the
//! limit `buffer-bytes`.
//!
//! Every open file description of a guest has a [`Share`]. For most sockets it is the most that
//! their SO_SNDBUF and SO_RCVBUF let the kernel hold. It is known when the socket is made and after
//! each setsockopt. The sum of the shares never exceeds the limit: a socket that does not fit is
//! ENOBUFS, and a buffer gets no larger than the rest of the limit. So transfers over such sockets
//! need no check.
//!
//! TCP sizes its buffers itself, and allows far more than it uses. The share of a TCP socket is its
//! receive buffer, which a peer can fill without any call of the guest, plus the bytes queued to be
//! sent, both as SO_MEMINFO reports them. They are measured again only if the bytes moved since the
//! last measurement could have reached the limit. Above the limit the host shrinks receive buffers,
//! and a send waits as it does for a full buffer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::sys::{self, OptionBytes};

mod left;
mod measure;
mod share;

use left::Left;
pub(crate) use measure::is_sampled;
use measure::{Buffer, buffer_of, most_for};
use share::MEMBERSHIP;
pub(crate) use share::{Charge, Share, Task};

/// The most bytes that one segment of TCP's queue takes beside its data (struct sk_buff and its
/// head).
const SEGMENT: u64 = 2048;
/// The most bytes that a share can grow for each byte that TCP moves. A peer with a small window
/// makes the kernel queue small segments. The receive buffer grows to twice what is read in one
/// round trip, plus the kernel's overhead (net.ipv4.tcp_adv_win_scale).
const GROWTH: u64 = 4;
/// The most descriptions that are measured at once. It is bounded because other guests may share
/// the thread.
const MEASURED_MAX: usize = 1024;
/// A receive buffer is not shrunk below this: one segment of the loopback, whose MTU is 64 KiB.
const SHRUNK_LEAST: u64 = 64 * 1024;
/// The part of the limit that the connections in one listener's queue may hold.
const BACKLOG_PART: u64 = 8;

/// The part of the limit that receive buffers leave to sends, where the limit is reached.
const SENDS_PART: u64 = 8;

/// The account of one instance.
#[derive(Debug)]
pub(crate) struct Buffers {
    limit: AtomicU64,
    /// The sum of all shares.
    total: AtomicU64,
    /// The most that transfers over TCP can have added to the shares since the last measurement.
    moved: AtomicU64,
    /// Bytes that the host holds itself, because the kernel did not take them yet.
    unsent: AtomicU64,
    /// Whether a send has to wait for the limit.
    starving: AtomicBool,
    /// How often sends that had to wait could go on.
    recoveries: AtomicU64,
    /// How many sockets have a receive buffer that was shrunk and may not grow again yet.
    shrunk: AtomicUsize,
    known: Mutex<Known>,
    left: Mutex<Left>,
}

/// The descriptions that count.
#[derive(Debug, Default)]
struct Known {
    handles: Vec<Weak<Handle>>,
    /// Where the next measuring of a part begins.
    next: usize,
    /// From how many handles on those that are closed are forgotten.
    full: usize,
    /// The shares of descriptions that were sent away, by their SO_COOKIE: one that comes back is
    /// no second one.
    sent: HashMap<u64, (Weak<Share>, Option<Weak<Share>>)>,
    /// From how many of them on those that are gone are forgotten.
    sent_full: usize,
}

impl Buffers {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.into(),
            total: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            starving: AtomicBool::new(false),
            recoveries: AtomicU64::new(0),
            shrunk: AtomicUsize::new(0),
            known: Mutex::default(),
            left: Mutex::default(),
        })
    }

    fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Sets another limit. Shares above it stay.
    pub(crate) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// The sum of all shares, in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a handle that the guest gets. ENOBUFS if its socket does not fit beside the others,
    /// unless the embedder hands it over.
    pub(crate) fn charge(self: &Arc<Self>, handle: &Arc<Handle>) -> Result<(), Errno> {
        let Ok(kind) = handle.socket() else { return Ok(()) };
        let charge = &handle.open.charge;
        if charge.own.get().is_none() {
            self.sweep();
            if !self.is_known(handle) {
                let share = Share::new(self);
                let bytes = measure::bytes(handle.fd(), kind, 0).unwrap_or(0);
                if !handle.open.is_handed && !self.fits(bytes) {
                    self.refresh();
                    if !self.fits(bytes) {
                        return Err(Errno::NOBUFS);
                    }
                }
                share.set(bytes);
                charge.set_own(share);
            }
        }
        self.known().add(handle);
        Ok(())
    }

    /// Whether a received description is one that this instance sent, and counts already.
    fn is_known(&self, handle: &Handle) -> bool {
        let known = self.known();
        if known.sent.is_empty() {
            return false;
        }
        let found = rustix::net::sockopt::socket_cookie(handle.fd()).ok().and_then(|cookie| {
            let (own, peer) = known.sent.get(&cookie)?;
            Some((own.upgrade()?, peer.as_ref().and_then(Weak::upgrade)))
        });
        drop(known);
        let Some((own, peer)) = found else { return false };
        let charge = &handle.open.charge;
        charge.set_own(own);
        if let Some(peer) = peer {
            let _ = charge.peer.set(peer);
        }
        self.recount(handle);
        true
    }

    /// A description of the guest's is sent away: it may come back.
    pub(crate) fn sent_away(&self, handle: &Handle) {
        let charge = &handle.open.charge;
        if let (Some(own), Ok(cookie)) =
            (charge.own.get(), rustix::net::sockopt::socket_cookie(handle.fd()))
        {
            let mut known = self.known();
            if known.sent.len() >= known.sent_full.max(64) {
                known.sent.retain(|_, (share, _)| share.strong_count() > 0);
                known.sent_full = known.sent.len() * 2;
            }
            known.sent.insert(cookie, (Arc::downgrade(own), charge.peer.get().map(Arc::downgrade)));
        }
    }

    /// Both ends of a pair are this instance's: each one's bytes lie in the other's queue.
    pub(crate) fn pair(a: &Handle, b: &Handle) {
        if let (Some(of_a), Some(of_b)) = (a.open.charge.own.get(), b.open.charge.own.get()) {
            let _ = a.open.charge.peer.set(Arc::clone(of_b));
            let _ = b.open.charge.peer.set(Arc::clone(of_a));
        }
    }

    fn fits(&self, bytes: u64) -> bool {
        self.total().saturating_add(bytes) <= self.limit()
    }

    /// ENOBUFS where what a listener accepts would not fit. What waits in its queue counts already.
    pub(crate) fn room_to_accept(&self, listener: &Handle, kind: SocketKind) -> Result<(), Errno> {
        let Some(share) = listener.open.charge.own.get() else { return Ok(()) };
        let fits = |bytes: u64| {
            let waiting =
                if share.backlog.load(Relaxed) > 0 { share.bytes.load(Relaxed) } else { 0 };
            self.fits(bytes.saturating_sub(waiting))
        };
        // A connection's buffers are no greater than its listener's. Nobody but this instance
        // changes those of a description that it alone has.
        let known = share.accepted.load(Relaxed);
        if known > 0 && listener.is_sole() && fits(known) {
            return Ok(());
        }
        let measured = || {
            let bytes = measure::bytes(listener.fd(), kind, 0).unwrap_or(0);
            share.accepted.store(bytes, Relaxed);
            bytes
        };
        if fits(measured()) {
            return Ok(());
        }
        self.refresh();
        if fits(measured()) { Ok(()) } else { Err(Errno::NOBUFS) }
    }

    /// After a call that may have changed a description's buffers.
    pub(crate) fn recount(&self, handle: &Handle) {
        let (Ok(kind), Some(share)) = (handle.socket(), handle.open.charge.own.get()) else {
            return;
        };
        share.accepted.store(0, Relaxed);
        if share.backlog.load(Relaxed) > 0
            && sys::own_option(handle.fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN) != Ok(1)
        {
            // It was shut, and may be connected by now.
            share.backlog.store(0, Relaxed);
        }
        if let Some(bytes) = measure::bytes(handle.fd(), kind, share.backlog.load(Relaxed)) {
            share.set(bytes + share.kept());
        }
        if let Some(peer) = handle.open.charge.peer.get()
            && peer.users.load(Relaxed) == 0
            && is_drained(handle, kind)
        {
            // The other end is closed, and all that it sent was read.
            peer.set(0);
        }
    }

    /// Counts a task that the kernel keeps for a socket, or that is another now; ENOBUFS where it
    /// does not fit.
    pub(crate) fn keep(&self, handle: &Handle, task: Task, bytes: u64) -> Result<(), Errno> {
        let Some(share) = handle.open.charge.own.get() else { return Ok(()) };
        let known = share.tasks().get(&task).copied().unwrap_or(0);
        if bytes > known {
            if !self.fits(bytes - known) {
                self.refresh();
                if !self.fits(bytes - known) {
                    return Err(Errno::NOBUFS);
                }
            }
            share.tasks().insert(task, bytes);
            share.set(share.bytes.load(Relaxed) + bytes - known);
        }
        Ok(())
    }

    /// The kernel deletes a task.
    pub(crate) fn forget(&self, handle: &Handle, task: Task) {
        let Some(share) = handle.open.charge.own.get() else { return };
        if let Some(bytes) = share.tasks().remove(&task) {
            share.set(share.bytes.load(Relaxed).saturating_sub(bytes));
        }
    }

    /// AF_PACKET's memberships are in none of the kernel's limits: ENOBUFS where one more does not
    /// fit.
    pub(crate) fn room_for_option(&self, level: i32, name: i32) -> Result<(), Errno> {
        if (level, name) != (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP) || self.fits(MEMBERSHIP)
        {
            return Ok(());
        }
        self.refresh();
        if self.fits(MEMBERSHIP) { Ok(()) } else { Err(Errno::NOBUFS) }
    }

    /// After setsockopt(2).
    pub(crate) fn option_set(&self, handle: &Handle, level: i32, name: i32) {
        if let Some(share) = handle.open.charge.own.get() {
            let change = |by: fn(u64, u64) -> u64| {
                let _ =
                    share.memberships.fetch_update(Relaxed, Relaxed, |count| Some(by(count, 1)));
            };
            match (level, name) {
                (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP) => change(u64::saturating_add),
                (libc::SOL_PACKET, libc::PACKET_DROP_MEMBERSHIP) => change(u64::saturating_sub),
                _ => {}
            }
        }
        if measure::changes(level) {
            self.recount(handle);
        }
    }

    /// The value of SO_SNDBUF and SO_RCVBUF, made no greater than what is left, as the kernel does
    /// with its own limit (net.core.wmem_max). Every other option's value stays.
    pub(crate) fn fit(
        &self,
        handle: &Handle,
        level: i32,
        name: i32,
        value: OptionBytes,
    ) -> OptionBytes {
        let (Some(buffer), Some(share)) = (buffer_of(level, name), handle.open.charge.own.get())
        else {
            return value;
        };
        let OptionBytes::Bytes(bytes) = &value else { return value };
        let (Ok(kind), Some(asked)) =
            (handle.socket(), bytes.first_chunk().map(|four| i32::from_ne_bytes(*four)))
        else {
            return value;
        };
        if is_sampled(kind) && buffer == Buffer::Send {
            return value;
        }
        // man 7 socket: the kernel doubles the value. A negative one is a great one to it.
        let wanted = u64::from(asked as u32).saturating_mul(2);
        let backlog = share.backlog.load(Relaxed);
        let most = || {
            let budget = match backlog {
                0 => share
                    .bytes
                    .load(Relaxed)
                    .saturating_add(self.limit().saturating_sub(self.total())),
                backlog => self.limit() / BACKLOG_PART / (u64::from(backlog) + 1),
            };
            most_for(handle.fd(), kind, buffer, budget)
        };
        let mut most_now = most();
        if most_now < wanted {
            self.refresh();
            most_now = most();
        }
        if wanted <= most_now {
            return value;
        }
        let fitting = i32::try_from(most_now / 2).unwrap_or(i32::MAX);
        OptionBytes::Bytes(fitting.to_ne_bytes().to_vec())
    }

    /// The backlog for a listener: no longer than that its connections, filled and never accepted,
    /// hold a part of the limit.
    pub(crate) fn backlog(&self, handle: &Handle, kind: SocketKind, asked: i32) -> i32 {
        if handle.open.charge.own.get().is_none() || !is_sampled(kind) || !handle.is_sole() {
            return asked;
        }
        let Ok(memory) = sys::memory(handle.fd()) else { return asked };
        let part = self.limit() / BACKLOG_PART;
        // The kernel lets one more wait than it is asked for.
        let least = part / 2;
        if memory.receive_buffer > least {
            let half = usize::try_from(least / 2).unwrap_or(0);
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(handle.fd(), half);
        }
        let most = (part / memory.receive_buffer.clamp(1, least.max(1))).saturating_sub(1);
        asked.min(i32::try_from(most).unwrap_or(i32::MAX).max(1))
    }

    /// The socket listens with this backlog: from now on its queue counts.
    pub(crate) fn listens(&self, handle: &Handle, kind: SocketKind, backlog: i32) {
        if let Some(share) =
            handle.open.charge.own.get().filter(|_| is_sampled(kind) && handle.is_sole())
        {
            share.backlog.store(backlog.max(1).unsigned_abs(), Relaxed);
        }
    }

    /// How many bytes TCP may queue, as far as the last measurement goes.
    fn room(&self) -> u64 {
        let used = self
            .total()
            .saturating_add(self.moved.load(Relaxed))
            .saturating_add(self.unsent.load(Relaxed))
            .saturating_add(SEGMENT);
        self.limit().saturating_sub(used) / GROWTH
    }

    /// How many of so many bytes a TCP socket may queue now; 0 is a wait.
    fn room_to_send(&self, wanted: usize) -> usize {
        if self.room() < wanted as u64 {
            self.refresh();
        }
        usize::try_from(self.room()).map_or(wanted, |room| wanted.min(room))
    }

    /// The same for a call that sends through this socket: one that is broken may go on, for its
    /// error is the answer.
    pub(crate) fn room_on(&self, handle: &Handle, wanted: usize) -> usize {
        let room = self.room_to_send(wanted);
        let starved = room == 0 && wanted > 0;
        if starved {
            self.starving.store(true, Relaxed);
        }
        if let Some(share) = handle.open.charge.own.get()
            && share.starved.load(Relaxed) != starved
        {
            share.starved.store(starved, Relaxed);
        }
        if starved && is_broken(handle) { wanted } else { room }
    }

    /// The host holds `now` unsent bytes of a socket, and held `before`.
    pub(crate) fn holds(&self, before: usize, now: usize) {
        if now > before {
            self.unsent.fetch_add((now - before) as u64, Relaxed);
        } else {
            self.unsent.fetch_sub((before - now) as u64, Relaxed);
        }
    }

    /// A TCP socket took so many bytes to send.
    pub(crate) fn sent(&self, count: usize) {
        self.moved.fetch_add(GROWTH.saturating_mul(count as u64) + SEGMENT, Relaxed);
    }

    /// So many bytes were read from a TCP socket: its receive buffer may grow.
    pub(crate) fn received(&self, count: usize) {
        let moved = self.moved.fetch_add(GROWTH.saturating_mul(count as u64), Relaxed);
        // Where the limit is reached, not at each receive.
        if self.total().saturating_add(moved) > self.limit() && moved > self.limit() / 16 {
            self.refresh();
        }
    }

    /// Whether a send over TCP had to wait for the limit and has to still.
    pub(crate) fn is_over(&self) -> bool {
        self.starving.load(Relaxed) && {
            self.refresh();
            self.starving.load(Relaxed)
        }
    }

    /// Returns how often waiting sends could continue. A poller that reported room which the limit
    /// then refused reports it again.
    pub(crate) fn recoveries(&self) -> u64 {
        self.recoveries.load(Relaxed)
    }

    /// What a guest may see of a socket's readiness while [`Self::is_over`]: where a send had to
    /// wait it is no more writable, so that nothing spins.
    pub(crate) fn visible(handle: &Handle, events: PollFlags) -> PollFlags {
        let broken = events.intersects(PollFlags::ERR | PollFlags::HUP);
        if is_starved(handle) && !broken {
            events - (PollFlags::OUT | PollFlags::WRNORM | PollFlags::WRBAND)
        } else {
            events
        }
    }

    /// Lets go of what was left at closes and has arrived since.
    fn sweep(&self) {
        let arrived = self.left().sweep(false);
        drop(arrived);
    }

    /// Measures the descriptions anew, and shrinks receive buffers where they come to more than the
    /// limit.
    fn refresh(&self) {
        let arrived = self.left().sweep(true);
        drop(arrived);
        let handles = self.known().some();
        self.moved.store(0, Relaxed);
        handles.iter().for_each(|handle| self.recount(handle));
        // Sends need some of it.
        let limit = self.limit();
        if self.total() > limit - limit / SENDS_PART {
            self.shrink(&handles);
        }
        let over = self.room() == 0;
        let starving = over && handles.iter().any(|handle| is_starved(handle));
        if self.starving.swap(starving, Relaxed) && !starving {
            self.recoveries.fetch_add(1, Relaxed);
        }
        if !over && self.shrunk.load(Relaxed) > 0 {
            handles.iter().for_each(|handle| self.unlock(handle));
        }
    }

    /// Shrinks the receive buffers that are greater than their part, where this instance alone has
    /// the sockets.
    fn shrink(&self, handles: &[Arc<Handle>]) {
        let own: Vec<_> = handles
            .iter()
            .filter(|handle| handle.socket().is_ok_and(is_sampled) && handle.is_sole())
            .filter_map(|handle| Some((handle, handle.open.charge.own.get()?)))
            .filter(|(_, share)| share.backlog.load(Relaxed) == 0)
            .collect();
        let part = (self.limit() / 2 / own.len().max(1) as u64).max(SHRUNK_LEAST);
        for (handle, share) in own {
            let is_greater =
                sys::memory(handle.fd()).is_ok_and(|memory| memory.receive_buffer > part);
            let Ok(half) = usize::try_from(part / 2) else { continue };
            if !is_greater {
                continue;
            }
            let lock =
                sys::own_option(handle.fd(), libc::SOL_SOCKET, measure::SO_BUF_LOCK).unwrap_or(0);
            if rustix::net::sockopt::set_socket_recv_buffer_size(handle.fd(), half).is_ok() {
                let mut shrunk = share.shrunk();
                if shrunk.is_none() {
                    self.shrunk.fetch_add(1, Relaxed);
                    *shrunk = Some(lock);
                }
            }
            self.recount(handle);
        }
    }

    /// Below the limit TCP's own tuning goes on, unless the guest itself set the buffer's size.
    fn unlock(&self, handle: &Handle) {
        let Some(share) = handle.open.charge.own.get() else { return };
        if let Some(lock) = share.shrunk().take() {
            self.shrunk.fetch_sub(1, Relaxed);
            sys::unlock_buffers(handle.fd(), lock);
        }
    }
}

impl Known {
    fn add(&mut self, handle: &Arc<Handle>) {
        if self.handles.len() >= self.full.max(64) {
            self.handles.retain(|handle| handle.strong_count() > 0);
            self.full = self.handles.len() * 2;
        }
        self.handles.push(Arc::downgrade(handle));
    }

    /// The open handles, or the next part of them.
    fn some(&mut self) -> Vec<Arc<Handle>> {
        let count = self.handles.len();
        let start = if count > MEASURED_MAX { self.next % count } else { 0 };
        self.next = start + MEASURED_MAX;
        let turned = self.handles[start..].iter().chain(&self.handles[..start]);
        turned.take(MEASURED_MAX).filter_map(Weak::upgrade).collect()
    }
}

fn is_starved(handle: &Handle) -> bool {
    handle.open.charge.own.get().is_some_and(|share| share.starved.load(Relaxed))
}

/// Whether nothing lies in the queue of a UNIX socket. The kernel does not say so of
/// SOCK_SEQPACKET: FIONREAD counts bytes, and a message may have none.
fn is_drained(handle: &Handle, kind: SocketKind) -> bool {
    match kind.type_ {
        libc::SOCK_STREAM => rustix::io::ioctl_fionread(handle.fd()) == Ok(0),
        libc::SOCK_DGRAM => {
            polled(handle, PollFlags::IN).is_some_and(|events| !events.contains(PollFlags::IN))
        }
        _ => false,
    }
}

fn polled(handle: &Handle, events: PollFlags) -> Option<PollFlags> {
    let mut fds = [PollFd::from_borrowed_fd(handle.fd(), events)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok().then(|| fds[0].revents())
}

/// Whether a send has nothing to wait for: the connection has an error, or is over.
fn is_broken(handle: &Handle) -> bool {
    polled(handle, PollFlags::OUT)
        .is_some_and(|events| events.intersects(PollFlags::ERR | PollFlags::HUP))
}
