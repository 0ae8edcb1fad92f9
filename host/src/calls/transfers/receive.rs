//! Receiving: bytes, datagrams, messages with control data.

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use super::ancillary;
use super::{ControlIn, Datagram, Received, WHOLE, keep_interrupt, transfer_limit};
use crate::authority::family;
use crate::authority::filter;
use crate::bindings::sandsock::socket::types::{ControlMessage, SocketKind, Wait, Warning};
use crate::ctx::{SandsockView, StoreView as _};
use crate::descriptor::buffers;
use crate::descriptor::{Descriptor, Handle};
use crate::error::{CallResult, Fault};
use crate::sys::address::RawAddress;
use crate::sys::control::{self, SCM_PIDFD};
use crate::sys::{self, ControlRoom, ReceivedMessage};
use crate::wait::budget::WaitBudget;

/// Up to here a message's buffer is made as asked; above, its length is looked at first.
pub(super) const MESSAGE_AT_ONCE: usize = 64 * 1024;

/// What a receive asks for.
struct Receiving<'a> {
    d: &'a Resource<Descriptor>,
    length: u64,
    control_room: usize,
    flags: i32,
    wait: Wait,
    /// Whether the caller wants address, flags and control data: then it is recvmsg(2).
    message: bool,
}

impl Receiving<'_> {
    /// Receives, and says on what kind of socket: its addresses are to be read by that.
    async fn run<T: SandsockView>(
        self,
        store: &mut StoreContextMut<'_, T>,
    ) -> CallResult<(ReceivedMessage, SocketKind)> {
        let handle = store.view().for_transfer(self.d)?;
        let kind = handle.socket()?;
        Ok((self.run_on(store, &handle, kind).await?, kind))
    }

    async fn run_on<T: SandsockView>(
        self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Arc<Handle>,
        kind: SocketKind,
    ) -> CallResult<ReceivedMessage> {
        let stream = kind.type_ == libc::SOCK_STREAM;
        store.view().ctx.judge().input(handle)?;
        let mut budget = WaitBudget::new(self.wait, self.flags);
        let flags = sys::receiving_flags(kind.family, self.flags);
        let asked = usize::try_from(self.length).unwrap_or(usize::MAX);
        let filter = filter::is_judged(kind);
        let gather = stream && budget.is_forever() && self.flags & libc::MSG_WAITALL != 0;
        let limit = transfer_limit(store);
        // Where the length can't be looked at, the buffer is as long as asked for.
        let at_once = if stream || !tells_lengths(kind) { limit } else { MESSAGE_AT_ONCE };
        let most =
            if gather && self.flags & libc::MSG_PEEK == 0 { limit.max(WHOLE) } else { at_once };
        let of_unix = kind.family == libc::AF_UNIX;
        let mut drops = 0u32;
        let mut gathered: Option<ReceivedMessage> = None;
        let mut first = self.flags == 0 && budget.may_wait(handle);
        if first && handle.expects_to_wait() {
            // One system call less than to be told EAGAIN first.
            match budget.again(store, handle, PollFlags::IN).await {
                Ok(()) => first = false,
                // Bytes that are there come before the interrupt.
                Err(fault) => keep_interrupt(store, &fault),
            }
            budget.restart();
        }
        loop {
            if of_unix && let Err(fault) = room_for_strays(store, handle, &mut budget).await {
                return gathered_or(store, gathered, fault);
            }
            let peek = flags & libc::MSG_PEEK != 0;
            // A peek sees all of it again.
            let had =
                if peek { 0 } else { gathered.as_ref().map_or(0, |message| message.data.len()) };
            let capacity = (asked.min(most) - had).min(at_once);
            let look = !stream && tells_lengths(kind) && asked > at_once;
            let whole = self.message || filter || of_unix;
            let attempt =
                Attempt { look, asked, capacity, flags, whole, control_room: self.control_room };
            let result = if of_unix && stream && handle.may_hold_others() && is_urgent(handle) {
                match attempt.run_apart(store, handle, &mut budget).await {
                    Ok(result) => result,
                    Err(fault) => return gathered_or(store, gathered, fault),
                }
            } else {
                attempt.run(handle)
            };
            if std::mem::take(&mut first) {
                handle.note_first_attempt(!matches!(result, Err(Errno::AGAIN)));
            }
            let fault: Fault = match result {
                Ok(message) if filter && !is_allowed(store, kind, flags, &message.address) => {
                    // The error queue has none to look at: what was got from it is gone.
                    if flags & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) == libc::MSG_PEEK {
                        // It must not be seen, nor stay in the way of what may be.
                        let _ = sys::receive(handle.fd(), 0, libc::MSG_DONTWAIT);
                    }
                    store.view().ctx.gate.count_dropped();
                    drops += 1;
                    if drops.is_multiple_of(64) {
                        budget.go_round(store, handle, PollFlags::IN).await?;
                    }
                    continue;
                }
                Ok(mut message) => {
                    if buffers::is_sampled(kind) && !peek {
                        store.view().ctx.gate.buffers.received(message.length);
                    }
                    if !gather {
                        return Ok(message);
                    }
                    if !peek {
                        budget.progress(store).await;
                    }
                    // man 7 unix: the kernel stops at descriptors too.
                    let rights = control::has_rights(message.control.bytes());
                    let ended = message.data.is_empty() || rights;
                    let total = match &mut gathered {
                        Some(all) if !peek => {
                            all.data.extend_from_slice(&message.data);
                            all.length = all.data.len();
                            all.flags |= message.flags;
                            if rights || all.control.bytes().is_empty() {
                                std::mem::swap(&mut all.control, &mut message.control);
                            }
                            all.data.len()
                        }
                        place => place.insert(message).data.len(),
                    };
                    if ended || total >= asked.min(most) {
                        return gathered.ok_or_else(|| Errno::IO.into());
                    }
                    if peek {
                        // A peek sees the same bytes again: there is no readiness for more of them.
                        match budget.back_off(store, handle, PollFlags::IN).await {
                            Ok(()) if !has_ended(handle) => {
                                continue;
                            }
                            _ => return gathered.ok_or_else(|| Errno::IO.into()),
                        }
                    }
                    continue;
                }
                Err(Errno::INTR) => continue,
                // A datagram socket that was shut is at its end for a receive that blocks, while to
                // one that does not the kernel only says EAGAIN.
                Err(Errno::AGAIN)
                    if !stream
                        && budget.is_forever()
                        && !handle.is_nonblocking()
                        && has_ended(handle) =>
                {
                    return Ok(ReceivedMessage::of_bytes(Vec::new(), 0));
                }
                Err(Errno::AGAIN) => {
                    let events =
                        if flags & libc::MSG_OOB != 0 { PollFlags::PRI } else { PollFlags::IN };
                    match budget.again(store, handle, events).await {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Err(errno) => errno.into(),
            };
            return gathered_or(store, gathered, fault);
        }
    }
}

