//! Text as bytes: the encodings, error handlers and newlines of a text file.

use std::borrow::Cow;

use crate::{Error, ErrorKind, Result};

/// An encoding. A text of Rust holds no lone surrogates: what Python would make of them is an error here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Ascii,
    Latin1,
}

impl Encoding {
    pub(crate) fn by_name(name: &str) -> Result<Self> {
        let plain: String = name.to_ascii_lowercase().replace(['-', ' '], "_");
        match plain.as_str() {
            "utf_8" | "utf8" | "u8" | "utf" | "cp65001" => Ok(Self::Utf8),
            "ascii" | "us_ascii" | "646" => Ok(Self::Ascii),
            "latin_1" | "latin1" | "latin" | "l1" | "iso_8859_1" | "iso8859_1" | "8859" | "cp819" => Ok(Self::Latin1),
            _ => Err(Error::exception("LookupError", &format!("unknown encoding: {name}"))),
        }
    }

    /// The name in the texts of its errors.
    const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Ascii => "ascii",
            Self::Latin1 => "latin-1",
        }
    }

    /// The first character that it lacks.
    const fn limit(self) -> u32 {
        match self {
            Self::Utf8 => 0x11_0000,
            Self::Ascii => 0x80,
            Self::Latin1 => 0x100,
        }
    }
}

/// What becomes of bytes that are no text, and of text that has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    Strict,
    Ignore,
    Replace,
    BackslashReplace,
    XmlCharRefReplace,
}

impl Handler {
    pub(crate) fn by_name(name: &str) -> Result<Self> {
        match name {
            "strict" => Ok(Self::Strict),
            "ignore" => Ok(Self::Ignore),
            "replace" => Ok(Self::Replace),
            "backslashreplace" => Ok(Self::BackslashReplace),
            "xmlcharrefreplace" => Ok(Self::XmlCharRefReplace),
            _ => Err(Error::exception("LookupError", &format!("unknown error handler name '{name}'"))),
        }
    }
}

/// Turns bytes into text, piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder {
    encoding: Encoding,
    handler: Handler,
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
}

impl Decoder {
    pub(crate) const fn new(encoding: Encoding, handler: Handler) -> Self {
        Self { encoding, handler, begun: Vec::new() }
    }

    /// The text of the next bytes; `last` where nothing follows them.
    pub(crate) fn decode(&mut self, bytes: &[u8], last: bool) -> Result<String> {
        let joined = if self.begun.is_empty() { Cow::Borrowed(bytes) } else { [&self.begun, bytes].concat().into() };
        let mut text = String::with_capacity(joined.len());
        let mut at = 0;
        // After an error what had begun is there still.
        let mut begun = Vec::new();
        while let Some(rest) = joined.get(at..).filter(|rest| !rest.is_empty()) {
            let (good, bad, why) = match self.encoding {
                Encoding::Utf8 => match str::from_utf8(rest) {
                    Ok(good) => (good.len(), 0, ""),
                    Err(error) => match error.error_len() {
                        Some(length) => (error.valid_up_to(), length, why_not(rest.get(error.valid_up_to()))),
                        None if last => (error.valid_up_to(), rest.len() - error.valid_up_to(), "unexpected end of data"),
                        None => {
                            begun = rest.get(error.valid_up_to()..).unwrap_or_default().to_vec();
                            (error.valid_up_to(), 0, "")
                        }
                    },
                },
                Encoding::Ascii => {
                    let good = rest.iter().take_while(|byte| byte.is_ascii()).count();
                    (good, usize::from(good < rest.len()), "ordinal not in range(128)")
                }
                Encoding::Latin1 => (rest.len(), 0, ""),
            };
            let whole = rest.get(..good).unwrap_or_default();
            match self.encoding {
                Encoding::Latin1 => text.extend(whole.iter().copied().map(char::from)),
                Encoding::Utf8 | Encoding::Ascii => text.push_str(str::from_utf8(whole).unwrap_or_default()),
            }
            at += good;
            if bad == 0 {
                break;
            }
            let wrong = joined.get(at..at + bad).unwrap_or_default();
            match self.handler {
                Handler::Ignore => {}
                Handler::Replace => text.push(char::REPLACEMENT_CHARACTER),
                Handler::BackslashReplace => wrong.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}"))),
                Handler::Strict => return Err(self.undecodable(wrong, at, why)),
                Handler::XmlCharRefReplace => {
                    let text = "don't know how to handle UnicodeDecodeError in error callback";
                    return Err(Error::text(ErrorKind::Type, text));
                }
            }
            at += bad;
        }
        self.begun = begun;
        Ok(text)
    }

    fn undecodable(&self, wrong: &[u8], at: usize, why: &str) -> Error {
        let name = self.encoding.name();
        let text = match wrong {
            [byte] => format!("'{name}' codec can't decode byte 0x{byte:02x} in position {at}: {why}"),
            _ => format!("'{name}' codec can't decode bytes in position {at}-{}: {why}", at + wrong.len() - 1),
        };
        Error::exception("UnicodeDecodeError", &text)
    }
}

