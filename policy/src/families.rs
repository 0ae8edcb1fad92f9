//! What the verbs `can` and `family` name.

use std::fmt;

use sandsock_abi::constants::{
    BTPROTO_HCI, BTPROTO_L2CAP, BTPROTO_RFCOMM, BTPROTO_SCO, CAN_BCM, CAN_ISOTP, CAN_J1939,
    CAN_RAW, VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL,
    VMADDR_PORT_ANY,
};

use super::grant::suggestion;
use super::pattern::ParseError;

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
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
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
const FAMILIES: [&str; 6] = ["alg", "tipc", "vsock", "bluetooth", "rds", "qipcrtr"];

/// What is asked for of AF_BLUETOOTH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BluetoothTarget {
    /// BTPROTO_L2CAP.
    L2cap,
    /// BTPROTO_RFCOMM.
    Rfcomm,
    /// BTPROTO_SCO.
    Sco,
    /// BTPROTO_HCI, by this channel.
    Hci(u16),
}

/// HCI's channels, by their words (the kernel's `hci_sock.h`). The numbers are their places.
const HCI_CHANNELS: [&str; 5] = ["raw", "user", "monitor", "control", "logging"];

impl fmt::Display for BluetoothTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bluetooth:")?;
        match self {
            Self::L2cap => f.write_str("l2cap"),
            Self::Rfcomm => f.write_str("rfcomm"),
            Self::Sco => f.write_str("sco"),
            Self::Hci(channel) => match HCI_CHANNELS.get(usize::from(*channel)) {
                Some(word) => write!(f, "hci:{word}"),
                None => write!(f, "hci:{channel}"),
            },
        }
    }
}

/// What `family=bluetooth` names: `bluetooth`, `bluetooth:PROTOCOL` or `bluetooth:hci:CHANNEL`.
/// What is left out is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BluetoothPattern {
    /// All of it.
    All,
    /// HCI by any channel.
    Hci,
    /// One protocol, of HCI one channel.
    One(BluetoothTarget),
}

impl BluetoothPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        match (word, rest) {
            ("l2cap", None) => Ok(Self::One(BluetoothTarget::L2cap)),
            ("rfcomm", None) => Ok(Self::One(BluetoothTarget::Rfcomm)),
            ("sco", None) => Ok(Self::One(BluetoothTarget::Sco)),
            ("hci", None) => Ok(Self::Hci),
            ("hci", Some(channel)) => match HCI_CHANNELS.iter().position(|known| *known == channel)
            {
                Some(at) => Ok(Self::One(BluetoothTarget::Hci(at as u16))),
                None => Err(ParseError::new(
                    word.len() + 1,
                    format!("unknown HCI channel `{}`", channel.escape_debug()),
                    format!(
                        "channels are {}{}",
                        HCI_CHANNELS.join(", "),
                        suggestion(channel, HCI_CHANNELS)
                    ),
                )),
            },
            ("l2cap" | "rfcomm" | "sco", Some(_)) => Err(ParseError::new(
                word.len(),
                format!("`{word}` has no parts"),
                format!("write bluetooth:{word}"),
            )),
            _ => {
                let words = ["l2cap", "rfcomm", "sco", "hci"];
                Err(ParseError::new(
                    0,
                    format!("unknown Bluetooth protocol `{}`", word.escape_debug()),
                    format!("protocols are {}{}", words.join(", "), suggestion(word, words)),
                ))
            }
        }
    }

    fn holds(self, target: BluetoothTarget) -> bool {
        match self {
            Self::All => true,
            Self::Hci => matches!(target, BluetoothTarget::Hci(_)),
            Self::One(own) => own == target,
        }
    }

    /// Whether some use of this protocol is named.
    fn speaks(self, protocol: i32) -> bool {
        match self {
            Self::All => true,
            Self::Hci | Self::One(BluetoothTarget::Hci(_)) => protocol == BTPROTO_HCI,
            Self::One(BluetoothTarget::L2cap) => protocol == BTPROTO_L2CAP,
            Self::One(BluetoothTarget::Rfcomm) => protocol == BTPROTO_RFCOMM,
            Self::One(BluetoothTarget::Sco) => protocol == BTPROTO_SCO,
        }
    }
}