/// What was gathered comes before the error that ended the call.
fn gathered_or<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    gathered: Option<ReceivedMessage>,
    fault: Fault,
) -> CallResult<ReceivedMessage> {
    match (gathered, fault) {
        (Some(message), fault @ Fault::Error(_)) if !message.data.is_empty() => {
            keep_interrupt(store, &fault);
            Ok(message)
        }
        (_, fault) => Err(fault),
    }
}

/// One try to receive.
#[derive(Clone, Copy)]
struct Attempt {
    /// Whether the message's length is to be looked at first, as one is asked for above 64 KiB.
    look: bool,
    asked: usize,
    capacity: usize,
    flags: i32,
    /// Whether recvmsg(2) is to be made, for the address, the flags or the control data.
    whole: bool,
    control_room: usize,
}

impl Attempt {
    fn run(self, handle: &Handle) -> Result<ReceivedMessage, Errno> {
        let room = control_room(handle, self.control_room);
        let capacity = if self.look && self.flags & libc::MSG_ERRQUEUE == 0 {
            let peek = libc::MSG_PEEK | libc::MSG_TRUNC;
            let length = if room.is_of_unix() {
                sys::receive_message(
                    handle.fd(),
                    0,
                    room,
                    sys::receiving_flags(libc::AF_UNIX, peek),
                )?
                .length
            } else {
                sys::receive(handle.fd(), 0, peek | libc::MSG_DONTWAIT)?.1
            };
            self.asked.min(length.max(1))
        } else {
            self.capacity
        };
        if self.whole {
            sys::receive_message(handle.fd(), capacity, room, self.flags)
        } else {
            sys::receive(handle.fd(), capacity, self.flags)
                .map(|(data, length)| ReceivedMessage::of_bytes(data, length))
        }
    }

    /// The same on a thread of the closer: an urgent byte that is passed over is dropped by the
    /// kernel, with the descriptors that came with it. An interrupt waits for its end, for what it
    /// takes nobody else gets. It is given up when the time is over only where a peer sent
    /// descriptors that the kernel can't drop.
    async fn run_apart<T: SandsockView>(
        self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Arc<Handle>,
        budget: &mut WaitBudget,
    ) -> CallResult<Result<ReceivedMessage, Errno>> {
        let own = Arc::clone(handle);
        let job = handle.closer().run_at_once(move || self.run(&own))?;
        let mut interrupt = None;
        while let Err(fault) = budget.until_done(store, job.as_fd(), handle, PollFlags::IN).await {
            if !fault.is(Errno::INTR) || interrupt.is_some() {
                return Err(fault);
            }
            interrupt = Some(fault);
        }
        if let Some(fault) = interrupt {
            // It ends the next wait.
            keep_interrupt(store, &fault);
        }
        Ok(job.take().unwrap_or(Err(Errno::IO)))
    }
}

