//! The encodings and error handlers of a text file.
//!
//! A `str` of Rust can't hold lone surrogates. Where Python would decode bytes to one (UTF-8 of a
//! surrogate with `surrogatepass`, an invalid byte with `surrogateescape`), decoding fails here
//! with the error of `strict`.

#[cfg(not(feature = "codecs"))]
mod absent;
mod newline;
#[cfg(feature = "codecs")]
mod optional;

use std::borrow::Cow;

pub(crate) use newline::Newline;

#[cfg(not(feature = "codecs"))]
use self::absent::Optional;
#[cfg(feature = "codecs")]
use self::optional::Optional;
use crate::{Error, ErrorKind, Result};

/// The byte order mark of `utf-8-sig`.
const SIGNATURE: &[u8] = "\u{feff}".as_bytes();

/// An encoding.
#[derive(Clone, Debug)]
pub(crate) enum Encoding {
    Utf8,
    /// UTF-8 that begins with a byte order mark.
    Utf8Signed,
    Ascii,
    Latin1,
    /// An encoding of the feature `codecs`.
    Optional(Optional),
}

/// Returns a name in the form in which CPython looks it up: lower-case letters, digits and dots,
/// with one `_` in place of the other characters between them.
fn normalized(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut between = false;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            if std::mem::take(&mut between) && !plain.is_empty() {
                plain.push('_');
            }
            plain.push(c.to_ascii_lowercase());
        } else {
            between = true;
        }
    }
    plain
}

fn lookup_error(text: &str) -> Error {
    Error::exception("LookupError", text)
}

impl Encoding {
    pub(crate) fn by_name(name: &str) -> Result<Self> {
        if name.contains('\0') {
            return Err(Error::text(ErrorKind::Value, "embedded null character"));
        }
        let plain = normalized(name);
        Ok(match plain.as_str() {
            "utf_8" | "utf8" | "u8" | "utf" | "utf8_ucs2" | "utf8_ucs4" | "cp65001" => Self::Utf8,
            "utf_8_sig" => Self::Utf8Signed,
            "ascii" | "646" | "ansi_x3.4_1968" | "ansi_x3_4_1968" | "ansi_x3.4_1986" | "cp367"
            | "csascii" | "ibm367" | "iso646_us" | "iso_646.irv_1991" | "iso_ir_6" | "us"
            | "us_ascii" => Self::Ascii,
            "latin_1" | "8859" | "cp819" | "csisolatin1" | "ibm819" | "iso8859" | "iso8859_1"
            | "iso_8859_1" | "iso_8859_1_1987" | "iso_ir_100" | "l1" | "latin" | "latin1" => {
                Self::Latin1
            }
            plain if Optional::is_binary(plain) => {
                return Err(lookup_error(&format!(
                    "'{name}' is not a text encoding; use codecs.open() to handle arbitrary codecs"
                )));
            }
            plain => Optional::by_name(plain)
                .map(Self::Optional)
                .ok_or_else(|| lookup_error(&format!("unknown encoding: {name}")))?,
        })
    }

    /// Returns the name in the texts of its errors.
    const fn name(&self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8Signed => "utf-8",
            Self::Ascii => "ascii",
            Self::Latin1 => "latin-1",
            Self::Optional(encoding) => encoding.name(),
        }
    }

    /// Returns the reason why a character has no byte, or a byte no character.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Ascii => "ordinal not in range(128)",
            Self::Latin1 => "ordinal not in range(256)",
            _ => "character maps to <undefined>",
        }
    }

    /// Returns the byte of a character, if it has one.
    fn byte(&self, c: char) -> Option<u8> {
        match self {
            Self::Ascii => u8::try_from(c).ok().filter(u8::is_ascii),
            Self::Latin1 => u8::try_from(c).ok(),
            Self::Optional(encoding) => encoding.byte(c),
            Self::Utf8 | Self::Utf8Signed => None,
        }
    }
}

/// An error handler: how a file treats bytes that are not text, and text that has no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// `strict`, and `surrogateescape` and `surrogatepass`, which act like it here.
    Strict,
    Ignore,
    Replace,
    BackslashReplace,
    XmlCharRefReplace,
    /// A handler that does not exist. CPython: the error comes only when the handler is needed.
    Unknown(Box<str>),
}