impl fmt::Display for BluetoothPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("bluetooth"),
            Self::Hci => f.write_str("bluetooth:hci"),
            Self::One(target) => target.fmt(f),
        }
    }
}

/// The words for context ids of AF_VSOCK (linux/vm_sockets.h).
const CIDS: [(&str, u32); 4] = [
    ("any", VMADDR_CID_ANY),
    ("hypervisor", VMADDR_CID_HYPERVISOR),
    ("local", VMADDR_CID_LOCAL),
    ("host", VMADDR_CID_HOST),
];

/// What is done with an AF_VSOCK address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VsockUse {
    /// Connect to it, or send to it.
    Connect,
    /// Bind it, and listen on it.
    Listen,
}

impl VsockUse {
    const ALL: [(&'static str, Self); 2] = [("connect", Self::Connect), ("listen", Self::Listen)];
}

impl fmt::Display for VsockUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Listen => "listen",
        })
    }
}

/// What `family=vsock` names: `vsock`, `vsock:USE`, `vsock:USE:CID` or `vsock:USE:CID:PORT`. What
/// is left out, and `*`, is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VsockPattern {
    /// `connect` or `listen`.
    pub purpose: Option<VsockUse>,
    /// The context id; `any` is the wildcard to bind to, and is not all.
    pub cid: Option<u32>,
    /// The ports, first and last; `any` is the kernel's choice.
    pub ports: Option<(u32, u32)>,
}

impl VsockPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let mut pattern = Self::default();
        let mut at = 0;
        for (place, part) in text.split(':').enumerate() {
            let fault = |what: String, help: &str| Err(ParseError::new(at, what, help));
            match place {
                0 => match VsockUse::ALL.iter().find(|(word, _)| *word == part) {
                    Some((_, purpose)) => pattern.purpose = Some(*purpose),
                    None => {
                        let what = format!("`{}` is no use of AF_VSOCK", part.escape_debug());
                        return fault(
                            what,
                            "write vsock:connect:CID:PORT or vsock:listen:CID:PORT",
                        );
                    }
                },
                1 if part == "*" => {}
                1 => match CIDS
                    .iter()
                    .find(|(word, _)| *word == part)
                    .map(|(_, cid)| *cid)
                    .or_else(|| number(part))
                {
                    Some(cid) => pattern.cid = Some(cid),
                    None => {
                        let what = format!("`{}` is no context id", part.escape_debug());
                        return fault(
                            what,
                            "write a number, `local`, `host`, `hypervisor`, `any` (to bind all) or `*`",
                        );
                    }
                },
                2 if part == "*" => {}
                2 if part == "any" => pattern.ports = Some((VMADDR_PORT_ANY, VMADDR_PORT_ANY)),
                2 => {
                    let (low, high) = part.split_once('-').unwrap_or((part, part));
                    match number(low).zip(number(high)) {
                        Some((low, high)) if low <= high && high < VMADDR_PORT_ANY => {
                            pattern.ports = Some((low, high))
                        }
                        _ => {
                            let what = format!("`{}` is no port", part.escape_debug());
                            return fault(
                                what,
                                "write a number, a range as in 1024-2047, `any` (the kernel's choice) or `*`",
                            );
                        }
                    }
                }
                _ => {
                    return fault(
                        "there are too many parts".to_owned(),
                        "write vsock:connect:CID:PORT",
                    );
                }
            }
            at += part.len() + 1;
        }
        Ok(pattern)
    }

    fn holds(&self, purpose: VsockUse, cids: &[u32], port: u32) -> bool {
        self.purpose.is_none_or(|own| own == purpose)
            && self.cid.is_none_or(|own| cids.contains(&own))
            && self.ports.is_none_or(|(low, high)| (low..=high).contains(&port))
    }

    /// Whether some of it is named, for rules that deny: the wildcard to bind to is every cid, and
    /// the kernel may choose any port from 1024 on.
    fn touches(&self, purpose: VsockUse, cids: &[u32], port: u32) -> bool {
        let cid = purpose == VsockUse::Listen && cids.contains(&VMADDR_CID_ANY);
        let port_too = port == VMADDR_PORT_ANY;
        self.purpose.is_none_or(|own| own == purpose)
            && (cid || self.cid.is_none_or(|own| cids.contains(&own)))
            && self.ports.is_none_or(|(low, high)| {
                (low..=high).contains(&port) || (port_too && high >= 1024)
            })
    }
}

