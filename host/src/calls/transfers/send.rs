//! Sending: bytes, datagrams, messages with control data.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, WasmList};

use super::opening::Opening;
use super::{BUFFERS_MAX, ControlOut, WHOLE, keep_interrupt, transfer_limit};
use crate::authority::budgets;
use crate::authority::family::Family;
use crate::authority::permit::{Contents, OutgoingControl, Permit, SendTo};
use crate::bindings::sandsock::socket::types::{Address, SocketKind, Wait};
use crate::calls::tls;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::account::Account;
use crate::descriptor::buffers;
use crate::descriptor::spending::Beginning;
use crate::descriptor::tls::Way;
use crate::descriptor::{Descriptor, Handle};
use crate::error::{CallResult, Fault};
use crate::sys;
use crate::sys::control;
use crate::wait::budget::WaitBudget;

/// What all sends have in common.
struct Sending {
    handle: Arc<Handle>,
    kind: SocketKind,
    /// The number of bytes to send: all bytes of a message, or at most the limit of a stream. A
    /// stream that must send everything has at least 1 MiB.
    total: usize,
    /// The most bytes of one system call.
    piece: usize,
    whole: bool,
    /// Whether the bytes count against the limit of buffers when they are queued.
    sampled: bool,
    /// The account of the budget that counts the bytes.
    account: Option<Arc<Account>>,
    budget: WaitBudget,
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
        let handle = store.view().for_transfer(d)?;
        Self::on(store, handle, length, flags, wait)
    }

    /// Begins a send on a descriptor that may move its bytes.
    fn on<T: SandsockView>(
        store: &mut StoreContextMut<'_, T>,
        handle: Arc<Handle>,
        length: usize,
        flags: i32,
        wait: Wait,
    ) -> CallResult<(Self, SocketKind)> {
        let kind = handle.socket()?;
        let stream = kind.type_ == libc::SOCK_STREAM;
        store.view().ctx.judge().transfer(&handle, kind, flags)?;
        let budget = WaitBudget::new(wait, flags);
        // WIT: as Linux blocks, a stream send goes on until all is queued.
        let whole = stream && budget.is_forever();
        let limit = if stream { transfer_limit(store) } else { usize::MAX };
        // Only the last byte of an urgent send is urgent, so it goes in one piece.
        let total =
            length.min(if whole && flags & libc::MSG_OOB == 0 { limit.max(WHOLE) } else { limit });
        let sampled = buffers::is_sampled(kind);
        let opening = Opening::new(&handle, kind, flags, &budget);
        let flags = sending_flags(kind, flags);
        let account = budgets::account_to_send(&handle, kind, None);
        let piece = limit;
        let sending =
            Self { handle, kind, total, piece, whole, sampled, account, budget, flags, opening };
        Ok((sending, kind))
    }

    /// Charges the bytes to the rule that allows their destination. If they open a connection, it
    /// begins here.
    fn charge<T: SandsockView>(
        &mut self,
        store: &mut StoreContextMut<'_, T>,
        permit: &Permit<SendTo>,
    ) -> CallResult<Option<Beginning>> {
        let mut begun = None;
        if self.kind.type_ == libc::SOCK_STREAM && self.flags & libc::MSG_FASTOPEN != 0 {
            let view = store.view();
            let account = permit.act().account();
            begun = Some(view.ctx.judge().begin(&self.handle, self.kind, account)?);
        }
        self.account = budgets::account_to_send(&self.handle, self.kind, Some(permit));
        Ok(begun)
    }

    /// Repeats `attempt` until the wait's condition holds. `attempt` gets the range of the next
    /// bytes, and the flags.
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
                let room = store.view().ctx.gate.buffers.room_on(&self.handle, end - sent);
                if room == 0 && end > sent {
                    // The limit has no readiness in the kernel, so this waits with pauses.
                    match self.budget.back_off(store, &self.handle, PollFlags::OUT).await {
                        Ok(()) => continue,
                        Err(fault) => return after(store, sent, fault),
                    }
                }
                end = sent + room;
            }
            let mut taken = None;
            if let Some(account) = &self.account {
                let (gate, wanted) = (&store.view().ctx.gate, (end - sent, self.flags));
                match budgets::to_send(gate, &self.handle, self.kind, Some(account), wanted) {
                    Ok(some) => taken = some,
                    Err(held) => {
                        let (handle, events) = (&self.handle, PollFlags::OUT);
                        match held.wait(store, handle, &mut self.budget, events).await {
                            Ok(()) => continue,
                            Err(fault) => return after(store, sent, fault),
                        }
                    }
                }
                if let (libc::SOCK_STREAM, Some(taken)) = (self.kind.type_, &taken) {
                    end = end.min(sent + taken.count());
                }
            }
            // Only the first bytes open a connection. On an open connection, MSG_FASTOPEN is
            // EISCONN.
            let flags = if sent == 0 { self.flags } else { self.flags & !libc::MSG_FASTOPEN };
            let fault = match attempt(store, &self.handle, sent..end, flags) {
                Ok(count) => {
                    budgets::sent(self.kind, taken, count);
                    sent += count;
                    if self.sampled {
                        store.view().ctx.gate.buffers.sent(count);
                    }
                    if count > 0
                        && self.opening.take_blocks()
                        && !self.opened(store, sent, &mut attempt).await?
                    {
                        return Ok(sent as u64);
                    }
                    // An attempt without progress ends the call too.
                    if !self.whole || sent >= self.total || count == 0 {
                        return Ok(sent as u64);
                    }
                    self.budget.progress(store).await;
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
                    match self.budget.again(store, &self.handle, PollFlags::OUT).await {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                // If the description was closed during the call, the denial says why.
                Err(fault) => self.handle.check().err().unwrap_or(fault),
            };
            return after(store, sent, fault);
        }
    }

    /// Waits for the connection that the first bytes have opened. Returns false if the time is
    /// over, or the wait was interrupted.
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
        // A send without bytes only reports the state of the connection.
        let result = loop {
            match attempt(store, &self.handle, sent..sent, self.flags & !libc::MSG_FASTOPEN) {
                Err(fault) if fault.is(Errno::AGAIN) => {}
                result => break result,
            }
            match self.budget.again(store, &self.handle, PollFlags::OUT).await {
                Ok(()) => {}
                Err(fault) if fault.is(Errno::AGAIN) => return Ok(false),
                Err(fault) => {
                    keep_interrupt(store, &fault);
                    return if matches!(fault, Fault::Error(_)) { Ok(false) } else { Err(fault) };
                }
            }
        };
        // The socket is left connected, or free to connect again. The result was reported already.
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
        self.opening.wait(store, &self.handle, &mut self.budget, errno).await
    }
}

