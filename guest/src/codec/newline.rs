//! How a text file's lines end.

use std::borrow::Cow;

use crate::{Error, ErrorKind, Result};

/// How a text file's lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newline {
    /// Python's None: `\n`, `\r` and `\r\n` all end a line, and are read as `\n`.
    Translated,
    /// Python's `''`: `\n`, `\r` and `\r\n` all end a line, and are read as they are.
    Any,
    /// Only this text ends a line. A written `\n` becomes it.
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

    /// Returns a text that was read, with its newlines translated. A `\r` at its end waits in
    /// `held` for the next text, because a `\n` may follow. If the text is the last one, nothing
    /// waits.
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

    /// Returns a text as it is written.
    pub(crate) fn write(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::One(newline @ ("\r" | "\r\n")) => text.replace('\n', newline).into(),
            Self::Translated | Self::Any | Self::One(_) => text.into(),
        }
    }

    /// Returns where the first line of a text ends, including the line's end. None if the text has
    /// no end of a line.
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

    /// Returns how many bytes of a text without an end of a line can't begin one.
    pub(crate) fn usable(self, text: &str) -> usize {
        text.len() - usize::from(self == Self::One("\r\n") && text.ends_with('\r'))
    }
}