impl fmt::Display for VsockPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vsock")?;
        let Some(purpose) = self.purpose else { return Ok(()) };
        write!(f, ":{purpose}")?;
        match (self.cid, self.ports) {
            (None, None) => return Ok(()),
            (None, Some(_)) => f.write_str(":*")?,
            (Some(cid), _) => write!(f, ":{}", Cid(cid))?,
        }
        match self.ports {
            None => Ok(()),
            Some((VMADDR_PORT_ANY, _)) => f.write_str(":any"),
            Some((low, high)) if low == high => write!(f, ":{low}"),
            Some((low, high)) => write!(f, ":{low}-{high}"),
        }
    }
}

/// A context id as rules write it.
struct Cid(u32);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CIDS.iter().find(|(_, cid)| *cid == self.0) {
            Some((word, _)) => f.write_str(word),
            None => self.0.fmt(f),
        }
    }
}

/// A decimal number of 32 bits, of digits alone.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

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
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
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
                    .map_err(|fault| fault.shifted(word.len() + 1)),
            },
            "bluetooth" => match rest {
                None => Ok(Self::Bluetooth(BluetoothPattern::All)),
                Some(rest) => BluetoothPattern::parse(rest)
                    .map(Self::Bluetooth)
                    .map_err(|fault| fault.shifted(word.len() + 1)),
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

    /// Whether it names what a guest asks for.
    pub(super) fn holds(&self, target: FamilyTarget<'_>) -> bool {
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

    /// Whether it names some of what a guest asks for, by whichever address: for rules that deny.
    pub(super) fn touches(&self, target: FamilyTarget<'_>) -> bool {
        match (self, target) {
            (Self::Vsock(pattern), FamilyTarget::Vsock { purpose, same, port, .. }) => {
                pattern.touches(purpose, same, port)
            }
            _ => self.holds(target),
        }
    }

    /// Whether it names some use of this protocol of AF_BLUETOOTH.
    pub(super) fn speaks_bluetooth(&self, protocol: i32) -> bool {
        matches!(self, Self::Bluetooth(pattern) if pattern.speaks(protocol))
    }

    /// The family's number.
    pub(super) fn family(&self) -> i32 {
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
    /// The rule that names this and nothing else; none where no rule can.
    pub(super) fn grant(&self) -> Option<String> {
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
            ("bluetooth:l2pac", "unknown Bluetooth protocol `l2pac`"),
            ("bluetooth:rfcomm:1", "has no parts"),
            ("bluetooth:hci:5", "unknown HCI channel `5`"),
            ("vsock:2:1024", "`2` is no use of AF_VSOCK"),
            ("vsock:connect:4294967296", "is no context id"),
            ("vsock:connect:+1:5", "is no context id"),
            ("vsock:listen:*:2000-1000", "is no port"),
            ("vsock:listen:*:4294967295", "is no port"),
            ("vsock:listen:*:1:2", "too many parts"),
        ] {
            let fault = FamilyPattern::parse(text).expect_err(text);
            assert!(fault.what.contains(words), "{text}: {}", fault.what);
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