/// Reports the first attempt of a send that opens a connection. Later ones can report errors of the
/// network, in spite of which the connection goes on.
fn opened(begun: &mut Option<Beginning>, result: &Result<usize, Errno>) {
    if let Some(begun) = begun.as_mut().filter(|begun| begun.is_pending()) {
        begun.ended(match result {
            // The kernel may have begun to connect.
            Err(Errno::AGAIN) => Err(Errno::INPROGRESS),
            result => result.map(drop),
        });
    }
}

/// Returns the result of a send that ended with `fault` after `sent` bytes.
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

/// Returns the flags of the system call. MSG_ZEROCOPY is removed. On a received socket with
/// SO_ZEROCOPY, it would let the kernel read guest memory after the call.
pub(super) fn sending_flags(kind: SocketKind, flags: i32) -> i32 {
    let flags = flags & !libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT;
    let takes_nosignal = Family::of(kind.family).is_ok_and(Family::takes_nosignal);
    if takes_nosignal { flags | libc::MSG_NOSIGNAL } else { flags & !libc::MSG_NOSIGNAL }
}

/// Checks a destination. A name whose addresses were forgotten is looked up once more.
pub(super) async fn judge_send_to<T: SandsockView>(
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

/// Makes a new permit before an attempt, if the policy has changed since the last one.
fn renew<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    permit: &mut Permit<SendTo>,
    handle: &Handle,
    kind: SocketKind,
    address: &Address,
) -> CallResult<()> {
    let view = store.view();
    let judge = view.ctx.judge();
    if !judge.is_current(permit) {
        *permit = judge.send_to(handle, kind, address)?;
    }
    Ok(())
}

/// Checks a message once more before an attempt, if the policy has changed since it was checked.
fn renew_contents<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    permit: Option<&Permit<Contents>>,
    handle: &Handle,
    kind: SocketKind,
    to: Option<&Address>,
) -> CallResult<()> {
    match permit {
        Some(permit) => store.view().ctx.judge().renew_contents(permit, handle, kind, to),
        None => Ok(()),
    }
}

