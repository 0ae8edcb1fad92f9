//! How a text file's lines end.

use std::borrow::Cow;

use crate::{Error, ErrorKind, Result};

/// How a text file's lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newline {
    /// None: `\n`, `\r` and `\r\n`, each read as `\n`.
    Translated,
    /// `''`: `\n`, `\r` and `\r\n`, read as they are.
    Any,
    /// One of them alone, and `\n` is written as it.
    One(&'static str),
}

impl Newline {
    pub(crate) fn by_name(newline: Option<&str>) -> Result<Self> {
        match newline {
            None => Ok(Self::Translated),
            Some("") => Ok(Self::Any),
            Some("\n") => Ok(Self::One("\n")),
            Some("\r") => Ok(Self::One("\r")),
            Some("\r\n") => Ok(Self::One("\r\n")),
            Some(other) => {
                Err(Error::text(ErrorKind::Value, format!("illegal newline value: {other}")))
            }
        }
    }

    /// A text that was read. A `\r` at its end waits in `held` for what follows it, unless nothing
    /// does.
    pub(crate) fn read(self, mut text: String, held: &mut bool, last: bool) -> String {
        if let Self::One(_) = self {
            return text;
        }
        if std::mem::take(held) {
            text.insert(0, '\r');
        }
        if !last && text.ends_with('\r') {
            text.pop();
            *held = true;
        }
        if self == Self::Any || !text.contains('\r') {
            text
        } else {
            text.replace("\r\n", "\n").replace('\r', "\n")
        }
    }

    /// A text to be written.
    pub(crate) fn write(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::One(newline @ ("\r" | "\r\n")) => text.replace('\n', newline).into(),
            Self::Translated | Self::Any | Self::One(_) => text.into(),
        }
    }

    /// Where the first line of a text ends, its end included. None if it goes on.
    pub(crate) fn end(self, text: &str) -> Option<usize> {
        match self {
            Self::Translated => text.find('\n').map(|at| at + 1),
            Self::One(newline) => text.find(newline).map(|at| at + newline.len()),
            Self::Any => {
                let at = text.find(['\n', '\r'])?;
                let both = text.get(at..).is_some_and(|rest| rest.starts_with("\r\n"));
                Some(at + 1 + usize::from(both))
            }
        }
    }

    /// How much of a text in which no line ends can't be the beginning of a line's end.
    pub(crate) fn usable(self, text: &str) -> usize {
        text.len() - usize::from(self == Self::One("\r\n") && text.ends_with('\r'))
    }
}
