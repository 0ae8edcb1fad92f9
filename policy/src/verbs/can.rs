//! The verb `can`: the interfaces and protocols of AF_CAN.

use std::fmt;

use sandsock_abi::constants::{CAN_BCM, CAN_ISOTP, CAN_J1939, CAN_RAW};

use crate::error::{ParseError, suggestion};

/// The protocols of AF_CAN, by their words.
const CAN_PROTOCOLS: [(&str, i32); 4] =
    [("raw", CAN_RAW), ("bcm", CAN_BCM), ("isotp", CAN_ISOTP), ("j1939", CAN_J1939)];

/// The word of an AF_CAN protocol; none for one that has no rules.
pub(crate) fn can_protocol(number: i32) -> Option<&'static str> {
    CAN_PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(word, _)| *word)
}

/// What `can` names: `INTERFACE` or `INTERFACE:PROTOCOL`, the interface `*` for every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanPattern {
    /// The interface's name; none is every interface, and the wildcard that takes in all of them.
    pub interface: Option<Box<str>>,
    /// CAN_RAW, CAN_BCM, CAN_ISOTP or CAN_J1939; none is all of them.
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
                format!("`{}` is no interface", interface.escape_debug()),
                "write the interface's whole name, as in vcan0, or `*` for every one",
            ));
        }
        Ok(Self { interface: Some(interface.into()), protocol })
    }

    /// Whether some use of this protocol is named.
    pub(crate) fn speaks(&self, protocol: i32) -> bool {
        self.protocol.is_none_or(|own| own == protocol)
    }

    /// Whether the interface is named.
    pub(crate) fn holds(&self, interface: CanInterface<'_>) -> bool {
        match (&self.interface, interface) {
            (None, _) => true,
            (Some(own), CanInterface::Name(name)) => **own == *name,
            (Some(_), CanInterface::All | CanInterface::Unknown(_)) => false,
        }
    }

    /// Whether some of it is named, for rules that deny: every interface is a part of the wildcard.
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
