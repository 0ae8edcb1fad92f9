//! Permits: what the policy let through, owned by the proof that it did.
//!
//! A [`Permit`] is made here alone, by a [`Judge`]; its fields are private, it can't be cloned, and
//! it holds the encoded address or option bytes, so that what was judged is what the kernel gets.

mod ports;

use std::ffi::{CString, OsStr, OsString};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::io::Errno;

use sandsock_abi::constants::{CAN_ISOTP_OPTS, CAN_ISOTP_WAIT_TX_DONE, SOL_CAN_ISOTP};
use sandsock_abi::ioctl::{self, Shape as Argument};
use sandsock_abi::option::{self, Access, Shape, SocketOption};

use crate::authority::family::{self, Family, Use};
use crate::bindings::sandsock::socket::types::{Address, SocketKind};
use crate::ctx::SandsockCtx;
use crate::descriptor::buffers::Buffers;
use crate::descriptor::{Handle, View};
use crate::error::CallResult;
use crate::sys::address::RawAddress;
use crate::sys::{self, OptionBytes};
use sandsock_policy::{
    CanInterface, Decision, Denial, Hostname, Policy, Request, UnixRoute, UnixTarget, Verb,
    normalise_name,
};

/// The interface whose number or whose name an ioctl asks for; none for every other request.
fn named_interface(
    handle: &Handle,
    request: &str,
    argument: &[u8],
) -> Result<Option<String>, Errno> {
    match request {
        "SIOCGIFINDEX" => {
            let name = argument.get(..16).ok_or(Errno::INVAL)?;
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if name.is_empty() {
                return Err(Errno::NODEV);
            }
            Ok(Some(String::from_utf8_lossy(name).into_owned()))
        }
        "SIOCGIFNAME" => {
            let index = argument
                .get(16..20)
                .and_then(|index| index.try_into().ok())
                .map(u32::from_ne_bytes);
            rustix::net::netdevice::index_to_name(handle.fd(), index.ok_or(Errno::INVAL)?).map(Some)
        }
        _ => Ok(None),
    }
}

/// The proof that an act was judged and allowed.
#[derive(Debug)]
pub(crate) struct Permit<A> {
    act: A,
    generation: u64,
}

impl<A> Permit<A> {
    pub(crate) fn act(&self) -> &A {
        &self.act
    }

    pub(crate) fn into_act(self) -> A {
        self.act
    }
}

/// socket(2), socketpair(2).
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) domain: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

/// A judged address, with what keeps the judgement true until the kernel has used it.
#[derive(Debug)]
pub(crate) struct Destination {
    raw: RawAddress,
    anchor: Anchor,
    /// Where the guest believes to be, where that is published.
    published: Option<View>,
}

/// What holds a UNIX path in place between check and use.
#[derive(Debug)]
pub(crate) enum Anchor {
    /// Not a path.
    None,
    /// The socket's own inode, which the address names through /proc.
    Inode(#[expect(dead_code, reason = "held open, never read")] OwnedFd),
    /// The directory, the name that a bind must have made in it, and where the address starts, if
    /// it is a relative path.
    Directory { parent: Dir, name: OsString, start: Option<Dir> },
}

impl Destination {
    pub(crate) fn plain(raw: RawAddress) -> Self {
        Self { raw, anchor: Anchor::None, published: None }
    }

    pub(crate) fn anchored(raw: RawAddress, anchor: Anchor) -> Self {
        Self { raw, anchor, published: None }
    }

    /// The host's address in place of the one that the guest binds.
    pub(crate) fn published(view: View) -> Self {
        Self {
            raw: RawAddress::from_ip(view.host_for_guest()),
            anchor: Anchor::None,
            published: Some(view),
        }
    }
}

macro_rules! destinations {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(Destination);

        impl $name {
            pub(crate) fn address(&self) -> &RawAddress {
                &self.0.raw
            }
        }
    )*};
}

destinations! {
    /// bind(2).
    Bind
    /// connect(2).
    Connect
    /// sendto(2), sendmsg(2) and sendmmsg(2) with an address.
    SendTo
}

impl Bind {
    /// What the guest is to see of a published address.
    pub(crate) fn view(&self) -> Option<View> {
        self.0.published
    }

