//! The verb `family`: families without a verb of their own.

pub(crate) mod bluetooth;
pub(crate) mod vsock;

use std::fmt::{self, Display as _};

use sandsock_abi::constants::VMADDR_PORT_ANY;

use crate::covers::words::{Alphabet, SEPARATOR, Step, Universe};
use crate::covers::{Compared, Excess, Found, Undecided};
use crate::decide::{Asked, Asking, Capability, Query, find};
use crate::denial::Allowed;
use crate::error::{ParseError, suggestion};
use crate::index::RuleId;
use crate::rules::VerbRules;
use crate::verbs::family::bluetooth::{BluetoothPattern, BluetoothTarget};
use crate::verbs::family::vsock::{Cid, VsockPattern, VsockUse};
use crate::verbs::{Request, verb};

/// The words that `family` begins with.
const FAMILIES: [&str; 6] = ["alg", "tipc", "vsock", "bluetooth", "rds", "qipcrtr"];

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
    /// `vsock` and its parts.
    Vsock(VsockPattern),
    /// `bluetooth` and its parts.
    Bluetooth(BluetoothPattern),
    /// `rds`.
    Rds,
    /// `qipcrtr`.
    Qipcrtr,
}

impl FamilyPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        let plain = |pattern| match rest {
            None => Ok(pattern),
            Some(_) => Err(ParseError::new(
                word.len(),
                format!("`{word}` has no parts"),
                format!("write {word} alone"),
            )),
        };
        match word {
            "alg" => {
                let (kind, name) = match rest.map(|rest| rest.split_once(':').ok_or(rest)) {
                    None => (None, None),
                    Some(Err(kind)) => (Some(kind), None),
                    Some(Ok((kind, name))) => (Some(kind), Some(name)),
                };
                // What sockaddr_alg has room for.
                for (part, most, what) in [(kind, 13, "kind of algorithm"), (name, 63, "algorithm")]
                {
                    if part.is_some_and(|part| {
                        part.is_empty()
                            || part.len() > most
                            || !part.bytes().all(|b| b.is_ascii_graphic())
                    }) {
                        return Err(ParseError::new(
                            word.len() + 1,
                            format!("no {what} has this name"),
                            "write alg:KIND:NAME, as in alg:hash:sha256 or alg:skcipher:*",
                        ));
                    }
                }
                Ok(Self::Alg { kind: kind.map(Into::into), name: name.map(Into::into) })
            }
            "tipc" => plain(Self::Tipc),
            "vsock" => match rest {
                None => Ok(Self::Vsock(VsockPattern::default())),
                Some(rest) => VsockPattern::parse(rest)
                    .map(Self::Vsock)
                    .map_err(|error| error.shifted(word.len() + 1)),
            },
            "bluetooth" => match rest {
                None => Ok(Self::Bluetooth(BluetoothPattern::All)),
                Some(rest) => BluetoothPattern::parse(rest)
                    .map(Self::Bluetooth)
                    .map_err(|error| error.shifted(word.len() + 1)),
            },
            "rds" => plain(Self::Rds),
            "qipcrtr" => plain(Self::Qipcrtr),
            _ => Err(ParseError::new(
                0,
                format!("unknown family `{}`", word.escape_debug()),
                format!("families are {}{}", FAMILIES.join(", "), suggestion(word, FAMILIES)),
            )),
        }
    }

    /// Returns the one thing that it names.
    ///
    /// # Errors
    ///
    /// It names more than one.
    fn one(&self) -> Result<FamilyTarget<'_>, &'static str> {
        match self {
            Self::Alg { kind: Some(kind), name: Some(name) }
                if !kind.contains('*') && !name.contains('*') =>
            {
                Ok(FamilyTarget::Alg { kind, name })
            }
            Self::Alg { .. } => Err("write one algorithm, as in alg:hash:sha256"),
            Self::Tipc => Ok(FamilyTarget::Tipc),
            Self::Vsock(pattern) => pattern
                .one()
                .ok_or("write one use, one context id and one port, as in vsock:connect:host:1024"),
            Self::Bluetooth(BluetoothPattern::One(target)) => Ok(FamilyTarget::Bluetooth(*target)),
            Self::Bluetooth(BluetoothPattern::All) => {
                Err("write one protocol, as in bluetooth:l2cap")
            }
            Self::Bluetooth(BluetoothPattern::Hci) => {
                Err("write one channel, as in bluetooth:hci:raw")
            }
            Self::Rds => Ok(FamilyTarget::Rds),
            Self::Qipcrtr => Ok(FamilyTarget::Qipcrtr),
        }
    }

    /// Returns whether it names what a guest asks for.
    pub(crate) fn holds(&self, target: FamilyTarget<'_>) -> bool {
        let fits = |pattern: &Option<Box<str>>, text: &str| {
            pattern.as_deref().is_none_or(|pattern| glob(pattern, text))
        };
        match (self, target) {
            (Self::Alg { kind, name }, FamilyTarget::Alg { kind: own_kind, name: own_name }) => {
                fits(kind, own_kind) && fits(name, own_name)
            }
            (Self::Vsock(pattern), FamilyTarget::Vsock { purpose, cid, port, .. }) => {
                pattern.holds(purpose, &[cid], port)
            }
            (Self::Tipc, FamilyTarget::Tipc)
            | (Self::Rds, FamilyTarget::Rds)
            | (Self::Qipcrtr, FamilyTarget::Qipcrtr) => true,
            (Self::Bluetooth(pattern), FamilyTarget::Bluetooth(target)) => pattern.holds(target),
            (
                Self::Alg { .. }
                | Self::Tipc
                | Self::Vsock(_)
                | Self::Bluetooth(_)
                | Self::Rds
                | Self::Qipcrtr,
                _,
            ) => false,
        }
    }

    /// Returns whether it names a part of the request, by any of its addresses. Rules that deny are
    /// asked this.
    pub(crate) fn touches(&self, target: FamilyTarget<'_>) -> bool {
        match (self, target) {
            (Self::Vsock(pattern), FamilyTarget::Vsock { purpose, same, port, .. }) => {
                pattern.touches(purpose, same, port)
            }
            _ => self.holds(target),
        }
    }

    /// Returns whether it names some use of this protocol of AF_BLUETOOTH.
    pub(crate) fn speaks_bluetooth(&self, protocol: i32) -> bool {
        matches!(self, Self::Bluetooth(pattern) if pattern.speaks(protocol))
    }

    /// The family's number.
    pub(crate) fn family(&self) -> i32 {
        use sandsock_abi::constants::{
            AF_ALG, AF_BLUETOOTH, AF_QIPCRTR, AF_RDS, AF_TIPC, AF_VSOCK,
        };
        match self {
            Self::Alg { .. } => AF_ALG,
            Self::Tipc => AF_TIPC,
            Self::Vsock(_) => AF_VSOCK,
            Self::Bluetooth(_) => AF_BLUETOOTH,
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
            Self::Vsock(pattern) => pattern.fmt(f),
            Self::Bluetooth(pattern) => pattern.fmt(f),
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
    /// An address of AF_VSOCK.
    Vsock {
        /// What is done with it.
        purpose: VsockUse,
        /// Its context id, VMADDR_CID_ANY for all that the machine has.
        cid: u32,
        /// All the context ids that lead to the same machine, this one among them: rules that deny
        /// hold for each.
        same: &'a [u32],
        /// Its port, VMADDR_PORT_ANY for one of the kernel's choice.
        port: u32,
    },
    /// A protocol of AF_BLUETOOTH.
    Bluetooth(BluetoothTarget),
    /// Anything of AF_RDS.
    Rds,
    /// Anything of AF_QIPCRTR.
    Qipcrtr,
}

impl FamilyTarget<'_> {
    /// Returns the rule that names this and nothing else. None if no rule can.
    pub(crate) fn grant(&self) -> Option<String> {
        let text = self.to_string();
        // A `*` of the guest's making would be a pattern.
        (!text.contains('*')
            && FamilyPattern::parse(&text).is_ok_and(|pattern| pattern.holds(*self)))
        .then_some(text)
    }
}

