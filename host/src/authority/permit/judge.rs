//! The judge: the only maker of permits. It asks the gate, by the families' rules where they apply.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use rustix::io::Errno;
use sandsock_abi::constants::{CAN_ISOTP_OPTS, CAN_ISOTP_WAIT_TX_DONE, SO_PEEK_OFF, SOL_CAN_ISOTP};
use sandsock_abi::ioctl::{self, Shape as Argument};
use sandsock_abi::option::{self, Access};

use super::value;
use super::{
    Bind, Connect, Contents, Control, Create, Destination, GetOption, Interfaces, Ioctl, Listen,
    OutgoingControl, Permit, Prescribed, ReadHostName, RemoveName, Resolve, ReverseResolve, SendTo,
    SetHostName, SetOption,
};
use crate::authority::budgets;
use crate::authority::family::{self, Family, Use};
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::{Address, SocketKind, UnixAddress};
use crate::descriptor::Handle;
use crate::descriptor::account::Account;
use crate::descriptor::acts::Local;
use crate::descriptor::spending::Beginning;
use crate::descriptor::tls::Served;
use crate::error::{CallResult, Fault};
use crate::sys::address::RawAddress;
use crate::sys::{self, OptionBytes};
use sandsock_policy::{
    Alone, Ancillary, CanInterface, CanRequest, Decision, Denial, Hostname, OptionRequest,
    PacketRequest, Request, TlsRequest, UnixTarget, Verb, destination, normalise_name,
};

/// WIT: an ioctl's argument has at most 4096 bytes.
const IOCTL_MAX: usize = 4096;

