//! Look-ups of the addresses of a name. The answers are checked, and pinned to the name.

use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use rustix::io::Errno;

use sandsock_abi::constants::{
    AI_CANONIDN, AI_IDN, EAI_ADDRFAMILY, HOST_NOT_FOUND, NO_DATA, NO_RECOVERY,
};

use super::{LookupError, NAME_MAX, ask, resolver, run};
use crate::authority::family;
use crate::authority::filter;
use crate::authority::permit::{Permit, Resolve};
use crate::bindings::sandsock::socket::types::{
    AddressHints, AddressInfo, Error, HostEntry, SocketKind, Wait,
};
use crate::calls::caller::Caller;
use crate::ctx::{SandsockCtx, SandsockCtxView};
use crate::error::{CallResult, Fault};
use crate::sys::{self, Hints, Resolver, ResolverError};
use crate::wait;
use crate::wait::pool::TABLES;
use sandsock_policy::{Decision, JudgedAnswers, Verb, normalise_name};

/// The longest text that is read as a host. A name may have more bytes in Unicode than in ASCII.
pub(super) const TEXT_MAX: usize = 1024;

/// How long a call that may not wait does wait for a look-up that it needs, in nanoseconds.
pub(super) const LOOK_UP_MOMENT: u64 = 500_000_000;

/// netdb.h: AI_IDN_ALLOW_UNASSIGNED and AI_IDN_USE_STD3_ASCII_RULES, which glibc accepts and
/// ignores.
const AI_IDN_IGNORED: i32 = 0x300;

/// WIT `netdb.get-address-info`.
pub(crate) async fn get_address_info(
    caller: &mut impl Caller,
    (host, service, hints, wait): (Option<String>, Option<String>, AddressHints, Wait),
) -> Result<Vec<AddressInfo>, LookupError> {
    let hints = Hints {
        family: hints.family,
        kind: hints.type_,
        protocol: hints.protocol,
        flags: hints.flags,
    };
    let answers = look_up(caller, host.as_deref(), service.as_deref(), hints, wait).await?;
    Ok(answers.into_iter().filter_map(to_contract).collect())
}

fn to_contract(info: sys::AddressInfo) -> Option<AddressInfo> {
    let kind = SocketKind { family: info.family, type_: info.kind, protocol: info.protocol };
    Some(AddressInfo {
        family: info.family,
        type_: info.kind,
        protocol: info.protocol,
        canonical_name: info.canonical_name,
        address: family::decode(&info.address, kind)?,
    })
}

