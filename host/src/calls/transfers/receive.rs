//! Receiving: bytes, datagrams, messages with control data.

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use super::ancillary;
use super::{ControlIn, Datagram, Received, WHOLE, keep_interrupt, transfer_limit};
use crate::authority::budgets::{self, Held};
use crate::authority::family;
use crate::authority::filter;
use crate::bindings::sandsock::socket::types::{ControlMessage, SocketKind, Wait, Warning};
use crate::calls::tls;
use crate::ctx::{SandsockView, StoreView as _};
use crate::descriptor::buffers;
use crate::descriptor::tls::Way;
use crate::descriptor::{Descriptor, Handle};
use crate::error::{CallResult, Fault};
use crate::sys::address::RawAddress;
use crate::sys::control::{self, SCM_PIDFD};
use crate::sys::{self, ControlRoom, ReceivedMessage};
use crate::wait::budget::WaitBudget;

/// The largest buffer that is made without knowing the message's length. For a larger one, the
/// length is read first.
pub(super) const MESSAGE_AT_ONCE: usize = 64 * 1024;

/// The arguments of a receive.
struct Receiving<'a> {
    d: &'a Resource<Descriptor>,
    length: u64,
    control_room: usize,
    flags: i32,
    wait: Wait,
    /// Whether the caller wants address, flags and control data, which need recvmsg(2).
    message: bool,
}

impl Receiving<'_> {
    /// Receives, and returns the kind of the socket too, by which its addresses are decoded.
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
        let mut budget = WaitBudget::new(self.wait, self.flags);
        let flags = sys::receiving_flags(kind.family, self.flags);
        let asked = usize::try_from(self.length).unwrap_or(usize::MAX);
        let filter = filter::is_judged(kind);
        let gather = stream && budget.is_forever() && self.flags & libc::MSG_WAITALL != 0;
        let limit = transfer_limit(store);
        // If the length can't be read first, the buffer is as long as the caller asked for.
        let at_once = if stream || !tells_lengths(kind) { limit } else { MESSAGE_AT_ONCE };
        let most =
            if gather && self.flags & libc::MSG_PEEK == 0 { limit.max(WHOLE) } else { at_once };
        let of_unix = kind.family == libc::AF_UNIX;
        let mut drops = 0u32;
        let mut gathered: Option<ReceivedMessage> = None;
        let mut first = self.flags == 0 && budget.may_wait(handle);
        if first && handle.expects_to_wait() {
            // This saves the system call that would only return EAGAIN.
            match budget.again(store, handle, PollFlags::IN).await {
                Ok(()) => first = false,
                // Bytes that are there come before the interrupt.
                Err(fault) => keep_interrupt(store, &fault),
            }
            budget.restart();
        }
        loop {
            store.view().ctx.judge().input(handle)?;
            if of_unix && let Err(fault) = room_for_strays(store, handle, &mut budget).await {
                return gathered_or(store, gathered, fault);
            }
            let peek = flags & libc::MSG_PEEK != 0;
            // A peek sees all bytes again.
            let had =
                if peek { 0 } else { gathered.as_ref().map_or(0, |message| message.data.len()) };
            let mut capacity = (asked.min(most) - had).min(at_once);
            let look = !stream && tells_lengths(kind) && asked > at_once;
            let wanted = if look { asked } else { capacity };
            let (mut allowance, mut held, mut cut) = (None, None, false);
            match budgets::to_receive(&store.view().ctx.gate, handle, kind, (wanted, flags)) {
                Ok(None) => {}
                Ok(Some(counted)) => {
                    if stream {
                        cut = counted.most() < capacity;
                        capacity = capacity.min(counted.most());
                    }
                    allowance = Some(counted);
                }
                Err(Held::Os(errno)) => held = Some(errno),
                Err(Held::Refused(fault)) => return gathered_or(store, gathered, fault),
                Err(Held::Until(instant)) => {
                    match budget.until(store, handle, PollFlags::IN, instant).await {
                        Ok(()) => continue,
                        Err(fault) => return gathered_or(store, gathered, fault),
                    }
                }
            }
            let whole = self.message || filter || of_unix;
            let attempt =
                Attempt { look, asked, capacity, flags, whole, control_room: self.control_room };
            let result = if let Some(errno) = held {
                Err(errno)
            } else if of_unix && stream && handle.may_hold_others() && is_urgent(handle) {
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
                    // What was read from the error queue is gone, and needs no removal.
                    if flags & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) == libc::MSG_PEEK {
                        // The guest may not see the datagram, and it must not block the datagrams
                        // behind it.
                        let _ = sys::receive(handle.fd(), 0, libc::MSG_DONTWAIT);
                    }
                    store.view().ctx.gate.count_dropped();
                    drops += 1;
                    if drops.is_multiple_of(64) {
                        budget.go_round(store, handle, PollFlags::IN).await?;
                    }
                    continue;
                }
                // If the description was closed during the call, this is not the stream's end.
                Ok(message) if message.data.is_empty() && handle.check().is_err() => {
                    return gathered_or(
                        store,
                        gathered,
                        handle.check().err().unwrap_or(Errno::IO.into()),
                    );
                }
                Ok(mut message) => {
                    if let Some(allowance) = allowance {
                        // man 7 tcp: MSG_TRUNC discards the bytes of a stream.
                        let length = if stream { message.length } else { message.data.len() };
                        allowance.received(handle, length);
                    }
                    if flags & libc::MSG_ERRQUEUE != 0 {
                        let (gate, length) = (&store.view().ctx.gate, message.data.len());
                        let address = &message.address;
                        let shown = budgets::error_entry(gate, handle, kind, address, length);
                        if shown < length {
                            message.data.truncate(shown);
                            message.flags |= libc::MSG_TRUNC;
                        }
                    }
                    if buffers::is_sampled(kind) && !peek {
                        store.view().ctx.gate.buffers.received(message.length);
                    }
                    if !gather {
                        return Ok(message);
                    }
                    if !peek {
                        budget.progress(store).await;
                    }
                    // man 7 unix: the kernel also stops at descriptors.
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
                    // Another peek would show no more of what a budget withholds.
                    if ended || total >= asked.min(most) || (peek && cut) {
                        return gathered.ok_or_else(|| Errno::IO.into());
                    }
                    if peek {
                        // A peek sees the same bytes again, and the kernel has no readiness for
                        // more of them.
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
                // For a blocking receive, a datagram socket that was shut down is at its end. For a
                // nonblocking one, the kernel only returns EAGAIN.
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
                Err(errno) => handle.check().err().unwrap_or(errno.into()),
            };
            return gathered_or(store, gathered, fault);
        }
    }
}

