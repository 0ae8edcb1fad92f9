//! What the verbs about addresses with a port have in common: `tcp-*`, `udp-*`, and `raw`, which
//! has the protocol in place of the port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::address::{canonical, destination};
use crate::decide::{Query, decide};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern};
use crate::index::{Endpoints, NameRank, Ports, RuleId};
use crate::name::{NamePattern, ends_in_number};
use crate::pins::Pin;
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::verbs::{Verb, verb};

/// A local address for a bind or a listen, and what the kernel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: SocketAddr,
    /// Whether the socket has IPV6_V6ONLY, so that the wildcard `::` leaves IPv4 alone.
    pub v6only: bool,
    /// Whether the kernel chose the port, so that a grant of port 0 covers it. Deny rules are asked
    /// about the port that it chose.
    pub kernel_chosen: bool,
    /// The address that the socket has on the host, if `address` is published.
    pub published: Option<SocketAddr>,
}

impl From<SocketAddr> for LocalAddress {
    /// The strictest reading: dual-stack, and the guest chose the port.
    fn from(address: SocketAddr) -> Self {
        Self { address, v6only: false, kernel_chosen: false, published: None }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The rules about local addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalIndex {
    pub(crate) all: Endpoints,
    /// The rules that name some ports and not every one.
    pub(crate) of_some_ports: Endpoints,
}

/// Makes the index of rules about addresses with a port.
pub(crate) fn index(rules: &VerbRules<'_, EndpointPattern>) -> Endpoints {
    Endpoints::build(rules.rules.iter().copied(), rules.sets)
}

/// Makes the index of rules about local addresses.
pub(crate) fn local_index(rules: &VerbRules<'_, EndpointPattern>) -> LocalIndex {
    let some_ports = rules.rules.iter().filter(|(_, pattern)| pattern.ports != PortRange::ANY);
    LocalIndex {
        all: index(rules),
        of_some_ports: Endpoints::build(some_ports.copied(), rules.sets),
    }
}

/// Parses a destination. The unspecified address is refused, because it would silently stand for
/// the loopback.
pub(crate) fn parse_remote(target: &str) -> Result<EndpointPattern, ParseError> {
    let pattern = EndpointPattern::parse(target)?;
    match &pattern.host {
        HostPattern::Net(net)
            if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len() =>
        {
            Err(ParseError::new(
                0,
                format!("{} is not a destination", net.addr()),
                "it is judged as the loopback: write 127.0.0.1 or [::1], or `*` for any address",
            ))
        }
        HostPattern::Any | HostPattern::Net(_) | HostPattern::Name(_) | HostPattern::Set(_) => {
            Ok(pattern)
        }
    }
}

/// Parses a local address. A name is refused, because a name server would choose where to listen.
/// Only the builder knows whether a name of one label is a set.
pub(crate) fn parse_local(target: &str) -> Result<EndpointPattern, ParseError> {
    let pattern = EndpointPattern::parse(target)?;
    match &pattern.host {
        HostPattern::Name(name) if pattern.host.word().is_none() => Err(local_name(name)),
        HostPattern::Any | HostPattern::Net(_) | HostPattern::Name(_) | HostPattern::Set(_) => {
            Ok(pattern)
        }
    }
}

/// Returns the error for a name where only an address of this host can stand.
pub(crate) fn local_name(name: &NamePattern) -> ParseError {
    ParseError::new(
        0,
        format!("`{name}` is a name"),
        "write an address of this host, as in 127.0.0.1:8000, [::1]:8000 or *:8000, or a set",
    )
}

/// A rule that allows an address by a name.
struct Named<'q> {
    rank: NameRank,
    ports: Ports,
    /// The pin by which the name has the address. None if `--resolve` says so.
    pin: Option<&'q Pin>,
}

/// The address and the port by which rules judge a destination.
fn judged(given: SocketAddr) -> (IpAddr, u16) {
    let judged = destination(given);
    (canonical(judged.ip()), judged.port())
}

impl<'p, 'q> Query<'p, 'q> {
    /// Returns the deny rule about an address, by itself or by a name that has it. An expired pin
    /// counts: it makes nothing less denied.
    pub(crate) fn denied_at(&self, deny: &Endpoints, address: IpAddr, port: u16) -> Option<Ports> {
        if deny.is_empty() {
            return None;
        }
        let by_name = || {
            if deny.names.is_empty() {
                return None;
            }
            let fixed = self
                .policy
                .fixed_names(address)
                .iter()
                .find_map(|name| deny.names.find(name, port));
            fixed.or_else(|| {
                self.pins_at(address)
                    .iter()
                    .find_map(|pin| pin.any_name(|name| deny.names.find(name, port)))
            })
        };
        deny.touching(address, port).or_else(by_name)
    }

