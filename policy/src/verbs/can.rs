//! The verb `can`: the interfaces and protocols of AF_CAN.

use std::collections::BTreeSet;
use std::fmt::{self, Display as _};

use sandsock_abi::constants::{CAN_BCM, CAN_ISOTP, CAN_J1939, CAN_RAW};

use crate::covers::{Compared, Excess, Found, untaken};
use crate::decide::{Asked, Asking, Capability, Query, find};
use crate::denial::Allowed;
use crate::error::{ParseError, suggestion};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::{Request, verb};

/// The protocols of AF_CAN, by their words.
const CAN_PROTOCOLS: [(&str, i32); 4] =
    [("raw", CAN_RAW), ("bcm", CAN_BCM), ("isotp", CAN_ISOTP), ("j1939", CAN_J1939)];

/// Returns the word of an AF_CAN protocol. None if rules can't name it.
pub(crate) fn can_protocol(number: i32) -> Option<&'static str> {
    CAN_PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(word, _)| *word)
}

/// What `can` names: `INTERFACE` or `INTERFACE:PROTOCOL`, the interface `*` for every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanPattern {
    /// The interface's name. None is every interface, and the wildcard that includes all of them.
    pub interface: Option<Box<str>>,
    /// CAN_RAW, CAN_BCM, CAN_ISOTP or CAN_J1939. None is all of them.
    pub protocol: Option<i32>,
}

impl CanPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (interface, protocol) = match text.split_once(':') {
            Some((interface, protocol)) => (interface, Some(protocol)),
            None => (text, None),
        };
        let protocol = protocol
            .map(|word| {
                CAN_PROTOCOLS
                    .iter()
                    .find(|(known, _)| *known == word)
                    .map(|(_, number)| *number)
                    .ok_or_else(|| {
                        let words = CAN_PROTOCOLS.map(|(word, _)| word);
                        ParseError::new(
                            interface.len() + 1,
                            format!("unknown CAN protocol `{}`", word.escape_debug()),
                            format!(
                                "protocols are {}{}",
                                words.join(", "),
                                suggestion(word, words)
                            ),
                        )
                    })
            })
            .transpose()?;
        if interface == "*" {
            return Ok(Self { interface: None, protocol });
        }
        // dev_valid_name of the kernel; a `*` inside would look like a pattern, which it is not.
        let valid = (1..16).contains(&interface.len())
            && !matches!(interface, "." | "..")
            && interface.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:*".contains(&byte));
        if !valid {
            return Err(ParseError::new(
                0,
                format!("`{}` is not the name of an interface", interface.escape_debug()),
                "write the interface's whole name, as in vcan0, or `*` for every one",
            ));
        }
        Ok(Self { interface: Some(interface.into()), protocol })
    }

    /// Returns whether some use of this protocol is named.
    pub(crate) fn speaks(&self, protocol: i32) -> bool {
        self.protocol.is_none_or(|own| own == protocol)
    }

    /// Returns whether the interface is named.
    pub(crate) fn holds(&self, interface: CanInterface<'_>) -> bool {
        match (&self.interface, interface) {
            (None, _) => true,
            (Some(own), CanInterface::Name(name)) => **own == *name,
            (Some(_), CanInterface::All | CanInterface::Unknown(_)) => false,
        }
    }

    /// Returns whether a part of the request is named, because every interface is a part of the
    /// wildcard. Rules that deny are asked this.
    pub(crate) fn touches(&self, interface: CanInterface<'_>) -> bool {
        matches!(interface, CanInterface::All) || self.holds(interface)
    }
}

impl fmt::Display for CanPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface.as_deref().unwrap_or("*"))?;
        match self.protocol.and_then(can_protocol) {
            Some(protocol) => write!(f, ":{protocol}"),
            None => Ok(()),
        }
    }
}

/// An interface of AF_CAN that a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanInterface<'a> {
    /// The wildcard: index 0.
    All,
    /// The interface of this name.
    Name(&'a str),
    /// An index that no interface has.
    Unknown(u32),
}

impl fmt::Display for CanInterface<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Name(name) => name.escape_debug().fmt(f),
            Self::Unknown(index) => write!(f, "interface {index}"),
        }
    }
}

/// A use of an interface by a protocol of AF_CAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanRequest<'a> {
    /// The interface.
    pub interface: CanInterface<'a>,
    /// CAN_*.
    pub protocol: i32,
}

impl fmt::Display for CanRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, protocol } = self;
        match can_protocol(*protocol) {
            Some(word) => write!(f, "{interface}:{word}"),
            None => write!(f, "{interface}:{protocol}"),
        }
    }
}

impl Capability for verb::Can {
    const EXAMPLES: &'static [&'static str] = &["vcan0", "vcan0:raw", "can0:bcm", "*:isotp"];
    const ABOUT: &'static str = "see and send everything on a CAN interface, by one protocol (raw, bcm, isotp, j1939) or all";

    type Index = Vec<(CanPattern, RuleId)>;

    fn parse(target: &str) -> Result<CanPattern, ParseError> {
        CanPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, CanPattern>) -> Self::Index {
        rules.list()
    }

    fn show(asked: CanRequest<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: CanRequest<'_>) -> Option<&'p str> {
        let touches =
            |rule: &CanPattern| rule.speaks(asked.protocol) && rule.touches(asked.interface);
        let deny = &query.policy.deny;
        find(&deny.can, touches).map(|rule| deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: CanRequest<'_>) -> Option<Allowed<'p>> {
        let holds = |rule: &CanPattern| rule.speaks(asked.protocol) && rule.holds(asked.interface);
        find(&query.policy.allow.can, holds).map(|rule| query.policy.by(rule))
    }

    fn grant(asked: CanRequest<'_>) -> Option<String> {
        match asked.interface {
            // A `*` in a name would be a pattern, and a rule has no escapes.
            CanInterface::Name(name)
                if name.contains('*') || !name.escape_debug().eq(name.chars()) =>
            {
                None
            }
            CanInterface::All | CanInterface::Name(_) => Some(asked.to_string()),
            // No rule names an interface that does not exist.
            CanInterface::Unknown(_) => None,
        }
    }

    fn ask<'a>(
        pattern: &'a CanPattern,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        let interface = pattern.interface.as_deref().map_or(CanInterface::All, CanInterface::Name);
        let protocol = pattern.protocol.ok_or("write one protocol too, as in vcan0:raw")?;
        Ok((CanRequest { interface, protocol }, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let rules = compared.rules().into_iter().flat_map(|rules| &rules.can);
        let mut names: BTreeSet<&str> =
            rules.filter_map(|(rule, _)| rule.interface.as_deref()).collect();
        let other = untaken(&names, "can0");
        names.insert(&other);
        let names = names.iter().map(|name| CanInterface::Name(name));
        // No rule names a protocol of another number.
        let protocols = CAN_PROTOCOLS.iter().map(|(_, protocol)| *protocol).chain([-1]);
        let requests = names.chain([CanInterface::All, CanInterface::Unknown(u32::MAX)]).flat_map(
            |interface| {
                protocols
                    .clone()
                    .map(move |protocol| Request::Can(CanRequest { interface, protocol }))
            },
        );
        compared.first(requests)
    }

    #[cfg(test)]
    fn samples() -> Vec<CanRequest<'static>> {
        [CanInterface::All, CanInterface::Name("vcan0"), CanInterface::Unknown(3)]
            .map(|interface| CanRequest { interface, protocol: CAN_RAW })
            .to_vec()
    }
}
