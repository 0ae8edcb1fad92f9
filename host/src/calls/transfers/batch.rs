//! Many messages in one call, by sendmmsg(2) and recvmmsg(2).

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, WasmList};

use super::ancillary;
use super::receive::{MESSAGE_AT_ONCE, control_room, has_ended, is_allowed, room_for_strays};
use super::send::{ControlLimit, judge_contents, judge_send_to, sending_flags};
use super::{
    BUFFERS_MAX, Batch, BatchEntry, BatchMessage, ControlData, LIFT, keep_interrupt, lift,
};
use crate::authority::budgets::{self, Held};
use crate::authority::family::{self, Family};
use crate::authority::filter;
use crate::authority::permit::{OutgoingControl, Permit, SendTo};
use crate::bindings::sandsock::socket::types::{
    Address, ControlMessage, SocketKind, UnixAddress, Wait,
};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::{Descriptor, Handle};
use crate::error::{CallResult, Fault};
use crate::sys;
use crate::wait::budget::WaitBudget;

/// The most messages of a batch that are sent at once, if the host has to read each of them. Other
/// guests may wait for the thread.
const INSPECTED_MAX: usize = 64;

/// WIT `transfers.send-batch`.
pub(crate) async fn send_batch<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, data, messages, flags, mut wait): (
        Resource<Descriptor>,
        WasmList<u8>,
        WasmList<BatchEntry>,
        i32,
        Wait,
    ),
) -> CallResult<u32> {
    let handle = store.view().for_transfer(&d)?;
    let kind = messages_only(&handle)?;
    store.view().ctx.judge().transfer(&handle, kind, flags)?;
    // man 2 sendmmsg: the kernel sends no more than this many at once.
    let most = if Family::of(kind.family).is_ok_and(|family| family.is_inspected(kind)) {
        INSPECTED_MAX
    } else {
        BUFFERS_MAX
    };
    let mut now: Vec<Entry> = Vec::new();
    let mut room = ControlLimit::of(&store.view());
    let mut total = 0u64;
    for at in 0..messages.len().min(most) {
        let entry = Entry::new(store, &messages, at, &mut room)?;
        total += u64::from(entry.length);
        let too_long = entry.address.as_ref().is_some_and(is_too_long);
        now.push(entry);
        if too_long {
            // The message will be refused. The messages after it are not read.
            break;
        }
    }
    // The next calls send the rest of a longer list.
    let all = now.len() == messages.len();
    if total > data.len() as u64 || all && total < data.len() as u64 {
        return Err(Errno::INVAL.into());
    }
    if now.is_empty() {
        return Ok(0);
    }
    // All look-ups of names for the batch share one time limit.
    crate::wait::begin(&mut wait);
    let mut looking = crate::calls::netdb::a_moment(wait);
    crate::wait::begin(&mut looking);
    let mut budget = WaitBudget::new(wait, flags);
    let flags = sending_flags(kind, flags);
    loop {
        let mut items: Vec<sys::BatchItem> = Vec::with_capacity(now.len());
        let mut permits = Vec::new();
        let mut refused = None;
        let mut at = 0;
        for (number, message) in now.iter().enumerate() {
            let end = at + message.length as usize;
            // The guest does not run during the check, so its bytes do not change. Of bytes that
            // must be checked, at most one transfer is copied.
            let own = |store: &StoreContextMut<'_, T>| data.as_le_slice(store)[at..end].to_vec();
            let before = number.checked_sub(1).map(|last| (&now[last], &items[last]));
            let item =
                match judge_contents(store, &handle, kind, message.address.as_ref(), end, own) {
                    Ok(_) => {
                        batch_item(
                            store,
                            &handle,
                            kind,
                            message,
                            before,
                            &mut permits,
                            &mut looking,
                        )
                        .await
                    }
                    Err(fault) => Err(fault),
                };
            at = end;
            match item {
                Ok(item) => items.push(item),
                // The messages before it are sent. The next call reports the error.
                Err(fault) => {
                    keep_interrupt(store, &fault);
                    refused = Some(fault);
                    break;
                }
            }
        }
        if let (true, Some(fault)) = (items.is_empty(), refused) {
            return Err(fault);
        }
        let mut taken = Vec::new();
        let mut held = None;
        for item in &items {
            let permit = item.permit.map(|at| &permits[at]);
            let account = budgets::account_to_send(&handle, kind, permit);
            let (gate, wanted) = (&store.view().ctx.gate, (item.length, flags));
            match budgets::to_send(gate, &handle, kind, account.as_ref(), wanted) {
                Ok(some) => taken.push(some),
                Err(why) => {
                    held = Some(why);
                    break;
                }
            }
        }
        match held {
            // The messages before it are sent.
            Some(_) if !taken.is_empty() => items.truncate(taken.len()),
            Some(held) => {
                held.wait(store, &handle, &mut budget, PollFlags::OUT).await?;
                continue;
            }
            None => {}
        }
        let length: usize = items.iter().map(|item| item.length).sum();
        match sys::send_batch(
            handle.fd(),
            &data.as_le_slice(&*store)[..length],
            &items,
            &permits,
            flags,
        ) {
            Ok(sent) => {
                for (taken, item) in taken.into_iter().zip(&items).take(sent) {
                    budgets::sent(kind, taken, item.length);
                }
                return Ok(u32::try_from(sent).unwrap_or(u32::MAX));
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => budget.again(store, &handle, PollFlags::OUT).await?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A message of a batch, lifted from the guest's memory.
struct Entry {
    length: u32,
    address: Option<Address>,
    control: Vec<ControlMessage>,
}

impl Entry {
    /// Lifts a message. ENOBUFS if there is no room for its control data, which is then not copied.
    fn new<T: SandsockView>(
        store: &mut StoreContextMut<'_, T>,
        messages: &WasmList<BatchEntry>,
        at: usize,
        room: &mut ControlLimit,
    ) -> CallResult<Self> {
        let entry =
            match lift(store, messages, at, LIFT + room.elements() * size_of::<ControlData>()) {
                Some(Ok(entry)) => entry,
                Some(Err(_)) => {
                    // An invalid value is a trap, as in a list that is lifted as a whole. A value
                    // that is too long is none.
                    let entry =
                        messages.get(&mut *store, at).ok_or(Errno::INVAL)?.map_err(Fault::Trap)?;
                    let fits = entry.control.len() <= room.elements();
                    return Err(if fits { Errno::INVAL } else { Errno::NOBUFS }.into());
                }
                None => return Err(Errno::INVAL.into()),
            };
        if entry.control.len() > room.elements() {
            return Err(Errno::NOBUFS.into());
        }
        let mut control = Vec::with_capacity(entry.control.len());
        for at in 0..entry.control.len() {
            let item =
                entry.control.get(&mut *store, at).ok_or(Errno::INVAL)?.map_err(Fault::Trap)?;
            room.take(item.data.len())?;
            let data = item.data.as_le_slice(&*store).to_vec();
            control.push(ControlMessage { level: item.level, type_: item.type_, data });
        }
        Ok(Self { length: entry.length, address: entry.address, control })
    }
}

/// Returns whether a list in an address is longer than any address (man 7 socket: sockaddr_storage
/// has 128 bytes).
fn is_too_long(address: &Address) -> bool {
    let length = match address {
        Address::Unix(UnixAddress::Path(bytes) | UnixAddress::Abstract(bytes)) => bytes.len(),
        Address::Packet(packet) => packet.hardware_address.len(),
        Address::Alg(alg) => alg.kind.len() + alg.name.len(),
        Address::Other(other) => other.data.len(),
        _ => 0,
    };
    length > 256
}

/// Returns the kind of a socket that sends messages. A stream may take a part of a message, which
/// the result of a batch can't report.
fn messages_only(handle: &Handle) -> Result<SocketKind, Errno> {
    let kind = handle.socket()?;
    if kind.type_ == libc::SOCK_STREAM { Err(Errno::OPNOTSUPP) } else { Ok(kind) }
}

/// Checks one message of a batch and adds its permit. A message to the same address as the previous
/// one reuses that permit.
async fn batch_item<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    kind: SocketKind,
    message: &Entry,
    before: Option<(&Entry, &sys::BatchItem)>,
    permits: &mut Vec<Permit<SendTo>>,
    wait: &mut Wait,
) -> CallResult<sys::BatchItem> {
    let permit = match (&message.address, before) {
        (Some(address), Some((Entry { address: Some(last), .. }, item)))
            if is_same(address, last) =>
        {
            item.permit
        }
        (Some(address), _) => {
            permits.push(judge_send_to(store, handle, kind, address, wait).await?);
            Some(permits.len() - 1)
        }
        (None, _) => None,
    };
    let control = if message.control.is_empty() {
        None
    } else {
        let outgoing = message
            .control
            .iter()
            .map(|item| OutgoingControl::Message {
                level: item.level,
                kind: item.type_,
                data: &item.data,
            })
            .collect();
        Some(store.view().ctx.judge().control(outgoing)?)
    };
    if !matches!(before, Some((last, _)) if last.address.is_some() == message.address.is_some()) {
        let view = store.view();
        view.ctx.judge().local_of_send(handle, kind, 0, message.address.is_some())?;
    }
    Ok(sys::BatchItem { length: message.length as usize, permit, control })
}

/// Returns whether two IP addresses are the same.
fn is_same(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Inet(a), Address::Inet(b)) => (a.address, a.port) == (b.address, b.port),
        (Address::Inet6(a), Address::Inet6(b)) => {
            (a.address, a.port, a.flow_info, a.scope_id)
                == (b.address, b.port, b.flow_info, b.scope_id)
        }
        _ => false,
    }
}

/// WIT `transfers.receive-batch`.
pub(crate) async fn receive_batch<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, count, length, control_length, flags, wait): (
        Resource<Descriptor>,
        u32,
        u32,
        u32,
        i32,
        Wait,
    ),
) -> CallResult<Batch> {
    let handle = store.view().for_transfer(&d)?;
    let kind = messages_only(&handle)?;
    store.view().ctx.judge().input(&handle)?;
    if flags & libc::MSG_PEEK != 0 {
        return Err(Errno::INVAL.into());
    }
    if count == 0 {
        return Ok(Batch { data: Vec::new(), messages: Vec::new() });
    }
    let limits = store.view().ctx.limits();
    let control_room = (control_length as usize).min(limits.control_bytes as usize);
    let capacity = (length as usize).min(MESSAGE_AT_ONCE);
    // All messages together have at most the bytes of one transfer, and the control data of one
    // message.
    let fits =
        |limit: u64, each: usize| (limit as usize).checked_div(each).unwrap_or(BUFFERS_MAX).max(1);
    let most = fits(limits.transfer_bytes, capacity).min(fits(limits.control_bytes, control_room));
    let count = (count as usize).min(BUFFERS_MAX).min(most);
    let filter = filter::is_judged(kind);
    let restricted = filter::is_restricted(&store.view().ctx.gate, kind);
    let mut budget = WaitBudget::new(wait, flags);
    let flags = sys::receiving_flags(kind.family, flags);
    let room = self::control_room(&handle, control_room);
    // A budget is asked before each message.
    let counts = budgets::is_concerned(&store.view().ctx.gate, &handle, kind);
    let count = if counts { 1 } else { count };
    loop {
        room_for_strays(store, &handle, &mut budget).await?;
        let gate = &store.view().ctx.gate;
        let (allowance, result) = match budgets::to_receive(gate, &handle, kind, (capacity, flags))
        {
            Ok(allowance) => {
                (allowance, sys::receive_batch(handle.fd(), count, capacity, room, flags))
            }
            Err(Held::Os(errno)) => (None, Err(errno)),
            Err(held) => {
                held.wait(store, &handle, &mut budget, PollFlags::IN).await?;
                continue;
            }
        };
        match result {
            Ok(mut received) => {
                if let (Some(allowance), Some(part)) = (allowance, received.parts.first()) {
                    allowance.received(&handle, part.size);
                }
                if flags & libc::MSG_ERRQUEUE != 0
                    && counts
                    && let Some(part) = received.parts.first_mut()
                {
                    let (gate, length) = (&store.view().ctx.gate, part.size);
                    part.size = budgets::error_entry(gate, &handle, kind, &part.address, length);
                    received.data.truncate(part.size);
                    if part.size < length {
                        part.flags |= libc::MSG_TRUNC;
                    }
                }
                let sys::ReceivedBatch { mut data, parts } = received;
                let mut messages = Vec::with_capacity(parts.len());
                let (mut at, mut kept) = (0, 0);
                for part in parts {
                    let bytes = at..at + part.size;
                    at = bytes.end;
                    if filter && !is_allowed(store, kind, flags, &part.address) {
                        store.view().ctx.gate.count_dropped();
                        continue;
                    }
                    if kept < bytes.start {
                        data.copy_within(bytes, kept);
                    }
                    kept += part.size;
                    messages.push(BatchMessage::new(&store.view(), part, kind, restricted));
                }
                data.truncate(kept);
                let batch = Batch { data, messages };
                if !batch.messages.is_empty() {
                    return Ok(batch);
                }
                // All messages were dropped.
                budget.go_round(store, &handle, PollFlags::IN).await?;
            }
            Err(Errno::INTR) => {}
            // The socket was shut down. It is always readable, and never has data.
            Err(Errno::AGAIN)
                if budget.is_forever() && !handle.is_nonblocking() && has_ended(&handle) =>
            {
                let nothing =
                    BatchMessage { length: 0, flags: 0, address: None, control: Vec::new() };
                return Ok(Batch { data: Vec::new(), messages: vec![nothing] });
            }
            Err(Errno::AGAIN) => budget.again(store, &handle, PollFlags::IN).await?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl BatchMessage {
    /// Converts a message that was received on a socket of this kind. Descriptors are refused,
    /// because a batch has no place for them.
    fn new(
        view: &SandsockCtxView<'_>,
        mut part: sys::BatchMessage,
        kind: SocketKind,
        restricted: bool,
    ) -> Self {
        let mut control = Vec::new();
        let (items, mut cut) = part.control.take();
        for mut item in items {
            if restricted && filter::is_hidden(item.level, item.kind) {
                continue;
            }
            if item.fds.is_empty() {
                ancillary::hide_ids(view, kind, (item.level, item.kind), &mut item.data);
                control.push(ControlMessage {
                    level: item.level,
                    type_: item.kind,
                    data: item.data,
                });
            } else {
                cut = true;
            }
        }
        if cut {
            part.flags |= libc::MSG_CTRUNC;
        }
        Self {
            // At most 64 KiB.
            length: part.size as u32,
            flags: part.flags & !libc::MSG_DONTWAIT,
            address: family::decode(&part.address, kind),
            control,
        }
    }
}