impl fmt::Display for FamilyTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alg { kind, name } => {
                write!(f, "alg:{}:{}", kind.escape_debug(), name.escape_debug())
            }
            Self::Tipc => f.write_str("tipc"),
            Self::Vsock { purpose, cid, port: VMADDR_PORT_ANY, .. } => {
                write!(f, "vsock:{purpose}:{}:any", Cid(*cid))
            }
            Self::Bluetooth(target) => target.fmt(f),
            Self::Vsock { purpose, cid, port, .. } => {
                write!(f, "vsock:{purpose}:{}:{port}", Cid(*cid))
            }
            Self::Rds => f.write_str("rds"),
            Self::Qipcrtr => f.write_str("qipcrtr"),
        }
    }
}

/// Returns whether a text is one that a pattern with `*` for any bytes names. Both are short.
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

impl Capability for verb::Family {
    const EXAMPLES: &'static [&'static str] = &[
        "alg:hash:sha256",
        "alg:skcipher:*(aes)",
        "alg",
        "vsock:connect:host:1024",
        "vsock:listen:any:1024-2047",
        "bluetooth:l2cap",
        "bluetooth:hci:raw",
        "tipc",
        "rds",
        "qipcrtr",
    ];
    const ABOUT: &'static str = "use a family without a verb of its own: for AF_ALG the named algorithms, for AF_VSOCK the named addresses";

    type Index = Vec<(FamilyPattern, RuleId)>;

    fn parse(target: &str) -> Result<FamilyPattern, ParseError> {
        FamilyPattern::parse(target)
    }

    fn index(rules: &VerbRules<'_, FamilyPattern>) -> Self::Index {
        rules.list()
    }

    fn show(asked: FamilyTarget<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        asked.fmt(f)
    }

    fn denied<'p>(query: &Query<'p, '_>, asked: FamilyTarget<'_>) -> Option<&'p str> {
        let deny = &query.policy.deny;
        find(&deny.family, |rule| rule.touches(asked)).map(|rule| deny.text(rule))
    }

    fn allowed<'p>(query: &Query<'p, '_>, asked: FamilyTarget<'_>) -> Option<Allowed<'p>> {
        let rule = find(&query.policy.allow.family, |rule| rule.holds(asked))?;
        Some(query.policy.by(rule))
    }

    fn grant(asked: FamilyTarget<'_>) -> Option<String> {
        asked.grant()
    }

    fn ask<'a>(
        pattern: &'a FamilyPattern,
        _: &Asking<'a>,
    ) -> Result<Asked<'a, Self::Request<'a>>, &'static str> {
        pattern.one().map(|target| (target, None))
    }

    fn excess(compared: &Compared<'_>) -> Found<Excess> {
        let plain = [FamilyTarget::Tipc, FamilyTarget::Rds, FamilyTarget::Qipcrtr];
        let bluetooth = bluetooth::targets().map(FamilyTarget::Bluetooth);
        if let Some(found) =
            compared.first(plain.into_iter().chain(bluetooth).map(Request::Family))?
        {
            return Ok(Some(found));
        }
        match vsock::excess(compared)? {
            Some(found) => Ok(Some(found)),
            None => alg_excess(compared),
        }
    }

    #[cfg(test)]
    fn samples() -> Vec<FamilyTarget<'static>> {
        vec![
            FamilyTarget::Alg { kind: "hash", name: "sha256" },
            FamilyTarget::Tipc,
            FamilyTarget::Vsock { purpose: VsockUse::Connect, cid: 2, same: &[2], port: 1024 },
            FamilyTarget::Bluetooth(BluetoothTarget::L2cap),
            FamilyTarget::Rds,
            FamilyTarget::Qipcrtr,
        ]
    }
}

