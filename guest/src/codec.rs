//! Text as bytes: the encodings and error handlers of a text file.
//!
//! A text of Rust holds no lone surrogates. What Python would make one of (UTF-8 of a surrogate
//! with `surrogatepass`, a wrong byte with `surrogateescape`) is an error here, the one that
//! `strict` gives.

mod newline;
mod optional;

use std::borrow::Cow;

pub(crate) use newline::Newline;

use self::optional::utf16::{self, Order};
use self::optional::{charmap, utf7};
use crate::{Error, ErrorKind, Result};

/// U+FFFE, which is no character: where a byte has none.
const UNDEFINED: u16 = 0xfffe;

/// What begins a text of `utf-8-sig`.
const SIGNATURE: &[u8] = "\u{feff}".as_bytes();

/// An encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Utf8,
    /// UTF-8 that begins with a byte order mark.
    Utf8Signed,
    Utf7,
    /// The order is none if the text's beginning tells it.
    Utf16(Option<Order>),
    Utf32(Option<Order>),
    Ascii,
    Latin1,
    Charmap(&'static Charmap),
}

/// An encoding of one byte a character.
#[derive(Debug)]
pub(crate) struct Charmap {
    /// Its names, with spaces between them.
    names: &'static str,
    /// The characters of the first 128 bytes; nothing where these are ASCII.
    low: &'static str,
    /// Those of the others.
    high: &'static str,
}

impl Charmap {
    const fn new(names: &'static str, low: &'static str, high: &'static str) -> Self {
        Self { names, low, high }
    }

    /// The characters of all bytes.
    fn table(&self) -> Vec<u16> {
        let low = if self.low.is_empty() {
            (0..128).collect()
        } else {
            self.low.encode_utf16().collect::<Vec<u16>>()
        };
        low.into_iter().chain(self.high.encode_utf16()).collect()
    }
}

/// A name as CPython looks it up: letters, digits and dots, with `_` for what is between them.
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

impl Encoding {
    pub(crate) fn by_name(name: &str) -> Result<Self> {
        const LITTLE: Option<Order> = Some(Order::Little);
        const BIG: Option<Order> = Some(Order::Big);
        if name.contains('\0') {
            return Err(Error::text(ErrorKind::Value, "embedded null character"));
        }
        let plain = normalized(name);
        let unknown = |text: &str| Err(Error::exception("LookupError", text));
        let is_one_of = |names: &str| names.split(' ').any(|name| name == plain);
        Ok(match plain.as_str() {
            "utf_8" | "utf8" | "u8" | "utf" | "utf8_ucs2" | "utf8_ucs4" | "cp65001" => Self::Utf8,
            "utf_8_sig" => Self::Utf8Signed,
            "utf_7" | "u7" | "utf7" | "unicode_1_1_utf_7" => Self::Utf7,
            "utf_16" | "u16" | "utf16" => Self::Utf16(None),
            "utf_16_le" | "utf_16le" | "unicodelittleunmarked" => Self::Utf16(LITTLE),
            "utf_16_be" | "utf_16be" | "unicodebigunmarked" => Self::Utf16(BIG),
            "utf_32" | "u32" | "utf32" => Self::Utf32(None),
            "utf_32_le" | "utf_32le" => Self::Utf32(LITTLE),
            "utf_32_be" | "utf_32be" => Self::Utf32(BIG),
            "ascii" | "646" | "ansi_x3.4_1968" | "ansi_x3_4_1968" | "ansi_x3.4_1986" | "cp367"
            | "csascii" | "ibm367" | "iso646_us" | "iso_646.irv_1991" | "iso_ir_6" | "us"
            | "us_ascii" => Self::Ascii,
            "latin_1" | "8859" | "cp819" | "csisolatin1" | "ibm819" | "iso8859" | "iso8859_1"
            | "iso_8859_1" | "iso_8859_1_1987" | "iso_ir_100" | "l1" | "latin" | "latin1" => {
                Self::Latin1
            }
            _ => match charmap::CHARMAPS.iter().find(|charmap| is_one_of(charmap.names)) {
                Some(charmap) => Self::Charmap(charmap),
                None if charmap::BINARY.iter().any(|names| is_one_of(names)) => {
                    return unknown(&format!(
                        "'{name}' is not a text encoding; use codecs.open() to handle arbitrary codecs"
                    ));
                }
                None => return unknown(&format!("unknown encoding: {name}")),
            },
        })
    }

