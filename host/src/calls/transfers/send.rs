//! The hot calls: every way to move bytes. Each tries its system call first and waits only on
//! EAGAIN.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, Resource, WasmList};

use super::ancillary;
use super::opening::Opening;
use crate::authority::family::{self, Family};
use crate::authority::filter;
use crate::authority::permit::{Contents, ControlOut as Outgoing, Permit, SendTo};
use crate::bindings::sandsock::socket::types::{
    Address, ControlMessage, SocketKind, UnixAddress, Wait, Warning,
};
use crate::ctx::{SandsockCtxView, SandsockView};
use crate::descriptor::buffers;
use crate::descriptor::{Descriptor, Handle};
use crate::error::{CallResult, Fault};
use crate::observe::{shown_case, shown_record};
use crate::sys::address::RawAddress;
use crate::sys::control::{self, SCM_PIDFD};
use crate::sys::{self, ControlRoom, Message};
use crate::wait::budget::WaitBudget;

/// SC_IOV_MAX: man 3 sysconf.
const BUFFERS_MAX: usize = 1024;
/// How many messages of a batch are sent at once where each must be read first: the thread may be
/// others' too.
const INSPECTED_MAX: usize = 64;
/// Up to here a message's buffer is made as asked; above, its length is looked at first.
const MESSAGE_AT_ONCE: usize = 64 * 1024;

/// WIT `control-message`, as a guest gives it: its data stays in the guest's memory. Many messages
/// may share one list there, and copies of all would follow no size that the guest has.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ControlData {
    pub(crate) level: i32,
    #[component(name = "type")]
    pub(crate) type_: i32,
    pub(crate) data: WasmList<u8>,
}

/// WIT `control-out`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ControlOut {
    #[component(name = "rights")]
    Rights(Vec<Resource<Descriptor>>),
    #[component(name = "message")]
    Message(ControlData),
}

/// WIT `control-in`.
#[derive(ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ControlIn {
    #[component(name = "rights")]
    Rights(Vec<Resource<Descriptor>>),
    #[component(name = "pidfd")]
    Pidfd(Resource<Descriptor>),
    #[component(name = "message")]
    Message(ControlMessage),
}

/// WIT `datagram`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Datagram {
    data: Vec<u8>,
    address: Option<Address>,
}

/// WIT `received`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Received {
    data: Vec<u8>,
    length: u64,
    control: Vec<ControlIn>,
    flags: i32,
    address: Option<Address>,
    warnings: Vec<Warning>,
}

/// WIT `batch-entry`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct BatchEntry {
    length: u32,
    address: Option<Address>,
    control: WasmList<ControlData>,
}

/// WIT `batch`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Batch {
    data: Vec<u8>,
    messages: Vec<BatchMessage>,
}

/// WIT `batch-message`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct BatchMessage {
    length: u32,
    flags: i32,
    address: Option<Address>,
    control: Vec<ControlMessage>,
}

shown_case! { ControlOut: Rights = "rights", Message = "message" }
shown_case! { ControlIn: Rights = "rights", Pidfd = "pidfd", Message = "message" }
shown_record! { Datagram: data, address }
shown_record! { Received: data, length, control, flags, address, warnings }
shown_record! { BatchEntry: length, address, control }
shown_record! { Batch: data, messages }
shown_record! { BatchMessage: length, flags, address, control }

/// What a call that goes on until all is moved moves at most, though the limit of one transfer may
/// be less: who asks for more asks again, and may count on it (WIT: one call moves at most 1 MiB of
/// a stream).
const WHOLE: usize = 1 << 20;

/// How much of a stream one call moves.
fn transfer_limit<T: SandsockView>(store: &mut StoreContextMut<'_, T>) -> usize {
    store.data_mut().sandsock().ctx.gate.policy.limits().transfer_bytes as usize
}

/// Bytes already moved are told first: the interrupt that ended the call stays pending. Every other
/// error comes again by itself.
pub(crate) fn keep_interrupt<T: SandsockView>(store: &mut StoreContextMut<'_, T>, fault: &Fault) {
    if fault.is(Errno::INTR) {
        store.data_mut().sandsock().ctx.waiter.interrupter().interrupt();
    }
}