/// What is wrong with a byte that begins no UTF-8, or not this one.
fn why_not(byte: Option<&u8>) -> &'static str {
    if byte.is_some_and(|byte| matches!(byte, 0xc2..=0xf4)) { "invalid continuation byte" } else { "invalid start byte" }
}

/// The bytes of a text.
pub(crate) fn encode(text: &str, encoding: Encoding, handler: Handler) -> Result<Vec<u8>> {
    if encoding == Encoding::Utf8 {
        return Ok(text.as_bytes().to_vec());
    }
    let lacks = |c: &char| u32::from(*c) >= encoding.limit();
    let mut bytes = Vec::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if !lacks(&c) {
            // Below the limit of 256 a character is its byte.
            bytes.push(u32::from(c) as u8);
            continue;
        }
        match handler {
            Handler::Ignore => {}
            Handler::Replace => bytes.push(b'?'),
            Handler::BackslashReplace => bytes.extend(escaped(c).into_bytes()),
            Handler::XmlCharRefReplace => bytes.extend(format!("&#{};", u32::from(c)).into_bytes()),
            Handler::Strict => {
                let run = text.chars().skip(at).take_while(lacks).count();
                let (name, limit) = (encoding.name(), encoding.limit());
                let text = match run {
                    1 => format!(
                        "'{name}' codec can't encode character '{}' in position {at}: ordinal not in range({limit})",
                        escaped(c)
                    ),
                    _ => format!(
                        "'{name}' codec can't encode characters in position {at}-{}: ordinal not in range({limit})",
                        at + run - 1
                    ),
                };
                return Err(Error::exception("UnicodeEncodeError", &text));
            }
        }
    }
    Ok(bytes)
}

