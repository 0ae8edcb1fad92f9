//! Names: hosts, services, protocols, interfaces, this host.
//!
//! What asks the system's resolver runs on a bounded pool of threads, within the instance's limits,
//! and is waited for as all else is. Names and addresses are judged before anything is asked, the
//! answers before the guest sees them.

mod hosts;
mod reverse;
mod services;
mod system;
mod table;

use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;

pub(crate) use hosts::{a_moment, get_address_info, get_host_by_name, with_fresh_names};
pub(crate) use reverse::{get_host_by_address, get_name_info};
pub(crate) use services::{get_protocol_by_name, get_service_by_name, get_service_by_port};
pub(crate) use system::{
    get_host_name, interface_index, interface_name, interfaces, set_host_name,
};

use crate::bindings::sandsock::socket::types::{NameError, Wait};
use crate::ctx::{SandsockView, StoreView as _};
use crate::error::{CallResult, Fault};
use crate::sys::ResolverError;
use crate::wait::pool::{self, Pool};
use crate::wait::{self, now};

/// RFC 1035: the longest name. A longer one is no name, and is not handed to any resolver.
const NAME_MAX: usize = 253;

/// Why a look-up failed, before it is the contract's error.
pub(crate) enum LookupError {
    /// An EAI_* code.
    Code(i32),
    /// An h_errno.
    Host(i32),
    /// All else.
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for LookupError {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<ResolverError> for LookupError {
    fn from(failure: ResolverError) -> Self {
        match failure {
            ResolverError::Code(code) => Self::Code(code),
            ResolverError::Host(code) => Self::Host(code),
            ResolverError::System(errno) => errno.into(),
        }
    }
}

/// Splits a look-up's outcome into error value and trap.
pub(crate) fn answer<T>(
    result: Result<T, LookupError>,
) -> wasmtime::Result<(Result<T, NameError>,)> {
    Ok((match result {
        Ok(value) => Ok(value),
        Err(LookupError::Code(code)) => Err(NameError::AddressInfo(code)),
        Err(LookupError::Host(code)) => Err(NameError::Host(code)),
        Err(LookupError::Fault(Fault::Error(error))) => Err(NameError::Other(error)),
        Err(LookupError::Fault(Fault::Trap(trap))) => return Err(trap),
    },))
}

/// Runs a call of the system's that may block on a pool, and waits for it.
async fn run<T: SandsockView, R: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    pool: &'static Pool,
    deadline: Option<u64>,
    call: impl FnOnce() -> R + Send + 'static,
) -> CallResult<R> {
    let ctx = &mut *store.view().ctx;
    // The place is the job's: a call under way that nobody waits for any more still counts until it
    // ends.
    let place = ctx.lookup_quota.take().map_err(|_| Errno::AGAIN)?;
    let job = pool.start(&ctx.usage, move || {
        let result = call();
        drop(place);
        result
    })?;
    match ctx.waiter.ready(job.as_fd(), None, PollFlags::IN, deadline).await? {
        wait::WaitOutcome::Ready => Ok(job.take().ok_or(Errno::IO)?),
        wait::WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
    }
}

/// Asks for a name or an address, within the instance's rate: a question is a message to a name
/// server.
///
/// `is_local` returns whether the hosts file answers. The call gets that as its argument. A call
/// that the hosts file answers does not wait behind those that ask a name server.
async fn ask<T: SandsockView, R: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    wait: Wait,
    is_local: impl FnOnce() -> bool + Send + 'static,
    call: impl FnOnce(bool) -> R + Send + 'static,
) -> CallResult<R> {
    if matches!(wait, Wait::None) {
        return Err(Errno::AGAIN.into());
    }
    let deadline = wait::deadline(wait);
    let ctx = &mut *store.view().ctx;
    while let Err(pause) = ctx.lookups.take(Instant::now()) {
        if pause == Duration::MAX {
            // The limit is 0: there is nothing to wait for.
            return Err(Errno::AGAIN.into());
        }
        let ready = now().saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        if deadline.is_some_and(|deadline| deadline < ready) {
            return Err(Errno::AGAIN.into());
        }
        ctx.waiter.sleep(Some(ready)).await?;
    }
    // The first step asks nobody. It has a moment even if the time is over, so that the look-up
    // itself is begun, as any other is.
    let moment = now().saturating_add(hosts::LOOK_UP_MOMENT);
    let first_deadline = deadline.map(|deadline| deadline.max(moment));
    let first = run(store, &pool::TABLES, first_deadline, move || {
        if is_local() { Ok(call(true)) } else { Err(call) }
    });
    match first.await? {
        Ok(answer) => Ok(answer),
        Err(call) => run(store, &pool::NAMES, deadline, move || call(false)).await,
    }
}
