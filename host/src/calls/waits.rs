//! WIT `waits`: waits that suspend one thread of the guest, and no other. They have the store only
//! between the waits.

use std::future::poll_fn;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::task::Poll;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::component::{ComponentType, Lower, Resource};

use crate::authority::budgets;
use crate::authority::filter;
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::{
    Address, AddressHints, AddressInfo, HostEntry, Wait,
};
use crate::calls::async_call::AsyncCall;
use crate::calls::connections;
use crate::calls::netdb::{self, LookupError};
use crate::calls::polling::poller::{self, Poller};
use crate::calls::polling::{PollEntry, Prepared, judge_wait};
use crate::ctx::{SandsockView, StoreView as _};
use crate::descriptor::{Descriptor, Handle};
use crate::error::CallResult;
use crate::wait::budget::WaitBudget;
use crate::wait::registration::RegistrationCell;
use crate::wait::{self, PollableWaiter, WaitOutcome};

/// WIT `parked`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Parked {
    #[component(name = "unparked")]
    Unparked,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "interrupted")]
    Interrupted,
}

/// WIT `waits.park`.
pub(crate) async fn park<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (token, wait, interruptible): (u32, Wait, bool),
) -> wasmtime::Result<Parked> {
    call.interruptible(interruptible);
    let Some(place) = call.with(|store| store.view().ctx.parking.park(token)) else {
        return Ok(Parked::Unparked);
    };
    let deadline = wait::deadline(wait);
    let outcome = call.wait(place.unparked(deadline)).await;
    call.with(|store| store.view().ctx.parking.leave(token, place));
    Ok(match outcome {
        Ok(WaitOutcome::Ready) => Parked::Unparked,
        Ok(WaitOutcome::TimedOut) => Parked::TimedOut,
        Err(_) => Parked::Interrupted,
    })
}

/// WIT `waits.ready`.
pub(crate) async fn ready<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (d, events, wait, interruptible): (Resource<Descriptor>, u16, Wait, bool),
) -> CallResult<()> {
    call.interruptible(interruptible);
    let events = PollFlags::from_bits_truncate(events);
    let (handle, job, gate, mut told) = call.with(|store| {
        let view = store.view();
        let told = Told::new(&view.ctx.pollables);
        let descriptor = view.table.get(&d)?;
        let handle = descriptor.referred()?;
        judge_wait(&view, &handle, events.bits())?;
        // The host makes a call of a description that could block on a thread of a pool.
        let job = match events.contains(PollFlags::OUT) {
            true => descriptor.connecting.as_ref().map(|job| job.as_fd().try_clone_to_owned()),
            false => descriptor.accepting.as_ref().map(|job| job.as_fd().try_clone_to_owned()),
        };
        CallResult::Ok((handle, job.transpose()?, Arc::clone(&view.ctx.gate), told))
    })?;
    let has_leftover = || !handle.open.tls.leftover(events).is_empty();
    if has_leftover() {
        return Ok(());
    }
    let deadline = WaitBudget::new(wait, 0).deadline(&handle, events)?;
    let outcome = match &job {
        Some(job) => {
            let cell = RegistrationCell::default();
            call.wait(wait::ready_until(job.as_fd(), &cell, PollFlags::IN, deadline)).await??
        }
        None => loop {
            let (fd, cell) = (handle.fd(), &handle.registration);
            // A handshake, or an answer within the session, can lack room to send alone.
            let unsent = if handle.open.tls.has_unsent() { PollFlags::OUT } else { NONE };
            let ready = told.or(wait::ready_until(fd, cell, events | unsent, deadline));
            let ready = or_leftover(ready, [(&handle, events)]);
            let outcome = call.wait(ready).await??;
            handle.check()?;
            if has_leftover() {
                return Ok(());
            }
            if goes_on(call, filter::hides(&gate, [(&handle, events)]), deadline).await? {
                continue;
            }
            // A transfer would find that its budget lets nothing move yet.
            match budgets::pause(&gate, &handle, events) {
                Some(until) if deadline.is_none_or(|deadline| wait::now() < deadline) => {
                    let until = deadline.map_or(until, |deadline| deadline.min(until));
                    call.wait(wait::sleep_until(Some(until))).await?;
                }
                _ => break outcome,
            }
        },
    };
    match outcome {
        WaitOutcome::Ready => Ok(()),
        WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
    }
}