/// Returns what was gathered, before the error that ended the call.
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

/// One attempt to receive.
#[derive(Clone, Copy)]
struct Attempt {
    /// Whether the message's length is read first, because more than 64 KiB are asked for.
    look: bool,
    asked: usize,
    capacity: usize,
    flags: i32,
    /// Whether recvmsg(2) is made, for the address, the flags or the control data.
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

    /// Makes the attempt on a thread of the closer. When the kernel skips an urgent byte, it drops
    /// that byte with its descriptors, which can take time. An interrupt waits for the end of the
    /// attempt, because what the attempt receives would be lost. Only if a peer sent descriptors
    /// that the kernel can't drop is the attempt given up when the time is over.
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
            // The interrupt ends the next wait.
            keep_interrupt(store, &fault);
        }
        Ok(job.take().unwrap_or(Err(Errno::IO)))
    }
}

/// Waits while too many discarded descriptors wait to be closed. The next message may bring more of
/// them.
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

/// Returns whether there is an urgent byte.
fn is_urgent(handle: &Handle) -> bool {
    shows_now(handle, PollFlags::PRI)
}

/// Returns the room for control data on this socket. The guest asks for `asked` bytes.
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

/// Returns whether MSG_PEEK and MSG_TRUNC give the length of a message. AF_ALG and AF_TIPC answer
/// in another way, and CAN_J1939 not at all. Ping sockets return the length of what was copied.
fn tells_lengths(kind: SocketKind) -> bool {
    let is_ping = kind.type_ == libc::SOCK_DGRAM && family::is_raw(kind);
    let tells = matches!(
        kind.family,
        libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX | libc::AF_NETLINK | libc::AF_PACKET
    );
    tells && !is_ping
}

/// Returns whether nothing more will come, because the peer has ended the stream, or this side was
/// shut down.
pub(super) fn has_ended(handle: &Handle) -> bool {
    shows_now(handle, PollFlags::RDHUP)
}

fn shows_now(handle: &Handle, event: PollFlags) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(handle.fd(), event)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    // poll(2) reports POLLERR without being asked, also for the error queue.
    rustix::event::poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(event)
}

/// Receives on a description that TLS has to do with. None if its plain bytes may move as any
/// other's.
async fn receive_by_tls<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    d: &Resource<Descriptor>,
    handle: &Arc<Handle>,
    length: u64,
    flags: i32,
    wait: Wait,
) -> CallResult<Option<Vec<u8>>> {
    if handle.open.tls.is_attached() {
        return tls::receive(store, handle, length, flags, wait).await.map(Some);
    }
    let receiving = |length| Receiving { d, length, control_room: 0, flags, wait, message: false };
    if let Some(tls) = tls::bound(store, handle, None)? {
        tls::check_flags(flags)?;
        let length = length.min(tls::receivable(store, handle, &tls)?);
        let data = receiving(length).run_on(store, handle, handle.socket()?).await?.data;
        let follows = tls.lock().note_received(&data);
        return if follows { Ok(Some(data)) } else { Err(Errno::PROTO.into()) };
    }
    if let Some(room) = tls::before_session(store, handle, Way::In) {
        tls::check_flags(flags)?;
        let length = length.min(room as u64);
        let data = receiving(length).run_on(store, handle, handle.socket()?).await?.data;
        handle.open.tls.note_preamble(Way::In, data.len());
        return Ok(Some(data));
    }
    store.view().ctx.judge().plain_bytes(handle)?;
    Ok(None)
}

/// WIT `transfers.receive`.
pub(crate) async fn receive<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, length, flags, wait): (Resource<Descriptor>, u64, i32, Wait),
) -> CallResult<Vec<u8>> {
    let handle = store.view().referred(&d)?;
    if handle.open.tls.is_set()
        && let Some(data) =
            Box::pin(receive_by_tls(store, &d, &handle, length, flags, wait)).await?
    {
        return Ok(data);
    }
    let kind = handle.socket()?;
    let receiving = Receiving { d: &d, length, control_room: 0, flags, wait, message: false };
    Ok(receiving.run_on(store, &handle, kind).await?.data)
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
        // man 7 tcp: MSG_TRUNC discards the bytes of a stream and returns their number. An empty
        // result would mean the end of the stream.
        data.resize(message.length.min(usize::try_from(length).unwrap_or(usize::MAX)), 0);
    }
    Ok(Datagram { address: family::decode(&message.address, kind), data })
}

/// WIT `transfers.receive-message`.
pub(crate) async fn receive_message<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, length, control_length, flags, wait): (Resource<Descriptor>, u64, u32, i32, Wait),
) -> CallResult<Received> {
    let most = store.view().ctx.gate.policy().limits().control_bytes as usize;
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
                    // The kernel does the same: if all descriptors were closed, there is no control
                    // message.
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