    /// The name in the texts of its errors.
    const fn name(self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8Signed => "utf-8",
            Self::Utf7 => "utf7",
            // Without a mark it is the machine's order that is tried.
            Self::Utf16(None | Some(Order::Little)) => "utf-16-le",
            Self::Utf16(Some(Order::Big)) => "utf-16-be",
            Self::Utf32(None | Some(Order::Little)) => "utf-32-le",
            Self::Utf32(Some(Order::Big)) => "utf-32-be",
            Self::Ascii => "ascii",
            Self::Latin1 => "latin-1",
            Self::Charmap(_) => "charmap",
        }
    }

    /// Why a character can't be written, or a byte can't be read.
    const fn lacks(self) -> &'static str {
        match self {
            Self::Ascii => "ordinal not in range(128)",
            Self::Latin1 => "ordinal not in range(256)",
            _ => "character maps to <undefined>",
        }
    }
}

/// What becomes of bytes that are no text, and of text that has no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// `surrogateescape` and `surrogatepass` too.
    Strict,
    Ignore,
    Replace,
    BackslashReplace,
    XmlCharRefReplace,
    /// No handler that there is, which is told when it is needed.
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
    Error::exception("LookupError", &format!("unknown error handler name '{name}'"))
}

/// What the next bytes are: so many that are text, then so many that are none, and why. Where none
/// are wrong, what follows the good ones has begun and not ended.
#[derive(Clone, Copy, Debug)]
struct Part {
    good: usize,
    bad: usize,
    why: &'static str,
}

impl Part {
    const fn good(good: usize) -> Self {
        Self { good, bad: 0, why: "" }
    }

    /// The `left` bytes behind the good ones are no whole character: wrong where nothing follows
    /// them.
    const fn cut(good: usize, left: usize, last: bool, why: &'static str) -> Self {
        Self { good, bad: if last { left } else { 0 }, why }
    }
}

