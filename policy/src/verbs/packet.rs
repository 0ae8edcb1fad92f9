//! The verb `packet`: frames of an interface, by their Ethernet protocol.

use std::collections::BTreeSet;
use std::fmt::{self, Display as _};

use sandsock_abi::constants::ETH_P_ALL;

use crate::covers::{Compared, Excess, Found, untaken};
use crate::decide::{Asked, Asking, Capability, Query, find};
use crate::denial::Allowed;
use crate::error::ParseError;
use crate::index::RuleId;
use crate::policy::Policy;
use crate::rules::VerbRules;
use crate::text::decimal;
use crate::verbs::{Request, verb};

/// The words for Ethernet protocols (linux/if_ether.h); all others are written as numbers.
const WORDS: [(&str, u16); 5] =
    [("arp", 0x0806), ("ip", 0x0800), ("ip6", 0x86dd), ("lldp", 0x88cc), ("vlan", 0x8100)];

/// `ETH_P_ALL`: every protocol.
pub const EVERY_PROTOCOL: u16 = ETH_P_ALL as u16;

/// What `packet` names: `INTERFACE` or `INTERFACE:PROTOCOL`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketPattern {
    /// None is `*`: every interface, those to come included.
    pub(crate) interface: Option<Box<str>>,
    /// None is every protocol.
    protocol: Option<u16>,
}

/// Returns whether the kernel takes a text as an interface's name (`dev_valid_name`).
pub(crate) fn is_interface_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 16
        && !matches!(text, "." | "..")
        && text.bytes().all(|b| {
            !matches!(b, b'/' | b':' | b'*') && !b.is_ascii_whitespace() && !b.is_ascii_control()
        })
}

impl PacketPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (name, word) = match text.split_once(':') {
            Some((name, word)) => (name, Some(word)),
            None => (text, None),
        };
        let interface = match name {
            "*" => None,
            name if is_interface_name(name) => Some(name.into()),
            name => {
                let what = format!("`{}` is not the name of an interface", name.escape_debug());
                return Err(ParseError::new(
                    0,
                    what,
                    "write an interface's name, at most 15 bytes, or `*` for all",
                ));
            }
        };
        let protocol =
            word.map(parse_protocol).transpose().map_err(|error| error.shifted(name.len() + 1))?;
        Ok(Self { interface, protocol: protocol.filter(|&protocol| protocol != EVERY_PROTOCOL) })
    }

    /// Returns whether all of the request lies in it.
    pub(crate) fn holds(&self, interface: Option<&str>, protocol: u16) -> bool {
        self.interface.as_deref().is_none_or(|own| interface == Some(own))
            && self.protocol.is_none_or(|own| protocol == own || protocol == 0)
    }

    /// Returns whether some of the request lies in it.
    pub(crate) fn touches(&self, interface: Option<&str>, protocol: u16) -> bool {
        let either = self
            .interface
            .as_deref()
            .is_none_or(|own| interface.is_none_or(|interface| interface == own));
        either && self.protocol.is_none_or(|own| protocol == own || protocol == EVERY_PROTOCOL)
    }
}

fn parse_protocol(text: &str) -> Result<u16, ParseError> {
    let number = match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u16::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None => decimal(text).and_then(|number| u16::try_from(number).ok()),
    };
    let word = WORDS.iter().find(|(word, _)| *word == text).map(|(_, number)| *number);
    word.or(number).filter(|&number| number != 0).ok_or_else(|| {
        let words = WORDS.map(|(word, _)| word).join(", ");
        let what = format!("`{}` is not a protocol", text.escape_debug());
        ParseError::new(
            0,
            what,
            format!("a protocol is one of {words}, or a number such as 0x88f7"),
        )
    })
}

fn show_protocol(protocol: u16) -> String {
    match WORDS.iter().find(|(_, number)| *number == protocol) {
        Some((word, _)) => (*word).to_owned(),
        None => format!("{protocol:#06x}"),
    }
}

impl fmt::Display for PacketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface.as_deref().unwrap_or("*"))?;
        match self.protocol {
            Some(protocol) => write!(f, ":{}", show_protocol(protocol)),
            None => Ok(()),
        }
    }
}

/// A use of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketRequest<'a> {
    /// The interface's name. None is every interface.
    pub interface: Option<&'a str>,
    /// The Ethernet protocol. 0 is some protocol, [`EVERY_PROTOCOL`] is every one.
    pub protocol: u16,
}

/// The target of a request. It is also the grant that would allow it, if a rule can spell the
/// interface.
impl fmt::Display for PacketRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.interface.unwrap_or("*").escape_debug().fmt(f)?;
        match self.protocol {
            0 | EVERY_PROTOCOL => Ok(()),
            protocol => write!(f, ":{}", show_protocol(protocol)),
        }
    }
}

