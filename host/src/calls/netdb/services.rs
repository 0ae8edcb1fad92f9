//! Services and protocols, from this host's tables. Most of them are files. They need no grant,
//! because they reveal nothing about this host.

use std::ffi::CString;

use rustix::io::Errno;

use super::{NAME_MAX, resolver, run};
use crate::calls::caller::Caller;
use crate::error::CallResult;
use crate::sys;
use crate::wait::pool::TABLES;

/// Converts a name for C. ENOENT for a text that can't be a name.
fn name(text: &str) -> Result<CString, Errno> {
    if text.len() > NAME_MAX {
        Err(Errno::NOENT)
    } else {
        sys::c_string(text).map_err(|_| Errno::NOENT)
    }
}

/// WIT `netdb.get-service-by-name`.
pub(crate) async fn get_service_by_name(
    caller: &mut impl Caller,
    (service, protocol): (String, Option<String>),
) -> CallResult<u16> {
    let (service, protocol) = (name(&service)?, protocol.as_deref().map(name).transpose()?);
    let resolver = resolver(caller);
    let call = move || resolver.service_port(&service, protocol.as_deref());
    Ok(run(caller, &TABLES, None, call).await??)
}

/// WIT `netdb.get-service-by-port`.
pub(crate) async fn get_service_by_port(
    caller: &mut impl Caller,
    (port, protocol): (u16, Option<String>),
) -> CallResult<String> {
    let protocol = protocol.as_deref().map(name).transpose()?;
    let resolver = resolver(caller);
    let call = move || resolver.service_name(port, protocol.as_deref());
    Ok(run(caller, &TABLES, None, call).await??)
}

/// WIT `netdb.get-protocol-by-name`.
pub(crate) async fn get_protocol_by_name(
    caller: &mut impl Caller,
    (protocol,): (String,),
) -> CallResult<i32> {
    let protocol = name(&protocol)?;
    let resolver = resolver(caller);
    let call = move || resolver.protocol_number(&protocol);
    Ok(run(caller, &TABLES, None, call).await??)
}
