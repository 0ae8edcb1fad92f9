//! The verb `raw`: IP packets by protocol.

use std::fmt::{self, Display as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sandsock_abi::constants::{
    IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
};

use crate::address::{canonical, destination};
use crate::covers::addresses::{AddressVerb, Deciding, Part, Port};
use crate::covers::{Compared, Excess, Found};
use crate::decide::{Answer, Asked, Asking, Capability, Query, decide};
use crate::denial::{Allowed, Denial};
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern, parse_lone_host};
use crate::index::{Endpoints, RuleId};
use crate::pins::{Pin, Pins};
use crate::policy::Policy;
use crate::port::PortRange;
use crate::rules::VerbRules;
use crate::text::decimal;
use crate::verbs::{Request, Row as _, Rules, Verb, verb};

const ICMP: u8 = IPPROTO_ICMP as u8;

const ICMPV6: u8 = IPPROTO_ICMPV6 as u8;

const RAW: u8 = IPPROTO_RAW as u8;

const TCP: u8 = IPPROTO_TCP as u8;

const UDP: u8 = IPPROTO_UDP as u8;

const UDPLITE: u8 = IPPROTO_UDPLITE as u8;

/// What `raw` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RawPattern {
    /// `header`: write the IP header too. It equals all of IP: no rule about an address or a
    /// protocol holds for such packets.
    Header,
    /// `PROTOCOL` or `PROTOCOL:HOST`. The protocol's number stands where an endpoint has its port.
    Packets(EndpointPattern),
}

impl RawPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        const HINT: &str = "a protocol is icmp, icmp6 or a number from 0 to 254; or write header";
        if text == "header" {
            return Ok(Self::Header);
        }
        let (word, host) = match text.split_once(':') {
            Some((word, host)) => (word, Some(host)),
            None => (text, None),
        };
        let protocol = match word {
            "icmp" => ICMP,
            "icmp6" => ICMPV6,
            word => match decimal(word).and_then(|number| u8::try_from(number).ok()) {
                Some(RAW) => {
                    return Err(ParseError::new(
                        0,
                        "255 is not a protocol",
                        "write raw=header, which grants IPPROTO_RAW",
                    ));
                }
                Some(number) => number,
                None => {
                    return Err(ParseError::new(
                        0,
                        format!("`{}` is not a protocol", word.escape_debug()),
                        HINT,
                    ));
                }
            },
        };
        let host = host
            .map_or(Ok(HostPattern::Any), parse_host)
            .map_err(|error| error.shifted(word.len() + 1))?;
        // ICMP's number goes with an IPv6 address too, and ICMPv6's with an IPv4 address: a raw
        // socket of IPv6 may use protocol 1, and an IPv4-mapped address is judged as IPv4.
        Ok(Self::Packets(EndpointPattern { host, ports: PortRange::single(protocol.into()) }))
    }
}

/// Parses the host that packets go to. The unspecified address is refused, because it would
/// silently stand for the loopback.
pub(super) fn parse_host(text: &str) -> Result<HostPattern, ParseError> {
    match parse_lone_host(text)? {
        HostPattern::Net(net)
            if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len() =>
        {
            Err(ParseError::new(
                0,
                format!("{} is not a destination", net.addr()),
                "it is judged as the loopback: write 127.0.0.1 or ::1, or `*` for any address",
            ))
        }
        host => Ok(host),
    }
}

/// A protocol as a policy has it.
pub(crate) fn show_protocol(protocol: u8) -> String {
    match protocol {
        ICMP => "icmp".into(),
        ICMPV6 => "icmp6".into(),
        RAW => "header".into(),
        number => number.to_string(),
    }
}

impl fmt::Display for RawPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Packets(EndpointPattern { host, ports }) => {
                f.write_str(&show_protocol(ports.low() as u8))?;
                match host {
                    HostPattern::Any => Ok(()),
                    host => write!(f, ":{host}"),
                }
            }
        }
    }
}

/// A use of a raw or a ping socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawRequest {
    /// Send a packet to an address, or connect to it. The protocol stands in place of the port.
    /// [`Policy::raw_source_allowed`] answers for packets that come in.
    Packet(SocketAddr),
    /// Write the IP header.
    Header,
}

impl fmt::Display for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Packet(address) = self else { return f.write_str("header") };
        match u8::try_from(address.port()) {
            Ok(RAW) | Err(_) => f.write_str("header"),
            Ok(protocol) => {
                write!(f, "{}:{}", show_protocol(protocol), canonical(address.ip()))
            }
        }
    }
}