impl Handler {
    pub(crate) fn by_name(name: &str) -> Result<Self> {
        Ok(match name {
            "strict" | "surrogateescape" | "surrogatepass" => Self::Strict,
            "ignore" => Self::Ignore,
            "replace" => Self::Replace,
            "backslashreplace" => Self::BackslashReplace,
            "xmlcharrefreplace" => Self::XmlCharRefReplace,
            _ if name.contains('\0') => {
                return Err(Error::text(ErrorKind::Value, "embedded null character"));
            }
            _ => Self::Unknown(name.into()),
        })
    }
}

fn unknown_handler(name: &str) -> Error {
    lookup_error(&format!("unknown error handler name '{name}'"))
}

/// How far a decoder read. The first `good` bytes are text. The next `bad` bytes are not, for a
/// reason. If `bad` is 0, the bytes after the good ones begin a character whose rest is missing.
#[derive(Clone, Copy, Debug)]
struct Part {
    good: usize,
    bad: usize,
    reason: &'static str,
}

impl Part {
    const fn good(good: usize) -> Self {
        Self { good, bad: 0, reason: "" }
    }

    /// Returns the part where `left` bytes of an incomplete character follow the good ones. These
    /// are bad if they are the last of the text.
    const fn incomplete(good: usize, left: usize, last: bool, reason: &'static str) -> Self {
        Self { good, bad: if last { left } else { 0 }, reason }
    }
}

/// Decodes bytes to text, piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The encoding that the file was opened with.
    named: Encoding,
    /// The encoding after the byte order mark, which can choose it.
    encoding: Encoding,
    handler: Handler,
    /// The beginning of a character whose rest is missing.
    incomplete: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding, handler: Handler) -> Self {
        Self { named: encoding.clone(), encoding, handler, incomplete: Vec::new() }
    }

    /// Drops an incomplete character. The next bytes are decoded as the beginning of a text.
    pub(crate) fn reset(&mut self) {
        self.encoding = self.named.clone();
        self.incomplete.clear();
    }

    /// Decodes the next bytes. `last` says that no bytes follow them.
    pub(crate) fn decode(&mut self, bytes: &[u8], last: bool) -> Result<String> {
        let joined = if self.incomplete.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            [&self.incomplete, bytes].concat().into()
        };
        let Some(mark) = self.read_mark(&joined) else {
            // CPython: a text that ends within its mark is empty.
            self.incomplete = joined.into_owned();
            return Ok(String::new());
        };
        // CPython counts positions from the end of a signature, and from the beginning of any other
        // mark.
        let counted = if let Encoding::Utf8 = self.encoding { mark } else { 0 };
        let mut text = String::with_capacity(joined.len());
        let mut at = mark;
        // Kept apart, because an error leaves `self.incomplete` as it was.
        let mut incomplete = Vec::new();
        while let Some(rest) = joined.get(at..).filter(|rest| !rest.is_empty()) {
            let Part { good, bad, reason } = self.part(rest, last, &mut text);
            at += good;
            if bad == 0 {
                incomplete = joined.get(at..).unwrap_or_default().to_vec();
                break;
            }
            let wrong = joined.get(at..at + bad).unwrap_or_default();
            match &self.handler {
                Handler::Ignore => {}
                Handler::Replace => text.push(char::REPLACEMENT_CHARACTER),
                Handler::BackslashReplace => {
                    wrong.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")))
                }
                Handler::Strict => {
                    return Err(undecodable(self.encoding.name(), wrong, at - counted, reason));
                }
                Handler::XmlCharRefReplace => {
                    let text = "don't know how to handle UnicodeDecodeError in error callback";
                    return Err(Error::text(ErrorKind::Type, text));
                }
                Handler::Unknown(name) => return Err(unknown_handler(name)),
            }
            at += bad;
        }
        self.check_mark(&joined, incomplete.len())?;
        self.incomplete = incomplete;
        Ok(text)
    }

    /// Reads the byte order mark at the beginning of a text, which can choose the encoding. Returns
    /// the mark's length, 0 without a mark, or None if more bytes are needed.
    fn read_mark(&mut self, start: &[u8]) -> Option<usize> {
        match &self.encoding {
            Encoding::Utf8Signed
                if start.len() < SIGNATURE.len() && SIGNATURE.starts_with(start) =>
            {
                None
            }
            Encoding::Utf8Signed => {
                self.encoding = Encoding::Utf8;
                Some(if start.starts_with(SIGNATURE) { SIGNATURE.len() } else { 0 })
            }
            Encoding::Optional(encoding) => {
                let (encoding, length) = encoding.read_mark(start)?;
                self.encoding = Encoding::Optional(encoding);
                Some(length)
            }
            _ => Some(0),
        }
    }

    /// Adds the next characters to `text`, up to the first bytes that are not text.
    fn part(&self, rest: &[u8], last: bool, text: &mut String) -> Part {
        match &self.encoding {
            Encoding::Utf8 | Encoding::Utf8Signed => utf8(rest, last, text),
            Encoding::Latin1 => {
                text.extend(rest.iter().copied().map(char::from));
                Part::good(rest.len())
            }
            Encoding::Ascii => {
                let good = rest.iter().take_while(|byte| byte.is_ascii()).count();
                text.extend(rest.iter().take(good).copied().map(char::from));
                let reason = self.encoding.reason();
                Part { good, bad: usize::from(good < rest.len()), reason }
            }
            Encoding::Optional(encoding) => encoding.decode(rest, last, text),
        }
    }

    /// Fails if the encoding needs a byte order mark and the text began without one.
    fn check_mark(&self, joined: &[u8], incomplete: usize) -> Result<()> {
        let Encoding::Optional(encoding) = &self.encoding else { return Ok(()) };
        let Some((name, length)) = encoding.missing_mark() else { return Ok(()) };
        match joined.get(..length) {
            Some(start) if joined.len() - incomplete >= length => {
                Err(undecodable(name, start, 0, "Stream does not start with BOM"))
            }
            _ => Ok(()),
        }
    }
}

