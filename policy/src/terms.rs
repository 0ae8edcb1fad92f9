//! The terms of a rule: the conditions on which it allows something, `;KEY=VALUE` in its text.
//!
//! [`Terms::TABLE`] has one row a key, with the verbs that take it. [`Terms::set`] parses a value.

use std::fmt;

use crate::error::{ParseError, suggestion};
use crate::rule::escape;
use crate::text::decimal;
use crate::verbs::Verb;
use crate::verbs::tls_identity::IdentityName;

/// How much the acts that a rule allows may move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that may be sent and received in all.
    pub bytes: Option<u64>,
    /// Bytes that may be sent and received in a second.
    pub rate: Option<u64>,
    /// Connections that may be open at once.
    pub connections: Option<u32>,
    /// Who shares the budget.
    pub scope: Scope,
}

/// Who shares a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// `instance`: each instance has the budget for itself.
    #[default]
    Instance,
    /// `command`: all instances of the command, or of the embedder's policy, share it.
    Command,
}

impl Scope {
    pub(crate) const ALL: [Self; 2] = [Self::Instance, Self::Command];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Command => "command",
        }
    }
}

/// The place of a budget in [`Policy::budgets`](crate::Policy::budgets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BudgetId(pub(crate) u32);

impl BudgetId {
    /// Returns the place as an index. The first is 0, and there is none without a budget.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The terms of a rule. Without any, the rule allows without a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much the rule allows.
    pub budget: Option<Budget>,
    /// How TLS on the connections has to be.
    pub tls: Option<TlsTerms>,
}

/// How TLS on the connections of a rule has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsTerms {
    /// The file or the folder of the roots that verify the peer. Without it, the embedder's roots
    /// do.
    pub roots: Option<String>,
    /// The identity that servers show there, and that no rule lends to others.
    pub identity: Option<IdentityName>,
    /// The protocols of ALPN, of which a session has to agree on one. Empty if it need not.
    pub alpn: Vec<String>,
}

impl TlsTerms {
    /// Returns whether all that these terms allow is what `wide` allows too.
    pub(crate) fn fit(narrow: Option<&Self>, wide: Option<&Self>) -> bool {
        let (free, Some(wide)) = (Self::default(), wide) else { return true };
        let narrow = narrow.unwrap_or(&free);
        let in_wide = |protocol: &String| wide.alpn.contains(protocol);
        (wide.roots.is_none() || wide.roots == narrow.roots)
            && (wide.identity.is_none() || wide.identity == narrow.identity)
            && (wide.alpn.is_empty() || !narrow.alpn.is_empty() && narrow.alpn.iter().all(in_wide))
    }
}

/// A key of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Rate,
    Bytes,
    Connections,
    Scope,
    Roots,
    Identity,
    Alpn,
}

/// A row of [`Terms::TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct TermInfo {
    pub(crate) key: Key,
    /// The key.
    pub name: &'static str,
    /// A value, for help and errors.
    pub example: &'static str,
    /// What it says, for help.
    pub about: &'static str,
    /// The verbs that take it.
    pub verbs: &'static [Verb],
}

/// The verbs whose acts move bytes that the host sees. The bytes of datagrams are counted by
/// `udp-send` and `udp-receive`, so `udp-bind` is none of them.
const CARRYING: &[Verb] = &[
    Verb::TcpConnect,
    Verb::TcpListen,
    Verb::TlsConnect,
    Verb::TlsListen,
    Verb::TlsInsecure,
    Verb::TlsUpgrade,
    Verb::UdpSend,
    Verb::UdpReceive,
    Verb::UnixConnect,
    Verb::UnixBind,
];

/// The verbs whose acts open connections: by connect, or by accept.
const CONNECTING: &[Verb] = &[
    Verb::TcpConnect,
    Verb::TcpListen,
    Verb::TlsConnect,
    Verb::TlsListen,
    Verb::TlsInsecure,
    Verb::TlsUpgrade,
    Verb::UnixConnect,
    Verb::UnixBind,
];

/// The verbs whose connections carry TLS alone.
const OF_TLS: &[Verb] = &[Verb::TlsConnect, Verb::TlsListen, Verb::TlsInsecure, Verb::TlsUpgrade];

/// The verbs by which a server has to prove its name.
const PROVING: &[Verb] = &[Verb::TlsConnect, Verb::TlsUpgrade];

/// The verbs whose rules have to name an identity.
const NAMING: &[Verb] = &[Verb::TlsListen];

/// RFC 7301: the longest name of a protocol.
const PROTOCOL_MAX: usize = 255;

/// The most protocols of a rule.
const PROTOCOLS_MAX: usize = 32;

/// Which half of a term is wrong.
#[derive(Debug)]
pub(crate) enum TermError {
    /// Its key.
    Key(ParseError),
    /// Its value.
    Value(ParseError),
}

