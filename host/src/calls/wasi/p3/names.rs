//! `wasi:sockets/ip-name-lookup`, and the look-ups that other calls need.

use std::net::IpAddr;
use std::sync::Arc;

use rustix::io::Errno;

use crate::bindings::sandsock::socket::types::Error;
use crate::calls::async_call::AsyncCall;
use crate::calls::netdb::{Begun, Lookup, LookupError};
use crate::calls::wasi::error::{ErrorCode, SocketResult};
use crate::calls::wasi::p2::types::IpAddress;
use crate::ctx::{SandsockCtx, SandsockView, StoreView as _};
use crate::error::{CallResult, Fault};

/// The result of a look-up, whose error codes are those of `ip-name-lookup`.
pub(crate) struct LookupResult<R>(pub(crate) SocketResult<R>);

/// WIT `resolve-addresses`.
pub(crate) async fn resolve_addresses<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    (name,): (String,),
) -> LookupResult<Vec<IpAddress>> {
    LookupResult(match look_up(call, &name).await {
        Ok(Some(addresses)) => Ok(addresses.into_iter().map(IpAddress::from).collect()),
        Ok(None) => Err(ErrorCode::InvalidArgument.into()),
        Err(LookupError::Fault(interrupt)) if interrupt.is(Errno::INTR) => Err(interrupt.into()),
        Err(error) => Err(error.into()),
    })
}

/// Looks up a name. None if the text is no name.
async fn look_up<T: SandsockView + 'static>(
    call: &mut AsyncCall<'_, T>,
    name: &str,
) -> Result<Option<Vec<IpAddr>>, LookupError> {
    let mut lookup = match call.with(|store| Lookup::begin(store.view().ctx, name))? {
        Begun::NoName => return Ok(None),
        Begun::Addresses(addresses) => return Ok(Some(addresses)),
        Begun::Lookup(lookup) => lookup,
    };
    let waiter = call.with(|store| Arc::clone(&store.view().ctx.pollables));
    loop {
        if let Some(result) = call.with(|store| lookup.poll(store.view().ctx)) {
            return result.map(Some);
        }
        call.wait(lookup.ready(&waiter)).await??;
    }
}

/// Asks the policy for something with an address in it. A granted name whose addresses were
/// forgotten is looked up once more.
pub(super) async fn with_fresh_names<T: SandsockView + 'static, R>(
    call: &mut AsyncCall<'_, T>,
    judge: impl Fn(&SandsockCtx) -> CallResult<R>,
) -> CallResult<R> {
    match call.with(|store| judge(store.view().ctx)) {
        Ok(value) => Ok(value),
        Err(fault) => match call.with(|store| take_expired_name(store.view().ctx, &fault)) {
            Some(name) => after_look_up(call, fault, &name, judge).await,
            None => Err(fault),
        },
    }
}

/// The granted name whose addresses were forgotten, if that is why the policy denied something.
pub(super) fn take_expired_name(ctx: &SandsockCtx, fault: &Fault) -> Option<String> {
    let Fault::Error(Error::Denied(_)) = fault else { return None };
    ctx.gate.take_expired_name()
}

/// Looks up a name after a denial, and asks the policy again.
pub(super) async fn after_look_up<T: SandsockView + 'static, R>(
    call: &mut AsyncCall<'_, T>,
    fault: Fault,
    name: &str,
    judge: impl Fn(&SandsockCtx) -> CallResult<R>,
) -> CallResult<R> {
    match look_up(call, name).await {
        Ok(_) => call.with(|store| judge(store.view().ctx)),
        Err(LookupError::Fault(interrupt)) if interrupt.is(Errno::INTR) => Err(interrupt),
        Err(_) => Err(fault),
    }
}
