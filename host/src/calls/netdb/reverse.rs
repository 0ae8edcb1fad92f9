//! Look-ups of the name of an address. The answer is only a text. It pins nothing, and no grant by
//! name follows from it.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use sandsock_abi::constants::{
    NI_DGRAM, NI_IDN, NI_NAMEREQD, NI_NOFQDN, NI_NUMERICHOST, NI_NUMERICSERV,
};

use super::hosts::{to_unicode, with_fresh_names};
use super::{LookupError, ask, resolver, run};
use crate::authority::family;
use crate::authority::permit::{Permit, ReverseResolve};
use crate::bindings::sandsock::socket::types::{Address, HostEntry, Wait};
use crate::calls::caller::Caller;
use crate::ctx::SandsockCtxView;
use crate::error::CallResult;
use crate::sys::{self, ResolverError};
use crate::wait;
use crate::wait::pool::TABLES;
use sandsock_policy::{Hostname, Request, canonical};

/// All flags of getnameinfo(3). The last two are netdb.h's NI_IDN_ALLOW_UNASSIGNED and
/// NI_IDN_USE_STD3_ASCII_RULES, which glibc accepts and ignores.
const FLAGS: i32 =
    NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM | NI_IDN | 0x40 | 0x80;

/// WIT `netdb.get-host-by-address`.
pub(crate) async fn get_host_by_address(
    caller: &mut impl Caller,
    (address, mut wait): (Address, Wait),
) -> Result<HostEntry, LookupError> {
    let ip = family::to_ip(&address).ok_or(Errno::AFNOSUPPORT)?.ip();
    let permit = judge(caller, ip, &mut wait).await?;
    let own = sys::numeric_host(ip);
    if let [name, aliases @ ..] = caller.step(|view| fixed_names(view, ip)).as_slice() {
        return Ok(HostEntry {
            name: name.clone(),
            aliases: aliases.to_vec(),
            addresses: vec![own],
        });
    }
    let resolver = resolver(caller);
    let tables = resolver.clone();
    let is_local = move || tables.hosts_file_has_address(ip);
    let entry =
        ask(caller, wait, is_local, move |_| resolver.get_host_by_address(permit)).await??;
    // Some resolvers add addresses of their own, such as this host's. The guest did not ask for
    // them.
    let same = |address: &IpAddr| canonical(*address) == canonical(ip);
    let addresses = entry.addresses.into_iter().find(same).map_or(own, sys::numeric_host);
    Ok(HostEntry { name: entry.name, aliases: entry.aliases, addresses: vec![addresses] })
}

/// Checks a reverse look-up. If a grant by name needs an address that was forgotten, the name is
/// looked up once more.
async fn judge(
    caller: &mut impl Caller,
    ip: IpAddr,
    wait: &mut Wait,
) -> CallResult<Permit<ReverseResolve>> {
    with_fresh_names(caller, wait, |view| view.ctx.judge().reverse_resolve(ip)).await
}

/// Returns the names that the operator gave this address.
fn fixed_names(view: &SandsockCtxView<'_>, ip: IpAddr) -> Vec<String> {
    view.ctx.gate.policy().fixed_names_of(ip).iter().map(ToString::to_string).collect()
}

/// WIT `netdb.get-name-info`.
pub(crate) async fn get_name_info(
    caller: &mut impl Caller,
    (address, flags, mut wait): (Address, i32, Wait),
) -> Result<(String, String), LookupError> {
    if flags & !FLAGS != 0 {
        return Err(LookupError::Code(libc::EAI_BADFLAGS));
    }
    let address = family::to_ip(&address).ok_or(LookupError::Code(libc::EAI_FAMILY))?;
    let has = |flag: i32| flags & flag != 0;
    let port = address.port();
    let resolver = resolver(caller);
    let services = resolver.clone();
    let service = move || {
        if flags & NI_NUMERICSERV != 0 {
            return port.to_string();
        }
        let protocol = if flags & NI_DGRAM != 0 { c"udp" } else { c"tcp" };
        services.service_name(port, Some(protocol)).unwrap_or_else(|_| port.to_string())
    };
    let (name, service) = if has(NI_NUMERICHOST) {
        (None, local_service(caller, wait, has(NI_NUMERICSERV), service).await?)
    } else {
        let permit = judge(caller, address.ip(), &mut wait).await?;
        // NI_NOFQDN cuts this host's own domain off, and so reveals it.
        let read = Request::Hostname(Hostname::Read);
        let cut = has(NI_NOFQDN) && caller.step(|view| view.ctx.gate.grants(&read));
        match caller.step(|view| fixed_names(view, address.ip())).into_iter().next() {
            Some(name) => {
                (Some(name), local_service(caller, wait, has(NI_NUMERICSERV), service).await?)
            }
            None => {
                let ip = address.ip();
                let tables = resolver.clone();
                let is_local = move || tables.hosts_file_has_address(ip);
                let call = move |_| (resolver.get_name(permit, cut), service());
                let (name, service) = ask(caller, wait, is_local, call).await?;
                match name {
                    Ok(name) => (Some(name), service),
                    Err(ResolverError::Code(libc::EAI_NONAME)) => (None, service),
                    Err(failure) => return Err(failure.into()),
                }
            }
        }
    };
    let host = match name {
        Some(name) if has(NI_IDN) => to_unicode(&name),
        Some(name) => name,
        None if has(NI_NAMEREQD) => return Err(LookupError::Code(libc::EAI_NONAME)),
        None => caller.step(|view| numeric_host(view, address)),
    };
    Ok((host, service))
}

/// Returns the service's name. It may be in a file.
async fn local_service(
    caller: &mut impl Caller,
    wait: Wait,
    numeric: bool,
    service: impl FnOnce() -> String + Send + 'static,
) -> CallResult<String> {
    if numeric {
        Ok(service())
    } else {
        run(caller, &TABLES, wait::deadline(super::a_moment(wait)), service).await
    }
}

/// Returns the address as text, with its zone. The zone is the name of the interface, if interfaces
/// are granted and glibc would use the name.
fn numeric_host(view: &SandsockCtxView<'_>, address: SocketAddr) -> String {
    let text = sys::numeric_host(address.ip());
    let SocketAddr::V6(v6) = address else { return text };
    if v6.scope_id() == 0 {
        return text;
    }
    // glibc writes a name in link-local scope, also in that of multicast.
    let local = v6.ip().is_unicast_link_local() || v6.ip().segments()[0] & 0xff0f == 0xff02;
    let named = local.then(|| view.ctx.judge().interfaces().ok()).flatten();
    match named.and_then(|permit| sys::interface_name(permit, v6.scope_id()).ok()) {
        Some(name) => format!("{text}%{name}"),
        None => format!("{text}%{}", v6.scope_id()),
    }
}