    /// After bind(2): whether the name was made where it was judged.
    pub(crate) fn verify(&self) -> bool {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => family::is_bound_in(parent, name),
            Anchor::None | Anchor::Inode(_) => true,
        }
    }

    /// The directory where the address starts, if it is a relative path.
    pub(crate) fn start(&self) -> Option<&Dir> {
        match &self.0.anchor {
            Anchor::Directory { start, .. } => start.as_ref(),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }

    /// The directory and the name in it, if it is a path.
    pub(crate) fn made(&self) -> Option<(&Dir, &OsStr)> {
        match &self.0.anchor {
            Anchor::Directory { parent, name, .. } => Some((parent, name)),
            Anchor::None | Anchor::Inode(_) => None,
        }
    }
}

/// listen(2).
#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) backlog: i32,
}

/// getsockopt(2).
#[derive(Debug)]
pub(crate) struct GetOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) length: u32,
}

/// setsockopt(2).
#[derive(Debug)]
pub(crate) struct SetOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) value: OptionBytes,
}

/// A message whose contents were judged, whole: what netlink messages and frames say is what they
/// do.
#[derive(Debug)]
pub(crate) struct Contents(Vec<u8>);

impl Contents {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// ioctl(2).
#[derive(Debug)]
pub(crate) struct Ioctl {
    pub(crate) number: u32,
    pub(crate) shape: Argument,
    /// As long as the shape says.
    pub(crate) argument: Vec<u8>,
}

/// sendmsg(2)'s control data, encoded.
#[derive(Debug)]
pub(crate) struct Control {
    encoded: Vec<u8>,
    /// The descriptors whose numbers are in it, open as long as it is.
    rights: Vec<Arc<Handle>>,
}

impl Control {
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn rights(&self) -> &[Arc<Handle>] {
        &self.rights
    }
}

/// getaddrinfo(3) and gethostbyname(3) of a name.
#[derive(Debug)]
pub(crate) struct Resolve {
    name: String,
    whole: bool,
    searched: bool,
}

impl Resolve {
    /// The name in the form in which it was judged and is pinned.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the guest wrote the last dot, which says that the name is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The name that the resolver is asked for, with its last dot, by which no search list and no
    /// alias of the host's environment makes another one of it. A single label that was granted as
    /// such goes without, and so does what the hosts file answers, which has no dots.
    pub(crate) fn asked(&self, in_hosts_file: bool) -> Result<CString, Errno> {
        let dot = self.whole || !(in_hosts_file || self.searched);
        sys::c_string(&if dot { format!("{}.", self.name) } else { self.name.clone() })
    }
}

/// getnameinfo(3) and gethostbyaddr(3).
#[derive(Debug)]
pub(crate) struct ReverseResolve {
    pub(crate) address: IpAddr,
}

/// if_nameindex(3) and its kin.
#[derive(Debug)]
pub(crate) struct Interfaces;

/// gethostname(2).
#[derive(Debug)]
pub(crate) struct ReadHostName;

/// sethostname(2).
#[derive(Debug)]
pub(crate) struct SetHostName {
    pub(crate) name: Vec<u8>,
}

/// One control message that a guest wants to send.
pub(crate) enum ControlOut<'a> {
    /// SCM_RIGHTS.
    Rights(Vec<Arc<Handle>>),
    /// Any other.
    Message { level: i32, kind: i32, data: &'a [u8] },
}

/// WIT: an ioctl's argument has at most 4096 bytes.
const IOCTL_MAX: usize = 4096;

/// BPF_MAXINSNS (linux/bpf_common.h).
const PROGRAM_MAX: usize = 4096;

/// A classic BPF program from its instructions, 8 bytes each: code, two jumps, operand (man 7
/// socket, SO_ATTACH_FILTER).
fn program(value: &OptionBytes) -> Result<OptionBytes, Errno> {
    let OptionBytes::Bytes(bytes) = value else { return Err(Errno::INVAL) };
    let (instructions, rest) = bytes.as_chunks::<8>();
    if instructions.is_empty() || instructions.len() > PROGRAM_MAX || !rest.is_empty() {
        return Err(Errno::INVAL);
    }
    let instruction = |&[a, b, jt, jf, k @ ..]: &[u8; 8]| libc::sock_filter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes(k),
    };
    Ok(OptionBytes::Program(instructions.iter().map(instruction).collect()))
}