/// The rules of `raw`.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawIndex {
    /// With the protocol in place of the port.
    pub(crate) packets: Endpoints,
    header: Option<RuleId>,
}

impl Capability for verb::Raw {
    const EXAMPLES: &'static [&'static str] =
        &["icmp", "icmp6:2001:db8::/32", "89:10.0.0.0/8", "17:host.example", "header"];
    const ABOUT: &'static str =
        "send and receive IP packets of a protocol; header allows all of IP, with forged senders";
    const PREPOSITION: &'static str = " to";
    const IMPLIES_RESOLVE: bool = true;

    type Index = RawIndex;

    fn parse(target: &str) -> Result<RawPattern, ParseError> {
        RawPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, RawPattern>) -> RawIndex {
        let (mut packets, mut header) = (Vec::new(), None);
        for &(rule, pattern) in &rules.rules {
            match pattern {
                RawPattern::Packets(pattern) => packets.push((rule, pattern)),
                RawPattern::Header => header = Some(rule),
            }
        }
        RawIndex { packets: Endpoints::build(packets.into_iter(), rules.sets), header }
    }

    fn endpoints(index: &RawIndex) -> Option<&Endpoints> {
        Some(&index.packets)
    }

    fn show(asked: RawRequest, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: RawRequest) -> Option<&'p str> {
        let deny = &query.policy.deny;
        let RawRequest::Packet(to) = asked else {
            return deny.raw.header.map(|rule| deny.text(rule));
        };
        let address = canonical(destination(to).ip());
        let rule =
            of_any_port(deny, to.port()).and_then(|deny| denied_at_any_port(query, deny, address));
        rule.map(|rule| deny.text(rule)).or_else(|| query.remote_denied(&deny.raw.packets, to))
    }

    fn exempt<'p>(query: &Query<'p, '_>, asked: RawRequest) -> Option<Answer<'p>> {
        match asked {
            RawRequest::Packet(to) if to.port() == u16::from(RAW) => {
                Some(decide::<Self>(query, RawRequest::Header))
            }
            RawRequest::Packet(_) | RawRequest::Header => None,
        }
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: RawRequest) -> Option<Allowed<'p>> {
        let allow = &query.policy.allow.raw;
        match asked {
            RawRequest::Packet(to) => query.remote_allowed(&allow.packets, to),
            RawRequest::Header => allow.header.map(|rule| query.policy.by(rule)),
        }
    }

    fn grant(asked: RawRequest) -> Option<String> {
        match asked {
            // IP's protocols have 8 bits, so no rule can name a greater number.
            RawRequest::Packet(to) if to.port() > u16::from(u8::MAX) => None,
            RawRequest::Packet(to) => Some(RawRequest::Packet(destination(to)).to_string()),
            RawRequest::Header => Some("header".to_owned()),
        }
    }

    fn missing(query: &Query<'_, '_>, asked: RawRequest) -> Denial {
        let grant = Self::grant(asked).map(|target| format!("{}={target}", Self::VERB));
        let mut denial = Denial::missing(Self::what(asked), grant);
        if let RawRequest::Packet(to) = asked {
            let address = canonical(destination(to).ip());
            denial.expired_name =
                query.expired_name(&query.policy.allow.raw.packets, address, to.port());
        }
        denial
    }

    fn what(asked: RawRequest) -> String {
        match asked {
            RawRequest::Packet(_) => format!("{} to {asked}", Self::VERB),
            RawRequest::Header => format!("{} header", Self::VERB),
        }
    }

    fn ask<'a>(
        pattern: &'a RawPattern,
        asking: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        match pattern {
            RawPattern::Header => Ok((RawRequest::Header, None)),
            RawPattern::Packets(pattern) => {
                let (to, name) = pattern.one(asking.address).map_err(
                    |_| "write a protocol and one address or name, as in icmp:192.0.2.1",
                )?;
                Ok((RawRequest::Packet(to), name))
            }
        }
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        raw_excess(compared)
    }

    #[cfg(test)]
    fn samples() -> Vec<RawRequest> {
        let mut samples: Vec<_> = (0..=256)
            .map(|protocol| RawRequest::Packet(([192, 0, 2, 1], protocol).into()))
            .collect();
        samples.push(RawRequest::Header);
        samples
    }
}