/// Does what getaddrinfo(3) does. Numbers are converted at once. Granted names are looked up in
/// `--resolve`, or by the system's resolver.
async fn look_up(
    caller: &mut impl Caller,
    host: Option<&str>,
    service: Option<&str>,
    mut hints: Hints,
    wait: Wait,
) -> Result<Vec<sys::AddressInfo>, LookupError> {
    // No service has a longer name. The system never gets a text of a length that the guest
    // chooses.
    if service.is_some_and(|service| service.len() > NAME_MAX) {
        return Err(LookupError::Code(libc::EAI_NONAME));
    }
    let c_string =
        |text: &str| sys::c_string(text).map_err(|_| LookupError::Code(libc::EAI_NONAME));
    let service = service.map(c_string).transpose()?;
    // The resolver gets names in ASCII, whatever the flags say. Canonical names are converted to
    // Unicode here, in UTF-8 as the contract says, and not in this process's locale.
    let unicode = hints.flags & AI_CANONIDN != 0;
    hints.flags &= !(AI_IDN | AI_CANONIDN | AI_IDN_IGNORED);
    let Some(host) = host else { return numeric(caller, None, service, hints, wait).await };
    if host.is_empty() || host.len() > TEXT_MAX {
        return Err(LookupError::Code(libc::EAI_NONAME));
    }
    caller.step(|view| judge_zone(view.ctx, host))?;
    // A text that the system's parser takes for a number (2130706433, 0x7f.1) is no name. No number
    // is longer than a name.
    let number = match host.len() <= NAME_MAX {
        true => numeric(caller, Some(c_string(host)?), service.clone(), hints, wait).await,
        false => Err(LookupError::Code(libc::EAI_NONAME)),
    };
    match number {
        Err(LookupError::Code(libc::EAI_NONAME))
            if hints.flags & libc::AI_NUMERICHOST == 0 && zoned(host).is_none() => {}
        other => return other,
    }
    let no_such = LookupError::Code(libc::EAI_NONAME);
    let permit = caller.step(|view| judge_name(view.ctx, host, no_such))?;
    // glibc asks no server for the IPv4 address of a text of digits and dots, unless the caller
    // wants a canonical name, or there is a dot at the end. The question below has a dot at the
    // end.
    let is_simple = hints.family == libc::AF_INET && hints.flags & libc::AI_CANONNAME == 0;
    if is_simple && is_digits_and_dots(host) && !host.ends_with('.') {
        return Err(LookupError::Code(libc::EAI_NONAME));
    }
    let name = permit.act().name().to_owned();
    let whole = permit.act().is_whole();
    let fixed = caller.step(|view| view.ctx.gate.policy().fixed(&name).map(<[IpAddr]>::to_vec));
    let resolver = resolver(caller);
    let (mut answers, others) = match fixed {
        Some(fixed) => {
            let own = name.clone();
            let answers = local(caller, service, wait, move |service| {
                from_fixed(&resolver, &fixed, &own, service, hints)
            })
            .await??;
            (answers, Vec::new())
        }
        None => {
            let other_names = caller.step(|view| view.ctx.gate.policy().denies_names());
            let is_local = in_hosts_file(&resolver, &permit, hints.family);
            let call = move |in_hosts_file| {
                let lookup = sys::Lookup { in_hosts_file, other_names };
                resolver.get_address_info(permit, service.as_deref(), hints, lookup)
            };
            ask(caller, wait, is_local, call).await??
        }
    };
    let addresses = answers.iter().filter_map(|info| Some(info.address.to_ip()?.ip())).collect();
    let kept = caller.step(|view| judge_answers(view.ctx, &name, &others, addresses))?.kept;
    // The first answer has the canonical name, but it may be one that is left out.
    let canonical_name = answers.iter_mut().find_map(|info| info.canonical_name.take());
    answers.retain(|info| info.address.to_ip().is_some_and(|address| kept.contains(&address.ip())));
    if let Some(first) = answers.first_mut() {
        let canonical_name = canonical_name.map(|name| as_written(name, whole));
        first.canonical_name =
            canonical_name.map(|name| if unicode { to_unicode(&name) } else { name });
    }
    Ok(answers)
}

/// Returns a function that says whether the hosts file answers. It reads files, so another thread
/// calls it.
pub(super) fn in_hosts_file(
    resolver: &Resolver,
    permit: &Permit<Resolve>,
    family: i32,
) -> impl FnOnce() -> bool + Send + use<> + 'static {
    let resolver = resolver.clone();
    let (name, whole) = (permit.act().name().to_owned(), permit.act().is_whole());
    // glibc does not find a name with a dot at its end in the hosts file.
    move || !whole && resolver.hosts_file_has_name(&name, family)
}

/// Returns a name of an answer, without the last dot of the question if the guest wrote none.
fn as_written(name: String, whole: bool) -> String {
    match name.strip_suffix('.') {
        Some(text) if !whole => text.to_owned(),
        _ => name,
    }
}

/// Returns a name in Unicode, as far as IDNA can convert it.
pub(super) fn to_unicode(name: &str) -> String {
    idna::domain_to_unicode(name).0
}

/// Does what getaddrinfo(3) does without a look-up of a host.
async fn numeric(
    caller: &mut impl Caller,
    host: Option<CString>,
    service: Option<CString>,
    hints: Hints,
    wait: Wait,
) -> Result<Vec<sys::AddressInfo>, LookupError> {
    let resolver = resolver(caller);
    Ok(local(caller, service, wait, move |service| {
        resolver.numeric_address_info(host.as_deref(), service, hints)
    })
    .await??)
}

/// Makes a call that looks up only the name of a service. If the service is a number, the call is
/// made here. Otherwise it may read files, and runs on a thread of the pool.
async fn local<R: Send + 'static>(
    caller: &mut impl Caller,
    service: Option<CString>,
    wait: Wait,
    call: impl FnOnce(Option<&CStr>) -> R + Send + 'static,
) -> CallResult<R> {
    if service.as_deref().is_none_or(sys::is_number) {
        return Ok(call(service.as_deref()));
    }
    run(caller, &TABLES, wait::deadline(a_moment(wait)), move || call(service.as_deref())).await
}

/// Returns a moment instead of no wait, for a look-up without which the call could not answer.
pub(crate) fn a_moment(wait: Wait) -> Wait {
    if matches!(wait, Wait::None) { Wait::Within(LOOK_UP_MOMENT) } else { wait }
}

/// Parses an IPv6 address with a zone.
fn zoned(host: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, zone) = host.split_once('%')?;
    Some((address.parse().ok()?, zone))
}

