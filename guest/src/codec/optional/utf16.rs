//! UTF-16 and UTF-32.

use crate::codec::Part;

/// The byte order of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    /// Returns the order of a text whose mark of `bits` bits, read as little-endian, is `mark`.
    pub(super) fn of_mark(mark: u32, bits: u32) -> Option<Self> {
        const MARK: u32 = 0xfeff;
        match mark {
            MARK => Some(Self::Little),
            _ if mark.swap_bytes() >> (32 - bits) == MARK => Some(Self::Big),
            _ => None,
        }
    }

    fn unit16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..)?.first_chunk().copied()?;
        Some(if self == Self::Little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn unit32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..)?.first_chunk().copied()?;
        Some(if self == Self::Little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }
}

pub(super) fn decode16(rest: &[u8], order: Order, last: bool, text: &mut String) -> Part {
    let mut at = 0;
    loop {
        let left = rest.len() - at;
        let Some(first) = order.unit16(rest, at) else {
            return Part::incomplete(at, left, last, "truncated data");
        };
        let second = match first {
            0xdc00..=0xdfff => return Part { good: at, bad: 2, reason: "illegal encoding" },
            0xd800..=0xdbff => match order.unit16(rest, at + 2) {
                None => return Part::incomplete(at, left, last, "unexpected end of data"),
                Some(second @ 0xdc00..=0xdfff) => Some(second),
                Some(_) => return Part { good: at, bad: 2, reason: "illegal UTF-16 surrogate" },
            },
            _ => None,
        };
        text.extend(char::decode_utf16([first].into_iter().chain(second)).flatten());
        at += if second.is_some() { 4 } else { 2 };
    }
}

pub(super) fn decode32(rest: &[u8], order: Order, last: bool, text: &mut String) -> Part {
    let mut at = 0;
    loop {
        let Some(unit) = order.unit32(rest, at) else {
            return Part::incomplete(at, rest.len() - at, last, "truncated data");
        };
        let Some(c) = char::from_u32(unit) else {
            let reason = match unit {
                0xd800..0xe000 => "code point in surrogate code point range(0xd800, 0xe000)",
                _ => "code point not in range(0x110000)",
            };
            return Part { good: at, bad: 4, reason };
        };
        text.push(c);
        at += 4;
    }
}

pub(super) fn encode16(text: &str, order: Order) -> Vec<u8> {
    let bytes =
        |unit: u16| if order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

pub(super) fn encode32(text: &str, order: Order) -> Vec<u8> {
    let bytes =
        |unit: u32| if order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.chars().map(u32::from).flat_map(bytes).collect()
}
