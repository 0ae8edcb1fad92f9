//! What INET and INET6 share: the policy's questions about an IP address.

use std::net::SocketAddr;

use rustix::io::Errno;

use crate::address::RawAddress;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::{Handle, View};
use crate::error::Outcome;
use crate::family::Use;
use crate::permit::{Destination, Judge};
use crate::policy::{Local, Request, Verb, destination};
use crate::sys;

/// The types that have rules. Not SOCK_PACKET, which would make an AF_PACKET socket.
pub(super) const TYPES: &[i32] = &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET, libc::SOCK_RAW];

/// Whether a socket carries packets of an IP protocol itself: a raw socket, or a ping socket (man 7 icmp).
pub(crate) fn is_raw(kind: SocketKind) -> bool {
    match kind.type_ {
        libc::SOCK_RAW => true,
        libc::SOCK_DGRAM => matches!(kind.protocol, libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6),
        _ => false,
    }
}

/// Asks for this use of an address. A stream's protocol, whatever its number, is asked for as TCP's, a datagram's as UDP's.
pub(super) fn judge(judge: &Judge<'_>, purpose: Use<'_>, kind: SocketKind, address: SocketAddr) -> Outcome<Destination> {
    let datagram = kind.type_ == libc::SOCK_DGRAM;
    let address = match purpose {
        Use::Bind(_) => address,
        // The unspecified address is the loopback, and the kernel gets what was judged.
        Use::Connect | Use::Send(_) => destination(address),
    };
    if is_raw(kind) {
        let protocol = u16::try_from(kind.protocol).map_err(|_| Errno::PROTONOSUPPORT)?;
        match purpose {
            // One's own address narrows what comes in, which is judged by its sender, and adds nothing to what may go out.
            Use::Bind(_) => {}
            Use::Connect | Use::Send(_) => judge.decide(&Request::RawSend(SocketAddr::new(address.ip(), protocol)))?,
        }
        return Ok(Destination::plain(RawAddress::from_ip(address)));
    }
    let verb = if datagram { Verb::UdpBind } else { Verb::TcpListen };
    let published = match purpose {
        Use::Bind(_) => judge.policy().published(verb, address),
        Use::Connect | Use::Send(_) => None,
    };
    judge.decide(&match purpose {
        // A port that the kernel chose at an earlier bind says nothing about this one.
        Use::Bind(socket) if datagram => Request::UdpBind(local(socket, address, published, false)),
        Use::Bind(socket) => Request::TcpListen(local(socket, address, published, false)),
        Use::Connect | Use::Send(_) if datagram => Request::UdpSend(address),
        // MSG_FASTOPEN connects; without it the kernel takes no address on a stream.
        Use::Connect | Use::Send(_) => Request::TcpConnect(address),
    })?;
    Ok(match published {
        Some(host) => Destination::published(View { guest: address, host }),
        None => Destination::plain(RawAddress::from_ip(address)),
    })
}

/// Asks for listen: on the wildcard with port 0 where the socket is not bound yet.
pub(super) fn judge_listen(judge: &Judge<'_>, socket: &Handle) -> Outcome<()> {
    if socket.socket().is_ok_and(is_raw) {
        return Err(Errno::OPNOTSUPP.into());
    }
    let address = sys::local_address(socket.fd())?.to_ip().ok_or(Errno::INVAL)?;
    let request = match socket.view_at(address) {
        Some(view) => local(socket, view.guest, Some(SocketAddr::new(view.host.ip(), address.port())), false),
        None => local(socket, address, None, socket.is_port_chosen()),
    };
    judge.decide(&Request::TcpListen(request))
}

fn local(socket: &Handle, address: SocketAddr, published: Option<SocketAddr>, kernel_chosen: bool) -> Local {
    Local {
        address,
        v6only: address.is_ipv6() && sys::own_option(socket.fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) == Ok(1),
        kernel_chosen,
        published,
    }
}
