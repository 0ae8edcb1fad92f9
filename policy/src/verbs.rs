//! The verbs: what a rule can allow or deny.
//!
//! The list below has one row a verb. The rest of a verb is its file in `verbs/`, which implements
//! [`Capability`]. The macro in `verbs/list.rs` makes everything that has one part a verb.

#[macro_use]
mod list;

pub(crate) mod ancillary;
pub(crate) mod can;
pub(crate) mod family;
pub(crate) mod hostname;
pub(crate) mod inherit;
pub(crate) mod interfaces;
pub(crate) mod ioctl;
pub(crate) mod multicast;
pub(crate) mod netlink;
pub(crate) mod option;
pub(crate) mod packet;
pub(crate) mod raw;
pub(crate) mod resolve;
pub(crate) mod reverse_resolve;
pub(crate) mod tcp_connect;
pub(crate) mod tcp_listen;
pub(crate) mod tls_connect;
pub(crate) mod tls_identity;
pub(crate) mod tls_insecure;
pub(crate) mod tls_listen;
mod tls_remote;
pub(crate) mod tls_upgrade;
pub(crate) mod udp_bind;
pub(crate) mod udp_receive;
pub(crate) mod udp_send;
pub(crate) mod unix_bind;
pub(crate) mod unix_connect;
mod unix_paths;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option::SocketOption;

use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query, decide};
use crate::denial::{Allowed, Denial};
use crate::endpoints::LocalAddress;
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern};
use crate::index::{Endpoints, RuleId};
use crate::name::ResolvePattern;
use crate::path::UnixPattern;
use crate::pins::Pins;
use crate::policy::Policy;
use crate::rule::Rule;
use crate::rules::VerbRules;
use crate::sets::BuiltSets;
use crate::terms::{BudgetId, Terms, TlsTerms};
use crate::unix::{RealPath, UnixTarget};
use crate::verbs::ancillary::Ancillary;
use crate::verbs::can::{CanPattern, CanRequest};
use crate::verbs::family::{FamilyPattern, FamilyTarget};
use crate::verbs::hostname::Hostname;
use crate::verbs::inherit::DescriptorNumber;
use crate::verbs::interfaces::Alone;
use crate::verbs::multicast::MulticastPattern;
use crate::verbs::netlink::{NetlinkPattern, NetlinkRequest};
use crate::verbs::option::OptionRequest;
use crate::verbs::packet::{PacketPattern, PacketRequest};
use crate::verbs::raw::{RawPattern, RawRequest};
use crate::verbs::tls_identity::IdentityName;
pub use crate::verbs::tls_remote::TlsRequest;