/// A send under way: what all sends share.
struct Sending {
    handle: Arc<Handle>,
    /// How many bytes are to be sent: a message's all, a stream's at most the limit, and where all
    /// must go 1 MiB.
    total: usize,
    /// How many at a time.
    piece: usize,
    whole: bool,
    /// What it queues is measured against the limit of buffers.
    sampled: bool,
    patience: WaitBudget,
    /// The flags of the system call.
    flags: i32,
    opening: Opening,
}

impl Sending {
    fn new<T: SandsockView>(
        store: &mut StoreContextMut<'_, T>,
        d: &Resource<Descriptor>,
        length: usize,
        flags: i32,
        wait: Wait,
    ) -> CallResult<(Self, SocketKind)> {
        let handle = store.data_mut().sandsock().for_transfer(d)?;
        let kind = handle.socket()?;
        let stream = kind.type_ == libc::SOCK_STREAM;
        store.data_mut().sandsock().ctx.judge().transfer(&handle, kind, flags)?;
        let patience = WaitBudget::new(wait, flags);
        // WIT: as Linux blocks, a stream send goes on until all is queued.
        let whole = stream && patience.is_forever();
        let limit = if stream { transfer_limit(store) } else { usize::MAX };
        // Of an urgent send the last byte alone is urgent: it goes in one piece.
        let total =
            length.min(if whole && flags & libc::MSG_OOB == 0 { limit.max(WHOLE) } else { limit });
        let sampled = buffers::is_sampled(kind);
        let opening = Opening::new(&handle, kind, flags, &patience);
        let flags = sending_flags(kind, flags);
        Ok((Self { handle, total, piece: limit, whole, sampled, patience, flags, opening }, kind))
    }

