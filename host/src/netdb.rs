//! Names: look-ups by the system's resolver on a bounded pool, judged and pinned.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;

use sandsock_abi::constants::EAI_ADDRFAMILY;

use crate::bindings::sandsock::socket::types::{Address, AddressHints, AddressInfo, Error, HostEntry, NameError, Wait};
use crate::ctx::{SandsockCtxView, SandsockView};
use crate::error::{Fault, Outcome};
use crate::family;
use crate::policy::{Request, normalise_name};
use crate::pool;
use crate::sys::{self, NameFailure};
use crate::wait::{self, now};

/// RFC 1035: the longest name. A longer one is no name, and is not handed to any resolver.
const NAME_MAX: usize = 253;

/// How long a call that may not wait waits for the look-up that it needs, in nanoseconds.
const LOOK_UP_MOMENT: u64 = 500_000_000;

/// What gethostname answers without a grant.
const SANDBOX: &str = "sandbox";

/// Why a look-up failed, before it is the contract's error.
enum Failure {
    Code(i32),
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<NameFailure> for Failure {
    fn from(failure: NameFailure) -> Self {
        match failure {
            NameFailure::Code(code) => Self::Code(code),
            NameFailure::System(errno) => errno.into(),
        }
    }
}

/// Splits a look-up's outcome into error value and trap.
fn name_answer<T>(outcome: Result<T, Failure>) -> wasmtime::Result<(Result<T, NameError>,)> {
    Ok((match outcome {
        Ok(value) => Ok(value),
        Err(Failure::Code(code)) => Err(NameError::AddressInfo(code)),
        Err(Failure::Fault(Fault::Error(error))) => Err(NameError::Other(error)),
        Err(Failure::Fault(Fault::Trap(trap))) => return Err(trap),
    },))
}

fn not_served<T>() -> wasmtime::Result<(Result<T, NameError>,)> {
    Ok((Err(NameError::Other(Error::from(Errno::NOSYS))),))
}

type Hints = (i32, i32, i32, i32);

/// WIT `netdb.get-address-info`.
pub(crate) async fn get_address_info<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (host, service, hints, wait): (Option<String>, Option<String>, AddressHints, Wait),
) -> wasmtime::Result<(Result<Vec<AddressInfo>, NameError>,)> {
    let hints = (hints.family, hints.type_, hints.protocol, hints.flags);
    let answers = look_up(store, host.as_deref(), service.as_deref(), hints, wait).await;
    name_answer(answers.map(|list| list.into_iter().filter_map(to_contract).collect()))
}

fn to_contract(info: sys::AddressInfo) -> Option<AddressInfo> {
    Some(AddressInfo {
        family: info.family,
        type_: info.kind,
        protocol: info.protocol,
        canonical_name: info.canonical_name,
        address: family::decode(&info.address)?,
    })
}

/// getaddrinfo: numbers at once, granted names by `--resolve` or the system's resolver.
async fn look_up<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    host: Option<&str>,
    service: Option<&str>,
    hints: Hints,
    wait: Wait,
) -> Result<Vec<sys::AddressInfo>, Failure> {
    let Some(host) = host else { return Ok(numeric(None, service, hints)?) };
    // Whatever the kernel's own parser takes for a number (2130706433, 0x7f.1) is one, and no name.
    match numeric(Some(host), service, hints) {
        Err(NameFailure::Code(libc::EAI_NONAME)) if hints.3 & libc::AI_NUMERICHOST == 0 => {}
        other => return Ok(other?),
    }
    let view = store.data_mut().sandsock();
    view.ctx.judge().decide(&Request::Resolve(host))?;
    // What was judged is what is looked up: lower case, without the trailing dot, by IDNA.
    let name = normalise_name(host).map_err(|_| Failure::Code(libc::EAI_NONAME))?;
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Failure::Code(libc::EAI_NONAME));
    }
    let host = &*name;
    if let Some(fixed) = view.ctx.policy.fixed(host) {
        let answers = from_fixed(fixed, host, service, hints)?;
        return keep_allowed(&view, host, answers);
    }
    let answers = by_resolver(store, host, service, hints, wait).await?;
    keep_allowed(&store.data_mut().sandsock(), host, answers)
}

/// getaddrinfo for what needs no look-up of a host; only the service's name is looked at in a file.
fn numeric(host: Option<&str>, service: Option<&str>, mut hints: Hints) -> Result<Vec<sys::AddressInfo>, NameFailure> {
    // No number is longer, and the resolver gets no text of a length that the guest chooses.
    if [host, service].iter().flatten().any(|text| text.len() > NAME_MAX) {
        return Err(NameFailure::Code(libc::EAI_NONAME));
    }
    let none = |_| NameFailure::Code(libc::EAI_NONAME);
    let host = host.map(sys::c_string).transpose().map_err(none)?;
    let service = service.map(sys::c_string).transpose().map_err(none)?;
    if host.is_some() {
        hints.3 |= libc::AI_NUMERICHOST;
    }
    sys::get_address_info(host.as_deref(), service.as_deref(), hints)
}

