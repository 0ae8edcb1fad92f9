//! Local ports that the kernel chooses, where deny rules name ports: judged as the ports that they
//! are.
//!
//! The kernel chooses at a bind to port 0, and by the way: at a connect, at the first datagram, at
//! listen. After any of these it would be too late. So the host finds out by sockets of its own,
//! scouts, which ports the kernel gives out, and binds the guest's socket to one that no rule
//! denies before the act. Where no rule names a port none of this is done.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{Bind, Create, Destination, Judge, SetOption};
use crate::authority::family;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::descriptor::Handle;
use crate::error::{CallResult, Fault};
use crate::sys::address::RawAddress;
use crate::sys::{self, OptionBytes};
use sandsock_policy::{Decision, Denial, Local, Request, Verb};

/// How many ports are looked at before the last one's denial is the answer.
const SCOUTS: usize = 64;

/// How often a port is looked for anew, because somebody took it meanwhile.
const TRIES: usize = 8;

/// The verb whose rules are about the local addresses of sockets of this kind; none where no rule
/// is.
fn verb(kind: SocketKind) -> Option<Verb> {
    match (kind.family, kind.type_) {
        (libc::AF_INET | libc::AF_INET6, _) if family::is_raw(kind) => None,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => Some(Verb::UdpBind),
        (libc::AF_INET | libc::AF_INET6, _) => Some(Verb::TcpListen),
        _ => None,
    }
}

fn is_v6only(handle: &Handle, kind: SocketKind) -> bool {
    kind.family == libc::AF_INET6
        && sys::own_option(handle.fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) == Ok(1)
}

/// The same address with another port.
fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

impl Judge<'_> {
    /// The verb by whose deny rules the local ports of this socket are kept from it; none where no
    /// rule names a port.
    pub(crate) fn keeps_ports(&self, kind: SocketKind) -> Option<Verb> {
        verb(kind).filter(|&verb| self.policy().keeps_ports(verb))
    }

    /// A port that the kernel gives out at this address and that is allowed. None where scouts are
    /// of no use: the kernel's own choice is then judged after the act.
    pub(crate) fn free_port(
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
        // Those that were denied stay bound, so that the kernel gives another one.
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

    /// Binds a socket to the port that the kernel would choose by the way, before it does.
    fn implicit_port(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        let Some(verb) = self.keeps_ports(kind) else { return Ok(()) };
        let at = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        if verb == Verb::UdpBind && at.port() != 0 {
            return Ok(());
        }
        let v6only = is_v6only(handle, kind);
        let allowed = |port| {
            let address = with_port(at, port);
            self.policy().judge_implicit(
                verb,
                Local { address, v6only, kernel_chosen: true, published: None },
            )
        };
        let told = |denial: Denial| {
            self.ctx.tell(|time| Decision::denied(time, verb.name(), at.to_string(), &denial));
            Fault::from(denial)
        };
        for _ in 0..TRIES {
            let port = self.free_port(handle, kind, at, allowed).map_err(told)?;
            let to = Destination::plain(RawAddress::from_ip(with_port(at, port.unwrap_or(0))));
            match sys::bind(handle.fd(), self.permit(Bind(to))) {
                Ok(_) => {
                    let chosen = sys::local_address(handle.fd())?
                        .to_ip()
                        .map_or(0, |address| address.port());
                    return allowed(chosen).map_err(|denial| {
                        handle.poison();
                        told(denial)
                    });
                }
                // man 2 bind: it has a port already, which was judged when it got it. A stream that
                // was connected may show the port of then, and have none.
                Err(Errno::INVAL) => return Ok(()),
                Err(Errno::ADDRINUSE) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // As the kernel says that it found no port.
        Err(if verb == Verb::UdpBind { Errno::AGAIN } else { Errno::ADDRNOTAVAIL }.into())
    }

    /// Before a connect: the kernel binds a socket that has no port.
    pub(crate) fn local_of_connect(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        match kind.family {
            libc::AF_UNIX => self.implicit_name(handle),
            _ => self.implicit_port(handle, kind),
        }
    }

    /// Before listen, as before a connect.
    pub(super) fn local_of_listen(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        self.implicit_port(handle, kind)
    }

    /// Before a send, which is `addressed` or goes where the socket leads: the kernel binds a
    /// socket that has no port or, with SO_PASSCRED, no name. For datagrams of IP it does so before
    /// it says EDESTADDRREQ where nothing was addressed.
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
            libc::SOCK_DGRAM if !addressed && verb(kind).is_some() => {
                self.unaddressed(handle, kind)
            }
            _ => self.implicit_port(handle, kind),
        }
    }

    /// A datagram without an address: to a socket without a port the kernel gives one. Where that
    /// is granted it may; else nothing is left of the call but its EDESTADDRREQ.
    fn unaddressed(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        if handle.has_port() {
            return Ok(());
        }
        let address = sys::local_address(handle.fd())?.to_ip().ok_or(Errno::INVAL)?;
        let v6only = is_v6only(handle, kind);
        let bind =
            Request::UdpBind(Local { address, v6only, kernel_chosen: true, published: None });
        if self.would_allow(&bind) {
            self.implicit_port(handle, kind)
        } else if handle.is_ungranted() {
            self.decide(&bind)
        } else {
            Err(Errno::DESTADDRREQ.into())
        }
    }
}
