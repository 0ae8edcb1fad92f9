//! The encodings of the feature `codecs`: UTF-7, UTF-16, UTF-32, and those of one byte for each
//! character that need a table.

mod charmap;
mod utf16;
mod utf7;

use std::sync::Arc;

use self::utf16::Order;
use super::Part;

/// U+FFFE, which is not a character, in the place of a byte that has none.
const UNDEFINED: u16 = 0xfffe;

/// An encoding of the feature `codecs`.
#[derive(Clone, Debug)]
pub(crate) enum Optional {
    Utf7,
    /// The order is None until the byte order mark at the beginning of the text gives it.
    Utf16(Option<Order>),
    Utf32(Option<Order>),
    /// The characters of all 256 bytes.
    Table(Arc<[u16]>),
}

/// An encoding of one byte for each character.
#[derive(Debug)]
struct Charmap {
    /// Its names, with spaces between them.
    names: &'static str,
    /// The characters of the first 128 bytes. Empty if these bytes are ASCII.
    low: &'static str,
    /// The characters of the other 128 bytes.
    high: &'static str,
}

impl Charmap {
    const fn new(names: &'static str, low: &'static str, high: &'static str) -> Self {
        Self { names, low, high }
    }

    /// Returns the characters of all bytes.
    fn table(&self) -> Arc<[u16]> {
        let low: Vec<u16> = if self.low.is_empty() {
            (0..128).collect()
        } else {
            self.low.encode_utf16().collect()
        };
        low.into_iter().chain(self.high.encode_utf16()).collect()
    }
}

/// Whether a list of names, with spaces between them, has a name.
fn has(names: &str, name: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

impl Optional {
    /// Finds an encoding by a name in the form in which CPython looks it up.
    pub(super) fn by_name(plain: &str) -> Option<Self> {
        const LITTLE: Option<Order> = Some(Order::Little);
        const BIG: Option<Order> = Some(Order::Big);
        Some(match plain {
            "utf_7" | "u7" | "utf7" | "unicode_1_1_utf_7" => Self::Utf7,
            "utf_16" | "u16" | "utf16" => Self::Utf16(None),
            "utf_16_le" | "utf_16le" | "unicodelittleunmarked" => Self::Utf16(LITTLE),
            "utf_16_be" | "utf_16be" | "unicodebigunmarked" => Self::Utf16(BIG),
            "utf_32" | "u32" | "utf32" => Self::Utf32(None),
            "utf_32_le" | "utf_32le" => Self::Utf32(LITTLE),
            "utf_32_be" | "utf_32be" => Self::Utf32(BIG),
            _ => {
                let charmap = charmap::CHARMAPS.iter().find(|map| has(map.names, plain))?;
                Self::Table(charmap.table())
            }
        })
    }

    /// Whether Python has a codec of this name that is not a text encoding.
    pub(super) fn is_binary(plain: &str) -> bool {
        charmap::BINARY.iter().any(|names| has(names, plain))
    }

    /// Returns the name in the texts of its errors.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Utf7 => "utf7",
            // A text without a mark is read in the machine's order.
            Self::Utf16(None | Some(Order::Little)) => "utf-16-le",
            Self::Utf16(Some(Order::Big)) => "utf-16-be",
            Self::Utf32(None | Some(Order::Little)) => "utf-32-le",
            Self::Utf32(Some(Order::Big)) => "utf-32-be",
            Self::Table(_) => "charmap",
        }
    }

    /// Reads the byte order mark at the beginning of a text. Returns the encoding with the mark's
    /// order, and the mark's length, which is 0 without a mark.
    pub(super) fn read_mark(&self, start: &[u8]) -> Option<(Self, usize)> {
        Some(match self {
            Self::Utf16(None) => {
                let mark = start.first_chunk().map(|&mark| u16::from_le_bytes(mark).into());
                let order = mark.and_then(|mark| Order::of_mark(mark, 16));
                (Self::Utf16(order), if order.is_some() { 2 } else { 0 })
            }
            Self::Utf32(None) => {
                let mark = start.first_chunk().map(|&mark| u32::from_le_bytes(mark));
                let order = mark.and_then(|mark| Order::of_mark(mark, 32));
                (Self::Utf32(order), if order.is_some() { 4 } else { 0 })
            }
            _ => (self.clone(), 0),
        })
    }

    /// Returns the name of the encoding, and the length of its byte order mark, if it needs a mark
    /// that has not come.
    pub(super) const fn missing_mark(&self) -> Option<(&'static str, usize)> {
        match self {
            Self::Utf16(None) => Some(("utf-16", 2)),
            Self::Utf32(None) => Some(("utf-32", 4)),
            _ => None,
        }
    }

    /// Adds the next characters to `text`, up to the first bytes that are not text.
    pub(super) fn decode(&self, rest: &[u8], last: bool, text: &mut String) -> Part {
        match self {
            Self::Utf7 => utf7::decode(rest, last, text),
            Self::Utf16(order) => utf16::decode16(rest, order.unwrap_or(Order::Little), last, text),
            Self::Utf32(order) => utf16::decode32(rest, order.unwrap_or(Order::Little), last, text),
            Self::Table(table) => {
                let character = |byte: &u8| {
                    table.get(usize::from(*byte)).copied().filter(|&unit| unit != UNDEFINED)
                };
                let good = rest.iter().take_while(|byte| character(byte).is_some()).count();
                let units = rest.iter().take(good).filter_map(character);
                text.extend(units.filter_map(|unit| char::from_u32(unit.into())));
                let reason = "character maps to <undefined>";
                Part { good, bad: usize::from(good < rest.len()), reason }
            }
        }
    }

    /// Encodes a text. None if the encoding has a table, because its characters can lack a byte.
    pub(super) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf7 => Some(utf7::encode(text)),
            // CPython writes no mark to a file without a position.
            Self::Utf16(order) => Some(utf16::encode16(text, order.unwrap_or(Order::Little))),
            Self::Utf32(order) => Some(utf16::encode32(text, order.unwrap_or(Order::Little))),
            Self::Table(_) => None,
        }
    }

    /// Returns the byte of a character in the table, if it has one.
    pub(super) fn byte(&self, c: char) -> Option<u8> {
        let Self::Table(table) = self else { return None };
        let unit = u16::try_from(u32::from(c)).ok().filter(|&unit| unit != UNDEFINED)?;
        // CPython: of several bytes the last one.
        table.iter().rposition(|&known| known == unit).and_then(|byte| u8::try_from(byte).ok())
    }
}
