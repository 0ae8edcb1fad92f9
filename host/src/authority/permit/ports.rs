//! Local ports that the kernel chooses. If deny rules name ports, the guest must not get a denied
//! one.
//!
//! The kernel chooses a port at a bind to port 0, and without being asked at a connect, at the
//! first datagram and at listen. A check after any of these would come too late. So before the act
//! the host binds sockets of its own, called scouts, to learn which ports the kernel gives out.
//! Then it binds the guest's socket to a port that no rule denies. If no rule names a port, the
//! host skips all of this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{Bind, Create, Destination, Judge, SetOption};
use crate::authority::family;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use crate::sys::{self, OptionBytes};
use sandsock_policy::{Denial, LocalAddress, Request, Verb};

/// How many ports are tried before the last denial is the answer.
const SCOUTS: usize = 64;

/// How many times a port is chosen again because another process took it in the meantime.
const TRIES: usize = 8;

fn is_v6only(handle: &Handle, kind: SocketKind) -> bool {
    kind.family == libc::AF_INET6
        && sys::own_option(handle.fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) == Ok(1)
}

/// Returns the same address with another port.
fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

impl Judge<'_> {
    /// Returns a port that the kernel gives out at this address and that is allowed. None if scouts
    /// can't find one; the kernel's own choice is then checked after the act.
    fn free_port(
        &self,
        handle: &Handle,
        kind: SocketKind,
        at: SocketAddr,
        allowed: impl Fn(u16) -> Result<(), Denial>,
    ) -> Result<Option<u16>, Denial> {
        let v6only = is_v6only(handle, kind);
        let at = match at.ip() {
            IpAddr::V4(v4) if kind.family == libc::AF_INET6 => {
                SocketAddr::new(v4.to_ipv6_mapped().into(), 0)
            }
            _ => at,
        };
        let scout = || {
            let create = Create { domain: kind.family, kind: kind.type_, protocol: kind.protocol };
            let scout = sys::socket(self.permit(create))?;
            if v6only {
                let value = OptionBytes::Bytes(1i32.to_ne_bytes().to_vec());
                let option =
                    SetOption { level: libc::IPPROTO_IPV6, name: libc::IPV6_V6ONLY, value };
                sys::set_option(scout.as_fd(), self.permit(option))?;
            }
            let to = Destination::plain(RawAddress::from_ip(with_port(at, 0)));
            sys::bind(scout.as_fd(), self.permit(Bind(to)))?;
            let port = sys::local_address(scout.as_fd())?.to_ip().ok_or(Errno::INVAL)?.port();
            Ok::<_, Errno>((scout, port))
        };
        let mut denied = None;
        // Sockets with a denied port stay bound, so that the kernel gives out another port.
        let mut scouts = Vec::new();
        while scouts.len() < SCOUTS {
            let Ok((scout, port)) = scout() else { break };
            match allowed(port) {
                Ok(()) => return Ok(Some(port)),
                Err(denial) => denied = Some(denial),
            }
            scouts.push(scout);
        }
        denied.map_or(Ok(None), Err)
    }

    /// Chooses the port of a bind to port 0, if deny rules name ports. For a published address the
    /// kernel chooses, and its choice is checked after the bind.
    pub(super) fn choose_port(
        &self,
        handle: &Handle,
        kind: SocketKind,
        destination: Destination,
    ) -> CallResult<Destination> {
        let (Some(verb), Some(at), None) =
            (family::keeps_ports(self.gate, kind), destination.raw.to_ip(), destination.published)
        else {
            return Ok(destination);
        };
        if at.port() != 0 {
            return Ok(destination);
        }
        let allowed = |port| family::judge_port(self.gate, handle, verb, with_port(at, port));
        Ok(match self.free_port(handle, kind, at, allowed)? {
            Some(port) => Destination::plain(RawAddress::from_ip(with_port(at, port))),
            None => destination,
        })
    }

    /// Binds a socket to a port before the kernel would choose one by itself.
    fn implicit_port(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        let Some(verb) = family::keeps_ports(self.gate, kind) else { return Ok(()) };
        let at = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        if verb == Verb::UdpBind && at.port() != 0 {
            return Ok(());
        }
        let v6only = is_v6only(handle, kind);
        let allowed = |port| {
            let address = with_port(at, port);
            self.gate.policy().judge_implicit(
                verb,
                LocalAddress { address, v6only, kernel_chosen: true, published: None },
            )
        };
        let denied = |denial| self.gate.denied(verb, at.to_string(), denial);
        for _ in 0..TRIES {
            let port = self.free_port(handle, kind, at, allowed).map_err(denied)?;
            let to = Destination::plain(RawAddress::from_ip(with_port(at, port.unwrap_or(0))));
            match sys::bind(handle.fd(), self.permit(Bind(to))) {
                Ok(_) => {
                    let chosen = sys::local_address(handle.fd())?
                        .to_ip()
                        .map_or(0, |address| address.port());
                    return allowed(chosen).map_err(|denial| {
                        handle.poison();
                        denied(denial)
                    });
                }
                // man 2 bind: the socket already has a port, which was checked when it got it. A
                // stream that was connected before may report its old port without having one.
                Err(Errno::INVAL) => return Ok(()),
                Err(Errno::ADDRINUSE) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // The kernel's own error if it finds no port.
        Err(if verb == Verb::UdpBind { Errno::AGAIN } else { Errno::ADDRNOTAVAIL }.into())
    }

    /// Binds a UDP socket of `wasi:sockets` to the unspecified address and a port of the kernel's
    /// choice. Its streams need a bound socket, so this takes the place of the implicit bind of a
    /// send. A grant to send is enough, and deny rules keep their ports. Returns whether there is
    /// such a grant.
    pub(crate) fn bind_to_send(&self, handle: &Handle, kind: SocketKind) -> CallResult<bool> {
        if !self.gate.policy().may_send_udp(kind.family) {
            return Ok(false);
        }
        let any = || {
            SocketAddr::new(
                if kind.family == libc::AF_INET6 {
                    Ipv6Addr::UNSPECIFIED.into()
                } else {
                    Ipv4Addr::UNSPECIFIED.into()
                },
                0,
            )
        };
        self.gate.report_passed(
            Verb::UdpBind,
            || any().to_string(),
            |policy| {
                let bind = Request::UdpBind(any().into());
                let denied = !policy.may_send_udp(kind.family);
                denied.then(|| policy.judge_local(&bind).err()).flatten()
            },
        );
        self.implicit_port(handle, kind)?;
        let bound = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        if bound.port() == 0 {
            let to = Destination::plain(RawAddress::from_ip(bound));
            sys::bind(handle.fd(), self.permit(Bind(to)))?;
        }
        Ok(true)
    }

    /// Binds a UDP socket again to the port that it had. The kernel takes a port of its own choice
    /// away when an association is dissolved.
    pub(crate) fn bind_again(&self, handle: &Handle, port: u16) -> CallResult<()> {
        let now = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        if now.port() != 0 {
            return Ok(());
        }
        let to = Destination::plain(RawAddress::from_ip(with_port(now, port)));
        Ok(sys::bind(handle.fd(), self.permit(Bind(to))).map(drop)?)
    }

    /// Call this before a connect, because the kernel binds a socket that has no port.
    pub(crate) fn local_of_connect(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        match kind.family {
            libc::AF_UNIX => self.implicit_name(handle),
            _ => self.implicit_port(handle, kind),
        }
    }

    /// Call this before listen, for the same reason as before a connect.
    pub(super) fn local_of_listen(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        self.implicit_port(handle, kind)
    }

    /// Call this before a send, which is `addressed` or goes to the connected peer. The kernel
    /// binds a socket that has no port, or no name with SO_PASSCRED. For IP datagrams it does so
    /// even before it returns EDESTADDRREQ for a missing address.
    pub(crate) fn local_of_send(
        &self,
        handle: &Handle,
        kind: SocketKind,
        flags: i32,
        addressed: bool,
    ) -> CallResult<()> {
        match kind.type_ {
            libc::SOCK_STREAM if !addressed || flags & libc::MSG_FASTOPEN == 0 => Ok(()),
            _ if kind.family == libc::AF_UNIX => self.implicit_name(handle),
            libc::SOCK_DGRAM if !addressed && family::port_verb(kind).is_some() => {
                self.unaddressed(handle, kind)
            }
            _ => self.implicit_port(handle, kind),
        }
    }

    /// Handles a datagram without an address on a socket without a port, to which the kernel would
    /// give one. If the bind is granted, the send continues. Otherwise the guest gets the kernel's
    /// EDESTADDRREQ and nothing else happens.
    fn unaddressed(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        if handle.has_port() {
            return Ok(());
        }
        let address = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        let v6only = is_v6only(handle, kind);
        let bind = Request::UdpBind(LocalAddress {
            address,
            v6only,
            kernel_chosen: true,
            published: None,
        });
        if self.gate.would_allow(&bind) {
            self.implicit_port(handle, kind)
        } else if handle.is_ungranted() {
            self.gate.decide(&bind)
        } else {
            Err(Errno::DESTADDRREQ.into())
        }
    }
}