    /// Repeats `attempt`, to which it says which bytes are next and by which flags, until the
    /// wait's condition holds.
    async fn run<T: SandsockView>(
        mut self,
        store: &mut StoreContextMut<'_, T>,
        mut attempt: impl FnMut(
            &mut StoreContextMut<'_, T>,
            &Handle,
            Range<usize>,
            i32,
        ) -> CallResult<usize>,
    ) -> CallResult<u64> {
        let mut sent = 0usize;
        loop {
            let mut end = self.total.min(sent.saturating_add(self.piece));
            if self.sampled {
                let room =
                    store.data_mut().sandsock().ctx.gate.buffers.room_on(&self.handle, end - sent);
                if room == 0 && end > sent {
                    // No readiness stands behind the limit.
                    match self.patience.back_off(store, &self.handle, PollFlags::OUT).await {
                        Ok(()) => continue,
                        Err(fault) => return after(store, sent, fault),
                    }
                }
                end = sent + room;
            }
            // The first bytes alone open a connection: on one that is there MSG_FASTOPEN is
            // EISCONN.
            let flags = if sent == 0 { self.flags } else { self.flags & !libc::MSG_FASTOPEN };
            let fault = match attempt(store, &self.handle, sent..end, flags) {
                Ok(count) => {
                    sent += count;
                    if self.sampled {
                        store.data_mut().sandsock().ctx.gate.buffers.sent(count);
                    }
                    if count > 0
                        && self.opening.take_blocks()
                        && !self.opened(store, sent, &mut attempt).await?
                    {
                        return Ok(sent as u64);
                    }
                    // No progress is no reason to go on either.
                    if !self.whole || sent >= self.total || count == 0 {
                        return Ok(sent as u64);
                    }
                    self.patience.progress(store).await;
                    continue;
                }
                Err(fault) if fault.is(Errno::INTR) => continue,
                Err(fault) if self.opening.is_under_way(&fault) => {
                    match self.under_way(store, &fault).await {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Err(fault) if fault.is(Errno::AGAIN) => {
                    match self.patience.again(store, &self.handle, PollFlags::OUT).await {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            return after(store, sent, fault);
        }
    }

    /// Waits for the connection that the first bytes have opened; false when the time is over, or
    /// the wait was interrupted.
    async fn opened<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        sent: usize,
        attempt: &mut impl FnMut(
            &mut StoreContextMut<'_, T>,
            &Handle,
            Range<usize>,
            i32,
        ) -> CallResult<usize>,
    ) -> CallResult<bool> {
        // No bytes: the kernel then only says what became of the connection.
        let result = loop {
            match attempt(store, &self.handle, sent..sent, self.flags & !libc::MSG_FASTOPEN) {
                Err(fault) if fault.is(Errno::AGAIN) => {}
                result => break result,
            }
            match self.patience.again(store, &self.handle, PollFlags::OUT).await {
                Ok(()) => {}
                Err(fault) if fault.is(Errno::AGAIN) => return Ok(false),
                Err(fault) => {
                    keep_interrupt(store, &fault);
                    return if matches!(fault, Fault::Error(_)) { Ok(false) } else { Err(fault) };
                }
            }
        };
        // The socket is left connected, or free to connect anew, and not in between. What it says
        // has been said.
        let _ = attempt(store, &self.handle, sent..sent, self.flags | libc::MSG_FASTOPEN);
        result.map(|_| true)
    }

    /// Waits while a connection is under way.
    async fn under_way<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        fault: &Fault,
    ) -> CallResult<()> {
        let errno = if fault.is(Errno::ALREADY) { Errno::ALREADY } else { Errno::INPROGRESS };
        self.opening.wait(store, &self.handle, &mut self.patience, errno).await
    }
}

/// A send's end by a fault, after so many bytes.
fn after<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    sent: usize,
    fault: Fault,
) -> CallResult<u64> {
    match fault {
        Fault::Error(_) if sent > 0 => {
            keep_interrupt(store, &fault);
            Ok(sent as u64)
        }
        fault => Err(fault),
    }
}

/// The flags of the system call. MSG_ZEROCOPY would let the kernel read guest memory after the
/// call, where a received socket has SO_ZEROCOPY on.
fn sending_flags(kind: SocketKind, flags: i32) -> i32 {
    let flags = flags & !libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT;
    let takes_nosignal = Family::of(kind.family).is_ok_and(Family::takes_nosignal);
    if takes_nosignal { flags | libc::MSG_NOSIGNAL } else { flags & !libc::MSG_NOSIGNAL }
}

/// Judges a destination; a name whose addresses were forgotten is looked up once more.
async fn judge_send_to<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    kind: SocketKind,
    address: &Address,
    wait: &mut Wait,
) -> CallResult<Permit<SendTo>> {
    crate::calls::netdb::with_fresh_names(store, wait, |view| {
        view.ctx.judge().send_to(handle, kind, address)
    })
    .await
}

/// Before an attempt: a new permit, where the policy is not the one any more that gave this one.
fn renew<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    permit: &mut Permit<SendTo>,
    handle: &Handle,
    kind: SocketKind,
    address: &Address,
) -> CallResult<()> {
    let view = store.data_mut().sandsock();
    let judge = view.ctx.judge();
    if !judge.is_current(permit) {
        *permit = judge.send_to(handle, kind, address)?;
    }
    Ok(())
}

/// A judged copy of a message that says itself what it does; none where the destination says it
/// all. One longer than a transfer is EMSGSIZE, before anything is copied.
fn judge_contents<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    kind: SocketKind,
    to: Option<&Address>,
    length: usize,
    copy: impl FnOnce(&StoreContextMut<'_, T>) -> Vec<u8>,
) -> CallResult<Option<Permit<Contents>>> {
    if !Family::of(kind.family).is_ok_and(|family| family.is_inspected(kind)) {
        return Ok(None);
    }
    if length > transfer_limit(store) {
        return Err(Errno::MSGSIZE.into());
    }
    let message = copy(store);
    store.data_mut().sandsock().ctx.judge().contents(handle, kind, to, message).map(Some)
}