/// Compares what two policies decide about packets.
fn raw_excess<'p>(compared: &Compared<'p>) -> Found<Excess> {
    if let Some(found) = compared.excess(&Request::Raw(RawRequest::Header)) {
        return Ok(Some(found));
    }
    AddressVerb {
        ports_of: compared.rules().into_iter().map(|rules| &rules.raw.packets).collect(),
        // The protocols that are denied by the rules of other verbs too, and a number that is none.
        more_ports: &[TCP as u16, UDP as u16, UDPLITE as u16, RAW as u16, u8::MAX as u16 + 1],
        binds: false,
        rules: |policy: &'p Policy, Port { number, .. }| {
            let (allow, deny) = (&policy.allow, &policy.deny);
            let mut denying = vec![Part::At(&deny.raw.packets, number)];
            denying.extend(of_any_port(deny, number).map(Part::Anywhere));
            let part = if number != u16::from(RAW) {
                Some(Part::At(&allow.raw.packets, number))
            } else {
                let query = Query::without_pins(policy);
                let header = decide::<verb::Raw>(&query, RawRequest::Header);
                header.is_ok().then_some(Part::Whole)
            };
            Deciding { allow: vec![(part.into_iter().collect(), Vec::new())], deny: denying }
        },
        requests: |address, port: Port| {
            vec![Request::Raw(RawRequest::Packet(SocketAddr::new(address, port.number)))]
        },
        terms_of: &[],
    }
    .excess(compared)
}

/// Returns the rules of other verbs, or about other protocols, that deny packets of this protocol to
/// the addresses that they name.
fn of_any_port(deny: &Rules, protocol: u16) -> Option<&Endpoints> {
    match u8::try_from(protocol) {
        // A raw packet of TCP or UDP may not go where connections or datagrams are denied, whatever
        // its port is. One with any protocol may not go where some protocol is denied.
        Ok(TCP) => Some(&deny.tcp_connect),
        Ok(UDP | UDPLITE) => Some(&deny.udp_send),
        Ok(RAW) => Some(&deny.raw.packets),
        _ => None,
    }
}

/// Returns the rule that denies an address at some port.
fn denied_at_any_port(query: &Query<'_, '_>, deny: &Endpoints, address: IpAddr) -> Option<RuleId> {
    if deny.is_empty() {
        return None;
    }
    let by_name = || {
        let fixed = query.policy.fixed_names(address).iter().map(|name| &**name);
        let names = fixed.chain(query.pins_at(address).iter().map(Pin::name));
        names.flat_map(|name| deny.names.all(name)).next()
    };
    deny.touching_anywhere(address).or_else(by_name).map(|found| found.rule)
}