    /// Returns the most specific rule that allows an address by a name that has it, and the pin by
    /// which it has it.
    ///
    /// # Errors
    ///
    /// The expired pin by which a rule would allow the address, if there is one.
    fn named_at(
        &self,
        allow: &Endpoints,
        address: IpAddr,
        port: u16,
    ) -> Result<Named<'q>, Option<&'q Pin>> {
        if allow.names.is_empty() {
            return Err(None);
        }
        let fixed = self.policy.fixed_names(address).iter();
        let fixed = fixed.filter_map(|name| Some((allow.names.find_ranked(name, port)?, None)));
        // A name alone does not open a private address.
        let pins = if self.policy.is_private(address) { &[] } else { self.pins_at(address) };
        let mut expired = None;
        let pinned = pins.iter().filter_map(|pin| {
            let found = allow.names.find_ranked(pin.name(), port)?;
            if self.is_fresh(pin) {
                return Some((found, Some(pin)));
            }
            expired = Some(pin);
            None
        });
        let best = fixed.chain(pinned).min_by_key(|((rank, _), _)| *rank);
        best.map(|((rank, ports), pin)| Named { rank, ports, pin }).ok_or(expired)
    }

    /// Returns the most specific rule that allows an address: by the address or its network, by a
    /// name, by a set, or by `*`, in this order. It uses the name's pin.
    pub(crate) fn allowed_at(
        &self,
        allow: &Endpoints,
        address: IpAddr,
        port: u16,
    ) -> Option<RuleId> {
        if let Some(found) = allow.near(address, port) {
            return Some(found.rule);
        }
        let named = self.named_at(allow, address, port).ok();
        let by_set = || allow.in_set(address, port);
        match named {
            Some(named) => match by_set().filter(|found| named.rank.follows(*found)) {
                Some(found) => Some(found.rule),
                None => {
                    if let Some(pin) = named.pin {
                        self.touch(pin);
                    }
                    Some(named.ports.rule)
                }
            },
            None => allow.at(address, port).map(|found| found.rule),
        }
    }

    /// Returns the granted name that had the address until its pin expired, if it may be looked up.
    pub(crate) fn expired_name(
        &self,
        allow: &Endpoints,
        address: IpAddr,
        port: u16,
    ) -> Option<String> {
        let pin = self.named_at(allow, address, port).err().flatten()?;
        decide::<verb::Resolve>(self, pin.name()).is_ok().then(|| pin.name().to_owned())
    }

    /// Returns the rule that denies a destination.
    pub(crate) fn remote_denied(&self, deny: &Endpoints, given: SocketAddr) -> Option<&'p str> {
        let (address, port) = judged(given);
        let found = self.denied_at(deny, address, port).or_else(|| {
            if destination(given) == given {
                None
            } else {
                deny.touching(canonical(given.ip()), port)
            }
        })?;
        Some(self.policy.deny.text(found.rule))
    }