/// Turns bytes into text, piece by piece.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// As it was named.
    named: Encoding,
    /// As the text's beginning has settled it.
    encoding: Encoding,
    handler: Handler,
    /// The characters of all bytes, of an encoding that has a table.
    table: Vec<u16>,
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding, handler: Handler) -> Self {
        let table =
            if let Encoding::Charmap(charmap) = encoding { charmap.table() } else { Vec::new() };
        Self { named: encoding, encoding, handler, table, begun: Vec::new() }
    }

    /// Makes the next bytes the beginning of a text, and forgets a character whose rest has not
    /// come.
    pub(crate) fn reset(&mut self) {
        self.encoding = self.named;
        self.begun.clear();
    }

    /// The text of the next bytes; `last` where nothing follows them.
    pub(crate) fn decode(&mut self, bytes: &[u8], last: bool) -> Result<String> {
        let joined = if self.begun.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            [&self.begun, bytes].concat().into()
        };
        let Some(mark) = self.settle(&joined) else {
            // CPython: where it stays undecided, at the end too, there is no text.
            self.begun = joined.into_owned();
            return Ok(String::new());
        };
        // CPython counts positions behind a signature, and from the beginning of any other mark.
        let counted = if let Encoding::Utf8 = self.encoding { mark } else { 0 };
        let mut text = String::with_capacity(joined.len());
        let mut at = mark;
        // After an error what had begun is there still.
        let mut begun = Vec::new();
        while let Some(rest) = joined.get(at..).filter(|rest| !rest.is_empty()) {
            let Part { good, bad, why } = self.part(rest, last, &mut text);
            at += good;
            if bad == 0 {
                begun = joined.get(at..).unwrap_or_default().to_vec();
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
                    return Err(undecodable(self.encoding.name(), wrong, at - counted, why));
                }
                Handler::XmlCharRefReplace => {
                    let text = "don't know how to handle UnicodeDecodeError in error callback";
                    return Err(Error::text(ErrorKind::Type, text));
                }
                Handler::Unknown(name) => return Err(unknown_handler(name)),
            }
            at += bad;
        }
        self.check_mark(&joined, begun.len())?;
        self.begun = begun;
        Ok(text)
    }

    /// Settles the encoding by the text's beginning where that tells it, and returns how long the
    /// mark is. None if more bytes are needed.
    fn settle(&mut self, start: &[u8]) -> Option<usize> {
        match self.encoding {
            Encoding::Utf8Signed
                if start.len() < SIGNATURE.len() && SIGNATURE.starts_with(start) =>
            {
                None
            }
            Encoding::Utf8Signed => {
                self.encoding = Encoding::Utf8;
                Some(if start.starts_with(SIGNATURE) { SIGNATURE.len() } else { 0 })
            }
            Encoding::Utf16(None) => {
                let mark = start.first_chunk().map(|&mark| u16::from_le_bytes(mark).into());
                let order = mark.and_then(|mark| Order::of_mark(mark, 16));
                self.encoding = Encoding::Utf16(order);
                Some(if order.is_some() { 2 } else { 0 })
            }
            Encoding::Utf32(None) => {
                let order = start
                    .first_chunk()
                    .and_then(|&mark| Order::of_mark(u32::from_le_bytes(mark), 32));
                self.encoding = Encoding::Utf32(order);
                Some(if order.is_some() { 4 } else { 0 })
            }
            _ => Some(0),
        }
    }

    /// Reads as much as there is of text.
    fn part(&self, rest: &[u8], last: bool, text: &mut String) -> Part {
        match self.encoding {
            Encoding::Utf8 | Encoding::Utf8Signed => utf8(rest, last, text),
            Encoding::Utf7 => utf7::decode(rest, last, text),
            Encoding::Utf16(order) => {
                utf16::decode16(rest, order.unwrap_or(Order::Little), last, text)
            }
            Encoding::Utf32(order) => {
                utf16::decode32(rest, order.unwrap_or(Order::Little), last, text)
            }
            Encoding::Latin1 => {
                text.extend(rest.iter().copied().map(char::from));
                Part::good(rest.len())
            }
            Encoding::Ascii => {
                let good = rest.iter().take_while(|byte| byte.is_ascii()).count();
                text.extend(rest.iter().take(good).copied().map(char::from));
                Part { good, bad: usize::from(good < rest.len()), why: self.encoding.lacks() }
            }
            Encoding::Charmap(_) => {
                let character = |byte: &u8| {
                    self.table.get(usize::from(*byte)).copied().filter(|&unit| unit != UNDEFINED)
                };
                let good = rest.iter().take_while(|byte| character(byte).is_some()).count();
                let units = rest.iter().take(good).filter_map(character);
                text.extend(units.filter_map(|unit| char::from_u32(unit.into())));
                Part { good, bad: usize::from(good < rest.len()), why: self.encoding.lacks() }
            }
        }
    }

    /// Fails where a text of either byte order began with no mark.
    fn check_mark(&self, joined: &[u8], begun: usize) -> Result<()> {
        let (name, length) = match self.encoding {
            Encoding::Utf16(None) => ("utf-16", 2),
            Encoding::Utf32(None) => ("utf-32", 4),
            _ => return Ok(()),
        };
        match joined.get(..length) {
            Some(start) if joined.len() - begun >= length => {
                Err(undecodable(name, start, 0, "Stream does not start with BOM"))
            }
            _ => Ok(()),
        }
    }
}