impl Policy {
    /// Returns whether a packet of this protocol from `source` may be returned: `raw` names it.
    ///
    /// Every packet is judged by this, so it never allocates.
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
        let query = Query::new(self, pins, now);
        if query.denied_at(&self.deny.raw.packets, address, protocol).is_some() {
            return false;
        }
        (self.everything || query.allowed_at(&self.allow.raw.packets, address, protocol).is_some())
            && self.keeps(|kept| kept.raw_source_allowed(source, i32::from(protocol), pins, now))
    }

    /// Decides on a raw or a ping socket: some grant has to be about packets of its protocol.
    pub(crate) fn some_raw(&self, protocol: u8) -> Result<Allowed<'_>, Denial> {
        if protocol == RAW {
            return decide::<verb::Raw>(&Query::without_pins(self), RawRequest::Header);
        }
        if self.allow.raw.packets.has_port(protocol.into()) {
            return Ok(Allowed::FREE);
        }
        let protocol = show_protocol(protocol);
        let grant = format!("{}={protocol}", Verb::Raw);
        Err(Denial::missing(format!("{} {protocol}", Verb::Raw), Some(grant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::Request;
    use proptest::prelude::*;

    fn sends(policy: &Policy, to: &str, protocol: u8) -> Result<(), Option<String>> {
        let now = Instant::now();
        let address = SocketAddr::new(to.parse().unwrap(), protocol.into());
        policy
            .decide(&Request::Raw(RawRequest::Packet(address)), &Pins::new(now), now)
            .map(drop)
            .map_err(|denial| denial.grant)
    }

    #[test]
    fn a_protocol_and_a_network_are_judged_together() {
        let policy = Policy::of_rules(
            &["raw=icmp:10.0.0.0/8", "raw=icmp6:2001:db8::/32", "raw=89"],
            &["raw=89:10.1.0.0/16"],
        );
        assert_eq!(sends(&policy, "10.2.3.4", ICMP), Ok(()));
        assert_eq!(sends(&policy, "11.2.3.4", ICMP), Err(Some("raw=icmp:11.2.3.4".into())));
        assert_eq!(sends(&policy, "2001:db8::1", ICMPV6), Ok(()));
        assert_eq!(
            sends(&policy, "2001:db9::1", ICMPV6),
            Err(Some("raw=icmp6:2001:db9::1".into()))
        );
        assert_eq!(sends(&policy, "::ffff:11.2.3.4", ICMP), Err(Some("raw=icmp:11.2.3.4".into())));
        assert_eq!(sends(&policy, "192.0.2.1", 89), Ok(()));
        assert_eq!(sends(&policy, "10.1.0.1", 89), Err(None));
        assert_eq!(sends(&policy, "10.2.3.4", UDP), Err(Some("raw=17:10.2.3.4".into())));
        assert_eq!(sends(&policy, "10.2.3.4", RAW), Err(Some("raw=header".into())));
        let now = Instant::now();
        let pins = Pins::new(now);
        let source = |ip: &str, protocol| {
            policy.raw_source_allowed(ip.parse().unwrap(), protocol, &pins, now)
        };
        assert!(source("10.9.9.9", IPPROTO_ICMP) && source("::ffff:10.9.9.9", IPPROTO_ICMP));
        assert!(
            !source("11.9.9.9", IPPROTO_ICMP) && !source("10.1.2.3", 89) && !source("10.9.9.9", -1)
        );
    }

    #[test]
    fn raw_udp_and_tcp_do_not_go_where_datagrams_and_connections_are_denied() {
        let policy = Policy::of_rules(
            &["raw=6", "raw=17", "raw=136"],
            &["udp-send=10.0.0.0/8:53", "tcp-connect=10.0.0.1:*"],
        );
        assert_eq!(sends(&policy, "10.0.0.2", UDP), Err(None));
        assert_eq!(sends(&policy, "::10.0.0.2", UDP), Err(None));
        assert_eq!(sends(&policy, "10.0.0.2", UDPLITE), Err(None));
        assert_eq!(sends(&policy, "11.0.0.2", UDP), Ok(()));
        assert_eq!(sends(&policy, "10.0.0.1", TCP), Err(None));
        assert_eq!(sends(&policy, "10.0.0.2", TCP), Ok(()));
    }

    #[test]
    fn header_is_a_grant_of_its_own_and_denied_addresses_stay_denied() {
        let policy = Policy::of_rules(&["raw=header"], &["raw=icmp:10.0.0.1"]);
        assert_eq!(sends(&policy, "10.0.0.2", RAW), Ok(()));
        assert_eq!(sends(&policy, "10.0.0.1", RAW), Err(None));
        assert!(policy.some_raw(RAW).is_ok() && policy.some_raw(ICMP).is_err());
        assert_eq!(sends(&policy, "10.0.0.2", ICMP), Err(Some("raw=icmp:10.0.0.2".into())));
    }

    #[test]
    fn bad_raw_targets_are_refused() {
        for bad in [
            "",
            "256",
            "255",
            "icmp6:10.0.0",
            "icmp:::g",
            "udp",
            "17:",
            "17:0.0.0.0",
            "-1",
            "headers",
            "1:10.0.0.1/8",
        ] {
            assert!(Policy::builder().allow(&format!("raw={bad}")).is_err(), "{bad}");
        }
        for (text, shown) in [
            ("1", "icmp"),
            ("58:[::1]", "icmp6:::1"),
            ("58:10.0.0.1", "icmp6:10.0.0.1"),
            ("icmp:::1", "icmp:::1"),
            ("089", "89"),
            ("17:*", "17"),
            ("icmp:A.Example", "icmp:a.example"),
        ] {
            assert_eq!(RawPattern::parse(text).unwrap().to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn any_target_is_survived_and_comes_back(text in "(icmp6?|header|[0-9]{1,3})(:[0-9a-f.:/*\\[\\]]{0,20})?") {
            if let Ok(pattern) = RawPattern::parse(&text) {
                prop_assert_eq!(RawPattern::parse(&pattern.to_string()).ok(), Some(pattern));
            }
        }
    }
}