/// The multicast group that an option's value names.
fn group(shape: Shape, value: &OptionBytes) -> Option<IpAddr> {
    let OptionBytes::Bytes(bytes) = value else { return None };
    let v4 = |at: usize| {
        bytes.get(at..at + 4)?.try_into().map(|octets: [u8; 4]| IpAddr::from(octets)).ok()
    };
    let v6 = |at: usize| {
        bytes.get(at..at + 16)?.try_into().map(|octets: [u8; 16]| IpAddr::from(octets)).ok()
    };
    match shape {
        Shape::GroupV4 => v4(0),
        Shape::GroupV6 => v6(0),
        Shape::GroupAddress => {
            match i32::from(u16::from_ne_bytes(bytes.get(8..10)?.try_into().ok()?)) {
                libc::AF_INET => v4(12),
                libc::AF_INET6 => v6(16),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What a UNIX path is asked for.
fn unix_request(verb: Verb, path: &[u8]) -> Request<'_> {
    match verb {
        Verb::UnixBind => Request::UnixBind(UnixTarget::Path(path)),
        _ => Request::UnixConnect(UnixTarget::Path(path)),
    }
}

/// The policy of one instance, at the moment of a call. The only maker of permits.
pub(crate) struct Judge<'a> {
    ctx: &'a SandsockCtx,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(ctx: &'a SandsockCtx) -> Self {
        Self { ctx }
    }

    pub(crate) fn policy(&self) -> &'a Policy {
        &self.ctx.policy
    }

    /// What the kernel holds for the instance.
    pub(crate) fn buffers(&self) -> &'a Buffers {
        &self.ctx.buffers
    }

    /// Where to walk to reach a UNIX path.
    pub(crate) fn unix_route(&self, verb: Verb, path: &[u8]) -> CallResult<Vec<UnixRoute>> {
        let routes = self.policy().unix_route(verb, path);
        if let Err(denial) = &routes {
            self.ctx.tell(|time| {
                Decision::denied(time, verb.name(), unix_request(verb, path).to_string(), denial)
            });
        }
        Ok(routes?)
    }

    /// The walk to a UNIX path ended where a rule holds.
    pub(crate) fn walked(&self, verb: Verb, path: &[u8]) {
        let request = unix_request(verb, path);
        self.ctx.tell(|time| {
            let rule = self
                .ctx
                .policy
                .decide(&request, &self.ctx.pins.borrow(), self.ctx.decision_time())
                .ok()
                .and_then(|a| a.rule);
            Decision::allowed(time, verb.name(), request.to_string(), rule)
        });
    }

    /// Asks the policy.
    pub(crate) fn decide(&self, request: &Request<'_>) -> CallResult<()> {
        let result =
            self.ctx.policy.decide(request, &self.ctx.pins.borrow(), self.ctx.decision_time());
        self.ctx.tell(|time| Decision::of_request(time, request, &result));
        result.map(drop).map_err(|mut denial| {
            self.ctx.expired_name.replace(denial.expired_name.take());
            denial.into()
        })
    }

    /// Whether the policy would allow it, as a question that no decision follows from by itself:
    /// observers are not told.
    pub(crate) fn would_allow(&self, request: &Request<'_>) -> bool {
        self.ctx.policy.decide(request, &self.ctx.pins.borrow(), self.ctx.decision_time()).is_ok()
    }

    /// Asks the policy again, with what the kernel has chosen: observers are told where the answer
    /// is another one.
    pub(crate) fn decide_again(&self, request: &Request<'_>) -> CallResult<()> {
        if self.would_allow(request) { Ok(()) } else { self.decide(request) }
    }

    /// Whether nothing but a grant is missing: no rule denies it, so that another grant may stand
    /// in for the missing one.
    fn lacks_grant(&self, request: &Request<'_>) -> bool {
        let result =
            self.ctx.policy.decide(request, &self.ctx.pins.borrow(), self.ctx.decision_time());
        result.is_err_and(|denial| denial.rule.is_none())
    }

    /// Asks whether a rule denies it; that nothing grants it is no matter.
    pub(crate) fn not_denied(&self, request: &Request<'_>) -> CallResult<()> {
        if self.lacks_grant(request) { Ok(()) } else { self.decide(request) }
    }

    /// Whether the guest may change a descriptor: not where other contexts were handed it too.
    pub(crate) fn change(&self, handle: &Handle, what: &str) -> CallResult<()> {
        if !handle.is_common() {
            return Ok(());
        }
        let reason =
            "other instances were handed this descriptor too, and it would change for them";
        let denial = Denial::new(format!("{what} is denied: {reason}"));
        self.ctx
            .tell(|time| Decision::denied(time, Verb::Inherit.name(), what.to_owned(), &denial));
        Err(denial.into())
    }

    /// The same of what a send may change by the way: MSG_FASTOPEN connects, and MSG_MORE leaves a
    /// datagram to be gone on with.
    pub(crate) fn transfer(&self, handle: &Handle, kind: SocketKind, flags: i32) -> CallResult<()> {
        match kind.type_ {
            libc::SOCK_STREAM if flags & libc::MSG_FASTOPEN != 0 => {
                self.change(handle, "connect by MSG_FASTOPEN")
            }
            libc::SOCK_STREAM => Ok(()),
            _ if flags & libc::MSG_MORE != 0 => self.change(handle, "a send with MSG_MORE"),
            _ => Ok(()),
        }
    }

    fn permit<A>(&self, act: A) -> Permit<A> {
        Permit { act, generation: self.ctx.policy.generation() }
    }

    /// Whether the policy is still the one that gave this permit: if not it must be asked anew
    /// before the act.
    pub(crate) fn is_current<A>(&self, permit: &Permit<A>) -> bool {
        permit.generation == self.ctx.policy.generation()
    }

    pub(crate) fn create(
        &self,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> CallResult<Permit<Create>> {
        let result = self.ctx.policy.may_create(domain, kind, protocol);
        self.ctx.tell(|time| Decision::of_socket(time, (domain, kind, protocol), &result));
        result?;
        let protocol =
            if domain == libc::AF_PACKET { self.packet_protocol(protocol) } else { protocol };
        Ok(self.permit(Create { domain, kind, protocol }))
    }

    /// The protocol that an AF_PACKET socket is made with. From then on it gets that protocol's
    /// frames of every interface, until a bind names one: where not all are granted, it is made
    /// with none, and `bind` puts in what was asked for.
    fn packet_protocol(&self, protocol: i32) -> i32 {
        let asked = u16::from_be(protocol as u16);
        let everywhere = Request::Packet { interface: None, protocol: asked };
        if asked == 0 || self.would_allow(&everywhere) { protocol } else { 0 }
    }

    /// After creation: the numbers that the kernel gave it are judged as well. That it is the same
    /// as before needs no telling.
    pub(crate) fn created(&self, kind: SocketKind) -> CallResult<()> {
        if let Err(denial) = self.ctx.policy.may_create(kind.family, kind.type_, kind.protocol) {
            let result = Err(denial.clone());
            self.ctx.tell(|time| {
                Decision::of_socket(time, (kind.family, kind.type_, kind.protocol), &result)
            });
            return Err(denial.into());
        }
        Ok(())
    }

    /// An unnamed AF_UNIX pair needs no grant; every other one does.
    pub(crate) fn create_pair(
        &self,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> CallResult<Permit<Create>> {
        if domain == libc::AF_UNIX {
            return Ok(self.permit(Create { domain, kind, protocol }));
        }
        self.create(domain, kind, protocol)
    }

    fn destination(
        &self,
        purpose: Use<'_>,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        Family::of(kind.family)?.judge(self, purpose, kind, address)
    }

    pub(crate) fn bind(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<Bind>> {
        Ok(self.permit(Bind(self.destination(Use::Bind(handle), kind, address)?)))
    }

    pub(crate) fn connect(
        &self,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<Connect>> {
        Ok(self.permit(Connect(self.destination(Use::Connect, kind, address)?)))
    }

    pub(crate) fn send_to(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<SendTo>> {
        Ok(self.permit(SendTo(self.destination(Use::Send(handle), kind, address)?)))
    }

    /// A message of an inspected family, to an address or to where the socket leads.
    pub(crate) fn contents(
        &self,
        handle: &Handle,
        kind: SocketKind,
        to: Option<&Address>,
        message: Vec<u8>,
    ) -> CallResult<Permit<Contents>> {
        Family::of(kind.family)?.judge_contents(self, handle, kind, to, &message)?;
        Ok(self.permit(Contents(message)))
    }

    /// A receive, or a wait for input: on a datagram socket that was made without a grant it is the
    /// first act.
    pub(crate) fn input(&self, handle: &Handle) -> CallResult<()> {
        if !handle.is_ungranted() {
            return Ok(());
        }
        let kind = handle.socket()?;
        let denial = self.ctx.policy.no_input(kind.family);
        let verb = if kind.family == libc::AF_UNIX { Verb::UnixBind } else { Verb::UdpReceive };
        self.ctx.tell(|time| {
            Decision::denied(
                time,
                verb.name(),
                "a socket that is bound nowhere".to_owned(),
                &denial,
            )
        });
        Err(denial.into())
    }

    /// A bind that the kernel makes by the way: a UNIX socket with SO_PASSCRED gets a name before
    /// it connects or sends a message.
    pub(crate) fn implicit_name(&self, handle: &Handle) -> CallResult<()> {
        if handle.would_be_named() {
            self.decide(&Request::UnixBind(UnixTarget::Unnamed))
        } else {
            Ok(())
        }
    }

    /// listen binds a socket that is not bound yet: its local address is looked at in the kernel,
    /// now.
    pub(crate) fn listen(
        &self,
        handle: &Handle,
        kind: SocketKind,
        backlog: i32,
    ) -> CallResult<Permit<Listen>> {
        let bound_unix = kind.family == libc::AF_UNIX && handle.is_bound_here();
        if !bound_unix && !handle.is_where_handed() {
            Family::of(kind.family)?.judge_listen(self, handle)?;
            self.local_of_listen(handle, kind)?;
        }
        Ok(self.permit(Listen { backlog: backlog.max(0) }))
    }

    /// After a bind: what the kernel has chosen.
    pub(crate) fn bound(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        Family::of(kind.family)?.judge_bound(self, handle, kind)
    }

    /// After listen: the address that the socket has now, whose port the kernel chose unless the
    /// guest bound one.
    pub(crate) fn listening(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        if kind.family == libc::AF_UNIX || handle.is_where_handed() {
            return Ok(());
        }
        if !handle.is_bound_here() {
            handle.set_bound_here(true);
        }
        Family::of(kind.family)?.judge_listen(self, handle)
    }

    pub(crate) fn get_option(
        &self,
        family: i32,
        level: i32,
        name: i32,
        length: u32,
    ) -> CallResult<Permit<GetOption>> {
        let row = option::find(family, level, name);
        if row.is_some_and(|row| row.get == Access::Absent) {
            return Err(Errno::NOPROTOOPT.into());
        }
        self.decide(&Request::GetOption { family, level, number: name })?;
        Ok(self.permit(GetOption { level, name, length }))
    }

    pub(crate) fn set_option(
        &self,
        handle: &Handle,
        kind: SocketKind,
        level: i32,
        name: i32,
        value: OptionBytes,
    ) -> CallResult<Permit<SetOption>> {
        let row = option::find(kind.family, level, name);
        if row.is_some_and(|row| row.set == Access::Absent) {
            return Err(Errno::NOPROTOOPT.into());
        }
        let datagram = !matches!(kind.type_, libc::SOCK_STREAM | libc::SOCK_SEQPACKET);
        self.decide(&Request::SetOption { family: kind.family, level, number: name, datagram })?;
        if let OptionBytes::Bytes(bytes) = &value
            && (level, name) == (SOL_CAN_ISOTP, CAN_ISOTP_OPTS)
            && bytes
                .first_chunk()
                .is_some_and(|flags| i32::from_ne_bytes(*flags) & CAN_ISOTP_WAIT_TX_DONE != 0)
        {
            let reason = "CAN_ISOTP_WAIT_TX_DONE is denied: a send would hold the host's thread until the peer has taken it all";
            return Err(Denial::new(reason.to_owned()).into());
        }
        let value = match row {
            Some(row) => self.option_value(handle, kind, row, value)?,
            None => value,
        };
        Ok(self.permit(SetOption { level, name, value }))
    }

    /// `search` gives the domains of the resolver's search list.
    pub(crate) fn resolve(
        &self,
        host: &str,
        search: impl FnOnce() -> Vec<String>,
    ) -> CallResult<Permit<Resolve>> {
        self.decide(&Request::Resolve(host))?;
        let name = normalise_name(host).map_err(|_| Errno::INVAL)?.into_owned();
        // IDNA: the other characters that part labels.
        let whole = host.ends_with(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
        let policy = &self.ctx.policy;
        let searched = !whole && policy.grants_label(&name);
        if searched && policy.denies_names() {
            let candidates: Vec<_> =
                search().into_iter().map(|domain| format!("{name}.{domain}")).collect();
            self.other_names(&name, &candidates)?;
        }
        Ok(self.permit(Resolve { name, whole, searched }))
    }

    /// Judges other names of one that may be looked up: what a search list makes of it, canonical
    /// names, aliases.
    pub(crate) fn other_names(&self, name: &str, others: &[String]) -> CallResult<()> {
        for other in others {
            if let Err(denial) = self.ctx.policy.judge_other_name(name, other) {
                self.ctx.tell(|time| {
                    Decision::denied(time, Verb::Resolve.name(), other.clone(), &denial)
                });
                return Err(denial.into());
            }
        }
        Ok(())
    }

    pub(crate) fn reverse_resolve(&self, address: IpAddr) -> CallResult<Permit<ReverseResolve>> {
        self.decide(&Request::ReverseResolve(address))?;
        Ok(self.permit(ReverseResolve { address }))
    }

    pub(crate) fn interfaces(&self) -> CallResult<Permit<Interfaces>> {
        self.decide(&Request::Interfaces)?;
        Ok(self.permit(Interfaces))
    }

    /// To look up one interface's name or index: who may use it knows it.
    pub(crate) fn interface(&self, name: &str) -> CallResult<Permit<Interfaces>> {
        if self.ctx.policy.names_interface(name) {
            Ok(self.permit(Interfaces))
        } else {
            self.interfaces()
        }
    }

    pub(crate) fn read_host_name(&self) -> CallResult<Permit<ReadHostName>> {
        self.decide(&Request::Hostname(Hostname::Read))?;
        Ok(self.permit(ReadHostName))
    }

    pub(crate) fn set_host_name(&self, name: Vec<u8>) -> CallResult<Permit<SetHostName>> {
        self.decide(&Request::Hostname(Hostname::Set))?;
        Ok(self.permit(SetHostName { name }))
    }

    /// Judges what an option's value names, and gives the value as the kernel takes it.
    fn option_value(
        &self,
        handle: &Handle,
        kind: SocketKind,
        row: &SocketOption,
        value: OptionBytes,
    ) -> CallResult<OptionBytes> {
        match (row.shape, &value) {
            (Shape::Program, _) => return Ok(program(&value)?),
            (shape, _) if shape.names_group() && row.set == Access::Multicast => {
                let group = group(row.shape, &value).ok_or(Errno::INVAL)?;
                self.decide(&Request::Multicast(Some(group)))?;
            }
            (Shape::PacketMembership, OptionBytes::Bytes(bytes)) if row.set != Access::Ordinary => {
                family::packet::judge_membership(self, handle, bytes)?;
            }
            (Shape::NetlinkGroup, OptionBytes::Bytes(bytes)) => {
                let group =
                    bytes.get(..4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes);
                family::netlink::judge_group(self, kind.protocol, group.ok_or(Errno::INVAL)?)?;
            }
            (Shape::PacketMembership | Shape::NetlinkGroup, OptionBytes::Null(_)) => {
                return Err(Errno::INVAL.into());
            }
            _ => {}
        }
        Ok(value)
    }

    /// A request of the table, with an argument of its size.
    pub(crate) fn ioctl(
        &self,
        handle: &Handle,
        kind: SocketKind,
        number: u32,
        argument: Vec<u8>,
    ) -> CallResult<Permit<Ioctl>> {
        // Windows' SIO_RCVALL and its kin.
        if number >> 24 == 0x98 {
            return Err(Errno::OPNOTSUPP.into());
        }
        let row = ioctl::find(number).ok_or(Errno::NOTTY)?;
        let size = row.shape.size();
        let fits = match row.shape {
            Argument::InterfaceList => {
                (size..=IOCTL_MAX).contains(&argument.len()) && argument.len().is_multiple_of(size)
            }
            _ => argument.len() == size,
        };
        let named = match kind.family {
            libc::AF_PACKET | libc::AF_CAN => named_interface(handle, row.name, &argument)?,
            _ => None,
        };
        // Addresses hold numbers, and people write names: whose frames are granted may be asked for
        // by both.
        match named {
            Some(interface) if self.lacks_grant(&Request::Ioctl(row)) => {
                self.decide(&match kind.family {
                    libc::AF_CAN => Request::Can {
                        interface: CanInterface::Name(&interface),
                        protocol: kind.protocol,
                    },
                    _ => Request::Packet { interface: Some(&interface), protocol: 0 },
                })?
            }
            _ => self.decide(&Request::Ioctl(row))?,
        }
        if !fits {
            return Err(Errno::INVAL.into());
        }
        Ok(self.permit(Ioctl { number, shape: row.shape, argument }))
    }

    /// Judges and encodes control messages.
    pub(crate) fn control(&self, items: Vec<ControlOut<'_>>) -> CallResult<Permit<Control>> {
        use std::os::fd::AsRawFd;

        let mut encoded = Vec::new();
        let mut rights = Vec::new();
        for item in items {
            match item {
                ControlOut::Rights(handles) => {
                    self.decide(&Request::RightsSend)?;
                    let numbers: Vec<u8> = handles
                        .iter()
                        .flat_map(|handle| handle.fd().as_raw_fd().to_ne_bytes())
                        .collect();
                    crate::sys::control::push(
                        &mut encoded,
                        libc::SOL_SOCKET,
                        libc::SCM_RIGHTS,
                        &numbers,
                    );
                    rights.extend(handles);
                }
                // Numbers of the guest's own are not descriptors of this process.
                ControlOut::Message { level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, .. } => {
                    return Err(Errno::INVAL.into());
                }
                ControlOut::Message {
                    level: libc::SOL_SOCKET,
                    kind: libc::SCM_CREDENTIALS,
                    data,
                } => {
                    // man 7 unix: a privileged process may send any ids; the guest's are the host's
                    // own.
                    let ids = match self.would_allow(&Request::CredentialsForge) {
                        true => data.to_vec(),
                        false if data.len() == sys::own_credentials().len() => {
                            sys::own_credentials()
                        }
                        false => return Err(Errno::INVAL.into()),
                    };
                    crate::sys::control::push(
                        &mut encoded,
                        libc::SOL_SOCKET,
                        libc::SCM_CREDENTIALS,
                        &ids,
                    );
                }
                ControlOut::Message { level, kind, data } => {
                    self.decide(&Request::Control { level, number: kind })?;
                    crate::sys::control::push(&mut encoded, level, kind, data);
                }
            }
        }
        Ok(self.permit(Control { encoded, rights }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUPS: [Shape; 3] = [Shape::GroupV4, Shape::GroupV6, Shape::GroupAddress];

    #[test]
    fn a_group_is_found_where_the_kernel_reads_it() {
        let bytes = |bytes: &[u8]| OptionBytes::Bytes(bytes.to_vec());
        assert_eq!(
            group(Shape::GroupV4, &bytes(&[239, 1, 2, 3, 9, 9, 9, 9])),
            Some([239, 1, 2, 3].into())
        );
        let mut request = vec![0; 136];
        request[8..10].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        request[12..16].copy_from_slice(&[239, 1, 2, 3]);
        assert_eq!(group(Shape::GroupAddress, &bytes(&request)), Some([239, 1, 2, 3].into()));
        request[8..10].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        request[16..18].copy_from_slice(&[0xff, 2]);
        assert_eq!(
            group(Shape::GroupAddress, &bytes(&request)),
            Some([0xff02, 0, 0, 0, 0, 0, 0, 0].into())
        );
        request[8] = 1;
        assert_eq!(group(Shape::GroupAddress, &bytes(&request)), None);
        assert_eq!(group(Shape::GroupV6, &OptionBytes::Null(20)), None);
    }

    proptest! {
        #[test]
        fn any_value_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = OptionBytes::Bytes(bytes.clone());
            for shape in GROUPS {
                prop_assert!(group(shape, &value).is_none() || bytes.len() >= 4);
            }
            match program(&value) {
                Ok(OptionBytes::Program(instructions)) => prop_assert_eq!(instructions.len() * 8, bytes.len()),
                Ok(_) => prop_assert!(false, "no program"),
                Err(_) => prop_assert!(bytes.is_empty() || bytes.len() % 8 != 0),
            }
        }
    }
}