impl Terms {
    /// Every key.
    pub const TABLE: &[TermInfo] = &[
        TermInfo {
            key: Key::Rate,
            name: "rate",
            example: "1MiB/s",
            about: "bytes sent and received in a second",
            verbs: CARRYING,
        },
        TermInfo {
            key: Key::Bytes,
            name: "bytes",
            example: "100MiB",
            about: "bytes sent and received in all",
            verbs: CARRYING,
        },
        TermInfo {
            key: Key::Connections,
            name: "connections",
            example: "8",
            about: "connections open at once, made or accepted",
            verbs: CONNECTING,
        },
        TermInfo {
            key: Key::Scope,
            name: "scope",
            example: "command",
            about: "who shares the budget: instance (each instance has its own) or command",
            verbs: CARRYING,
        },
        TermInfo {
            key: Key::Roots,
            name: "roots",
            example: "/etc/app/roots.pem",
            about: "a file or a folder of the roots that verify the server, in place of --tls-roots",
            verbs: PROVING,
        },
        TermInfo {
            key: Key::Identity,
            name: "identity",
            example: "web",
            about: "the identity of --tls-identity that servers show there",
            verbs: NAMING,
        },
        TermInfo {
            key: Key::Alpn,
            name: "alpn",
            example: "h2,http/1.1",
            about: "the protocols of ALPN, of which both sides have to agree on one",
            verbs: OF_TLS,
        },
    ];

    /// Returns whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.budget.is_none() && self.tls.is_none()
    }

    /// Returns the keys that rules of a verb take.
    pub fn of_verb(verb: Verb) -> impl Iterator<Item = &'static TermInfo> {
        Self::TABLE.iter().filter(move |info| info.verbs.contains(&verb))
    }

    /// Checks that rules of a verb take a key.
    pub(crate) fn check_key(verb: Verb, key: &str) -> Result<(), ParseError> {
        find(verb, key).map(drop)
    }

    /// Sets a term by its key.
    pub(crate) fn set(&mut self, verb: Verb, key: &str, value: &str) -> Result<(), TermError> {
        let info = find(verb, key).map_err(TermError::Key)?;
        self.set_key(info.key, value).map_err(TermError::Value)
    }

    fn set_key(&mut self, key: Key, value: &str) -> Result<(), ParseError> {
        let (budget, tls) = (&mut self.budget, &mut self.tls);
        match key {
            Key::Rate => budget.get_or_insert_default().rate = Some(parse_rate(value)?),
            Key::Bytes => budget.get_or_insert_default().bytes = Some(parse_bytes(value)?),
            Key::Connections => {
                budget.get_or_insert_default().connections = Some(parse_connections(value)?);
            }
            Key::Scope => budget.get_or_insert_default().scope = parse_scope(value)?,
            Key::Roots => tls.get_or_insert_default().roots = Some(parse_roots(value)?),
            Key::Identity => {
                tls.get_or_insert_default().identity = Some(IdentityName::parse(value)?);
            }
            Key::Alpn => tls.get_or_insert_default().alpn = parse_alpn(value)?,
        }
        Ok(())
    }

    /// Returns the term that a rule of this verb has to have, to allow something.
    pub(crate) fn required(verb: Verb) -> Option<&'static TermInfo> {
        Self::of_verb(verb).find(|info| info.key == Key::Identity)
    }

    /// Returns the identity that the rule lends.
    pub(crate) fn identity(&self) -> Option<&IdentityName> {
        self.tls.as_ref()?.identity.as_ref()
    }

    /// Checks that the terms say something together.
    pub(crate) fn finished(self) -> Result<Self, ParseError> {
        match &self.budget {
            Some(Budget { bytes: None, rate: None, connections: None, .. }) => {
                Err(ParseError::new(
                    0,
                    "`scope` alone limits nothing",
                    "write rate, bytes or connections too, as in rate=1MiB/s;scope=command",
                ))
            }
            _ => Ok(self),
        }
    }
}

/// Returns the row of a key that rules of this verb take.
fn find(verb: Verb, key: &str) -> Result<&'static TermInfo, ParseError> {
    if let Some(info) = Terms::of_verb(verb).find(|info| info.name == key) {
        return Ok(info);
    }
    let names = |infos: &mut dyn Iterator<Item = &'static TermInfo>| {
        infos.map(|info| info.name).collect::<Vec<_>>()
    };
    let taken = names(&mut Terms::of_verb(verb));
    let shown = key.escape_debug();
    if let Some(info) = Terms::TABLE.iter().find(|info| info.name == key) {
        let verbs: Vec<_> = info.verbs.iter().map(|verb| verb.name()).collect();
        let what = format!("`{verb}` takes no `{shown}`");
        return Err(ParseError::new(0, what, format!("verbs with it are {}", verbs.join(", "))));
    }
    let what = if key.is_empty() {
        "the key is missing".to_owned()
    } else {
        format!("unknown key `{shown}`")
    };
    let hint = if taken.is_empty() {
        format!("`{verb}` takes no terms; leave out what follows the `;`")
    } else {
        let near = suggestion(key, taken.iter().copied());
        format!(
            "keys of {verb} are {}{near}; a `;` that belongs to the target is written `\\;`",
            taken.join(", ")
        )
    };
    Err(ParseError::new(0, what, hint))
}

