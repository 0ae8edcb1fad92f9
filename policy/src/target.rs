//! Targets that are a word, a number or a row of a table.

use std::fmt;
use std::str::FromStr;

use sandsock_abi::ioctl::Ioctl;
use sandsock_abi::option::{Access, SocketOption};
use sandsock_abi::{ioctl, option};

use crate::error::{GrantError, ParseError, suggestion};
use crate::text::decimal;

/// What `ancillary` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ancillary {
    /// `rights:send`: send descriptors.
    RightsSend,
    /// `rights:receive`: receive sockets of families that are granted.
    RightsReceive,
    /// `rights:receive,any`: receive descriptors of any kind. It includes `rights:receive`.
    RightsReceiveAny,
    /// `credentials:forge`: send credentials other than the host's own.
    CredentialsForge,
}

impl Ancillary {
    const ALL: [Self; 4] =
        [Self::RightsSend, Self::RightsReceive, Self::RightsReceiveAny, Self::CredentialsForge];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::RightsSend => "rights:send",
            Self::RightsReceive => "rights:receive",
            Self::RightsReceiveAny => "rights:receive,any",
            Self::CredentialsForge => "credentials:forge",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

fn unknown_target(text: &str, words: &[&str]) -> ParseError {
    ParseError::new(
        0,
        format!("unknown target `{}`", text.escape_debug()),
        format!("targets are {}{}", words.join(", "), suggestion(text, words.iter().copied())),
    )
}

/// What `hostname` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hostname {
    /// `read`: see the real one.
    Read,
    /// `set`: set the real one.
    Set,
}

impl Hostname {
    const ALL: [Self; 2] = [Self::Read, Self::Set];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Set => "set",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| unknown_target(text, &Self::ALL.map(Self::name)))
    }
}

/// The number under which a descriptor was handed over: `fd:N`, or `stdin` for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorNumber(pub i32);

impl DescriptorNumber {
    const MAX: i32 = 1 << 20;

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let hint = "write fd:NUMBER, as in fd:3, or stdin";
        if text == "stdin" {
            return Ok(Self(0));
        }
        let Some(number) = text.strip_prefix("fd:") else {
            return Err(ParseError::new(
                0,
                format!("`{}` is no descriptor", text.escape_debug()),
                hint,
            ));
        };
        match decimal(number).and_then(|number| i32::try_from(number).ok()) {
            Some(number) if number <= Self::MAX => Ok(Self(number)),
            _ => Err(ParseError::new(
                3,
                format!("`{}` is no number of a descriptor", number.escape_debug()),
                hint,
            )),
        }
    }
}

impl FromStr for DescriptorNumber {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text).map_err(|fault| GrantError::new(text, fault))
    }
}

impl fmt::Display for DescriptorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.pad("stdin"),
            number => write!(f, "fd:{number}"),
        }
    }
}

pub(crate) fn parse_option(text: &str) -> Result<&'static SocketOption, ParseError> {
    let Some((level, name)) = text.split_once('/') else {
        return Err(ParseError::new(
            0,
            "the level is missing",
            format!("write LEVEL/NAME{}", near_options(text)),
        ));
    };
    option::by_name(level, name).ok_or_else(|| {
        let what = format!("unknown option `{}`", text.escape_debug());
        ParseError::new(
            0,
            what,
            format!("write LEVEL/NAME, as in SOL_SOCKET/SO_MARK{}", near_options(name)),
        )
    })
}

pub(crate) fn parse_ioctl(text: &str) -> Result<&'static Ioctl, ParseError> {
    let granted =
        || ioctl::IOCTLS.iter().filter(|row| row.access == Access::Granted).map(|row| row.name);
    match ioctl::by_name(text) {
        Some(row) if row.access == Access::Granted => Ok(row),
        Some(row) => {
            let why = if let Access::Refused(why) = row.access { why } else { "it needs no grant" };
            Err(ParseError::new(0, format!("`{}` takes no rule: {why}", row.name), "leave it out"))
        }
        None => Err(ParseError::new(
            0,
            format!("unknown ioctl `{}`", text.escape_debug()),
            format!("write a request's name, as in SIOCGIFADDR{}", suggestion(text, granted())),
        )),
    }
}

/// `; near it are ...`: up to five options with names like this one.
fn near_options(name: &str) -> String {
    if name.len() > 64 {
        return String::new();
    }
    let name = name.to_ascii_uppercase();
    let mut near: Vec<_> = option::all()
        .map(|option| {
            let part =
                name.len() >= 3 && (option.name.contains(&*name) || name.contains(option.name));
            (if part { 1 } else { strsim::damerau_levenshtein(&name, option.name) }, option)
        })
        .filter(|(far, option)| far * 3 <= option.name.len())
        .collect();
    near.sort_by_key(|(far, option)| (*far, option.level, option.number));
    let names: Vec<_> = near.iter().take(5).map(|(_, option)| option.to_string()).collect();
    if names.is_empty() { String::new() } else { format!("; near it are {}", names.join(", ")) }
}
