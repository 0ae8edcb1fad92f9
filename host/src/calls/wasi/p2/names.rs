//! `wasi:sockets/ip-name-lookup`.

use std::net::IpAddr;
use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe as subscribe_to};

use super::network::Network;
use super::types::IpAddress;
use crate::bindings::sandsock::socket::types::Error;
use crate::calls::netdb::{Begun, Lookup};
use crate::calls::wasi::error::{ErrorCode, SocketFault, SocketResult};
use crate::ctx::SandsockCtxView;
use crate::observe::{Identify, Identity, PollableWaits};
use crate::wait::PollableWaiter;

/// WIT `resolve-address-stream`.
pub(crate) struct ResolveAddressStream {
    state: State,
    waiter: Arc<PollableWaiter>,
    waits: PollableWaits,
}

enum State {
    Asking(Box<Lookup>),
    Addresses(std::vec::IntoIter<IpAddr>),
    Failed(ErrorCode, Option<Error>),
}

impl Identify for ResolveAddressStream {
    fn identify(_: &Resource<Self>, _: &ResourceTable) -> Identity {
        Identity::Type("resolve-address-stream")
    }
}

#[async_trait]
impl Pollable for ResolveAddressStream {
    async fn ready(&mut self) {
        if let State::Asking(lookup) = &mut self.state {
            // An interrupt ends the wait. The guest then finds that it would block.
            let _ = self.waits.during(lookup.ready(&self.waiter)).await;
        }
    }
}

/// WIT `resolve-addresses`. What is known at once is the result: a denial, for one.
pub(crate) fn resolve_addresses(
    view: &mut SandsockCtxView<'_>,
    network: Resource<Network>,
    name: String,
) -> SocketResult<Resource<ResolveAddressStream>> {
    view.table.get(&network)?;
    let state = match Lookup::begin(view.ctx, &name)? {
        Begun::NoName => return Err(ErrorCode::InvalidArgument.into()),
        Begun::Addresses(addresses) => State::Addresses(addresses.into_iter()),
        Begun::Lookup(lookup) => State::Asking(lookup),
    };
    let waiter = Arc::clone(&view.ctx.pollables);
    let waits = PollableWaits::new(view.ctx.watch(), None);
    Ok(view.table.push(ResolveAddressStream { state, waiter, waits })?)
}

/// WIT `[method]resolve-address-stream.resolve-next-address`.
pub(crate) fn resolve_next_address(
    view: &mut SandsockCtxView<'_>,
    this: Resource<ResolveAddressStream>,
) -> SocketResult<Option<IpAddress>> {
    let stream = view.table.get_mut(&this)?;
    if let State::Asking(lookup) = &mut stream.state {
        let result = lookup.poll(view.ctx).ok_or(ErrorCode::WouldBlock)?;
        stream.state = match result.map_err(SocketFault::from) {
            Ok(addresses) => State::Addresses(addresses.into_iter()),
            Err(SocketFault::Code { code, cause }) => State::Failed(code, cause),
            Err(trap) => return Err(trap),
        };
    }
    match &mut stream.state {
        State::Addresses(addresses) => Ok(addresses.next().map(IpAddress::from)),
        State::Failed(code, cause) => Err(SocketFault::Code { code: *code, cause: cause.clone() }),
        State::Asking(_) => Err(ErrorCode::WouldBlock.into()),
    }
}

/// WIT `[method]resolve-address-stream.subscribe`.
pub(crate) fn subscribe(
    view: &mut SandsockCtxView<'_>,
    this: Resource<ResolveAddressStream>,
) -> wasmtime::Result<Resource<DynPollable>> {
    subscribe_to(view.table, this)
}