/// WIT `transfers.send`.
pub(crate) async fn send<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, data, flags, wait): (Resource<Descriptor>, WasmList<u8>, i32, Wait),
) -> CallResult<u64> {
    let (sending, kind) = Sending::new(store, &d, data.len(), flags, wait)?;
    let total = sending.total;
    store.data_mut().sandsock().ctx.judge().local_of_send(&sending.handle, kind, flags, false)?;
    let judged = judge_contents(store, &sending.handle, kind, None, total, |store| {
        data.as_le_slice(store).to_vec()
    })?;
    sending
        .run(store, |store, handle, part, flags| {
            let bytes = match &judged {
                Some(permit) => permit.act().bytes(),
                None => &data.as_le_slice(&*store)[part],
            };
            Ok(sys::send(handle.fd(), bytes, flags)?)
        })
        .await
}

/// WIT `transfers.send-to`.
pub(crate) async fn send_to<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, data, flags, address, wait): (Resource<Descriptor>, WasmList<u8>, i32, Address, Wait),
) -> CallResult<u64> {
    let (mut sending, kind) = Sending::new(store, &d, data.len(), flags, wait)?;
    let total = sending.total;
    let mut permit =
        judge_send_to(store, &sending.handle, kind, &address, sending.patience.wait_mut()).await?;
    store.data_mut().sandsock().ctx.judge().local_of_send(&sending.handle, kind, flags, true)?;
    let judged = judge_contents(store, &sending.handle, kind, Some(&address), total, |store| {
        data.as_le_slice(store).to_vec()
    })?;
    sending
        .run(store, |store, handle, part, flags| {
            renew(store, &mut permit, handle, kind, &address)?;
            let bytes = match &judged {
                Some(permit) => permit.act().bytes(),
                None => &data.as_le_slice(&*store)[part],
            };
            Ok(sys::send_to(handle.fd(), bytes, flags, &permit)?)
        })
        .await
}

type SendMessage =
    (Resource<Descriptor>, Vec<WasmList<u8>>, Vec<ControlOut>, i32, Option<Address>, Wait);

/// WIT `transfers.send-message`.
pub(crate) async fn send_message<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, buffers, control, flags, address, wait): SendMessage,
) -> CallResult<u64> {
    if buffers.len() > BUFFERS_MAX {
        return Err(Errno::MSGSIZE.into());
    }
    check_control(&store.data_mut().sandsock(), &control)?;
    let length = buffers.iter().map(WasmList::len).sum();
    let (mut sending, kind) = Sending::new(store, &d, length, flags, wait)?;
    let total = sending.total;
    let mut permit = match &address {
        Some(address) => {
            let wait = sending.patience.wait_mut();
            Some(judge_send_to(store, &sending.handle, kind, address, wait).await?)
        }
        None => None,
    };
    let judged = judge_contents(store, &sending.handle, kind, address.as_ref(), total, |store| {
        buffers.iter().flat_map(|buffer| buffer.as_le_slice(store)).copied().collect()
    })?;

    let data = control_data(store, &control);
    let view = store.data_mut().sandsock();
    let with_control = view.ctx.judge().control(outgoing(&view, &control, &data)?)?;
    // The wait holds the encoded form alone.
    drop((control, data));
    view.ctx.judge().local_of_send(&sending.handle, kind, flags, address.is_some())?;
    let rights = with_control.act().rights().len();
    let mut claim = None;
    if rights > 0 {
        if rights > sys::RIGHTS_MAX {
            return Err(Errno::INVAL.into());
        }
        claim = Some(view.ctx.rights.claim(&sending.handle, rights)?);
        // From here on others may hold these descriptions: the kernel's flag says what the guest's
        // bit says.
        for handle in with_control.act().rights() {
            handle.set_travelled();
            handle.share()?;
            view.ctx.gate.buffers.sent_away(handle);
        }
    }
    let none = view.ctx.judge().control(Vec::new())?;
    let tracker = view.ctx.rights.clone();

    sending
        .run(store, |store, handle, part, flags| {
            if let (Some(permit), Some(address)) = (&mut permit, &address) {
                renew(store, permit, handle, kind, address)?;
            }
            let slices = match &judged {
                Some(permit) => vec![IoSlice::new(permit.act().bytes())],
                None => slices_from(&buffers, store, part.clone()),
            };
            // man 7 unix: ancillary data goes with the first byte.
            let first = part.start == 0;
            let control = if first { &with_control } else { &none };
            let count = sys::send_message(handle.fd(), &slices, flags, permit.as_ref(), control)?;
            if let (true, Some(claim)) = (first, &mut claim) {
                tracker.sent(handle, with_control.act().rights(), claim);
            }
            Ok(count)
        })
        .await
}