// word => file: Verb(what a rule names, what a guest asks for)
verbs! {
    "tcp-connect" => tcp_connect: TcpConnect(EndpointPattern, SocketAddr),
    "tcp-listen" => tcp_listen: TcpListen(EndpointPattern, LocalAddress),
    "tls-connect" => tls_connect: TlsConnect(EndpointPattern, TlsRequest<'a>),
    "tls-listen" => tls_listen: TlsListen(EndpointPattern, LocalAddress),
    "tls-insecure" => tls_insecure: TlsInsecure(EndpointPattern, TlsRequest<'a>),
    "tls-upgrade" => tls_upgrade: TlsUpgrade(EndpointPattern, TlsRequest<'a>),
    "tls-identity" => tls_identity: TlsIdentity(IdentityName, &'a str),
    "udp-bind" => udp_bind: UdpBind(EndpointPattern, LocalAddress),
    "udp-send" => udp_send: UdpSend(EndpointPattern, SocketAddr),
    "udp-receive" => udp_receive: UdpReceive(EndpointPattern, SocketAddr),
    "unix-connect" => unix_connect: UnixConnect(UnixPattern, UnixTarget<'a>),
    "unix-bind" => unix_bind: UnixBind(UnixPattern, UnixTarget<'a>),
    "can" => can: Can(CanPattern, CanRequest<'a>),
    "family" => family: Family(FamilyPattern, FamilyTarget<'a>),
    "resolve" => resolve: Resolve(ResolvePattern, &'a str),
    "reverse-resolve" => reverse_resolve: ReverseResolve(HostPattern, IpAddr),
    "interfaces" => interfaces: Interfaces(Alone, Alone),
    "hostname" => hostname: Hostname(Hostname, Hostname),
    "option" => option: Option(&'static SocketOption, OptionRequest),
    "ancillary" => ancillary: Ancillary(Ancillary, Ancillary),
    "inherit" => inherit: Inherit(DescriptorNumber, DescriptorNumber),
    "raw" => raw: Raw(RawPattern, RawRequest),
    "packet" => packet: Packet(PacketPattern, PacketRequest<'a>),
    "netlink" => netlink: Netlink(NetlinkPattern, NetlinkRequest<'a>),
    "multicast" => multicast: Multicast(MulticastPattern, Option<IpAddr>),
    "ioctl" => ioctl: Ioctl(&'static Ioctl, &'static Ioctl),
}

impl Verb {
    /// Returns this verb's row.
    pub fn info(self) -> &'static VerbInfo {
        &Self::TABLE[self as usize]
    }

    /// Returns this verb's word.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns whether a rule of this verb has no target.
    pub fn stands_alone(self) -> bool {
        self.info().examples.is_empty()
    }

    /// Returns rules of this verb that allow, as examples.
    pub(crate) fn examples(self) -> Vec<String> {
        let info = self.info();
        if info.examples.is_empty() {
            return vec![info.name.to_owned()];
        }
        let required = Terms::required(self);
        let term = required.map(|term| format!(";{}={}", term.name, term.example));
        let term = term.unwrap_or_default();
        info.examples.iter().map(|target| format!("{}={target}{term}", info.name)).collect()
    }

    /// Returns the verb of a word.
    pub(crate) fn by_name(word: &str) -> Option<Self> {
        Self::TABLE.iter().find(|info| info.name == word).map(|info| info.verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Grant {
    /// Returns the host that this rule is about. None if it is about something else.
    pub(crate) fn host(&self) -> Option<&HostPattern> {
        match self {
            Self::TcpConnect(pattern)
            | Self::TcpListen(pattern)
            | Self::TlsConnect(pattern)
            | Self::TlsListen(pattern)
            | Self::TlsInsecure(pattern)
            | Self::TlsUpgrade(pattern)
            | Self::UdpBind(pattern)
            | Self::UdpSend(pattern)
            | Self::UdpReceive(pattern)
            | Self::Raw(RawPattern::Packets(pattern))
            | Self::Multicast(MulticastPattern(pattern)) => Some(&pattern.host),
            Self::ReverseResolve(host) => Some(host),
            _ => None,
        }
    }

    /// As [`host`](Self::host), to be changed.
    pub(crate) fn host_mut(&mut self) -> Option<&mut HostPattern> {
        match self {
            Self::TcpConnect(pattern)
            | Self::TcpListen(pattern)
            | Self::TlsConnect(pattern)
            | Self::TlsListen(pattern)
            | Self::TlsInsecure(pattern)
            | Self::TlsUpgrade(pattern)
            | Self::UdpBind(pattern)
            | Self::UdpSend(pattern)
            | Self::UdpReceive(pattern)
            | Self::Raw(RawPattern::Packets(pattern))
            | Self::Multicast(MulticastPattern(pattern)) => Some(&mut pattern.host),
            Self::ReverseResolve(host) => Some(host),
            _ => None,
        }
    }
}

impl Rules {
    /// Returns a rule's text.
    pub(crate) fn text(&self, rule: RuleId) -> &str {
        self.texts.get(rule as usize).map_or("", |text| text)
    }

    /// Returns the budget that an act by a rule is charged to.
    pub(crate) fn budget(&self, rule: RuleId) -> Option<BudgetId> {
        self.budgets.get(rule as usize).copied().flatten()
    }

    /// Returns how a rule wants TLS to be.
    pub(crate) fn tls(&self, rule: RuleId) -> Option<&TlsTerms> {
        self.rules.get(rule as usize)?.terms.tls.as_ref()
    }

    /// Numbers the budgets in the order of their rules.
    fn number_budgets(rules: &[Rule]) -> Vec<Option<BudgetId>> {
        let mut ids = (0..).map(BudgetId);
        let of_rule = |rule: &Rule| rule.terms.budget.as_ref().and_then(|_| ids.next());
        let numbered: Vec<_> = rules.iter().map(of_rule).collect();
        if numbered.iter().all(Option::is_none) { Vec::new() } else { numbered }
    }
}

impl Policy {
    /// Decides on a request.
    ///
    /// `now` is the time of the request. A pin that allows the request is used at that time. An
    /// allowed request allocates nothing.
    ///
    /// # Errors
    ///
    /// The denial. If it has an `expired_name`, the caller may look that name up, pin the answers
    /// and ask once more.
    pub fn decide(
        &self,
        request: &Request<'_>,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let allowed = request.decide(&Query::new(self, pins, now))?;
        for kept in &self.restrictions {
            if let Err(denial) = request.decide(&Query::new(kept, pins, now)) {
                return Err(Denial::given_up(request.what(), denial));
            }
        }
        Ok(allowed)
    }
}