/// Returns a checked copy of a message whose contents the policy has to allow. None if the
/// destination decides alone. A message longer than a transfer is EMSGSIZE, before anything is
/// copied.
pub(super) fn judge_contents<T: SandsockView>(
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
    store.view().ctx.judge().contents(handle, kind, to, message).map(Some)
}

/// Remembers the peer of a send that connects (MSG_FASTOPEN), for a later policy.
fn note_opening(handle: &Handle, kind: SocketKind, flags: i32, address: &Address) {
    if kind.type_ == libc::SOCK_STREAM && flags & libc::MSG_FASTOPEN != 0 {
        handle.set_peer(address);
    }
}

/// Sends on a description that TLS has to do with. None if its plain bytes may move as any other's.
async fn send_by_tls<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    data: &WasmList<u8>,
    flags: i32,
    wait: Wait,
) -> CallResult<Option<u64>> {
    if handle.open.tls.is_attached() {
        return tls::send(store, handle, data, flags, wait).await.map(Some);
    }
    if let Some(tls) = tls::bound(store, handle, Some(data))? {
        tls::check_flags(flags)?;
        let (sending, _) = Sending::on(store, Arc::clone(handle), data.len(), flags, wait)?;
        let sent = sending.run(store, |store, handle, part, flags| {
            tls::send_drained(store, handle, &tls, data, (part, flags))
        });
        return sent.await.map(Some);
    }
    if let Some(room) = tls::before_session(store, handle, Way::Out) {
        tls::check_flags(flags)?;
        let length = data.len().min(room);
        let (sending, _) = Sending::on(store, Arc::clone(handle), length, flags, wait)?;
        let sent = sending.run(store, |store, handle, part, flags| {
            let room = handle.open.tls.preamble_room(Way::Out);
            if handle.open.tls.has_session() || part.len() > room {
                return Err(store.view().ctx.judge().no_plain_bytes(handle));
            }
            let sent = sys::send(handle.fd(), &data.as_le_slice(&*store)[part], flags)?;
            handle.open.tls.note_preamble(Way::Out, sent);
            Ok(sent)
        });
        return sent.await.map(Some);
    }
    store.view().ctx.judge().plain_bytes(handle)?;
    Ok(None)
}

