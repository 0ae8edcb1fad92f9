//! Names: hosts, services, protocols, interfaces, this host.
//!
//! A question to the system's resolver runs on a bounded pool of threads, within the instance's
//! limits. The call waits for it as for anything else. Names and addresses are checked before the
//! question, and the answers before the guest sees them.

mod hosts;
mod lookup;
mod reverse;
mod services;
mod system;

use std::time::Duration;

use rustix::io::Errno;

pub(crate) use hosts::{a_moment, get_address_info, get_host_by_name, with_fresh_names};
pub(crate) use lookup::{Begun, Lookup};
pub(crate) use reverse::{get_host_by_address, get_name_info};
pub(crate) use services::{get_protocol_by_name, get_service_by_name, get_service_by_port};
pub(crate) use system::{
    get_host_name, interface_index, interface_name, interfaces, set_host_name,
};

use crate::bindings::sandsock::socket::types::{NameError, Wait};
use crate::calls::caller::Caller;
use crate::error::{CallResult, Fault};
use crate::sys::{Resolver, ResolverError};
use crate::wait::pool::{self, Pool};
use crate::wait::{self, now};

/// RFC 1035: the length of the longest name. No resolver gets a longer one.
const NAME_MAX: usize = 253;

/// Why a look-up failed. It becomes the contract's error.
pub(crate) enum LookupError {
    /// An EAI_* code.
    Code(i32),
    /// An h_errno.
    Host(i32),
    /// Any other error.
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

/// Returns where the instance's questions are answered.
fn resolver(caller: &mut impl Caller) -> Resolver {
    caller.step(|view| view.ctx.resolver.clone())
}

/// Splits the result of a look-up into an error value or a trap.
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

/// Makes a call of the system that may block on a thread of a pool, and waits for it.
async fn run<R: Send + 'static>(
    caller: &mut impl Caller,
    pool: &'static Pool,
    deadline: Option<u64>,
    call: impl FnOnce() -> R + Send + 'static,
) -> CallResult<R> {
    let job = caller.step(|view| {
        // The job owns the slot. If the wait ends first, the call counts until it ends.
        let place = view.ctx.lookup_quota.take().map_err(|_| Errno::AGAIN)?;
        pool.start(&view.ctx.usage, move || {
            let result = call();
            drop(place);
            result
        })
    })?;
    match caller.readable(job.as_fd(), deadline).await? {
        wait::WaitOutcome::Ready => Ok(job.take().ok_or(Errno::IO)?),
        wait::WaitOutcome::TimedOut => Err(Errno::AGAIN.into()),
    }
}

/// Asks the resolver for a name or an address, within the instance's rate, because a question is a
/// message to a name server.
///
/// `is_local` returns whether the hosts file has the answer. `call` gets that as its argument. A
/// question that the hosts file answers does not wait behind questions to a name server.
async fn ask<R: Send + 'static>(
    caller: &mut impl Caller,
    wait: Wait,
    is_local: impl FnOnce() -> bool + Send + 'static,
    call: impl FnOnce(bool) -> R + Send + 'static,
) -> CallResult<R> {
    if matches!(wait, Wait::None) {
        return Err(Errno::AGAIN.into());
    }
    let deadline = wait::deadline(wait);
    while let Err(pause) = caller.step(|view| view.ctx.take_lookup()) {
        if pause == Duration::MAX {
            // The limit is 0, so there is nothing to wait for.
            return Err(Errno::AGAIN.into());
        }
        let ready = now().saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        if deadline.is_some_and(|deadline| deadline < ready) {
            return Err(Errno::AGAIN.into());
        }
        caller.sleep(ready).await?;
    }
    // The first step only reads files. It gets a moment even if the time is over, so that every
    // look-up begins.
    let moment = now().saturating_add(hosts::LOOK_UP_MOMENT);
    let first_deadline = deadline.map(|deadline| deadline.max(moment));
    let first = run(caller, &pool::TABLES, first_deadline, move || {
        if is_local() { Ok(call(true)) } else { Err(call) }
    });
    match first.await? {
        Ok(answer) => Ok(answer),
        Err(call) => run(caller, &pool::NAMES, deadline, move || call(false)).await,
    }
}
