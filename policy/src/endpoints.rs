//! Decisions on addresses with a port: connects, binds, and datagrams that come in.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::address::{canonical, destination, is_private};
use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::index::{Endpoints, Ports, RuleId};
use crate::name::ends_in_number;
use crate::pins::{Pin, Pins};
use crate::policy::Policy;
use crate::request::{LocalAddress, Request};
use crate::verbs::Verb;
use crate::verbs::raw;

impl Policy {
    /// The deny rule about an address, by itself or by a name that has it. An expired pin counts:
    /// it makes nothing less denied.
    pub(crate) fn denied_at(
        &self,
        deny: &Endpoints,
        address: IpAddr,
        port: u16,
        pins: &Pins,
    ) -> Option<Ports> {
        if deny.is_empty() {
            return None;
        }
        let by_name = || {
            if deny.names.is_empty() {
                return None;
            }
            let fixed =
                self.fixed_names(address).iter().find_map(|name| deny.names.find(name, port));
            fixed.or_else(|| {
                pins.at(address)
                    .iter()
                    .find_map(|pin| pin.any_name(|name| deny.names.find(name, port)))
            })
        };
        deny.touching(address, port).or_else(by_name)
    }
    /// The rule that allows an address by a name that has it, and the pin by which it has it.
    pub(crate) fn named_at<'a>(
        &self,
        allow: &Endpoints,
        address: IpAddr,
        port: u16,
        pins: &'a Pins,
        now: Instant,
    ) -> Result<(RuleId, Option<&'a Pin>), Option<&'a Pin>> {
        if allow.names.is_empty() {
            return Err(None);
        }
        if let Some(found) =
            self.fixed_names(address).iter().find_map(|name| allow.names.find(name, port))
        {
            return Ok((found.rule, None));
        }
        // A name's own word is not enough for an address inside.
        if is_private(address) {
            return Err(None);
        }
        let mut expired = None;
        for pin in pins.at(address) {
            if let Some(found) = allow.names.find(pin.name(), port) {
                if pins.is_fresh(pin, now) {
                    return Ok((found.rule, Some(pin)));
                }
                expired = Some(pin);
            }
        }
        Err(expired)
    }
    /// Decides on a connect or a send.
    pub(crate) fn remote(
        &self,
        request: &Request<'_>,
        given: SocketAddr,
        allow: &Endpoints,
        deny: &Endpoints,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let judged = destination(given);
        let (address, port) = (canonical(judged.ip()), judged.port());
        let denied = self.denied_at(deny, address, port, pins).or_else(|| {
            if judged == given { None } else { deny.touching(canonical(given.ip()), port) }
        });
        if let Some(rule) = denied {
            return Err(Denial::by_rule(
                format_args!("{} to {request}", request.verb()),
                self.deny.text(rule.rule),
            ));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        if let Some(found) = allow.at(address, port) {
            return Ok(self.by(found.rule));
        }
        let expired = match self.named_at(allow, address, port, pins, now) {
            Ok((rule, pin)) => {
                if let Some(pin) = pin {
                    pins.touch(pin, now);
                }
                return Ok(self.by(rule));
            }
            Err(expired) => expired,
        };
        // A guest that asked by name is told the grant by name, where a name's word is enough.
        let fixed = self.fixed_names(address).first().map(|name| &**name);
        let pinned = || pins.at(address).first().filter(|_| !is_private(address)).map(Pin::name);
        // No rule can name what resolvers may read as an address.
        let name = fixed.or_else(pinned).filter(|name| !ends_in_number(name));
        let (grant, asked) = match (request, name) {
            // Beyond 8 bits there is no protocol of IP that a rule could name.
            (Request::RawSend(_), _) => {
                let packet = raw::show_packet(SocketAddr::new(address, port));
                (
                    u8::try_from(port).is_ok().then(|| format!("{}={packet}", Verb::Raw)),
                    String::new(),
                )
            }
            (request, Some(name)) => {
                (Some(format!("{}={name}:{port}", request.verb())), format!(" ({name})"))
            }
            (request, None) => (
                Some(endpoint_grant(request.verb(), SocketAddr::new(address, port))),
                String::new(),
            ),
        };
        let mut denial = Denial::missing(format!("{} to {request}{asked}", request.verb()), grant);
        denial.expired_name =
            expired.map(|pin| pin.name().to_owned()).filter(|name| self.resolve(name).is_ok());
        Err(denial)
    }
    /// Decides on a bind or a listen.
    pub(crate) fn local(
        &self,
        request: &Request<'_>,
        local: LocalAddress,
        allow: &Endpoints,
        deny: &Endpoints,
    ) -> Result<Allowed<'_>, Denial> {
        let (address, port) = (canonical(local.address.ip()), local.address.port());
        // Where the kernel chose the port, the guest asked for port 0.
        let asked = if local.kernel_chosen { 0 } else { port };
        let denied = |address, port| denied_local(deny, address, port, local.v6only);
        let allowed = |port| match address {
            IpAddr::V4(v4) if v4.is_unspecified() => allow.wildcard_v4(port),
            IpAddr::V6(v6) if v6.is_unspecified() => allow.wildcard_v6(port, !local.v6only),
            address => allow.at(address, port),
        };
        let what = || format!("{} on {request}", request.verb());
        let in_truth =
            || local.published.and_then(|host| denied(canonical(host.ip()), host.port()));
        if let Some(rule) =
            denied(address, port).or_else(|| denied(address, asked)).or_else(in_truth)
        {
            return Err(Denial::by_rule(what(), self.deny.text(rule.rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        // With port 0 for the host the kernel chose it, at the bind.
        let stands = |host: SocketAddr, truth: SocketAddr| {
            host.ip() == truth.ip() && (host.port() == truth.port() || host.port() == 0)
        };
        let published = self.published.find(request.verb(), local.address);
        if let Some((_, rule)) =
            published.filter(|(host, _)| local.published.is_some_and(|truth| stands(*host, truth)))
        {
            return Ok(Allowed { rule: Some(rule) });
        }
        match allowed(asked).or_else(|| allowed(port)) {
            Some(found) => Ok(self.by(found.rule)),
            None => Err(Denial::missing(
                what(),
                Some(endpoint_grant(request.verb(), SocketAddr::new(address, asked))),
            )),
        }
    }
    /// Whether a datagram from `source` may be returned: `udp-receive` names it, or `udp-send`
    /// does, whose replies it is then.
    ///
    /// This is for the path of every datagram: it never allocates.
    pub fn udp_source_allowed(&self, source: SocketAddr, pins: &Pins, now: Instant) -> bool {
        let (address, port) = (canonical(source.ip()), source.port());
        if self.denied_at(&self.deny.udp_receive, address, port, pins).is_some() {
            return false;
        }
        self.everything || self.source_rule(address, port, pins, now).is_some()
    }
    /// The rule that lets a datagram in, its pin touched.
    fn source_rule(&self, address: IpAddr, port: u16, pins: &Pins, now: Instant) -> Option<RuleId> {
        let held = |rules: &Endpoints| {
            if let Some(found) = rules.at(address, port) {
                return Some(found.rule);
            }
            let (rule, pin) = self.named_at(rules, address, port, pins, now).ok()?;
            if let Some(pin) = pin {
                pins.touch(pin, now);
            }
            Some(rule)
        };
        held(&self.allow.udp_receive).or_else(|| {
            // Who may not be sent to has nothing to reply to.
            let send = &self.deny.udp_send;
            if self.denied_at(send, address, port, pins).is_some() {
                None
            } else {
                held(&self.allow.udp_send)
            }
        })
    }
    /// As `udp_source_allowed`, with the reason; none where a grant is missing.
    pub(crate) fn source(
        &self,
        source: SocketAddr,
        pins: &Pins,
        now: Instant,
    ) -> Option<Result<Allowed<'_>, Denial>> {
        let (address, port) = (canonical(source.ip()), source.port());
        if let Some(rule) = self.denied_at(&self.deny.udp_receive, address, port, pins) {
            return Some(Err(Denial::by_rule(
                format_args!("udp-receive from {source}"),
                self.deny.text(rule.rule),
            )));
        }
        if self.everything {
            return Some(Ok(Allowed { rule: Some(EVERYTHING) }));
        }
        self.source_rule(address, port, pins, now).map(|rule| Ok(self.by(rule)))
    }
}

/// The deny rule about a local address, or about any address that a wildcard takes in.
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

pub(crate) fn endpoint_grant(verb: Verb, address: SocketAddr) -> String {
    // Without the zone, which no rule has.
    format!("{verb}={}", SocketAddr::new(canonical(address.ip()), address.port()))
}