fn undecodable(name: &str, wrong: &[u8], at: usize, reason: &str) -> Error {
    let text = match wrong {
        [byte] => {
            format!("'{name}' codec can't decode byte 0x{byte:02x} in position {at}: {reason}")
        }
        _ => format!(
            "'{name}' codec can't decode bytes in position {at}-{}: {reason}",
            at + wrong.len() - 1
        ),
    };
    Error::exception("UnicodeDecodeError", &text)
}

fn utf8(rest: &[u8], last: bool, text: &mut String) -> Part {
    let (good, part) = match str::from_utf8(rest) {
        Ok(good) => (good, Part::good(rest.len())),
        Err(error) => {
            let (good, bad) = rest.split_at(error.valid_up_to());
            let part = match error.error_len() {
                Some(length) => {
                    Part { good: good.len(), bad: length, reason: utf8_reason(bad.first()) }
                }
                None => Part::incomplete(good.len(), bad.len(), last, "unexpected end of data"),
            };
            (str::from_utf8(good).unwrap_or_default(), part)
        }
    };
    text.push_str(good);
    part
}

/// Returns the reason why bytes are not UTF-8, which depends on the first of them.
fn utf8_reason(byte: Option<&u8>) -> &'static str {
    if byte.is_some_and(|byte| matches!(byte, 0xc2..=0xf4)) {
        "invalid continuation byte"
    } else {
        "invalid start byte"
    }
}

/// Encodes text to bytes, piece by piece.
#[derive(Debug)]
pub(crate) struct Encoder {
    encoding: Encoding,
    handler: Handler,
}

impl Encoder {
    pub(crate) const fn new(encoding: Encoding, handler: Handler) -> Self {
        Self { encoding, handler }
    }

    /// Encodes the next text.
    pub(crate) fn encode(&mut self, text: &str) -> Result<Vec<u8>> {
        let unicode = match &self.encoding {
            Encoding::Utf8 => Some(text.as_bytes().to_vec()),
            Encoding::Utf8Signed => {
                self.encoding = Encoding::Utf8;
                Some([SIGNATURE, text.as_bytes()].concat())
            }
            Encoding::Optional(encoding) => encoding.encode(text),
            Encoding::Ascii | Encoding::Latin1 => None,
        };
        unicode.map_or_else(|| self.bytes(text), Ok)
    }

