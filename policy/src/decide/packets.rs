//! Decisions on raw and ping sockets, and on multicast groups.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::address::{canonical, destination};
use crate::denial::{Allowed, Denial, EVERYTHING};
use crate::index::{Endpoints, RuleId};
use crate::pins::Pins;
use crate::policy::Policy;
use crate::request::Request;
use crate::verbs::Verb;
use crate::verbs::raw::{RAW, TCP, UDP, UDPLITE, show_protocol};

impl Policy {
    /// Decides on a packet to an address. Its port is the protocol.
    pub(crate) fn raw(
        &self,
        request: &Request<'_>,
        address: SocketAddr,
        pins: &Pins,
        now: Instant,
    ) -> Result<Allowed<'_>, Denial> {
        let ip = canonical(destination(address).ip());
        // A raw packet of TCP's or UDP's is not to go where connections and datagrams are denied,
        // whatever its port.
        let deny = match u8::try_from(address.port()) {
            Ok(TCP) => Some(&self.deny.tcp_connect),
            Ok(UDP | UDPLITE) => Some(&self.deny.udp_send),
            _ => None,
        };
        if let Some(rule) = deny.and_then(|deny| self.denied_at_any_port(deny, ip, pins)) {
            return Err(Denial::by_rule(format_args!("raw to {request}"), self.deny.text(rule)));
        }
        if address.port() == u16::from(RAW) {
            if let Some(rule) = self.denied_at_any_port(&self.deny.raw, ip, pins) {
                return Err(Denial::by_rule(
                    format_args!("raw to {request}"),
                    self.deny.text(rule),
                ));
            }
            return self.raw_header();
        }
        self.remote(request, address, &self.allow.raw, &self.deny.raw, pins, now)
    }

    fn denied_at_any_port(&self, deny: &Endpoints, address: IpAddr, pins: &Pins) -> Option<RuleId> {
        if deny.is_empty() {
            return None;
        }
        let by_name = || {
            let names = self
                .fixed_names(address)
                .iter()
                .map(|name| &**name)
                .chain(pins.at(address).iter().map(|pin| pin.name()));
            names.flat_map(|name| deny.names.all(name)).next()
        };
        deny.touching_anywhere(address).or_else(by_name).map(|found| found.rule)
    }

    /// Decides on writing the IP header.
    pub(crate) fn raw_header(&self) -> Result<Allowed<'_>, Denial> {
        if let Some(rule) = self.deny.raw_header {
            return Err(Denial::by_rule("raw header", self.deny.text(rule)));
        }
        match self.allow.raw_header {
            _ if self.everything => Ok(Allowed { rule: Some(EVERYTHING) }),
            Some(rule) => Ok(self.by(rule)),
            None => {
                Err(Denial::missing("raw header".into(), Some(format!("{}=header", Verb::Raw))))
            }
        }
    }

    /// Whether a packet of this protocol from `source` may be returned: `raw` names it.
    ///
    /// This is for the path of every packet: it never allocates.
    pub fn raw_source_allowed(
        &self,
        source: IpAddr,
        protocol: i32,
        pins: &Pins,
        now: Instant,
    ) -> bool {
        let (address, Ok(protocol)) = (canonical(source), u16::try_from(protocol)) else {
            return false;
        };
        if self.denied_at(&self.deny.raw, address, protocol, pins).is_some() {
            return false;
        }
        self.everything
            || self.allow.raw.at(address, protocol).is_some()
            || self.named_at(&self.allow.raw, address, protocol, pins, now).is_ok_and(|(_, pin)| {
                if let Some(pin) = pin {
                    pins.touch(pin, now);
                }
                true
            })
    }

    /// Decides on a multicast group; none stands for some group.
    pub(crate) fn multicast(&self, group: Option<IpAddr>) -> Result<Allowed<'_>, Denial> {
        let what = |group: Option<IpAddr>| {
            group.map_or_else(|| "multicast".to_owned(), |group| format!("multicast {group}"))
        };
        let group = group.map(canonical);
        if let Some(rule) = group.and_then(|group| self.deny.multicast.touching(group, 0)) {
            return Err(Denial::by_rule(what(group), self.deny.text(rule.rule)));
        }
        if self.everything {
            return Ok(Allowed { rule: Some(EVERYTHING) });
        }
        match group {
            Some(group) => match self.allow.multicast.at(group, 0) {
                Some(found) => Ok(self.by(found.rule)),
                None => Err(Denial::missing(
                    what(Some(group)),
                    Some(format!("{}={group}", Verb::Multicast)),
                )),
            },
            None if self.allow.multicast.is_empty() => {
                Err(Denial::missing(what(None), Some(format!("{}=*", Verb::Multicast))))
            }
            None => Ok(Allowed { rule: None }),
        }
    }

    /// Decides on a raw or a ping socket: some grant has to be about packets of its protocol.
    pub(crate) fn some_raw(&self, protocol: u8) -> Result<Allowed<'_>, Denial> {
        if protocol == RAW {
            return self.raw_header();
        }
        if self.allow.raw.has_port(protocol.into()) {
            return Ok(Allowed { rule: None });
        }
        let (what, grant) = (
            format!("raw {}", show_protocol(protocol)),
            format!("{}={}", Verb::Raw, show_protocol(protocol)),
        );
        Err(Denial::missing(what, Some(grant)))
    }
}