/// The most characters of an algorithm and its kind (`sockaddr_alg`).
const LONGEST_ALG: usize = 13 + 63;

/// Compares the algorithms of two policies.
fn alg_excess(compared: &Compared<'_>) -> Found<Excess> {
    // No name has a NUL.
    let mut alphabet = Alphabet::new(b"\0");
    let mut patterns = compared.words(Universe::Pairs);
    for (role, rules) in compared.roles() {
        for (rule, _) in &rules.family {
            let FamilyPattern::Alg { kind, name } = rule else { continue };
            let mut steps_of = |pattern: &Option<Box<str>>| {
                let step = |c: char| match c {
                    '*' => Step::Many,
                    c => Step::One(alphabet.symbol(c.encode_utf8(&mut [0; 4]).as_bytes())),
                };
                pattern.as_deref().unwrap_or("*").chars().map(step).collect::<Vec<_>>()
            };
            let (kind, name) = (steps_of(kind), steps_of(name));
            patterns.add(role, &[&kind[..], &[Step::One(SEPARATOR)], &name].concat());
        }
    }
    let Some(word) = patterns.uncovered(LONGEST_ALG + 1)? else { return Ok(None) };
    let text = String::from_utf8(alphabet.text(&word)).unwrap_or_default();
    let (kind, name) = text.split_once('\0').unwrap_or_default();
    let found = compared.excess(&Request::Family(FamilyTarget::Alg { kind, name }));
    found.map(Some).ok_or_else(|| Undecided::Unconfirmed(format!("{kind}:{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::can::CanPattern;
    use proptest::prelude::*;
    use sandsock_abi::constants::{VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL};

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
            ("vcan*", "is not the name of an interface"),
            ("", "is not the name of an interface"),
            ("an-interface-with-a-name", "is not the name of an interface"),
        ] {
            let error = CanPattern::parse(text).expect_err(text);
            assert!(error.what.contains(words), "{text}: {}", error.what);
        }
        for (text, words) in [
            ("lag:hash", "unknown family `lag`"),
            ("tipc:1", "has no parts"),
            ("alg:", "no kind"),
            ("alg:hash:", "no algorithm"),
            ("bluetooth:l2pac", "unknown Bluetooth protocol `l2pac`"),
            ("bluetooth:rfcomm:1", "has no parts"),
            ("bluetooth:hci:5", "unknown HCI channel `5`"),
            ("vsock:2:1024", "`2` is not a use of AF_VSOCK"),
            ("vsock:connect:4294967296", "is not a context id"),
            ("vsock:connect:+1:5", "is not a context id"),
            ("vsock:listen:*:2000-1000", "is not a port"),
            ("vsock:listen:*:4294967295", "is not a port"),
            ("vsock:listen:*:1:2", "too many parts"),
        ] {
            let error = FamilyPattern::parse(text).expect_err(text);
            assert!(error.what.contains(words), "{text}: {}", error.what);
        }
    }

    #[test]
    fn vsock_patterns_are_shown_as_they_are_written() {
        for text in [
            "vsock",
            "vsock:connect",
            "vsock:connect:host:1024",
            "vsock:connect:3:1-9",
            "vsock:listen:any:any",
            "vsock:listen:*:5",
            "vsock:listen:local",
            "bluetooth",
            "bluetooth:l2cap",
            "bluetooth:hci",
            "bluetooth:hci:monitor",
        ] {
            assert_eq!(FamilyPattern::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn vsock_addresses_are_told_apart() {
        let named =
            |pattern: &str, target| FamilyPattern::parse(pattern).expect(pattern).holds(target);
        let denied =
            |pattern: &str, target| FamilyPattern::parse(pattern).expect(pattern).touches(target);
        let same = [VMADDR_CID_LOCAL, VMADDR_CID_HOST];
        let to =
            |cid, port| FamilyTarget::Vsock { purpose: VsockUse::Connect, cid, same: &same, port };
        let at = |cid, port| FamilyTarget::Vsock {
            purpose: VsockUse::Listen,
            cid,
            same: if cid == VMADDR_CID_ANY { &[VMADDR_CID_ANY] } else { &[VMADDR_CID_LOCAL] },
            port,
        };
        assert!(named("vsock:connect:local:5", to(VMADDR_CID_LOCAL, 5)));
        assert!(!named("vsock:connect:local:5", to(VMADDR_CID_HOST, 5)));
        assert!(!named("vsock:connect:local:5", to(VMADDR_CID_LOCAL, 6)));
        assert!(!named("vsock:connect:local:5", at(VMADDR_CID_LOCAL, 5)));
        assert!(!named("vsock:listen:local:5", at(VMADDR_CID_ANY, 5)));
        assert!(named("vsock:listen:*:5", at(VMADDR_CID_ANY, 5)));
        assert!(!named("vsock:listen:*:5", at(VMADDR_CID_ANY, VMADDR_PORT_ANY)));
        assert!(named("vsock:listen:any:any", at(VMADDR_CID_ANY, VMADDR_PORT_ANY)));
        // By whichever number, and as a part of the wildcard.
        assert!(denied("vsock:connect:host", to(VMADDR_CID_LOCAL, 5)));
        assert!(denied("vsock:listen:local:5", at(VMADDR_CID_ANY, 5)));
        assert!(denied("vsock:listen:local:1024-2000", at(VMADDR_CID_ANY, VMADDR_PORT_ANY)));
        assert!(!denied("vsock:listen:local:5", at(VMADDR_CID_LOCAL, 6)));
    }

    proptest! {
        #[test]
        fn a_vsock_target_is_named_by_its_grant(listen: bool, cid: u32, port: u32) {
            let purpose = if listen { VsockUse::Listen } else { VsockUse::Connect };
            let target = FamilyTarget::Vsock { purpose, cid, same: &[cid], port };
            let grant = target.grant().expect("there is one");
            prop_assert!(FamilyPattern::parse(&grant).is_ok_and(|pattern| pattern.holds(target)));
        }

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
