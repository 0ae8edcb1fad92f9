//! What the verbs `can` and `family` name.

use std::fmt;

use sandsock_abi::constants::{CAN_BCM, CAN_ISOTP, CAN_J1939, CAN_RAW};

use super::grant::suggestion;
use super::pattern::Fault;

/// The protocols of AF_CAN, by their words.
const CAN_PROTOCOLS: [(&str, i32); 4] = [("raw", CAN_RAW), ("bcm", CAN_BCM), ("isotp", CAN_ISOTP), ("j1939", CAN_J1939)];

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
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let (interface, protocol) = match text.split_once(':') {
            Some((interface, protocol)) => (interface, Some(protocol)),
            None => (text, None),
        };
        let protocol = protocol
            .map(|word| {
                CAN_PROTOCOLS.iter().find(|(known, _)| *known == word).map(|(_, number)| *number).ok_or_else(|| {
                    let words = CAN_PROTOCOLS.map(|(word, _)| word);
                    Fault::new(
                        interface.len() + 1,
                        format!("unknown CAN protocol `{}`", word.escape_debug()),
                        format!("protocols are {}{}", words.join(", "), suggestion(word, words)),
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
            return Err(Fault::new(
                0,
                format!("`{}` is no interface", interface.escape_debug()),
                "write the interface's whole name, as in vcan0, or `*` for every one",
            ));
        }
        Ok(Self { interface: Some(interface.into()), protocol })
    }

    /// Whether some use of this protocol is named.
    pub(super) fn speaks(&self, protocol: i32) -> bool {
        self.protocol.is_none_or(|own| own == protocol)
    }

    /// Whether the interface is named.
    pub(super) fn holds(&self, interface: CanInterface<'_>) -> bool {
        match (&self.interface, interface) {
            (None, _) => true,
            (Some(own), CanInterface::Name(name)) => **own == *name,
            (Some(_), CanInterface::All | CanInterface::Unknown(_)) => false,
        }
    }

    /// Whether some of it is named, for rules that deny: every interface is a part of the wildcard.
    pub(super) fn touches(&self, interface: CanInterface<'_>) -> bool {
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

/// The words that `family` begins with.
const FAMILIES: [&str; 4] = ["alg", "tipc", "rds", "qipcrtr"];

/// What `family` names: a family without a verb of its own, and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyPattern {
    /// `alg`, `alg:KIND` or `alg:KIND:NAME`, with `*` for any bytes in either.
    Alg {
        /// The kind of algorithm: `hash`, `skcipher`, `aead`, `rng`.
        kind: Option<Box<str>>,
        /// The algorithm: `sha256`, `cbc(aes)`.
        name: Option<Box<str>>,
    },
    /// `tipc`.
    Tipc,
    /// `rds`.
    Rds,
    /// `qipcrtr`.
    Qipcrtr,
}

impl FamilyPattern {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        let plain = |pattern| match rest {
            None => Ok(pattern),
            Some(_) => Err(Fault::new(word.len(), format!("`{word}` has no parts"), format!("write {word} alone"))),
        };
        match word {
            "alg" => {
                let (kind, name) = match rest.map(|rest| rest.split_once(':').ok_or(rest)) {
                    None => (None, None),
                    Some(Err(kind)) => (Some(kind), None),
                    Some(Ok((kind, name))) => (Some(kind), Some(name)),
                };
                // What sockaddr_alg has room for.
                for (part, most, what) in [(kind, 13, "kind of algorithm"), (name, 63, "algorithm")] {
                    if part.is_some_and(|part| {
                        part.is_empty() || part.len() > most || !part.bytes().all(|b| b.is_ascii_graphic())
                    }) {
                        return Err(Fault::new(
                            word.len() + 1,
                            format!("no {what} has this name"),
                            "write alg:KIND:NAME, as in alg:hash:sha256 or alg:skcipher:*",
                        ));
                    }
                }
                Ok(Self::Alg { kind: kind.map(Into::into), name: name.map(Into::into) })
            }
            "tipc" => plain(Self::Tipc),
            "rds" => plain(Self::Rds),
            "qipcrtr" => plain(Self::Qipcrtr),
            _ => Err(Fault::new(
                0,
                format!("unknown family `{}`", word.escape_debug()),
                format!("families are {}{}", FAMILIES.join(", "), suggestion(word, FAMILIES)),
            )),
        }
    }

    /// Whether it names what a guest asks for.
    pub(super) fn holds(&self, target: FamilyTarget<'_>) -> bool {
        let fits = |pattern: &Option<Box<str>>, text: &str| pattern.as_deref().is_none_or(|pattern| glob(pattern, text));
        match (self, target) {
            (Self::Alg { kind, name }, FamilyTarget::Alg { kind: own_kind, name: own_name }) => {
                fits(kind, own_kind) && fits(name, own_name)
            }
            (Self::Tipc, FamilyTarget::Tipc) | (Self::Rds, FamilyTarget::Rds) | (Self::Qipcrtr, FamilyTarget::Qipcrtr) => {
                true
            }
            (Self::Alg { .. } | Self::Tipc | Self::Rds | Self::Qipcrtr, _) => false,
        }
    }

    /// The family's number.
    pub(super) fn family(&self) -> i32 {
        use sandsock_abi::constants::{AF_ALG, AF_QIPCRTR, AF_RDS, AF_TIPC};
        match self {
            Self::Alg { .. } => AF_ALG,
            Self::Tipc => AF_TIPC,
            Self::Rds => AF_RDS,
            Self::Qipcrtr => AF_QIPCRTR,
        }
    }
}

impl fmt::Display for FamilyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alg { kind, name } => {
                f.write_str("alg")?;
                [kind, name].into_iter().flatten().try_for_each(|part| write!(f, ":{part}"))
            }
            Self::Tipc => f.write_str("tipc"),
            Self::Rds => f.write_str("rds"),
            Self::Qipcrtr => f.write_str("qipcrtr"),
        }
    }
}