impl Capability for verb::Packet {
    const EXAMPLES: &'static [&'static str] = &["eth0", "lo:arp", "*:0x88f7"];
    const ABOUT: &'static str = "send and receive the frames of an interface: everything that passes there, with forged senders";
    const PREPOSITION: &'static str = " on";

    type Index = Vec<(PacketPattern, RuleId)>;

    fn parse(target: &str) -> Result<PacketPattern, ParseError> {
        PacketPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, PacketPattern>) -> Self::Index {
        rules.list()
    }

    fn show(asked: PacketRequest<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: PacketRequest<'_>) -> Option<&'p str> {
        let deny = &query.policy.deny;
        find(&deny.packet, |pattern| pattern.touches(asked.interface, asked.protocol))
            .map(|rule| deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: PacketRequest<'_>) -> Option<Allowed<'p>> {
        find(&query.policy.allow.packet, |pattern| pattern.holds(asked.interface, asked.protocol))
            .map(|rule| query.policy.by(rule))
    }

    fn grant(asked: PacketRequest<'_>) -> Option<String> {
        // A `*` in a name would be a pattern, and a rule has no escapes.
        let can_be_spelled = asked
            .interface
            .is_none_or(|name| is_interface_name(name) && name.escape_debug().eq(name.chars()));
        can_be_spelled.then(|| asked.to_string())
    }

    fn ask<'a>(
        pattern: &'a PacketPattern,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        let protocol = pattern.protocol.unwrap_or(EVERY_PROTOCOL);
        Ok((PacketRequest { interface: pattern.interface.as_deref(), protocol }, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let rules = || compared.rules().into_iter().flat_map(|rules| &rules.packet);
        let mut names: BTreeSet<&str> =
            rules().filter_map(|(rule, _)| rule.interface.as_deref()).collect();
        let other = untaken(&names, "eth0");
        names.insert(&other);
        let mut protocols: BTreeSet<u16> = rules().filter_map(|(rule, _)| rule.protocol).collect();
        protocols.extend([0, EVERY_PROTOCOL]);
        let other = (1..=u16::MAX).find(|protocol| !protocols.contains(protocol));
        protocols.extend(other);
        let interfaces = names.iter().map(|name| Some(*name)).chain([None]);
        let requests = interfaces.flat_map(|interface| {
            protocols.iter().map(move |protocol| {
                Request::Packet(PacketRequest { interface, protocol: *protocol })
            })
        });
        compared.first(requests)
    }

    #[cfg(test)]
    fn samples() -> Vec<PacketRequest<'static>> {
        vec![
            PacketRequest { interface: None, protocol: 0 },
            PacketRequest { interface: Some("lo"), protocol: EVERY_PROTOCOL },
        ]
    }
}

impl Policy {
    /// Returns whether some grant is about frames of this protocol, on any interface.
    pub(crate) fn may_make_packet(&self, protocol: u16) -> bool {
        self.allow
            .packet
            .iter()
            .any(|(pattern, _)| pattern.holds(pattern.interface.as_deref(), protocol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use proptest::prelude::*;

    #[test]
    fn interface_and_protocol_are_judged_together() {
        let policy = Policy::of_rules(
            &["packet=eth0", "packet=lo:arp", "packet=*:lldp"],
            &["packet=eth0:ip"],
        );
        let asks = |interface, protocol| {
            decide::<verb::Packet>(
                &Query::without_pins(&policy),
                PacketRequest { interface, protocol },
            )
            .map(drop)
            .map_err(|denial| denial.grant)
        };
        assert_eq!(asks(Some("eth0"), 0x0806), Ok(()));
        assert_eq!(asks(Some("eth0"), 0x0800), Err(None));
        // Every protocol has the denied one in it.
        assert_eq!(asks(Some("eth0"), EVERY_PROTOCOL), Err(None));
        assert_eq!(asks(None, EVERY_PROTOCOL), Err(None));
        assert_eq!(asks(None, 0x0800), Err(None));
        assert_eq!(asks(Some("lo"), 0x0806), Ok(()));
        assert_eq!(asks(Some("lo"), 0), Ok(()));
        assert_eq!(asks(Some("lo"), EVERY_PROTOCOL), Err(Some("packet=lo".into())));
        assert_eq!(asks(Some("lo0"), 0x0806), Err(Some("packet=lo0:arp".into())));
        assert_eq!(asks(None, 0x88cc), Ok(()));
        assert_eq!(asks(None, 0x0806), Err(Some("packet=*:arp".into())));
        assert_eq!(asks(Some("wlan0"), 0x88f7), Err(Some("packet=wlan0:0x88f7".into())));
        assert!(
            policy.may_make_packet(0x0806)
                && policy.may_make_packet(EVERY_PROTOCOL)
                && policy.may_make_packet(0)
        );
        let narrow = Policy::of_rules(&["packet=lo:arp"], &[]);
        assert!(
            narrow.may_make_packet(0x0806)
                && !narrow.may_make_packet(0x0800)
                && !narrow.may_make_packet(EVERY_PROTOCOL)
        );
    }

    #[test]
    fn targets_print_as_they_are_parsed() {
        for (text, shown) in [
            ("eth0", "eth0"),
            ("lo:0x806", "lo:arp"),
            ("*:34525", "*:ip6"),
            ("a-b.1:0x3", "a-b.1"),
            ("*", "*"),
        ] {
            assert_eq!(PacketPattern::parse(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            ":arp",
            "eth0:",
            "eth0:tcp",
            "eth0:0",
            "eth0:65536",
            "eth0:0x",
            "a b",
            "a/b",
            "..",
            "0123456789abcdef",
            "et*",
        ] {
            assert!(PacketPattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_comes_back(text in "[a-z0-9*:.x/ ]{0,20}") {
            if let Ok(pattern) = PacketPattern::parse(&text) {
                prop_assert_eq!(PacketPattern::parse(&pattern.to_string()).ok(), Some(pattern));
            }
        }
    }
}
