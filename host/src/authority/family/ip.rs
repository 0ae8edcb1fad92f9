//! What INET and INET6 share: the questions to the policy about an IP address.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::io::Errno;

use crate::authority::family::Use;
use crate::authority::gate::Gate;
use crate::authority::permit::Destination;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::descriptor::account::Account;
use crate::descriptor::acts::Local;
use crate::descriptor::tls::Served;
use crate::error::CallResult;
use crate::sys;
use crate::sys::address::{RawAddress, View};
use sandsock_policy::{Denial, LocalAddress, RawRequest, Request, Verb, destination};

/// The types that these families serve. SOCK_PACKET is missing, because it would make an AF_PACKET
/// socket.
pub(super) const TYPES: &[i32] =
    &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];

/// Returns whether a socket carries packets of an IP protocol itself: a raw socket or a ping socket
/// (man 7 icmp).
pub(crate) fn is_raw(kind: SocketKind) -> bool {
    match kind.type_ {
        libc::SOCK_RAW => true,
        libc::SOCK_DGRAM => matches!(kind.protocol, libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6),
        _ => false,
    }
}

/// Asks for this use of an address. Streams of every protocol are asked for as TCP, datagrams as
/// UDP.
pub(super) fn judge(
    gate: &Gate,
    purpose: Use<'_>,
    kind: SocketKind,
    address: SocketAddr,
) -> CallResult<Destination> {
    let datagram = kind.type_ == libc::SOCK_DGRAM;
    let address = match purpose {
        Use::Bind(_) => address,
        // The unspecified address means the loopback. The kernel gets the address that was checked.
        Use::Connect | Use::Send(_) => destination(address),
    };
    if is_raw(kind) {
        let protocol = u16::try_from(kind.protocol).map_err(|_| Errno::PROTONOSUPPORT)?;
        match purpose {
            // A local address narrows what comes in and adds nothing to what can go out. What comes
            // in is checked by its sender.
            Use::Bind(_) => {}
            Use::Connect | Use::Send(_) => gate.decide(&Request::Raw(RawRequest::Packet(
                SocketAddr::new(address.ip(), protocol),
            )))?,
        }
        return Ok(Destination::plain(RawAddress::from_ip(address)));
    }
    let socket = match purpose {
        Use::Bind(socket) => socket,
        Use::Connect | Use::Send(_) if datagram => {
            return charged(gate, &Request::UdpSend(address), address);
        }
        // MSG_FASTOPEN connects. Without it the kernel takes no address on a stream.
        Use::Connect | Use::Send(_) => {
            return charged(gate, &Request::TcpConnect(address), address);
        }
    };
    let verb = if datagram { Verb::UdpBind } else { Verb::TcpListen };
    let published = gate.policy().published(verb, address);
    // A port that the kernel chose at an earlier bind is irrelevant here.
    let local = local(socket, address, published, false);
    gate.decide(&if datagram {
        Request::UdpBind(local)
    } else {
        listen_request(gate, socket, local)
    })?;
    Ok(match published {
        Some(host) => Destination::published(View { guest: address, host }),
        None => Destination::plain(RawAddress::from_ip(address)),
    })
}

/// Asks for an act that uses this address, and charges it to the rule that allows it.
fn charged(gate: &Gate, request: &Request<'_>, address: SocketAddr) -> CallResult<Destination> {
    gate.decide(request)?;
    Ok(Destination::plain(RawAddress::from_ip(address)).charged_to(gate.account(request)))
}

/// Returns the account of the connections that a socket accepts at its local address.
pub(crate) fn listening_account(gate: &Gate, socket: &Handle) -> Option<Arc<Account>> {
    if !gate.has_budgets() || socket.is_where_handed() {
        return None;
    }
    gate.account(&listen_request(gate, socket, local_now(socket).ok()?))
}

/// Returns the request for a bind or a listen of TCP at an address. It is that for TLS if a rule
/// about TLS allows it, and no other rule.
pub(crate) fn listen_request(
    gate: &Gate,
    socket: &Handle,
    local: LocalAddress,
) -> Request<'static> {
    let (plain, tls) = (Request::TcpListen(local), Request::TlsListen(local));
    // Whoever else has the description could move plain bytes.
    let may_serve =
        socket.is_sole() && !socket.is_of_process() && !socket.open.tls.moves_plain_bytes();
    let is_for_tls = may_serve
        && !gate.would_allow(&plain)
        && gate.lacks_grant(&plain)
        // A rule that denies it says why.
        && (gate.would_allow(&tls) || !gate.lacks_grant(&tls));
    if is_for_tls { tls } else { plain }
}