/// The units of bytes, and how many bytes each has. A number is printed with the first one that
/// leaves no rest.
pub(crate) const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Parses a number of bytes with a unit or without one.
fn parse_size(text: &str, hint: &str) -> Result<u64, ParseError> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" | "B" => Some(1),
        unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
    };
    let (Some(factor), false) = (factor, number.is_empty()) else {
        let (at, what) = if number.is_empty() {
            (0, format!("`{}` is not a number of bytes", text.escape_debug()))
        } else {
            (end, format!("unknown unit `{}`", unit.escape_debug()))
        };
        let units: Vec<_> = UNITS.iter().map(|(name, _)| *name).collect();
        let near = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let near = match near {
            Some((name, _)) => format!("; did you mean {name}?"),
            None => suggestion(unit, units.iter().copied()),
        };
        let hint = format!("{hint}; units are B, {}{near}", units.join(", "));
        return Err(ParseError::new(at, what, hint));
    };
    match decimal(number).and_then(|number| number.checked_mul(factor)) {
        Some(0) => Err(ParseError::new(
            0,
            "the number is 0",
            "write at least 1, or leave the rule out, which allows nothing",
        )),
        Some(size) => Ok(size),
        None => Err(ParseError::new(
            0,
            format!("`{}` is too large", text.escape_debug()),
            format!("write at most {} bytes", u64::MAX),
        )),
    }
}

fn parse_bytes(text: &str) -> Result<u64, ParseError> {
    parse_size(text, "write bytes=SIZE, as in bytes=100MiB")
}

fn parse_rate(text: &str) -> Result<u64, ParseError> {
    const HINT: &str = "write rate=SIZE/s, as in rate=1MiB/s";
    match text.strip_suffix("/s") {
        Some(size) => parse_size(size, HINT),
        None => Err(ParseError::new(
            text.len(),
            format!("`{}` is not a rate: `/s` is missing", text.escape_debug()),
            HINT,
        )),
    }
}

fn parse_connections(text: &str) -> Result<u32, ParseError> {
    let number = decimal(text).and_then(|number| u32::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| {
        ParseError::new(
            0,
            format!("`{}` is not a number of connections", text.escape_debug()),
            format!("write a number from 1 to {}, as in connections=8", u32::MAX),
        )
    })
}

fn parse_roots(text: &str) -> Result<String, ParseError> {
    if text.is_empty() || text.contains('\0') {
        let hint = "write the path of a PEM file, or of a folder of PEM files";
        return Err(ParseError::new(0, "the path of the roots is empty, or has a NUL", hint));
    }
    Ok(text.to_owned())
}

fn parse_alpn(text: &str) -> Result<Vec<String>, ParseError> {
    const HINT: &str = "write 1 to 32 protocols, each of 1 to 255 bytes, as in alpn=h2,http/1.1";
    let mut protocols: Vec<String> = Vec::new();
    let mut at = 0;
    for protocol in text.split(',') {
        let what = if !(1..=PROTOCOL_MAX).contains(&protocol.len()) {
            "the name of the protocol is empty or too long"
        } else if protocols.iter().any(|known| known == protocol) {
            "the protocol is there twice"
        } else if protocols.len() == PROTOCOLS_MAX {
            "the protocols are too many"
        } else {
            protocols.push(protocol.to_owned());
            at += protocol.len() + 1;
            continue;
        };
        return Err(ParseError::new(at, what, HINT));
    }
    Ok(protocols)
}

fn parse_scope(text: &str) -> Result<Scope, ParseError> {
    Scope::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| {
        let words = Scope::ALL.map(Scope::name);
        ParseError::new(
            0,
            format!("unknown scope `{}`", text.escape_debug()),
            format!("scopes are {}{}", words.join(", "), suggestion(text, words)),
        )
    })
}

/// Returns a number of bytes in the form in which rules are printed.
fn show_size(size: u64) -> String {
    match UNITS.iter().find(|(_, factor)| size.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", size / factor),
        None => size.to_string(),
    }
}

/// As they follow a target, each with its `;`.
impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, tls } = self;
        if let Some(budget) = budget {
            budget.fmt(f)?;
        }
        tls.as_ref().map_or(Ok(()), |tls| tls.fmt(f))
    }
}

/// As it follows a target, each term with its `;`.
impl fmt::Display for TlsTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { roots, identity, alpn } = self;
        if let Some(roots) = roots {
            let has_more = identity.is_some() || !alpn.is_empty();
            write!(f, ";roots={}", escape(roots, has_more))?;
        }
        if let Some(identity) = identity {
            write!(f, ";identity={identity}")?;
        }
        if alpn.is_empty() {
            return Ok(());
        }
        write!(f, ";alpn={}", escape(&alpn.join(","), false))
    }
}

/// As it follows a target, each term with its `;`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, rate, connections, scope } = self;
        if let Some(rate) = rate {
            write!(f, ";rate={}/s", show_size(*rate))?;
        }
        if let Some(bytes) = bytes {
            write!(f, ";bytes={}", show_size(*bytes))?;
        }
        if let Some(connections) = connections {
            write!(f, ";connections={connections}")?;
        }
        match scope {
            Scope::Instance => Ok(()),
            Scope::Command => write!(f, ";scope={}", scope.name()),
        }
    }
}