/// Checks the zone of an address. A zone's name reveals the number of an interface, so it needs
/// that grant. glibc accepts a name in link-local scope, and in node-local and link-local multicast
/// scope.
pub(super) fn judge_zone(ctx: &SandsockCtx, host: &str) -> CallResult<()> {
    let Some((address, zone)) = zoned(host) else { return Ok(()) };
    let named = !zone.is_empty() && !zone.bytes().all(|byte| byte.is_ascii_digit());
    let local = address.is_unicast_link_local()
        || matches!(address.segments()[0] & 0xff0f, 0xff01 | 0xff02);
    if local && named { ctx.judge().interfaces().map(drop) } else { Ok(()) }
}

/// Checks a name that is to be looked up. If every name is granted, a text that can't be a name is
/// no denial. The error is then `no_such`.
pub(super) fn judge_name(
    ctx: &SandsockCtx,
    host: &str,
    no_such: LookupError,
) -> Result<Permit<Resolve>, LookupError> {
    if ctx.gate.policy().resolves_any() && normalise_name(host).is_err() {
        return Err(no_such);
    }
    Ok(ctx.judge().resolve(host, || ctx.resolver.search_list())?)
}

/// Returns the answer for a name whose addresses the operator gave.
fn from_fixed(
    resolver: &Resolver,
    fixed: &[IpAddr],
    name: &str,
    service: Option<&CStr>,
    hints: Hints,
) -> Result<Vec<sys::AddressInfo>, ResolverError> {
    let has_v6 = fixed.iter().any(IpAddr::is_ipv6);
    let mut answers = Vec::new();
    for address in fixed {
        let mut hints = hints;
        // man 3 getaddrinfo: mapped addresses stand beside others only with AI_ALL.
        if address.is_ipv4() && has_v6 && hints.flags & libc::AI_ALL == 0 {
            hints.flags &= !libc::AI_V4MAPPED;
        }
        let text = sys::c_string(&address.to_string()).map_err(ResolverError::System)?;
        match resolver.numeric_address_info(Some(&text), service, hints) {
            Ok(list) => answers.extend(list),
            // The address has another family.
            Err(ResolverError::Code(EAI_ADDRFAMILY | libc::EAI_NONAME)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let wanted = answers.iter().any(|info| info.canonical_name.is_some());
    answers.iter_mut().for_each(|info| info.canonical_name = None);
    match answers.first_mut() {
        Some(first) => first.canonical_name = wanted.then(|| name.to_owned()),
        None => return Err(ResolverError::Code(libc::EAI_NONAME)),
    }
    Ok(answers)
}

/// Checks the addresses of a name, and the other names in the answer. It pins the addresses that
/// the policy lets through.
pub(super) fn judge_answers(
    ctx: &SandsockCtx,
    name: &str,
    others: &[String],
    mut addresses: Vec<IpAddr>,
) -> Result<JudgedAnswers, LookupError> {
    ctx.judge().other_names(name, others)?;
    addresses.dedup();
    let policy = ctx.gate.policy();
    let enforced = policy.enforced().filter(|_| ctx.gate.is_observed());
    let enforced = enforced.map(|policy| policy.judge_answers_of(name, others, addresses.clone()));
    let judged = policy.judge_answers_of(name, others, addresses.clone());
    let judged = match ctx.gate.with_missing(&judged.denial().cloned().map_or(Ok(()), Err)) {
        Some(wider) => wider.judge_answers_of(name, others, addresses),
        None => judged,
    };
    for passed in enforced.iter().flat_map(|enforced| &enforced.dropped) {
        if judged.kept.contains(&passed.address) {
            let target = format!("{name}={}", passed.address);
            ctx.gate.report(|time| {
                Decision::denied(time, Verb::Resolve.name(), target, &passed.denial).passed()
            });
        }
    }
    for dropped in &judged.dropped {
        let target = || format!("{name}={}", dropped.address);
        ctx.gate
            .report(|time| Decision::denied(time, Verb::Resolve.name(), target(), &dropped.denial));
    }
    if let Some(denial) = judged.denial() {
        return Err(denial.clone().into());
    }
    let mut pins = ctx.gate.pins_to_change();
    pins.pin(name, &judged.kept, Instant::now());
    pins.note_others(name, others);
    drop(pins);
    filter::follow_pins(&ctx.gate);
    Ok(judged)
}

/// Checks something with an address in it. If a grant by name needs an address that was forgotten
/// (5 minutes after its last use), it looks the name up once more and checks again. The look-up
/// takes from the call's time.
pub(crate) async fn with_fresh_names<R>(
    caller: &mut impl Caller,
    wait: &mut Wait,
    judge: impl Fn(&SandsockCtxView<'_>) -> CallResult<R>,
) -> CallResult<R> {
    let fault = match caller.step(|view| judge(view)) {
        Ok(value) => return Ok(value),
        Err(fault) => fault,
    };
    let Fault::Error(Error::Denied(_)) = &fault else { return Err(fault) };
    let Some(name) = caller.step(|view| view.ctx.gate.take_expired_name()) else {
        return Err(fault);
    };
    let hints = Hints { family: 0, kind: libc::SOCK_STREAM, protocol: 0, flags: 0 };
    wait::begin(wait);
    // In a box, so that the future of a call that needs no look-up is small.
    match Box::pin(look_up(caller, Some(&name), None, hints, a_moment(*wait))).await {
        Ok(_) => caller.step(|view| judge(view)),
        Err(LookupError::Fault(interrupt)) if interrupt.is(Errno::INTR) => Err(interrupt),
        Err(_) => Err(fault),
    }
}

/// WIT `netdb.get-host-by-name`.
pub(crate) async fn get_host_by_name(
    caller: &mut impl Caller,
    (host, family, wait): (String, i32, Wait),
) -> Result<HostEntry, LookupError> {
    if !matches!(family, libc::AF_INET | libc::AF_INET6) {
        return Err(Errno::AFNOSUPPORT.into());
    }
    if host.len() > TEXT_MAX {
        return Err(LookupError::Host(NO_RECOVERY));
    }
    let of_family = |address: &IpAddr| address.is_ipv6() == (family == libc::AF_INET6);
    match as_number(&host) {
        Number::Address(address) if of_family(&address) => {
            let addresses = vec![sys::numeric_host(address)];
            return Ok(HostEntry { name: host, aliases: Vec::new(), addresses });
        }
        // gethostbyname(3) has fewer notations than getaddrinfo(3), and would take the others for
        // names.
        Number::Address(_) | Number::Other => return Err(LookupError::Host(HOST_NOT_FOUND)),
        Number::None => {}
    }
    // glibc's resolver has this error for a text that it can't ask for.
    let no_such = LookupError::Host(NO_RECOVERY);
    let permit = caller.step(|view| judge_name(view.ctx, &host, no_such))?;
    let name = permit.act().name().to_owned();
    let whole = permit.act().is_whole();
    let fixed = caller.step(|view| view.ctx.gate.policy().fixed(&name).map(<[IpAddr]>::to_vec));
    let entry = match fixed {
        Some(fixed) => {
            let addresses = fixed.into_iter().filter(of_family).collect();
            sys::HostEntry { name: name.clone(), aliases: Vec::new(), addresses }
        }
        None => {
            let resolver = resolver(caller);
            let is_local = in_hosts_file(&resolver, &permit, family);
            let call = move |local| resolver.get_host_by_name(permit, family, local);
            ask(caller, wait, is_local, call).await??
        }
    };
    if entry.addresses.is_empty() {
        return Err(LookupError::Host(NO_DATA));
    }
    let others: Vec<_> = std::iter::once(&entry.name).chain(&entry.aliases).cloned().collect();
    let found = entry.addresses.clone();
    let kept = caller.step(|view| judge_answers(view.ctx, &name, &others, found))?.kept;
    // The addresses stay as often as the resolver gave them.
    let addresses = entry
        .addresses
        .into_iter()
        .filter(|address| kept.contains(address))
        .map(sys::numeric_host)
        .collect();
    let aliases = entry.aliases.into_iter().map(|alias| as_written(alias, whole)).collect();
    Ok(HostEntry { name: as_written(entry.name, whole), aliases, addresses })
}

pub(super) fn is_digits_and_dots(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// How gethostbyname(3) reads a text before it asks a server.
enum Number {
    /// An address: digits and dots, or IPv6.
    Address(IpAddr),
    /// A number only for getaddrinfo(3) (`0x7f.1`), or digits and dots that are no address.
    Other,
    /// No number.
    None,
}

fn as_number(host: &str) -> Number {
    let plain = is_digits_and_dots(host);
    // Here, an address with a zone is no number.
    let answer = match sys::c_string(host) {
        Ok(text) if host.len() <= NAME_MAX && !host.contains('%') => {
            sys::number_address_info(&text).ok()
        }
        _ => None,
    };
    match answer.and_then(|list| list.first()?.address.to_ip()) {
        Some(address) if plain || address.is_ipv6() => Number::Address(address.ip()),
        Some(_) => Number::Other,
        None if plain => Number::Other,
        None => Number::None,
    }
}