fn undecodable(name: &str, wrong: &[u8], at: usize, why: &str) -> Error {
    let text = match wrong {
        [byte] => format!("'{name}' codec can't decode byte 0x{byte:02x} in position {at}: {why}"),
        _ => format!(
            "'{name}' codec can't decode bytes in position {at}-{}: {why}",
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
                Some(length) => Part { good: good.len(), bad: length, why: why_not(bad.first()) },
                None => Part::cut(good.len(), bad.len(), last, "unexpected end of data"),
            };
            (str::from_utf8(good).unwrap_or_default(), part)
        }
    };
    text.push_str(good);
    part
}

/// What is wrong with a byte that begins no UTF-8, or not this one.
fn why_not(byte: Option<&u8>) -> &'static str {
    if byte.is_some_and(|byte| matches!(byte, 0xc2..=0xf4)) {
        "invalid continuation byte"
    } else {
        "invalid start byte"
    }
}

/// Turns text into bytes, piece by piece.
#[derive(Debug)]
pub(crate) struct Encoder {
    encoding: Encoding,
    handler: Handler,
    /// The characters of all bytes, of an encoding that has a table.
    table: Vec<u16>,
}

impl Encoder {
    pub(crate) fn new(encoding: Encoding, handler: Handler) -> Self {
        let table =
            if let Encoding::Charmap(charmap) = encoding { charmap.table() } else { Vec::new() };
        Self { encoding, handler, table }
    }

    /// The bytes of the next text.
    pub(crate) fn encode(&mut self, text: &str) -> Result<Vec<u8>> {
        Ok(match self.encoding {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf8Signed => {
                self.encoding = Encoding::Utf8;
                [SIGNATURE, text.as_bytes()].concat()
            }
            Encoding::Utf7 => utf7::encode(text),
            // CPython: to what can't be sought no mark is written.
            Encoding::Utf16(order) => utf16::encode16(text, order.unwrap_or(Order::Little)),
            Encoding::Utf32(order) => utf16::encode32(text, order.unwrap_or(Order::Little)),
            Encoding::Ascii | Encoding::Latin1 | Encoding::Charmap(_) => self.bytes(text)?,
        })
    }

    /// The byte of a character, if it has one.
    fn byte(&self, c: char) -> Option<u8> {
        match self.encoding {
            Encoding::Ascii => u8::try_from(c).ok().filter(u8::is_ascii),
            Encoding::Latin1 => u8::try_from(c).ok(),
            _ => {
                let unit = u16::try_from(u32::from(c)).ok().filter(|&unit| unit != UNDEFINED)?;
                // CPython: of several bytes the last one.
                self.table
                    .iter()
                    .rposition(|&known| known == unit)
                    .and_then(|byte| u8::try_from(byte).ok())
            }
        }
    }

    /// The bytes of a text, one a character.
    fn bytes(&self, text: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len());
        for (at, c) in text.chars().enumerate() {
            if let Some(byte) = self.byte(c) {
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
                bytes.push(self.byte(c).ok_or_else(|| self.unencodable(text, at))?);
            }
        }
        Ok(bytes)
    }

    /// The error of the characters that have no bytes, from one on.
    fn unencodable(&self, text: &str, at: usize) -> Error {
        let mut run = text.chars().skip(at).take_while(|&c| self.byte(c).is_none());
        let (first, more) = (run.next().unwrap_or_default(), run.count());
        let (name, why) = (self.encoding.name(), self.encoding.lacks());
        let text = match more {
            0 => format!(
                "'{name}' codec can't encode character '{}' in position {at}: {why}",
                escaped(first)
            ),
            _ => format!(
                "'{name}' codec can't encode characters in position {at}-{}: {why}",
                at + more
            ),
        };
        Error::exception("UnicodeEncodeError", &text)
    }
}

/// A character as Python escapes it.
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