/// The answer for a name whose addresses the operator gave.
fn from_fixed(fixed: &[IpAddr], host: &str, service: Option<&str>, hints: Hints) -> Result<Vec<sys::AddressInfo>, Failure> {
    let mut answers = Vec::new();
    for address in fixed {
        match numeric(Some(&address.to_string()), service, hints) {
            Ok(list) => answers.extend(list),
            // Of the other family.
            Err(NameFailure::Code(EAI_ADDRFAMILY | libc::EAI_NONAME)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    for info in &mut answers {
        info.canonical_name = info.canonical_name.take().map(|_| host.to_owned());
    }
    if answers.is_empty() { Err(Failure::Code(libc::EAI_NONAME)) } else { Ok(answers) }
}

/// The system's resolver on the bounded pool, within the instance's rate.
async fn by_resolver<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    host: &str,
    service: Option<&str>,
    hints: Hints,
    wait: Wait,
) -> Result<Vec<sys::AddressInfo>, Failure> {
    let deadline = match wait {
        Wait::None => return Err(Errno::AGAIN.into()),
        Wait::Forever => None,
        Wait::Within(nanoseconds) => Some(now().saturating_add(nanoseconds)),
        Wait::Until(instant) => Some(instant),
    };
    let ctx = &mut *store.data_mut().sandsock().ctx;
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
    // The place is the job's: a look-up that nobody waits for any more still counts until it ends.
    let place = ctx.lookups_pending.take().map_err(|_| Errno::AGAIN)?;
    let host = sys::c_string(host)?;
    let service = service.map(sys::c_string).transpose()?;
    let job = pool::NAMES.start(move || {
        let result = sys::get_address_info(Some(&host), service.as_deref(), hints);
        drop(place);
        result
    })?;
    match ctx.waiter.ready(job.as_fd(), None, PollFlags::IN, deadline).await? {
        wait::Outcome::Ready => Ok(job.take().unwrap_or(Err(NameFailure::System(Errno::IO)))?),
        wait::Outcome::TimedOut => Err(Errno::AGAIN.into()),
    }
}

/// Leaves out the answers that the policy does not let through, and pins the rest to the name.
fn keep_allowed(
    view: &SandsockCtxView<'_>,
    host: &str,
    mut answers: Vec<sys::AddressInfo>,
) -> Result<Vec<sys::AddressInfo>, Failure> {
    let mut addresses: Vec<IpAddr> = answers.iter().filter_map(|info| Some(info.address.to_ip()?.ip())).collect();
    addresses.dedup();
    let judged = view.ctx.policy.judge_answers(host, addresses);
    for dropped in &judged.dropped {
        tracing::info!(%host, address = %dropped.address, why = %dropped.denial, "an answer was left out");
    }
    if let Some(denial) = judged.denial() {
        return Err(denial.clone().into());
    }
    view.ctx.pins.borrow_mut().pin(host, &judged.kept, Instant::now());
    let canonical_name = answers.iter_mut().find_map(|info| info.canonical_name.take());
    answers.retain(|info| info.address.to_ip().is_some_and(|address| judged.kept.contains(&address.ip())));
    if let Some(first) = answers.first_mut() {
        first.canonical_name = canonical_name;
    }
    Ok(answers)
}

/// Judges something with an address in it. Where a granted name's addresses were forgotten (5 minutes after their last use),
/// the name is looked up once more and the question asked again.
pub(crate) async fn with_fresh_names<T: SandsockView, R>(
    store: &mut StoreContextMut<'_, T>,
    wait: Wait,
    judge: impl Fn(&SandsockCtxView<'_>) -> Outcome<R>,
) -> Outcome<R> {
    let fault = match judge(&store.data_mut().sandsock()) {
        Ok(value) => return Ok(value),
        Err(fault) => fault,
    };
    let Fault::Error(Error::Denied(_)) = &fault else { return Err(fault) };
    let Some(name) = store.data_mut().sandsock().ctx.expired_name.take() else { return Err(fault) };
    let hints = (0, libc::SOCK_STREAM, 0, 0);
    // A call that may not wait still has a moment for it: without the look-up nothing but a denial could be answered.
    let wait = if matches!(wait, Wait::None) { Wait::Within(LOOK_UP_MOMENT) } else { wait };
    match look_up(store, Some(&name), None, hints, wait).await {
        Ok(_) => judge(&store.data_mut().sandsock()),
        Err(Failure::Fault(interrupt)) if interrupt.is(Errno::INTR) => Err(interrupt),
        Err(_) => Err(fault),
    }
}

/// WIT `netdb.get-name-info`. Not served yet.
pub(crate) async fn get_name_info<T: SandsockView>(
    _store: &mut StoreContextMut<'_, T>,
    _: (Address, i32, Wait),
) -> wasmtime::Result<(Result<(String, String), NameError>,)> {
    not_served()
}

/// WIT `netdb.get-host-by-name`. Not served yet.
pub(crate) async fn get_host_by_name<T: SandsockView>(
    _store: &mut StoreContextMut<'_, T>,
    _: (String, i32, Wait),
) -> wasmtime::Result<(Result<HostEntry, NameError>,)> {
    not_served()
}

/// WIT `netdb.get-host-by-address`. Not served yet.
pub(crate) async fn get_host_by_address<T: SandsockView>(
    _store: &mut StoreContextMut<'_, T>,
    _: (Address, Wait),
) -> wasmtime::Result<(Result<HostEntry, NameError>,)> {
    not_served()
}

/// The look-ups that never wait and are not served yet.
pub(crate) fn enosys<R>() -> Outcome<R> {
    Err(Errno::NOSYS.into())
}

/// WIT `netdb.get-host-name`.
pub(crate) fn host_name() -> String {
    SANDBOX.to_owned()
}