/// WIT `transfers.send`.
pub(crate) async fn send<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, data, flags, wait): (Resource<Descriptor>, WasmList<u8>, i32, Wait),
) -> CallResult<u64> {
    // The most frequent call looks the handle up once, and pays for one test of TLS.
    let handle = store.view().referred(&d)?;
    if handle.open.tls.is_set()
        && let Some(sent) = Box::pin(send_by_tls(store, &handle, &data, flags, wait)).await?
    {
        return Ok(sent);
    }
    let (sending, kind) = Sending::on(store, handle, data.len(), flags, wait)?;
    let total = sending.total;
    store.view().ctx.judge().local_of_send(&sending.handle, kind, flags, false)?;
    let judged = judge_contents(store, &sending.handle, kind, None, total, |store| {
        data.as_le_slice(store).to_vec()
    })?;
    sending
        .run(store, |store, handle, part, flags| {
            renew_contents(store, judged.as_ref(), handle, kind, None)?;
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
        judge_send_to(store, &sending.handle, kind, &address, sending.budget.wait_mut()).await?;
    store.view().ctx.judge().local_of_send(&sending.handle, kind, flags, true)?;
    let mut begun = sending.charge(store, &permit)?;
    note_opening(&sending.handle, kind, flags, &address);
    let judged = judge_contents(store, &sending.handle, kind, Some(&address), total, |store| {
        data.as_le_slice(store).to_vec()
    })?;
    sending
        .run(store, |store, handle, part, flags| {
            renew(store, &mut permit, handle, kind, &address)?;
            renew_contents(store, judged.as_ref(), handle, kind, Some(&address))?;
            let bytes = match &judged {
                Some(permit) => permit.act().bytes(),
                None => &data.as_le_slice(&*store)[part],
            };
            let result = sys::send_to(handle.fd(), bytes, flags, &permit);
            opened(&mut begun, &result);
            Ok(result?)
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
    check_control(&store.view(), &control)?;
    let length = buffers.iter().map(WasmList::len).sum();
    let (mut sending, kind) = Sending::new(store, &d, length, flags, wait)?;
    let total = sending.total;
    let mut permit = match &address {
        Some(address) => {
            let wait = sending.budget.wait_mut();
            Some(judge_send_to(store, &sending.handle, kind, address, wait).await?)
        }
        None => None,
    };
    let judged = judge_contents(store, &sending.handle, kind, address.as_ref(), total, |store| {
        buffers.iter().flat_map(|buffer| buffer.as_le_slice(store)).copied().collect()
    })?;

    let data = control_data(store, &control);
    let view = store.view();
    let with_control = view.ctx.judge().control(outgoing(&view, &control, &data)?)?;
    // During the wait, only the encoded form is needed.
    drop((control, data));
    view.ctx.judge().local_of_send(&sending.handle, kind, flags, address.is_some())?;
    if let Some(address) = &address {
        note_opening(&sending.handle, kind, flags, address);
    }
    let rights = with_control.act().rights().len();
    let mut claim = None;
    if rights > 0 {
        if rights > sys::RIGHTS_MAX {
            return Err(Errno::INVAL.into());
        }
        claim = Some(view.ctx.rights.claim(&sending.handle, rights)?);
        // From here on, others may hold these descriptions. So the kernel's O_NONBLOCK is set to
        // the guest's.
        for handle in with_control.act().rights() {
            handle.set_travelled();
            handle.share()?;
            view.ctx.gate.buffers.sent_away(handle);
        }
    }
    let none = view.ctx.judge().control(Vec::new())?;
    let tracker = view.ctx.rights.clone();
    let mut begun = match &permit {
        Some(permit) => sending.charge(store, permit)?,
        None => None,
    };

    sending
        .run(store, |store, handle, part, flags| {
            if let (Some(permit), Some(address)) = (&mut permit, &address) {
                renew(store, permit, handle, kind, address)?;
            }
            renew_contents(store, judged.as_ref(), handle, kind, address.as_ref())?;
            store.view().ctx.judge().renew_control(&with_control)?;
            let slices = match &judged {
                Some(permit) => vec![IoSlice::new(permit.act().bytes())],
                None => slices_from(&buffers, store, part.clone()),
            };
            // man 7 unix: ancillary data goes with the first byte.
            let first = part.start == 0;
            let control = if first { &with_control } else { &none };
            let result = sys::send_message(handle.fd(), &slices, flags, permit.as_ref(), control);
            opened(&mut begun, &result);
            let count = result?;
            if let (true, Some(claim)) = (first, &mut claim) {
                tracker.sent(handle, with_control.act().rights(), claim);
            }
            Ok(count)
        })
        .await
}

/// The room for the control data of one call. It is checked before the policy is asked, and before
/// anything is encoded.
pub(super) struct ControlLimit(usize);

impl ControlLimit {
    pub(super) fn of(view: &SandsockCtxView<'_>) -> Self {
        Self(view.ctx.gate.policy().limits().control_bytes as usize)
    }

    /// Returns how many messages without data have room.
    pub(super) fn elements(&self) -> usize {
        self.0 / control::space(0).map_or(1, |space| space as usize)
    }

    /// Takes the room of a message with `data` bytes. ENOBUFS if there is not enough.
    pub(super) fn take(&mut self, data: usize) -> Result<(), Errno> {
        let space = u32::try_from(data).ok().and_then(control::space).ok_or(Errno::NOBUFS)?;
        self.0 = self.0.checked_sub(space as usize).ok_or(Errno::NOBUFS)?;
        Ok(())
    }
}

/// Checks the lengths of a message's control data. If there is no room for it, it is not copied,
/// and the policy is not asked.
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

/// Copies the data of the messages, in their order.
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
) -> CallResult<Vec<OutgoingControl<'a>>> {
    control
        .iter()
        .zip(data)
        .map(|(item, data)| {
            Ok(match item {
                ControlOut::Rights(list) => OutgoingControl::Rights(
                    list.iter().map(|d| view.handle(d)).collect::<CallResult<_>>()?,
                ),
                ControlOut::Message(message) => {
                    OutgoingControl::Message { level: message.level, kind: message.type_, data }
                }
            })
        })
        .collect()
}

/// Returns the guest's buffers between two byte counts, without a copy.
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