    /// Encodes a text in an encoding of one byte for each character.
    fn bytes(&self, text: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len());
        for (at, c) in text.chars().enumerate() {
            if let Some(byte) = self.encoding.byte(c) {
                bytes.push(byte);
                continue;
            }
            let instead = match &self.handler {
                Handler::Ignore => continue,
                Handler::Replace => "?".to_owned(),
                Handler::BackslashReplace => escaped(c),
                Handler::XmlCharRefReplace => format!("&#{};", u32::from(c)),
                Handler::Strict => return Err(self.unencodable(text, at)),
                Handler::Unknown(name) => return Err(unknown_handler(name)),
            };
            for c in instead.chars() {
                bytes.push(self.encoding.byte(c).ok_or_else(|| self.unencodable(text, at))?);
            }
        }
        Ok(bytes)
    }

    /// Returns the error for the characters without bytes that begin at `at`.
    fn unencodable(&self, text: &str, at: usize) -> Error {
        let mut run = text.chars().skip(at).take_while(|&c| self.encoding.byte(c).is_none());
        let (first, more) = (run.next().unwrap_or_default(), run.count());
        let (name, reason) = (self.encoding.name(), self.encoding.reason());
        let text = match more {
            0 => format!(
                "'{name}' codec can't encode character '{}' in position {at}: {reason}",
                escaped(first)
            ),
            _ => format!(
                "'{name}' codec can't encode characters in position {at}-{}: {reason}",
                at + more
            ),
        };
        Error::exception("UnicodeEncodeError", &text)
    }
}

/// Returns a character as Python escapes it.
fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ ..0x100 => format!("\\x{code:02x}"),
        code @ ..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(
        encoding: &str,
        handler: &str,
        parts: &[&[u8]],
    ) -> Result<String, (&'static str, String)> {
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
        assert_eq!(
            decoded("none-such", "strict", &[]),
            Err(("LookupError", "unknown encoding: none-such".to_owned()))
        );
        let encoded = |text, handler| {
            let mut encoder = Encoder::new(Encoding::Ascii, Handler::by_name(handler).unwrap());
            encoder.encode(text).map_err(|e| (e.class(), e.to_string()))
        };
        let wrong = |text: &str| Err(("UnicodeEncodeError", text.to_owned()));
        assert_eq!(
            encoded("aé", "strict"),
            wrong(
                "'ascii' codec can't encode character '\\xe9' in position 1: ordinal not in range(128)"
            )
        );
        assert_eq!(
            encoded("€€", "strict"),
            wrong(
                "'ascii' codec can't encode characters in position 0-1: ordinal not in range(128)"
            )
        );
        assert_eq!(encoded("€", "xmlcharrefreplace"), Ok(b"&#8364;".to_vec()));
        assert_eq!(encoded("€", "backslashreplace"), Ok(b"\\u20ac".to_vec()));
        assert_eq!(encoded("€", "replace"), Ok(b"?".to_vec()));
    }

    /// The texts that CPython gives for each encoding of the feature; without it, its error for an
    /// encoding that it does not know.
    #[test]
    fn the_feature_has_the_optional_encodings() {
        for (name, bytes, text) in [
            ("utf-16", &b"\xff\xfe\xac\x20"[..], "€"),
            ("utf-16-be", b"\x20\xac", "€"),
            ("UTF-32-LE", b"\xac\x20\0\0", "€"),
            ("utf-7", b"+IKw-", "€"),
            ("cp1252", b"\x80", "€"),
            ("iso8859-15", b"\xa4", "€"),
        ] {
            let expected = if cfg!(feature = "codecs") {
                Ok(text.to_owned())
            } else {
                Err(("LookupError", format!("unknown encoding: {name}")))
            };
            assert_eq!(decoded(name, "strict", &[bytes]), expected, "{name}");
        }
    }

    #[test]
    fn utf_8_with_a_signature_needs_no_feature() {
        assert_eq!(decoded("utf-8-sig", "strict", &[b"\xef\xbb", b"\xbfa"]), Ok("a".to_owned()));
        let mut encoder = Encoder::new(Encoding::Utf8Signed, Handler::Strict);
        let written = [encoder.encode("a").unwrap(), encoder.encode("b").unwrap()];
        assert_eq!(written.concat(), b"\xef\xbb\xbfab");
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