/// WIT `waits.poll`.
pub(crate) async fn poll<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (entries, wait, interruptible): (Vec<PollEntry>, Wait, bool),
) -> CallResult<()> {
    call.interruptible(interruptible);
    let deadline = wait::deadline(wait);
    let (prepared, gate, mut told) = call.with(|store| {
        let view = store.view();
        let told = Told::new(&view.ctx.pollables);
        CallResult::Ok((Prepared::new(&view, &entries)?, Arc::clone(&view.ctx.gate), told))
    })?;
    if prepared.is_answered() {
        return Ok(());
    }
    let (all, limit) = (prepared.fds(&entries), deadline);
    loop {
        // What a budget withholds is not waited for until it lets a transfer go on.
        let rest = gate.has_budgets().then(|| rest(&gate, &prepared, &entries)).flatten();
        let (fds, until) = match &rest {
            Some((fds, until)) => (fds.as_slice(), Some(*until)),
            None => (all.as_slice(), None),
        };
        let deadline = [limit, until].into_iter().flatten().min();
        let sockets = || prepared.sockets(&entries);
        match (fds, prepared.only()) {
            ([], _) => {
                let ready = async {
                    wait::sleep_until(deadline).await;
                    Ok(WaitOutcome::TimedOut)
                };
                call.wait(or_leftover(ready, sockets())).await??;
            }
            ([(fd, events)], Some(handle)) => {
                let ready = wait::ready_until(*fd, &handle.registration, *events, deadline);
                call.wait(or_leftover(told.or(ready), sockets())).await??;
            }
            (fds, _) => {
                // One epoll instance with all of them needs one registration with tokio.
                let set = wait::set_of(fds)?;
                let cell = RegistrationCell::default();
                let ready = wait::ready_until(set.as_fd(), &cell, PollFlags::IN, deadline);
                call.wait(or_leftover(told.or(ready), sockets())).await??;
            }
        }
        if prepared.has_leftover(&entries) {
            return Ok(());
        }
        let now = wait::now();
        if until.is_some_and(|until| until <= now) && limit.is_none_or(|limit| now < limit) {
            continue;
        }
        let hidden = filter::hides(&gate, prepared.sockets(&entries));
        if !goes_on(call, hidden, limit).await? {
            return Ok(());
        }
    }
}