/// The room for control data that one call may fill, asked for before anything is judged or
/// encoded.
struct ControlLimit(usize);

impl ControlLimit {
    fn of(view: &SandsockCtxView<'_>) -> Self {
        Self(view.ctx.gate.policy.limits().control_bytes as usize)
    }

    /// How many messages there is room for, if they have no data.
    fn elements(&self) -> usize {
        self.0 / control::space(0).map_or(1, |space| space as usize)
    }

    /// Takes the room of a message with so much data; ENOBUFS where it is used up.
    fn take(&mut self, data: usize) -> Result<(), Errno> {
        let space = u32::try_from(data).ok().and_then(control::space).ok_or(Errno::NOBUFS)?;
        self.0 = self.0.checked_sub(space as usize).ok_or(Errno::NOBUFS)?;
        Ok(())
    }
}

/// Checks the control data of one message by its lengths: nothing is judged, copied or waited for
/// with more of it than there is room.
fn check_control(view: &SandsockCtxView<'_>, control: &[ControlOut]) -> Result<(), Errno> {
    let mut room = ControlLimit::of(view);
    for item in control {
        match item {
            ControlOut::Rights(list) => {
                room.take(list.len() * size_of::<i32>())?;
                if list.len() > sys::RIGHTS_MAX {
                    return Err(Errno::INVAL);
                }
            }
            ControlOut::Message(message) => room.take(message.data.len())?,
        }
    }
    Ok(())
}

/// Copies of the messages' data, in their order.
fn control_data<T: SandsockView>(
    store: &StoreContextMut<'_, T>,
    control: &[ControlOut],
) -> Vec<Vec<u8>> {
    let data = |item: &ControlOut| match item {
        ControlOut::Rights(_) => Vec::new(),
        ControlOut::Message(message) => message.data.as_le_slice(store).to_vec(),
    };
    control.iter().map(data).collect()
}

fn outgoing<'a>(
    view: &SandsockCtxView<'_>,
    control: &[ControlOut],
    data: &'a [Vec<u8>],
) -> CallResult<Vec<Outgoing<'a>>> {
    control
        .iter()
        .zip(data)
        .map(|(item, data)| {
            Ok(match item {
                ControlOut::Rights(list) => Outgoing::Rights(
                    list.iter().map(|d| view.handle(d)).collect::<CallResult<_>>()?,
                ),
                ControlOut::Message(message) => {
                    Outgoing::Message { level: message.level, kind: message.type_, data }
                }
            })
        })
        .collect()
}

