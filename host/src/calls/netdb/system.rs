//! This host's interfaces and its name.

use crate::bindings::sandsock::socket::types::NetworkInterface;
use crate::ctx::SandsockCtxView;
use crate::error::CallResult;
use crate::sys;

/// The host name that a guest sees without a grant.
const SANDBOX: &str = "sandbox";

/// WIT `netdb.interfaces`.
pub(crate) fn interfaces(view: &mut SandsockCtxView<'_>) -> CallResult<Vec<NetworkInterface>> {
    let all = sys::interfaces(view.ctx.judge().interfaces()?)?;
    Ok(all.into_iter().map(|(index, name)| NetworkInterface { index, name }).collect())
}

/// WIT `netdb.interface-index`.
pub(crate) fn interface_index(view: &mut SandsockCtxView<'_>, name: String) -> CallResult<u32> {
    Ok(sys::interface_index(view.ctx.judge().interface(&name)?, &name)?)
}

/// WIT `netdb.interface-name`.
pub(crate) fn interface_name(view: &mut SandsockCtxView<'_>, index: u32) -> CallResult<String> {
    let judge = view.ctx.judge();
    let permit = match sys::own_interface_name(index) {
        Some(name) => judge.interface(&name)?,
        None => judge.interfaces()?,
    };
    Ok(sys::interface_name(permit, index)?)
}

/// WIT `netdb.get-host-name`.
pub(crate) fn get_host_name(view: &mut SandsockCtxView<'_>) -> wasmtime::Result<String> {
    let real =
        || view.ctx.judge().read_host_name().map_or_else(|_| SANDBOX.to_owned(), sys::host_name);
    Ok(view.ctx.host_name.clone().unwrap_or_else(real))
}

/// WIT `netdb.set-host-name`.
pub(crate) fn set_host_name(view: &mut SandsockCtxView<'_>, name: Vec<u8>) -> CallResult<()> {
    Ok(sys::set_host_name(view.ctx.judge().set_host_name(name)?)?)
}
