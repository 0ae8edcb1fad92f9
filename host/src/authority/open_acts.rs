//! The acts of open descriptors under a policy that has taken the place of another one.

use std::net::IpAddr;

use crate::authority::family::{self, Family, Use};
use crate::authority::gate::Gate;
use crate::authority::permit::Judge;
use crate::bindings::sandsock::socket::types::{Denial, DescriptorKind, Error, SocketKind};
use crate::descriptor::Handle;
use crate::descriptor::acts::{Acts, Local, Origin};
use crate::error::{CallResult, Fault};
use crate::sys::{self, OptionBytes};
use sandsock_policy::{Ancillary, DescriptorNumber, Request, TlsRequest};

/// Updates what the sockets remember of the policy: whether some grant is about a datagram socket
/// that nothing can reach.
pub(crate) fn follow_policy(gate: &Gate) {
    for descriptors in gate.open.descriptions() {
        let Some(handle) = descriptors.first() else { continue };
        let Ok(kind) = handle.socket() else { continue };
        let is_made = handle.acts().origin == Origin::Made && !handle.is_paired();
        if kind.type_ != libc::SOCK_DGRAM || !is_made || handle.is_of_process() {
            continue;
        }
        if gate.policy().has_grant_for(kind.family, kind.type_, kind.protocol) {
            handle.set_ungranted(false);
        } else if !handle.is_reachable() {
            handle.set_ungranted(true);
        }
    }
}

/// Closes the descriptions with an act that the policy does not allow any more. Returns why, for
/// each.
pub(crate) fn close_ungranted(gate: &Gate) -> Vec<String> {
    let quiet = gate.unobserved();
    let mut reasons = Vec::new();
    let mut descriptions = gate.open.descriptions();
    descriptions.retain(|descriptors| {
        let Some(handle) = descriptors.first() else { return false };
        let Some(denial) = denial(&quiet, handle) else { return false };
        let reason = format!("the policy was replaced, and this was closed: {}", denial.reason);
        tracing::info!("{reason}");
        reasons.push(reason.clone());
        handle.revoke(Denial { reason, ..denial })
    });
    // All are revoked before one is closed: what ends at a socket because its peer was closed would
    // reach the guest in place of the denial.
    for descriptors in descriptions {
        Handle::close_revoked(&descriptors);
    }
    reasons
}

/// Returns why the policy does not allow a description any more. None if it does.
fn denial(gate: &Gate, handle: &Handle) -> Option<Denial> {
    // A number of the embedder's process is the embedder's, and what is revoked stays so.
    if handle.is_of_process() || handle.check().is_err() {
        return None;
    }
    let acts = handle.acts().clone();
    judge(gate, handle, &acts).find_map(|result| match result {
        // A name's pin may have expired meanwhile. Its grant is still there, and the act was
        // checked when the pin counted.
        Err(Fault::Error(Error::Denied(_))) if gate.take_expired_name().is_some() => None,
        Err(Fault::Error(Error::Denied(denial))) => Some(denial),
        // The address has changed: a name is gone, or an interface. That is no denial.
        Err(_) | Ok(()) => None,
    })
}

/// Judges every act of a description.
fn judge<'a>(
    gate: &'a Gate,
    handle: &'a Handle,
    acts: &'a Acts,
) -> impl Iterator<Item = CallResult<()>> + 'a {
    let socket = match handle.open.kind {
        DescriptorKind::Socket(kind) => Some(kind),
        _ => None,
    };
    let of_socket = socket.into_iter().flat_map(move |kind| {
        let created = (acts.origin == Origin::Made).then(|| created(gate, handle, kind));
        let local = acts.local.as_ref().map(|local| bound(gate, handle, kind, local));
        let peer = acts.peer.as_ref().map(|peer| match handle.open.tls.only_to() {
            Some(to) => gate.decide_tls(to, TlsRequest::Connect(to)).map(drop),
            None => Family::of(kind.family)?.judge(gate, Use::Connect, kind, peer).map(drop),
        });
        // The act says more than the kind.
        [local, peer, session(gate, handle), created]
            .into_iter()
            .flatten()
            .chain(options(gate, handle, kind, acts))
    });
    std::iter::once(origin(gate, acts.origin, socket)).chain(of_socket)
}

