//! The verbs `raw` and `multicast`: IP packets by protocol, and multicast groups.

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use sandsock_abi::constants::{
    IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
};

use crate::address::canonical;
use crate::error::ParseError;
use crate::host::{EndpointPattern, HostPattern, parse_lone_host};
use crate::port::PortRange;
use crate::text::decimal;

const ICMP: u8 = IPPROTO_ICMP as u8;

const ICMPV6: u8 = IPPROTO_ICMPV6 as u8;

pub(crate) const RAW: u8 = IPPROTO_RAW as u8;

pub(crate) const TCP: u8 = IPPROTO_TCP as u8;

pub(crate) const UDP: u8 = IPPROTO_UDP as u8;

pub(crate) const UDPLITE: u8 = IPPROTO_UDPLITE as u8;

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
                        "255 is no protocol",
                        "write raw=header, which is what IPPROTO_RAW gives",
                    ));
                }
                Some(number) => number,
                None => {
                    return Err(ParseError::new(
                        0,
                        format!("`{}` is no protocol", word.escape_debug()),
                        HINT,
                    ));
                }
            },
        };
        let host = host
            .map_or(Ok(HostPattern::Any), parse_host)
            .map_err(|fault| fault.shifted(word.len() + 1))?;
        // Either of ICMP's numbers with an address of the other version too: a raw socket of IPv6
        // may speak protocol 1, and to one of ICMPv6 an IPv4-mapped address is IPv4.
        Ok(Self::Packets(EndpointPattern { host, ports: PortRange::single(protocol.into()) }))
    }
}

/// A host that packets go to: not the unspecified address, which would quietly stand for the
/// loopback.
fn parse_host(text: &str) -> Result<HostPattern, ParseError> {
    match parse_lone_host(text)? {
        HostPattern::Net(net)
            if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len() =>
        {
            Err(ParseError::new(
                0,
                format!("{} is no destination", net.addr()),
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

/// Multicast groups, as `multicast` names them: an address or a network, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MulticastPattern(pub(crate) EndpointPattern);

impl MulticastPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        const HINT: &str =
            "write an address or a network of 224.0.0.0/4 or ff00::/8, or `*` for every group";
        let host = parse_host(text)?;
        match &host {
            HostPattern::Any => {}
            HostPattern::Net(IpNet::V4(net))
                if net.addr().is_multicast() && net.prefix_len() >= 4 => {}
            HostPattern::Net(IpNet::V6(net))
                if net.addr().is_multicast() && net.prefix_len() >= 8 => {}
            HostPattern::Net(_) | HostPattern::Name(_) => {
                return Err(ParseError::new(
                    0,
                    format!("`{}` is no multicast group", text.escape_debug()),
                    HINT,
                ));
            }
        }
        Ok(Self(EndpointPattern { host, ports: PortRange::ANY }))
    }
}

impl fmt::Display for MulticastPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.host.fmt(f)
    }
}

/// The target of a raw request.
pub(crate) fn show_packet(address: SocketAddr) -> String {
    let ip = canonical(address.ip());
    match u8::try_from(address.port()) {
        Ok(RAW) | Err(_) => "header".into(),
        Ok(protocol) => format!("{}:{ip}", show_protocol(protocol)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::Pins;
    use crate::policy::Policy;
    use crate::request::Request;
    use proptest::prelude::*;
    use std::time::Instant;

    fn policy(allow: &[&str], deny: &[&str]) -> Policy {
        let mut builder = Policy::builder();
        for rule in allow {
            builder.allow(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        }
        for rule in deny {
            builder.deny(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        }
        builder.build()
    }

    fn sends(policy: &Policy, to: &str, protocol: u8) -> Result<(), Option<String>> {
        let now = Instant::now();
        let address = SocketAddr::new(to.parse().unwrap(), protocol.into());
        policy
            .decide(&Request::RawSend(address), &Pins::new(now), now)
            .map(drop)
            .map_err(|denial| denial.grant)
    }

    #[test]
    fn a_protocol_and_a_network_are_judged_together() {
        let policy = policy(
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
        let policy = policy(
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
        let policy = policy(&["raw=header"], &["raw=icmp:10.0.0.1"]);
        assert_eq!(sends(&policy, "10.0.0.2", RAW), Ok(()));
        assert_eq!(sends(&policy, "10.0.0.1", RAW), Err(None));
        assert!(policy.some_raw(RAW).is_ok() && policy.some_raw(ICMP).is_err());
        assert_eq!(sends(&policy, "10.0.0.2", ICMP), Err(Some("raw=icmp:10.0.0.2".into())));
    }

    #[test]
    fn groups_are_judged_and_others_are_no_groups() {
        let policy =
            policy(&["multicast=239.0.0.0/8", "multicast=ff02::/16"], &["multicast=239.1.2.3"]);
        let joins = |group: &str| {
            policy.multicast(Some(group.parse().unwrap())).map(drop).map_err(|denial| denial.grant)
        };
        assert_eq!(joins("239.1.2.4"), Ok(()));
        assert_eq!(joins("239.1.2.3"), Err(None));
        assert_eq!(joins("224.0.0.1"), Err(Some("multicast=224.0.0.1".into())));
        assert_eq!(joins("ff02::1"), Ok(()));
        assert_eq!(joins("ff05::1"), Err(Some("multicast=ff05::1".into())));
        assert!(policy.multicast(None).is_ok());
        assert_eq!(
            Policy::builder().build().multicast(None).unwrap_err().grant.as_deref(),
            Some("multicast=*")
        );
        for bad in ["10.0.0.1", "224.0.0.0/3", "fe80::/10", "example.com", "", "fe00::/7"] {
            assert!(Policy::builder().allow(&format!("multicast={bad}")).is_err(), "{bad}");
        }
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