/// Returns what the connections are that a socket accepts at an address. None if no rule about TLS
/// is about them.
pub(crate) fn served(gate: &Gate, socket: &Handle, at: LocalAddress) -> Option<Served> {
    let is_for_tls = listen_request(gate, socket, at) == Request::TlsListen(at);
    (is_for_tls || gate.lent_at(at).is_some()).then_some(Served { at, is_for_tls })
}

/// Returns the verb whose rules are about the local addresses of sockets of this kind. None if
/// there are no such rules.
pub(crate) fn port_verb(kind: SocketKind) -> Option<Verb> {
    match (kind.family, kind.type_) {
        (libc::AF_INET | libc::AF_INET6, _) if is_raw(kind) => None,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => Some(Verb::UdpBind),
        (libc::AF_INET | libc::AF_INET6, _) => Some(Verb::TcpListen),
        _ => None,
    }
}

/// Returns the verb by whose deny rules the kernel must not choose every local port for this
/// socket. None if no rule names a port.
pub(crate) fn keeps_ports(gate: &Gate, kind: SocketKind) -> Option<Verb> {
    let policy = gate.policy();
    port_verb(kind).filter(|&verb| {
        policy.keeps_ports(verb) || verb == Verb::TcpListen && policy.keeps_ports(Verb::TlsListen)
    })
}

/// Asks whether a bind may get this port, which the kernel chose. Nothing is reported.
pub(crate) fn judge_port(
    gate: &Gate,
    socket: &Handle,
    verb: Verb,
    at: SocketAddr,
) -> Result<(), Denial> {
    let local = local(socket, at, None, true);
    gate.policy().judge_local(&match verb {
        Verb::UdpBind => Request::UdpBind(local),
        _ => listen_request(gate, socket, local),
    })
}

/// Checks the port that the kernel chose at a bind.
pub(super) fn judge_bound(gate: &Gate, socket: &Handle, kind: SocketKind) -> CallResult<()> {
    match keeps_ports(gate, kind) {
        Some(Verb::UdpBind) => gate.decide_again(&Request::UdpBind(local_now(socket)?)),
        Some(_) => gate.decide_again(&listen_request(gate, socket, local_now(socket)?)),
        None => Ok(()),
    }
}

/// Asks for listen. A socket that is not bound yet listens on the wildcard with port 0.
pub(super) fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()> {
    if socket.socket().is_ok_and(is_raw) {
        return Err(Errno::OPNOTSUPP.into());
    }
    gate.decide(&listen_request(gate, socket, local_now(socket)?))
}

/// Returns where a socket is bound, in the form in which the policy is asked. None if no rule is
/// about its local address.
pub(crate) fn local_act(socket: &Handle, kind: SocketKind) -> Result<Option<Local>, Errno> {
    Ok(match port_verb(kind) {
        Some(Verb::UdpBind) => Some(Local::Udp(local_now(socket)?)),
        Some(_) => Some(Local::Tcp(local_now(socket)?)),
        None => None,
    })
}

/// Returns the local address of a socket. A published address is the guest's own.
fn local_now(socket: &Handle) -> Result<LocalAddress, Errno> {
    let address = sys::local_address(socket.fd())?.to_ip().ok_or(Errno::INVAL)?;
    Ok(match socket.view_at(address) {
        Some(view) => {
            local(socket, view.guest, Some(SocketAddr::new(view.host.ip(), address.port())), false)
        }
        None => local(socket, address, None, socket.is_port_chosen()),
    })
}

fn local(
    socket: &Handle,
    address: SocketAddr,
    published: Option<SocketAddr>,
    kernel_chosen: bool,
) -> LocalAddress {
    LocalAddress {
        address,
        v6only: address.is_ipv6()
            && sys::own_option(socket.fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) == Ok(1),
        kernel_chosen,
        published,
    }
}
