//! WIT `waits`: waits that suspend one thread of the guest, and no other. They have the store only
//! between the waits.

use std::os::fd::AsFd as _;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::component::{ComponentType, Lower, Resource};

use crate::bindings::sandsock::socket::types::{
    Address, AddressHints, AddressInfo, HostEntry, Wait,
};
use crate::calls::async_call::AsyncCall;
use crate::calls::connections;
use crate::calls::netdb::{self, LookupError};
use crate::calls::polling::poller::{self, Poller};
use crate::calls::polling::{PollEntry, Prepared};
use crate::ctx::{SandsockView, StoreView as _};
use crate::descriptor::Descriptor;
use crate::error::CallResult;
use crate::wait::budget::WaitBudget;
use crate::wait::registration::RegistrationCell;
use crate::wait::{self, WaitOutcome};

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
    let (handle, job) = call.with(|store| {
        let view = store.view();
        let descriptor = view.table.get(&d)?;
        let handle = descriptor.for_transfer()?;
        // The host makes a call of a description that could block on a thread of a pool.
        let job = match events.contains(PollFlags::OUT) {
            true => descriptor.connecting.as_ref().map(|job| job.as_fd().try_clone_to_owned()),
            false => descriptor.accepting.as_ref().map(|job| job.as_fd().try_clone_to_owned()),
        };
        CallResult::Ok((handle, job.transpose()?))
    })?;
    let deadline = WaitBudget::new(wait, 0).deadline(&handle, events)?;
    let outcome = match &job {
        Some(job) => {
            let cell = RegistrationCell::default();
            call.wait(wait::ready_until(job.as_fd(), &cell, PollFlags::IN, deadline)).await??
        }
        None => {
            let (fd, cell) = (handle.fd(), &handle.registration);
            call.wait(wait::ready_until(fd, cell, events, deadline)).await??
        }
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
    let prepared = call.with(|store| Prepared::new(&store.view(), &entries))?;
    if prepared.is_answered() {
        return Ok(());
    }
    let fds = prepared.fds(&entries);
    match (fds.as_slice(), prepared.only()) {
        ([], _) => call.wait(wait::sleep_until(deadline)).await?,
        ([(fd, events)], Some(handle)) => {
            let ready = wait::ready_until(*fd, &handle.registration, *events, deadline);
            call.wait(ready).await??;
        }
        (fds, _) => {
            // One epoll instance with all of them needs one registration with tokio.
            let set = wait::set_of(fds)?;
            let cell = RegistrationCell::default();
            call.wait(wait::ready_until(set.as_fd(), &cell, PollFlags::IN, deadline)).await??;
        }
    }
    Ok(())
}

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
    call.wait(wait::ready_until(set.epoll.as_fd(), &cell, PollFlags::IN, deadline)).await??;
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