/// Judges how the guest got a description.
fn origin(gate: &Gate, origin: Origin, socket: Option<SocketKind>) -> CallResult<()> {
    match origin {
        Origin::Made => Ok(()),
        Origin::Inherited(number) => gate.decide(&Request::Inherit(DescriptorNumber(number))),
        Origin::Received => {
            let is_granted = socket.is_some_and(|kind| {
                gate.policy().has_grant_for(kind.family, kind.type_, kind.protocol)
            });
            gate.decide(&Request::Ancillary(match is_granted {
                true => Ancillary::RightsReceive,
                false => Ancillary::RightsReceiveAny,
            }))
        }
    }
}

/// Judges that there is a socket of this kind. A pair of UNIX sockets needs no grant.
fn created(gate: &Gate, handle: &Handle, kind: SocketKind) -> CallResult<()> {
    if handle.is_paired() {
        return Ok(());
    }
    gate.policy().may_create(kind.family, kind.type_, kind.protocol)?;
    // A datagram socket that has sent has a port, by which it may get answers.
    let has_acted = kind.type_ == libc::SOCK_DGRAM
        && matches!(kind.family, libc::AF_INET | libc::AF_INET6)
        && handle.has_port();
    if has_acted && !gate.policy().has_grant_for(kind.family, kind.type_, kind.protocol) {
        return Err(gate.policy().no_input(kind.family).into());
    }
    Ok(())
}

/// Judges where a socket is bound.
fn bound(gate: &Gate, handle: &Handle, kind: SocketKind, local: &Local) -> CallResult<()> {
    let (request, at) = match local {
        Local::Tcp(at) if handle.open.tls.served().is_some_and(|served| served.is_for_tls) => {
            (family::listen_request(gate, handle, *at), at)
        }
        Local::Tcp(at) => (Request::TcpListen(*at), at),
        Local::Udp(at) => (Request::UdpBind(*at), at),
        Local::Address(address) => {
            return Family::of(kind.family)?
                .judge(gate, Use::Bind(handle), kind, address)
                .map(drop);
        }
    };
    if let Some(host) = at.published
        && gate.policy().published(request.verb(), at.address).is_none()
    {
        let reason = format!("{} is not published at {host} any more", at.address);
        return Err(sandsock_policy::Denial::new(reason).into());
    }
    gate.decide(&request)
}

/// Judges the server's name of a session of TLS. Another name of the address may be granted.
fn session(gate: &Gate, handle: &Handle) -> Option<CallResult<()>> {
    let name = handle.open.tls.server_name()?;
    let only_to = handle.open.tls.only_to();
    let to = match only_to {
        Some(to) => to,
        None => sys::peer_address(handle.fd()).ok()?.to_ip()?,
    };
    let asked = match name.parse::<IpAddr>() {
        Ok(_) => TlsRequest::Address(to),
        Err(_) => TlsRequest::Name(&name, to.port()),
    };
    let is_insecure = gate.would_allow(&Request::TlsInsecure(TlsRequest::Connect(to)));
    Some(match only_to {
        Some(to) if !is_insecure => gate.decide_tls(to, asked).map(drop),
        // The server need not prove the name, or plain bytes may move.
        Some(_) | None => gate.not_denied(&Request::TlsConnect(asked)),
    })
}

/// Judges the options that needed a grant.
fn options(gate: &Gate, handle: &Handle, kind: SocketKind, acts: &Acts) -> Vec<CallResult<()>> {
    let Some(options) = acts.options() else {
        let reason = "so many options of it needed grants that not all of them can be judged anew";
        return vec![Err(sandsock_policy::Denial::new(reason.to_owned()).into())];
    };
    let judge = Judge::new(gate);
    options
        .iter()
        .map(|option| {
            let value = OptionBytes::Bytes(option.value.clone());
            judge.set_option(handle, kind, option.level, option.name, value).map(drop)
        })
        .collect()
}