/// A character as Python escapes it.
fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ ..0x100 => format!("\\x{code:02x}"),
        code @ ..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

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
            Some(other) => Err(Error::text(ErrorKind::Value, format!("illegal newline value: {other}"))),
        }
    }

    /// A text that was read. A `\r` at its end waits in `held` for what follows it, unless nothing does.
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
        if self == Self::Any || !text.contains('\r') { text } else { text.replace("\r\n", "\n").replace('\r', "\n") }
    }

    /// A text to be written.
    pub(crate) fn write(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::One(newline @ ("\r" | "\r\n")) => text.replace('\n', newline).into(),
            Self::Translated | Self::Any | Self::One(_) => text.into(),
        }
    }

    /// Where the first line of a text ends, its end included; none where it goes on.
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(encoding: &str, handler: &str, parts: &[&[u8]]) -> Result<String, (&'static str, String)> {
        let shown = |error: Error| (error.class(), error.to_string());
        let encoding = Encoding::by_name(encoding).map_err(shown)?;
        let mut decoder = Decoder::new(encoding, Handler::by_name(handler).map_err(shown)?);
        let mut text = String::new();
        for part in parts {
            text.push_str(&decoder.decode(part, false).map_err(shown)?);
        }
        text.push_str(&decoder.decode(&[], true).map_err(shown)?);
        Ok(text)
    }

    #[test]
    fn errors_are_pythons() {
        let wrong = |text: &str| Err(("UnicodeDecodeError", text.to_owned()));
        assert_eq!(
            decoded("utf-8", "strict", &[b"a\xffb"]),
            wrong("'utf-8' codec can't decode byte 0xff in position 1: invalid start byte")
        );
        assert_eq!(
            decoded("utf8", "strict", &[b"\xe2\x82("]),
            wrong("'utf-8' codec can't decode bytes in position 0-1: invalid continuation byte")
        );
        assert_eq!(
            decoded("U8", "strict", &[b"\xe2\x82"]),
            wrong("'utf-8' codec can't decode bytes in position 0-1: unexpected end of data")
        );
        assert_eq!(
            decoded("ascii", "strict", &["é".as_bytes()]),
            wrong("'ascii' codec can't decode byte 0xc3 in position 0: ordinal not in range(128)")
        );
        assert_eq!(decoded("ascii", "replace", &[b"a\x80b"]), Ok("a\u{fffd}b".to_owned()));
        assert_eq!(decoded("ascii", "backslashreplace", &[b"a\x80b"]), Ok("a\\x80b".to_owned()));
        assert_eq!(decoded("utf-8", "ignore", &[b"a\x80b"]), Ok("ab".to_owned()));
        assert_eq!(decoded("latin-1", "strict", &[b"\xe9"]), Ok("é".to_owned()));
        assert_eq!(decoded("none-such", "strict", &[]), Err(("LookupError", "unknown encoding: none-such".to_owned())));
        let encoded = |text, handler| {
            encode(text, Encoding::Ascii, Handler::by_name(handler).unwrap()).map_err(|e| (e.class(), e.to_string()))
        };
        let wrong = |text: &str| Err(("UnicodeEncodeError", text.to_owned()));
        assert_eq!(
            encoded("aé", "strict"),
            wrong("'ascii' codec can't encode character '\\xe9' in position 1: ordinal not in range(128)")
        );
        assert_eq!(
            encoded("€€", "strict"),
            wrong("'ascii' codec can't encode characters in position 0-1: ordinal not in range(128)")
        );
        assert_eq!(encoded("€", "xmlcharrefreplace"), Ok(b"&#8364;".to_vec()));
        assert_eq!(encoded("€", "backslashreplace"), Ok(b"\\u20ac".to_vec()));
        assert_eq!(encoded("€", "replace"), Ok(b"?".to_vec()));
    }

    proptest! {
        #[test]
        fn a_cut_text_comes_back_whole(text: String, cuts: Vec<usize>) {
            let bytes = text.as_bytes();
            let mut at = 0;
            let mut parts = Vec::new();
            for cut in cuts {
                let end = at + cut % (bytes.len() - at + 1);
                parts.push(&bytes[at..end]);
                at = end;
            }
            parts.push(&bytes[at..]);
            prop_assert_eq!(decoded("utf-8", "strict", &parts), Ok(text));
        }

        #[test]
        fn any_bytes_are_decoded_as_rust_replaces_them(bytes: Vec<u8>) {
            let expected = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(decoded("utf-8", "replace", &[&bytes]), Ok(expected));
        }

        #[test]
        fn cuts_do_not_change_newlines(text in "[ab\r\n]{0,12}", cut in 0usize..13) {
            for newline in [Newline::Translated, Newline::Any, Newline::One("\r\n")] {
                let cut = cut.min(text.len());
                let (mut held, mut whole) = (false, false);
                let mut both = newline.read(text[..cut].to_owned(), &mut held, false);
                both.push_str(&newline.read(text[cut..].to_owned(), &mut held, true));
                prop_assert_eq!(both, newline.read(text.clone(), &mut whole, true));
            }
        }
    }
}