/// What a guest asks for of a family without a verb of its own. Printed as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyTarget<'a> {
    /// An algorithm of the kernel.
    Alg {
        /// Its kind.
        kind: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// Anything of AF_TIPC.
    Tipc,
    /// Anything of AF_RDS.
    Rds,
    /// Anything of AF_QIPCRTR.
    Qipcrtr,
}

impl FamilyTarget<'_> {
    /// The rule that names this and nothing else; none where no rule can.
    pub(super) fn grant(&self) -> Option<String> {
        let text = self.to_string();
        // A `*` of the guest's making would be a pattern.
        (!text.contains('*') && FamilyPattern::parse(&text).is_ok_and(|pattern| pattern.holds(*self))).then_some(text)
    }
}

impl fmt::Display for FamilyTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alg { kind, name } => write!(f, "alg:{}:{}", kind.escape_debug(), name.escape_debug()),
            Self::Tipc => f.write_str("tipc"),
            Self::Rds => f.write_str("rds"),
            Self::Qipcrtr => f.write_str("qipcrtr"),
        }
    }
}

/// Whether a text is one that a pattern with `*` for any bytes names. Both are short.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stood, and how much of the text it has taken in.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match &mut star {
                None => return false,
                Some((place, taken)) => {
                    *taken += 1;
                    (at, seen) = (*place + 1, *taken);
                }
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_of_algorithms() {
        for (pattern, text, fits) in [
            ("sha256", "sha256", true),
            ("sha256", "sha2567", false),
            ("sha*", "sha256", true),
            ("sha*", "md5", false),
            ("*(aes)", "cbc(aes)", true),
            ("*(aes)", "cbc(aes)x", false),
            ("hmac(*)", "hmac(sha256)", true),
            ("*", "", true),
            ("a*b*c", "axbxbxc", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn faults_say_what_would_be_right() {
        for (text, words) in [
            ("vcan0:rwa", "unknown CAN protocol `rwa`"),
            ("vcan*", "is no interface"),
            ("", "is no interface"),
            ("an-interface-with-a-name", "is no interface"),
        ] {
            let fault = CanPattern::parse(text).expect_err(text);
            assert!(fault.what.contains(words), "{text}: {}", fault.what);
        }
        for (text, words) in [
            ("lag:hash", "unknown family `lag`"),
            ("tipc:1", "has no parts"),
            ("alg:", "no kind"),
            ("alg:hash:", "no algorithm"),
        ] {
            let fault = FamilyPattern::parse(text).expect_err(text);
            assert!(fault.what.contains(words), "{text}: {}", fault.what);
        }
    }

    proptest! {
        #[test]
        fn a_pattern_without_stars_is_itself(a in "[a-z()*]{0,6}", b in "[a-z()]{0,6}") {
            prop_assume!(!a.contains('*'));
            prop_assert_eq!(glob(&a, &b), a == b);
        }

        #[test]
        fn a_target_is_named_by_its_grant(kind in "\\PC{0,14}", name in "\\PC{0,64}") {
            let target = FamilyTarget::Alg { kind: &kind, name: &name };
            if let Some(grant) = target.grant() {
                prop_assert!(FamilyPattern::parse(&grant).is_ok_and(|pattern| pattern.holds(target)));
            }
        }
    }
}