/// The policy of one instance, at the moment of a call. The only maker of permits.
pub(crate) struct Judge<'a> {
    pub(super) gate: &'a Gate,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(gate: &'a Gate) -> Self {
        Self { gate }
    }

    /// Whether the guest may change a descriptor: not where other contexts were handed it too.
    pub(crate) fn change(&self, handle: &Handle, what: &str) -> CallResult<()> {
        if !handle.is_common() {
            return Ok(());
        }
        let reason =
            "other instances were handed this descriptor too, and it would change for them";
        let denial = Denial::new(format!("{what} is denied: {reason}"));
        self.gate
            .report(|time| Decision::denied(time, Verb::Inherit.name(), what.to_owned(), &denial));
        Err(denial.into())
    }

    /// Checks what a send may change besides: MSG_FASTOPEN connects, and MSG_MORE leaves a datagram
    /// that later sends continue.
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

    /// Issues a permit.
    pub(super) fn permit<A: Debug>(&self, act: A) -> Permit<A> {
        tracing::trace!(target: "sandsock::permit", "permit: {act:?}");
        Permit { act, generation: self.gate.policy().generation() }
    }

    /// Whether the policy is still the one that gave this permit: if not it must be asked anew
    /// before the act.
    pub(crate) fn is_current<A>(&self, permit: &Permit<A>) -> bool {
        permit.generation == self.gate.policy().generation()
    }

    pub(crate) fn create(
        &self,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> CallResult<Permit<Create>> {
        let policy = self.gate.policy();
        let result = policy.may_create(domain, kind, protocol);
        self.gate.report_answer(
            &policy,
            &result,
            |policy, _| policy.may_create(domain, kind, protocol),
            |time, answer| Decision::of_socket(time, (domain, kind, protocol), answer),
        );
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
        let everywhere = Request::Packet(PacketRequest { interface: None, protocol: asked });
        if asked == 0 || self.gate.grants(&everywhere) { protocol } else { 0 }
    }

    /// After creation: the numbers that the kernel gave it are judged as well. That it is the same
    /// as before needs no telling.
    pub(crate) fn created(&self, kind: SocketKind) -> CallResult<()> {
        let policy = self.gate.policy();
        if let Err(denial) = policy.may_create(kind.family, kind.type_, kind.protocol) {
            let result = Err(denial.clone());
            self.gate.report(|time| {
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
        Family::of(kind.family)?.judge(self.gate, purpose, kind, address)
    }

    pub(crate) fn bind(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<Bind>> {
        let destination = self.destination(Use::Bind(handle), kind, address)?;
        self.countable(handle, destination.account.as_ref())?;
        Ok(self.permit(Bind(self.choose_port(handle, kind, destination)?)))
    }

    /// The name of a UNIX socket, where a bind may make it.
    pub(crate) fn remove_name(&self, path: &[u8]) -> CallResult<Permit<RemoveName>> {
        let (parent, name) = family::unix_name(self.gate, path)?;
        Ok(self.permit(RemoveName { parent, name }))
    }

    pub(crate) fn connect(
        &self,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<Connect>> {
        Ok(self.permit(Connect(self.destination(Use::Connect, kind, address)?)))
    }

    /// Checks a connect of a socket that moves its bytes by `transfers`. With a grant for TLS alone,
    /// only TLS moves bytes on the socket from then on.
    pub(crate) fn connect_socket(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> CallResult<Permit<Connect>> {
        let Some(to) = self.tls_destination(handle, kind, address) else {
            return self.connect(kind, address);
        };
        let request = self.gate.decide_tls(to, TlsRequest::Connect(to))?;
        // Whoever else has the description could send plain bytes.
        let is_own = handle.is_sole() && !handle.is_of_process();
        if !is_own || !handle.open.tls.restrict(to) {
            let reason = format!(
                "tls-connect to {to} is denied: the socket was connected to another address, or \
                 others may have it; make a new socket"
            );
            return Err(self.gate.denied(Verb::TlsConnect, to.to_string(), Denial::new(reason)));
        }
        let destination = Destination::plain(RawAddress::from_ip(to));
        Ok(self.permit(Connect(destination.charged_to(self.gate.account(&request)))))
    }

    /// Returns the destination of a connect that no grant for plain bytes allows, and that one for
    /// TLS does. A socket that was connected for TLS stays one for TLS.
    fn tls_destination(
        &self,
        handle: &Handle,
        kind: SocketKind,
        address: &Address,
    ) -> Option<SocketAddr> {
        let of_tcp = matches!(kind.family, libc::AF_INET | libc::AF_INET6)
            && kind.type_ == libc::SOCK_STREAM
            && kind.protocol == libc::IPPROTO_TCP;
        if !of_tcp {
            return None;
        }
        let to = destination(
            family::to_ip(address).filter(|to| to.is_ipv4() == (kind.family == libc::AF_INET))?,
        );
        if handle.open.tls.only_to().is_some() {
            return Some(to);
        }
        if self.gate.would_allow(&Request::TcpConnect(to)) {
            return None;
        }
        let policy = self.gate.policy();
        let is_for_tls = Gate::tls_requests(TlsRequest::Connect(to)).iter().any(|asked| {
            match self.gate.ask(&policy, asked) {
                Ok(_) => true,
                // The name is looked up once more.
                Err(denial) => denial.expired_name.is_some(),
            }
        });
        is_for_tls.then_some(to)
    }

    /// Checks that plain bytes may move on a description.
    pub(crate) fn plain_bytes(&self, handle: &Handle) -> CallResult<()> {
        if !handle.open.tls.is_set() {
            return Ok(());
        }
        if handle.open.tls.is_attached() {
            return Err(Errno::OPNOTSUPP.into());
        }
        self.grant_of_plain_bytes(handle, handle.open.tls.accepted())
    }

    /// Checks that a description may be left to others. They can move plain bytes on it, and on the
    /// connections that they accept.
    fn passed(&self, handle: &Handle) -> CallResult<()> {
        if handle.open.tls.is_attached() {
            return Err(Errno::OPNOTSUPP.into());
        }
        self.grant_of_plain_bytes(handle, handle.open.tls.accepted())?;
        self.grant_of_plain_bytes(handle, handle.open.tls.served())
    }

    /// Asks for plain bytes where a grant for TLS alone connects or serves.
    pub(crate) fn grant_of_plain_bytes(
        &self,
        handle: &Handle,
        served: Option<Served>,
    ) -> CallResult<()> {
        if let Some(to) = handle.open.tls.only_to() {
            self.gate.decide(&Request::TcpConnect(to))?;
        }
        match served {
            Some(Served { at, is_for_tls: true }) => self.gate.decide(&Request::TcpListen(at)),
            _ => Ok(()),
        }
    }

    /// Denies plain bytes on a socket that moves those of a session.
    pub(crate) fn no_plain_bytes(&self, handle: &Handle) -> Fault {
        match self.plain_bytes(handle) {
            Err(fault) => fault,
            // A rule for plain bytes that came later does not mix them into the session.
            Ok(()) => Errno::OPNOTSUPP.into(),
        }
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
        Family::of(kind.family)?.judge_contents(self.gate, handle, kind, to, &message)?;
        Ok(self.permit(Contents(message)))
    }

    /// Checks a message again if the policy has changed since it was checked.
    pub(crate) fn renew_contents(
        &self,
        permit: &Permit<Contents>,
        handle: &Handle,
        kind: SocketKind,
        to: Option<&Address>,
    ) -> CallResult<()> {
        if self.is_current(permit) {
            return Ok(());
        }
        let bytes = permit.act().bytes();
        Family::of(kind.family)?.judge_contents(self.gate, handle, kind, to, bytes)
    }

    /// A receive, or a wait for input: on a datagram socket that was made without a grant it is the
    /// first act.
    pub(crate) fn input(&self, handle: &Handle) -> CallResult<()> {
        if !handle.is_ungranted() {
            return Ok(());
        }
        let kind = handle.socket()?;
        let policy = self.gate.policy();
        // The socket may have been made while the policy was replaced.
        let granted = policy.has_grant_for(kind.family, kind.type_, kind.protocol);
        if granted || handle.is_reachable() {
            handle.set_ungranted(false);
            return Ok(());
        }
        let denial = policy.no_input(kind.family);
        let verb = if kind.family == libc::AF_UNIX { Verb::UnixBind } else { Verb::UdpReceive };
        self.gate.report(|time| {
            Decision::denied(
                time,
                verb.name(),
                "a socket that is bound nowhere".to_owned(),
                &denial,
            )
        });
        Err(denial.into())
    }

    /// Decides on an implicit bind of the kernel: a UNIX socket with SO_PASSCRED gets a name before
    /// it connects or sends a message.
    pub(crate) fn implicit_name(&self, handle: &Handle) -> CallResult<()> {
        if handle.would_be_named() {
            self.gate.decide(&Request::UnixBind(UnixTarget::Unnamed))?;
            let unnamed = Local::Address(Address::Unix(UnixAddress::Unnamed));
            handle.acts().local.get_or_insert(unnamed);
        }
        Ok(())
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
            Family::of(kind.family)?.judge_listen(self.gate, handle)?;
            self.local_of_listen(handle, kind)?;
        }
        Ok(self.permit(Listen { backlog: backlog.max(0) }))
    }

    /// Begins a connect by a rule with this account or with none.
    pub(crate) fn begin(
        &self,
        handle: &Handle,
        kind: SocketKind,
        account: Option<&Arc<Account>>,
    ) -> CallResult<Beginning> {
        self.countable(handle, account)?;
        let connects = kind.type_ != libc::SOCK_DGRAM;
        Beginning::new(&handle.open, account, connects)
            .map_err(|(account, denial)| budgets::denied(self.gate, &account, denial))
    }

    /// Begins a connect that is permitted, or dissolves the association.
    pub(crate) fn begin_connect(
        &self,
        handle: &Handle,
        kind: SocketKind,
        permit: &Permit<Connect>,
    ) -> CallResult<Beginning> {
        if permit.act().address().family() == Some(libc::AF_UNSPEC) {
            return Ok(Beginning::dissolving(&handle.open));
        }
        self.begin(handle, kind, permit.act().account())
    }

    /// Refuses an account for a description that others may have, who could use it uncounted.
    fn countable(&self, handle: &Handle, account: Option<&Arc<Account>>) -> CallResult<()> {
        let Some(account) = account.filter(|_| !handle.is_sole()) else { return Ok(()) };
        let rule = account.rule();
        let denial = Denial::new(format!(
            "the rule {rule} has a budget, and this descriptor was sent to others or came from \
             them, who could use it uncounted; use a new socket"
        ));
        if account.passes(&denial) {
            return Ok(());
        }
        Err(budgets::denied(self.gate, account, denial))
    }

    /// Returns the account of what comes to a socket that listens.
    pub(crate) fn account_to_listen(
        &self,
        handle: &Handle,
        kind: SocketKind,
    ) -> CallResult<Option<Arc<Account>>> {
        let account = match kind.family {
            // It is that of the bind.
            libc::AF_UNIX => handle.open.spending.local(),
            libc::AF_INET | libc::AF_INET6 => family::listening_account(self.gate, handle),
            _ => None,
        };
        self.countable(handle, account.as_ref())?;
        Ok(account)
    }

    /// After a bind: what the kernel has chosen.
    pub(crate) fn bound(&self, handle: &Handle, kind: SocketKind) -> CallResult<()> {
        Family::of(kind.family)?.judge_bound(self.gate, handle, kind)
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
        Family::of(kind.family)?.judge_listen(self.gate, handle)
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
        self.gate.decide(&Request::Option(OptionRequest::Get { family, level, number: name }))?;
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
        if (level, name) == (libc::SOL_SOCKET, SO_PEEK_OFF) && self.gate.has_budgets() {
            let reason = "option SOL_SOCKET/SO_PEEK_OFF is denied: the policy has budgets, which count peeks from the head of the queue";
            let denial = Denial::new(reason.to_owned());
            let target = "SOL_SOCKET/SO_PEEK_OFF";
            if self.gate.policy().enforced().is_none() {
                return Err(self.gate.denied(Verb::Option, target, denial));
            }
            self.gate.report_passed(Verb::Option, || target.to_owned(), |_| Some(denial));
        }
        let datagram = !matches!(kind.type_, libc::SOCK_STREAM | libc::SOCK_SEQPACKET);
        self.gate.decide(&Request::Option(OptionRequest::Set {
            family: kind.family,
            level,
            number: name,
            datagram,
        }))?;
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
            Some(row) => value::judged(self.gate, handle, kind, row, value)?,
            None => value,
        };
        Ok(self.permit(SetOption { level, name, value }))
    }

    /// A value that `wasi:sockets` prescribes for an option of its own sockets. No grant is about it.
    pub(crate) fn prescribed(&self, option: Prescribed) -> Permit<SetOption> {
        let (level, name) = match option {
            Prescribed::V6Only => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
            Prescribed::ReuseAddress => (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        };
        let value = OptionBytes::Bytes(1i32.to_ne_bytes().to_vec());
        self.permit(SetOption { level, name, value })
    }

    /// `search` gives the domains of the resolver's search list.
    pub(crate) fn resolve(
        &self,
        host: &str,
        search: impl FnOnce() -> Result<Vec<String>, Errno>,
    ) -> CallResult<Permit<Resolve>> {
        self.gate.decide(&Request::Resolve(host))?;
        let name = normalise_name(host).map_err(|_| Errno::INVAL)?.into_owned();
        // IDNA: the other characters that part labels.
        let whole = host.ends_with(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
        let policy = self.gate.policy();
        let searched = !whole && policy.grants_label(&name);
        if searched && policy.denies_names() {
            let candidates: Vec<_> =
                search()?.into_iter().map(|domain| format!("{name}.{domain}")).collect();
            self.other_names(&name, &candidates)?;
        }
        Ok(self.permit(Resolve { name, whole, searched }))
    }

    /// Judges other names of one that may be looked up: what a search list makes of it, canonical
    /// names, aliases.
    pub(crate) fn other_names(&self, name: &str, others: &[String]) -> CallResult<()> {
        for other in others {
            if let Err(denial) = self.gate.policy().judge_other_name(name, other) {
                self.gate.report(|time| {
                    Decision::denied(time, Verb::Resolve.name(), other.clone(), &denial)
                });
                return Err(denial.into());
            }
        }
        Ok(())
    }

    pub(crate) fn reverse_resolve(&self, address: IpAddr) -> CallResult<Permit<ReverseResolve>> {
        self.gate.decide(&Request::ReverseResolve(address))?;
        Ok(self.permit(ReverseResolve { address }))
    }

    pub(crate) fn interfaces(&self) -> CallResult<Permit<Interfaces>> {
        self.gate.decide(&Request::Interfaces(Alone))?;
        Ok(self.permit(Interfaces))
    }

    /// To look up one interface's name or index: who may use it knows it.
    pub(crate) fn interface(&self, name: &str) -> CallResult<Permit<Interfaces>> {
        let policy = self.gate.policy();
        if policy.enforced().unwrap_or(&policy).names_interface(name) {
            Ok(self.permit(Interfaces))
        } else {
            self.interfaces()
        }
    }

    pub(crate) fn read_host_name(&self) -> CallResult<Permit<ReadHostName>> {
        self.gate.decide(&Request::Hostname(Hostname::Read))?;
        Ok(self.permit(ReadHostName))
    }

    pub(crate) fn set_host_name(&self, name: Vec<u8>) -> CallResult<Permit<SetHostName>> {
        self.gate.decide(&Request::Hostname(Hostname::Set))?;
        Ok(self.permit(SetHostName { name }))
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
            libc::AF_PACKET | libc::AF_CAN => value::named_interface(handle, row.name, &argument)?,
            _ => None,
        };
        // Addresses hold numbers, and people write names: whose frames are granted may be asked for
        // by both.
        match named {
            Some(interface) if self.gate.lacks_grant(&Request::Ioctl(row)) => {
                self.gate.decide(&match kind.family {
                    libc::AF_CAN => Request::Can(CanRequest {
                        interface: CanInterface::Name(&interface),
                        protocol: kind.protocol,
                    }),
                    _ => {
                        Request::Packet(PacketRequest { interface: Some(&interface), protocol: 0 })
                    }
                })?
            }
            _ => self.gate.decide(&Request::Ioctl(row))?,
        }
        if !fits {
            return Err(Errno::INVAL.into());
        }
        Ok(self.permit(Ioctl { number, shape: row.shape, argument }))
    }

    /// Refuses to pass on a descriptor that a budget counts. Its next holder would use it uncounted.
    fn passes(&self, handle: &Handle) -> CallResult<()> {
        let Some(account) = handle.open.spending.account() else { return Ok(()) };
        let rule = account.rule();
        let denial = Denial::new(format!(
            "sending this descriptor is denied: the rule {rule} has a budget, and nobody would \
             count what its receiver does"
        ));
        budgets::refuse(self.gate, &account, (Verb::Ancillary, "rights:send"), denial)
    }

    /// Judges and encodes control messages.
    pub(crate) fn control(&self, items: Vec<OutgoingControl<'_>>) -> CallResult<Permit<Control>> {
        let mut encoded = Vec::new();
        let mut rights = Vec::new();
        let mut options = Vec::new();
        for item in items {
            match item {
                OutgoingControl::Rights(handles) => {
                    self.gate.decide(&Request::Ancillary(Ancillary::RightsSend))?;
                    for handle in &handles {
                        self.passed(handle)?;
                        self.passes(handle)?;
                    }
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
                OutgoingControl::Message {
                    level: libc::SOL_SOCKET,
                    kind: libc::SCM_RIGHTS,
                    ..
                } => {
                    return Err(Errno::INVAL.into());
                }
                OutgoingControl::Message {
                    level: libc::SOL_SOCKET,
                    kind: libc::SCM_CREDENTIALS,
                    data,
                } => {
                    // man 7 unix: a privileged process may send any ids; the guest's are the host's
                    // own.
                    let ids =
                        match self.gate.grants(&Request::Ancillary(Ancillary::CredentialsForge)) {
                            true => {
                                options.push((libc::SOL_SOCKET, libc::SCM_CREDENTIALS));
                                data.to_vec()
                            }
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
                OutgoingControl::Message { level, kind, data } => {
                    self.gate
                        .decide(&Request::Option(OptionRequest::Control { level, number: kind }))?;
                    options.push((level, kind));
                    crate::sys::control::push(&mut encoded, level, kind, data);
                }
            }
        }
        Ok(self.permit(Control { encoded, rights, options }))
    }

    /// Checks control messages again if the policy has changed since they were checked.
    pub(crate) fn renew_control(&self, permit: &Permit<Control>) -> CallResult<()> {
        if self.is_current(permit) {
            return Ok(());
        }
        if !permit.act().rights().is_empty() {
            self.gate.decide(&Request::Ancillary(Ancillary::RightsSend))?;
            for handle in permit.act().rights() {
                self.passed(handle)?;
            }
        }
        for &(level, number) in permit.act().options() {
            self.gate.decide(&match (level, number) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    Request::Ancillary(Ancillary::CredentialsForge)
                }
                _ => Request::Option(OptionRequest::Control { level, number }),
            })?;
        }
        Ok(())
    }
}
