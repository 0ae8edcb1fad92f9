//! `wasi:sockets/network` and `instance-network`.

use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::Error as StreamError;

use super::types::ErrorCode;
use crate::calls::wasi::error;
use crate::ctx::SandsockCtxView;
use crate::observe::{Identify, Identity};

/// WIT `network`. It has no state: the policy belongs to the context.
pub(crate) struct Network;

impl Identify for Network {
    fn identify(_: &Resource<Self>, _: &wasmtime::component::ResourceTable) -> Identity {
        Identity::Type("network")
    }
}

/// WIT `instance-network`.
pub(crate) fn instance_network(
    view: &mut SandsockCtxView<'_>,
) -> wasmtime::Result<Resource<Network>> {
    Ok(view.table.push(Network)?)
}

/// WIT `network-error-code`. The error may be one of another interface's stream.
pub(crate) fn network_error_code(
    view: &mut SandsockCtxView<'_>,
    error: Resource<StreamError>,
) -> wasmtime::Result<Option<ErrorCode>> {
    let error = view.table.get(&error)?;
    let own = error.downcast_ref::<error::ErrorCode>().copied();
    let others = || {
        let error = error.downcast_ref::<std::io::Error>()?;
        Some(Errno::from_io_error(error)?.into())
    };
    Ok(own.or_else(others).map(ErrorCode::from))
}