/// The guest's buffers between two byte counts, without a copy.
fn slices_from<'a, T: SandsockView>(
    buffers: &[WasmList<u8>],
    store: &'a StoreContextMut<'_, T>,
    part: Range<usize>,
) -> Vec<IoSlice<'a>> {
    let (mut skip, mut left) = (part.start, part.len());
    let mut slices = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let bytes = buffer.as_le_slice(store);
        let start = skip.min(bytes.len());
        skip -= start;
        let rest = &bytes[start..][..left.min(bytes.len() - start)];
        left -= rest.len();
        slices.push(IoSlice::new(rest));
    }
    slices
}

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
    let handle = store.data_mut().sandsock().for_transfer(&d)?;
    let kind = messages_only(&handle)?;
    store.data_mut().sandsock().ctx.judge().transfer(&handle, kind, flags)?;
    // man 2 sendmmsg: the kernel sends no more than this many at once.
    let most = if Family::of(kind.family).is_ok_and(|family| family.is_inspected(kind)) {
        INSPECTED_MAX
    } else {
        BUFFERS_MAX
    };
    let mut now: Vec<Entry> = Vec::new();
    let mut room = ControlLimit::of(&store.data_mut().sandsock());
    let mut total = 0u64;
    for at in 0..messages.len().min(most) {
        let entry = Entry::new(store, &messages, at, &mut room)?;
        total += u64::from(entry.length);
        let too_long = entry.address.as_ref().is_some_and(is_too_long);
        now.push(entry);
        if too_long {
            // It will be refused, and what comes after it is not looked at.
            break;
        }
    }
    // Of a longer list the rest is for the next calls.
    let all = now.len() == messages.len();
    if total > data.len() as u64 || all && total < data.len() as u64 {
        return Err(Errno::INVAL.into());
    }
    if now.is_empty() {
        return Ok(0);
    }
    // All look-ups of names that the batch may need have its one time.
    crate::wait::begin(&mut wait);
    let mut looking = crate::calls::netdb::a_moment(wait);
    crate::wait::begin(&mut looking);
    let mut patience = WaitBudget::new(wait, flags);
    let flags = sending_flags(kind, flags);
    loop {
        let mut items: Vec<sys::BatchItem> = Vec::with_capacity(now.len());
        let mut permits = Vec::new();
        let mut refused = None;
        let mut at = 0;
        for (number, message) in now.iter().enumerate() {
            let end = at + message.length as usize;
            // The guest does not run meanwhile: its bytes stay as they are judged, and of those
            // that must be no more are looked at than one transfer has.
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
                // What comes before it is sent; it is told at the next call.
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
        let length: usize = items.iter().map(|item| item.length).sum();
        match sys::send_batch(
            handle.fd(),
            &data.as_le_slice(&*store)[..length],
            &items,
            &permits,
            flags,
        ) {
            Ok(sent) => return Ok(u32::try_from(sent).unwrap_or(u32::MAX)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => patience.again(store, &handle, PollFlags::OUT).await?,
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
    /// ENOBUFS if there is no room for its control data, of which no more is copied then.
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
                    // A value that its type does not have is a trap, as in a list that is lifted
                    // whole; a long one is none.
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

/// How many bytes of lists are copied at most where one element of a list is lifted.
pub(crate) const LIFT: usize = 4096;

/// An element of a list in the guest's memory. It fails if the lists in it have more bytes than
/// `most`, which is not a size of the guest's: elements may share them.
pub(crate) fn lift<T: SandsockView, E: Lift>(
    store: &mut StoreContextMut<'_, T>,
    list: &WasmList<E>,
    at: usize,
    most: usize,
) -> Option<wasmtime::Result<E>> {
    let fuel = store.hostcall_fuel();
    store.set_hostcall_fuel(most.min(fuel));
    let element = list.get(&mut *store, at);
    store.set_hostcall_fuel(fuel);
    element
}

/// Whether a list in an address is longer than any address is (man 7 socket: sockaddr_storage has
/// 128 bytes).
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

/// A batch is of messages: what a stream took of one could not be told.
fn messages_only(handle: &Handle) -> Result<SocketKind, Errno> {
    let kind = handle.socket()?;
    if kind.type_ == libc::SOCK_STREAM { Err(Errno::OPNOTSUPP) } else { Ok(kind) }
}

/// Judges one message of a batch, and adds its permit. One that goes where the one before it went
/// has the same.
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
            .map(|item| Outgoing::Message { level: item.level, kind: item.type_, data: &item.data })
            .collect();
        Some(store.data_mut().sandsock().ctx.judge().control(outgoing)?)
    };
    if !matches!(before, Some((last, _)) if last.address.is_some() == message.address.is_some()) {
        let view = store.data_mut().sandsock();
        view.ctx.judge().local_of_send(handle, kind, 0, message.address.is_some())?;
    }
    Ok(sys::BatchItem { length: message.length as usize, permit, control })
}

/// Whether two addresses of IP are the same.
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
    ) -> CallResult<(Message, SocketKind)> {
        let handle = store.data_mut().sandsock().for_transfer(self.d)?;
        let kind = handle.socket()?;
        Ok((self.run_on(store, &handle, kind).await?, kind))
    }

    async fn run_on<T: SandsockView>(
        self,
        store: &mut StoreContextMut<'_, T>,
        handle: &Arc<Handle>,
        kind: SocketKind,
    ) -> CallResult<Message> {
        let stream = kind.type_ == libc::SOCK_STREAM;
        store.data_mut().sandsock().ctx.judge().input(handle)?;
        let mut patience = WaitBudget::new(self.wait, self.flags);
        let flags = sys::receiving_flags(kind.family, self.flags);
        let asked = usize::try_from(self.length).unwrap_or(usize::MAX);
        let filter = filter::is_judged(kind);
        let gather = stream && patience.is_forever() && self.flags & libc::MSG_WAITALL != 0;
        let limit = transfer_limit(store);
        // Where the length can't be looked at, the buffer is as long as asked for.
        let at_once = if stream || !tells_lengths(kind) { limit } else { MESSAGE_AT_ONCE };
        let most =
            if gather && self.flags & libc::MSG_PEEK == 0 { limit.max(WHOLE) } else { at_once };
        let of_unix = kind.family == libc::AF_UNIX;
        let mut drops = 0u32;
        let mut gathered: Option<Message> = None;
        let mut first = self.flags == 0 && patience.may_wait(handle);
        if first && handle.expects_to_wait() {
            // One system call less than to be told EAGAIN first.
            match patience.again(store, handle, PollFlags::IN).await {
                Ok(()) => first = false,
                // Bytes that are there come before the interrupt.
                Err(fault) => keep_interrupt(store, &fault),
            }
            patience.restart();
        }
        loop {
            if of_unix && let Err(fault) = room_for_strays(store, handle, &mut patience).await {
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
                match attempt.run_apart(store, handle, &mut patience).await {
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
                    store.data_mut().sandsock().ctx.gate.count_dropped();
                    drops += 1;
                    if drops.is_multiple_of(64) {
                        patience.go_round(store, handle, PollFlags::IN).await?;
                    }
                    continue;
                }
                Ok(mut message) => {
                    if buffers::is_sampled(kind) && !peek {
                        store.data_mut().sandsock().ctx.gate.buffers.received(message.length);
                    }
                    if !gather {
                        return Ok(message);
                    }
                    if !peek {
                        patience.progress(store).await;
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
                        match patience.back_off(store, handle, PollFlags::IN).await {
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
                        && patience.is_forever()
                        && !handle.is_nonblocking()
                        && has_ended(handle) =>
                {
                    return Ok(Message::of_bytes(Vec::new(), 0));
                }
                Err(Errno::AGAIN) => {
                    let events =
                        if flags & libc::MSG_OOB != 0 { PollFlags::PRI } else { PollFlags::IN };
                    match patience.again(store, handle, events).await {
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
    gathered: Option<Message>,
    fault: Fault,
) -> CallResult<Message> {
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
    fn run(self, handle: &Handle) -> Result<Message, Errno> {
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
                .map(|(data, length)| Message::of_bytes(data, length))
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
        patience: &mut WaitBudget,
    ) -> CallResult<Result<Message, Errno>> {
        let own = Arc::clone(handle);
        let job = handle.closer().run_at_once(move || self.run(&own))?;
        let mut interrupt = None;
        while let Err(fault) = patience.until_done(store, job.as_fd(), handle, PollFlags::IN).await
        {
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
async fn room_for_strays<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    patience: &mut WaitBudget,
) -> CallResult<()> {
    if handle.closer().is_full() {
        while handle.closer().is_full() {
            handle.closer().resume();
            patience.back_off(store, handle, PollFlags::IN).await?;
        }
        patience.restart();
    }
    Ok(())
}

/// Whether an urgent byte waits.
fn is_urgent(handle: &Handle) -> bool {
    shows_now(handle, PollFlags::PRI)
}

/// The room for control data on this socket, of which the guest asks for so much.
fn control_room(handle: &Handle, asked: usize) -> ControlRoom<'_> {
    match handle.socket() {
        Ok(kind) if kind.family == libc::AF_UNIX => ControlRoom::of_unix(asked, handle.closer()),
        _ => ControlRoom::of_bytes(asked),
    }
}

fn is_allowed<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    kind: SocketKind,
    flags: i32,
    address: &RawAddress,
) -> bool {
    filter::is_allowed(&store.data_mut().sandsock().ctx.gate, kind, flags, address)
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
pub(crate) fn has_ended(handle: &Handle) -> bool {
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
    let most = store.data_mut().sandsock().ctx.gate.policy.limits().control_bytes as usize;
    let control_room = (control_length as usize).min(most);
    let (mut message, kind) =
        Receiving { d: &d, length, control_room, flags, wait, message: true }.run(store).await?;
    let mut warnings = Vec::new();
    if control::is_malformed(message.control.bytes()) {
        warnings.push(Warning::MalformedControlData);
    }
    let mut control = Vec::new();
    let restricted = filter::is_restricted(&store.data_mut().sandsock().ctx.gate, kind);
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
                ancillary::hide_ids(
                    &store.data_mut().sandsock(),
                    kind,
                    (level, type_),
                    &mut item.data,
                );
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
    let handle = store.data_mut().sandsock().for_transfer(&d)?;
    let kind = messages_only(&handle)?;
    store.data_mut().sandsock().ctx.judge().input(&handle)?;
    if flags & libc::MSG_PEEK != 0 {
        return Err(Errno::INVAL.into());
    }
    if count == 0 {
        return Ok(Batch { data: Vec::new(), messages: Vec::new() });
    }
    let limits = store.data_mut().sandsock().ctx.gate.policy.limits().clone();
    let control_room = (control_length as usize).min(limits.control_bytes as usize);
    let capacity = (length as usize).min(MESSAGE_AT_ONCE);
    // All together they are no more than one transfer, and their control data no more than one
    // message's.
    let fits =
        |limit: u64, each: usize| (limit as usize).checked_div(each).unwrap_or(BUFFERS_MAX).max(1);
    let most = fits(limits.transfer_bytes, capacity).min(fits(limits.control_bytes, control_room));
    let count = (count as usize).min(BUFFERS_MAX).min(most);
    let filter = filter::is_judged(kind);
    let restricted = filter::is_restricted(&store.data_mut().sandsock().ctx.gate, kind);
    let mut patience = WaitBudget::new(wait, flags);
    let flags = sys::receiving_flags(kind.family, flags);
    let room = self::control_room(&handle, control_room);
    loop {
        room_for_strays(store, &handle, &mut patience).await?;
        match sys::receive_batch(handle.fd(), count, capacity, room, flags) {
            Ok(received) => {
                let sys::ReceivedBatch { mut data, parts } = received;
                let mut messages = Vec::with_capacity(parts.len());
                let (mut at, mut kept) = (0, 0);
                for part in parts {
                    let bytes = at..at + part.size;
                    at = bytes.end;
                    if filter && !is_allowed(store, kind, flags, &part.address) {
                        store.data_mut().sandsock().ctx.gate.count_dropped();
                        continue;
                    }
                    if kept < bytes.start {
                        data.copy_within(bytes, kept);
                    }
                    kept += part.size;
                    messages.push(BatchMessage::new(
                        &store.data_mut().sandsock(),
                        part,
                        kind,
                        restricted,
                    ));
                }
                data.truncate(kept);
                let batch = Batch { data, messages };
                if !batch.messages.is_empty() {
                    return Ok(batch);
                }
                // All were dropped.
                patience.go_round(store, &handle, PollFlags::IN).await?;
            }
            Err(Errno::INTR) => {}
            // A socket that was shut: always readable, and never with anything.
            Err(Errno::AGAIN)
                if patience.is_forever() && !handle.is_nonblocking() && has_ended(&handle) =>
            {
                let nothing =
                    BatchMessage { length: 0, flags: 0, address: None, control: Vec::new() };
                return Ok(Batch { data: Vec::new(), messages: vec![nothing] });
            }
            Err(Errno::AGAIN) => patience.again(store, &handle, PollFlags::IN).await?,
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl BatchMessage {
    /// Of what was received on a socket of this kind. Descriptors are refused: a batch has no place
    /// for them.
    fn new(
        view: &SandsockCtxView<'_>,
        mut part: sys::Part,
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