    /// Returns the rule that allows a destination.
    pub(crate) fn remote_allowed(
        &self,
        allow: &Endpoints,
        given: SocketAddr,
    ) -> Option<Allowed<'p>> {
        let (address, port) = judged(given);
        self.allowed_at(allow, address, port).map(|rule| self.policy.by(rule))
    }

    /// Returns the denial of a destination that no rule allows. If the guest looked up a name for
    /// the address, and a rule by that name is enough, the denial names the grant by name.
    pub(crate) fn remote_missing(
        &self,
        verb: Verb,
        allow: &Endpoints,
        given: SocketAddr,
    ) -> Denial {
        let (address, port) = judged(given);
        let fixed = self.policy.fixed_names(address).first().map(|name| &**name);
        let pinned = || {
            self.pins_at(address)
                .first()
                .filter(|_| !self.policy.is_private(address))
                .map(Pin::name)
        };
        // No rule can name what resolvers may read as an address.
        let name = fixed.or_else(pinned).filter(|name| !ends_in_number(name));
        let (grant, of_name) = match name {
            Some(name) => (format!("{verb}={name}:{port}"), format!(" ({name})")),
            None => {
                let target = address_target(SocketAddr::new(address, port));
                (format!("{verb}={target}"), String::new())
            }
        };
        let mut denial = Denial::missing(format!("{verb} to {given}{of_name}"), Some(grant));
        denial.expired_name = self.expired_name(allow, address, port);
        denial
    }

    /// Returns the rule that denies a local address: the one that the guest sees, or the one that
    /// the socket has on the host.
    pub(crate) fn local_denied(&self, deny: &LocalIndex, local: LocalAddress) -> Option<&'p str> {
        let denied = |address, port| denied_local(&deny.all, address, port, local.v6only);
        let (address, port) = (canonical(local.address.ip()), local.address.port());
        let on_host = || local.published.and_then(|host| denied(canonical(host.ip()), host.port()));
        let found = denied(address, port)
            .or_else(|| denied(address, asked_port(local)))
            .or_else(on_host)?;
        Some(self.policy.deny.text(found.rule))
    }

    /// Returns what allows a local address: its publication, or a rule.
    pub(crate) fn local_allowed(
        &self,
        verb: Verb,
        allow: &LocalIndex,
        local: LocalAddress,
    ) -> Option<Allowed<'p>> {
        // If the host's port is given as 0, the kernel chose it at the bind.
        let is_bound = |host: SocketAddr, bound: SocketAddr| {
            host.ip() == bound.ip() && (host.port() == bound.port() || host.port() == 0)
        };
        let published = self.policy.published.find(verb, local.address);
        if let Some((_, rule)) = published
            .filter(|(host, _)| local.published.is_some_and(|bound| is_bound(*host, bound)))
        {
            return Some(Allowed::by(rule));
        }
        let address = canonical(local.address.ip());
        let allowed = |port| match address {
            IpAddr::V4(v4) if v4.is_unspecified() => allow.all.wildcard_v4(port),
            IpAddr::V6(v6) if v6.is_unspecified() => allow.all.wildcard_v6(port, !local.v6only),
            address => allow.all.at(address, port),
        };
        let found = allowed(asked_port(local)).or_else(|| allowed(local.address.port()))?;
        Some(self.policy.by(found.rule))
    }
}

/// The port that the guest asked for: 0 if the kernel chose it.
fn asked_port(local: LocalAddress) -> u16 {
    if local.kernel_chosen { 0 } else { local.address.port() }
}

/// Returns the target of the rule that allows a local address.
pub(crate) fn local_target(local: LocalAddress) -> String {
    address_target(SocketAddr::new(local.address.ip(), asked_port(local)))
}

/// Returns the deny rule about a local address, or about any address that a wildcard takes in.
pub(crate) fn denied_local(
    deny: &Endpoints,
    address: IpAddr,
    port: u16,
    v6only: bool,
) -> Option<Ports> {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => deny.any_v4(port),
        IpAddr::V6(v6) if v6.is_unspecified() => {
            deny.any_v6(port).or_else(|| if v6only { None } else { deny.any_v4(port) })
        }
        address => deny.touching(address, port),
    }
}

/// Returns the target of the rule that allows an address, without its zone: no rule has one.
pub(crate) fn address_target(address: SocketAddr) -> String {
    SocketAddr::new(canonical(address.ip()), address.port()).to_string()
}