/// Returns the descriptors that a poll goes on to wait for, and until when, if a budget withholds
/// something of the others.
fn rest<'a>(
    gate: &Gate,
    prepared: &'a Prepared,
    entries: &'a [PollEntry],
) -> Option<(Vec<(BorrowedFd<'a>, PollFlags)>, u64)> {
    let withheld: Vec<_> = prepared
        .sockets(entries)
        .map(|(handle, events)| budgets::withheld_now(gate, handle, events))
        .collect();
    budgets::others(&prepared.fds(entries), &withheld)
}

/// Ends waits when the policy changes, so that the guest makes its call again. It knows of a change
/// since it was made.
struct Told {
    waiter: Arc<PollableWaiter>,
    seen: u64,
}

impl Told {
    fn new(waiter: &Arc<PollableWaiter>) -> Self {
        Self { seen: waiter.renewals(), waiter: Arc::clone(waiter) }
    }

    /// Waits for a descriptor, or for a change of the policy.
    async fn or(
        &mut self,
        ready: impl Future<Output = Result<WaitOutcome, Errno>>,
    ) -> Result<WaitOutcome, Errno> {
        tokio::select! {
            biased;
            outcome = ready => outcome,
            () = self.waiter.renewed_since(self.seen) => {
                self.seen = self.waiter.renewals();
                Ok(WaitOutcome::Ready)
            }
        }
    }
}

const NONE: PollFlags = PollFlags::empty();

/// Waits for the kernel, or until another thread leaves plain bytes in the session of one of these
/// descriptors that input is waited for on.
async fn or_leftover<'a>(
    ready: impl Future<Output = Result<WaitOutcome, Errno>>,
    sockets: impl IntoIterator<Item = (&'a Arc<Handle>, PollFlags)>,
) -> Result<WaitOutcome, Errno> {
    let input = PollFlags::IN | PollFlags::RDNORM;
    let readable = sockets
        .into_iter()
        .filter(|(handle, events)| events.intersects(input) && handle.open.tls.is_attached())
        .map(|(handle, _)| handle.open.tls.readable());
    tokio::select! {
        biased;
        outcome = ready => outcome,
        () = any(readable) => Ok(WaitOutcome::Ready),
    }
}

/// Waits for the first of these futures. Without one it waits for ever.
async fn any(futures: impl IntoIterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|cx| match futures.iter_mut().any(|one| one.as_mut().poll(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await
}

/// Whether a wait goes on after it has ended, because all that came is `hidden` from the guest. It
/// rests first: a peer can go on sending what the guest may not receive.
async fn goes_on<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    hidden: bool,
    deadline: Option<u64>,
) -> CallResult<bool> {
    let now = wait::now();
    if !hidden || deadline.is_some_and(|deadline| deadline <= now) {
        return Ok(false);
    }
    call.wait(wait::sleep_until(Some(now.saturating_add(REST)))).await?;
    Ok(true)
}

/// How long a wait rests, in nanoseconds.
const REST: u64 = 1_000_000;

/// WIT `waits.poller-ready`.
pub(crate) async fn poller_ready<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (poller, wait, interruptible): (Resource<Poller>, Wait, bool),
) -> CallResult<()> {
    call.interruptible(interruptible);
    let limit = wait::deadline(wait);
    let (set, over) = call.with(|store| {
        let view = store.view();
        let over = view.ctx.gate.buffers.is_over();
        CallResult::Ok((view.table.get(&poller)?.set(), over))
    })?;
    let deadline = poller::next_look(&set, limit, over);
    let cell = RegistrationCell::default();
    let noted = any(set.leftover_noted());
    if set.has_leftover() {
        return Ok(());
    }
    let ready = wait::ready_until(set.epoll.as_fd(), &cell, PollFlags::IN, deadline);
    let ready = async {
        tokio::select! {
            biased;
            outcome = ready => outcome,
            () = noted => Ok(WaitOutcome::Ready),
        }
    };
    call.wait(ready).await??;
    Ok(())
}

/// WIT `waits.stdin-ready`.
pub(crate) async fn stdin_ready<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (interruptible,): (bool,),
) -> CallResult<()> {
    call.interruptible(interruptible);
    if let Some(ready) = call.with(|store| store.view().ctx.stdin_ready.clone()) {
        call.wait(ready()).await?;
    }
    Ok(())
}

/// WIT `waits.close`.
pub(crate) async fn close<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (d, interruptible): (Resource<Descriptor>, bool),
) -> CallResult<()> {
    call.interruptible(interruptible);
    connections::close(call, (d,)).await
}

/// WIT `waits.get-address-info`.
pub(crate) async fn get_address_info<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (host, service, hints, wait, interruptible): (
        Option<String>,
        Option<String>,
        AddressHints,
        Wait,
        bool,
    ),
) -> Result<Vec<AddressInfo>, LookupError> {
    call.interruptible(interruptible);
    netdb::get_address_info(call, (host, service, hints, wait)).await
}

/// WIT `waits.get-name-info`.
pub(crate) async fn get_name_info<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (address, flags, wait, interruptible): (Address, i32, Wait, bool),
) -> Result<(String, String), LookupError> {
    call.interruptible(interruptible);
    netdb::get_name_info(call, (address, flags, wait)).await
}

/// WIT `waits.get-host-by-name`.
pub(crate) async fn get_host_by_name<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (name, family, wait, interruptible): (String, i32, Wait, bool),
) -> Result<HostEntry, LookupError> {
    call.interruptible(interruptible);
    netdb::get_host_by_name(call, (name, family, wait)).await
}

/// WIT `waits.get-host-by-address`.
pub(crate) async fn get_host_by_address<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (address, wait, interruptible): (Address, Wait, bool),
) -> Result<HostEntry, LookupError> {
    call.interruptible(interruptible);
    netdb::get_host_by_address(call, (address, wait)).await
}