/// Waits while more descriptors that nobody took in wait to be closed than may: the next message
/// may bring more of them.
pub(super) async fn room_for_strays<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    budget: &mut WaitBudget,
) -> CallResult<()> {
    if handle.closer().is_full() {
        while handle.closer().is_full() {
            handle.closer().resume();
            budget.back_off(store, handle, PollFlags::IN).await?;
        }
        budget.restart();
    }
    Ok(())
}

/// Whether an urgent byte waits.
fn is_urgent(handle: &Handle) -> bool {
    shows_now(handle, PollFlags::PRI)
}

/// The room for control data on this socket, of which the guest asks for so much.
pub(super) fn control_room(handle: &Handle, asked: usize) -> ControlRoom<'_> {
    match handle.socket() {
        Ok(kind) if kind.family == libc::AF_UNIX => ControlRoom::of_unix(asked, handle.closer()),
        _ => ControlRoom::of_bytes(asked),
    }
}

pub(super) fn is_allowed<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    kind: SocketKind,
    flags: i32,
    address: &RawAddress,
) -> bool {
    filter::is_allowed(&store.view().ctx.gate, kind, flags, address)
}

/// Whether a message's length can be looked at by MSG_PEEK and MSG_TRUNC. AF_ALG and AF_TIPC would
/// answer otherwise, CAN_J1939 not at all, and ping sockets give the length of what was copied.
fn tells_lengths(kind: SocketKind) -> bool {
    let is_ping = kind.type_ == libc::SOCK_DGRAM && family::is_raw(kind);
    let tells = matches!(
        kind.family,
        libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX | libc::AF_NETLINK | libc::AF_PACKET
    );
    tells && !is_ping
}

/// Whether nothing more will come: the peer has ended the stream, or this side was shut.
pub(super) fn has_ended(handle: &Handle) -> bool {
    shows_now(handle, PollFlags::RDHUP)
}

fn shows_now(handle: &Handle, event: PollFlags) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(handle.fd(), event)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    // POLLERR comes unasked, and for what waits in the error queue as well.
    rustix::event::poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(event)
}

/// WIT `transfers.receive`.
pub(crate) async fn receive<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, length, flags, wait): (Resource<Descriptor>, u64, i32, Wait),
) -> CallResult<Vec<u8>> {
    let (message, _) = Receiving { d: &d, length, control_room: 0, flags, wait, message: false }
        .run(store)
        .await?;
    Ok(message.data)
}

/// WIT `transfers.receive-from`.
pub(crate) async fn receive_from<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, length, flags, wait): (Resource<Descriptor>, u64, i32, Wait),
) -> CallResult<Datagram> {
    let (message, kind) =
        Receiving { d: &d, length, control_room: 0, flags, wait, message: true }.run(store).await?;
    let mut data = message.data;
    if data.is_empty() {
        // man 7 tcp: MSG_TRUNC throws a stream's bytes away and tells their number; an empty answer
        // would be the stream's end.
        data.resize(message.length.min(usize::try_from(length).unwrap_or(usize::MAX)), 0);
    }
    Ok(Datagram { address: family::decode(&message.address, kind), data })
}

/// WIT `transfers.receive-message`.
pub(crate) async fn receive_message<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, length, control_length, flags, wait): (Resource<Descriptor>, u64, u32, i32, Wait),
) -> CallResult<Received> {
    let most = store.view().ctx.gate.policy.limits().control_bytes as usize;
    let control_room = (control_length as usize).min(most);
    let (mut message, kind) =
        Receiving { d: &d, length, control_room, flags, wait, message: true }.run(store).await?;
    let mut warnings = Vec::new();
    if control::is_malformed(message.control.bytes()) {
        warnings.push(Warning::MalformedControlData);
    }
    let mut control = Vec::new();
    let restricted = filter::is_restricted(&store.view().ctx.gate, kind);
    let (items, cut) = message.control.take();
    if cut {
        message.flags |= libc::MSG_CTRUNC;
    }
    for mut item in items {
        if restricted && filter::is_hidden(item.level, item.kind) {
            continue;
        }
        if !item.whole {
            warnings.push(Warning::TruncatedControlData);
        }
        match (item.level, item.kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS | SCM_PIDFD) => {
                let sent = item.fds.len();
                let mut list = ancillary::accept(store, item.fds, item.kind == SCM_PIDFD).await?;
                if list.len() < sent {
                    message.flags |= libc::MSG_CTRUNC;
                }
                if list.is_empty() {
                    // As the kernel does it: what was closed whole leaves no message.
                } else if item.kind == libc::SCM_RIGHTS {
                    control.push(ControlIn::Rights(list));
                } else if let Some(pidfd) = list.pop() {
                    control.push(ControlIn::Pidfd(pidfd));
                }
            }
            (level, type_) => {
                ancillary::hide_ids(&store.view(), kind, (level, type_), &mut item.data);
                control.push(ControlIn::Message(ControlMessage { level, type_, data: item.data }));
            }
        }
    }
    Ok(Received {
        length: message.length as u64,
        control,
        flags: message.flags & !libc::MSG_DONTWAIT,
        address: family::decode(&message.address, kind),
        data: message.data,
        warnings,
    })
}
