//! UTF-7 (RFC 2152), as CPython reads and writes it.

use crate::codec::Part;

/// The digits of base 64, in their order.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn digit(byte: u8) -> Option<u32> {
    DIGITS.iter().position(|&digit| digit == byte).and_then(|digit| u32::try_from(digit).ok())
}

/// Whether an encoder writes a character as itself.
fn is_direct(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='}') && !matches!(c, '+' | '\\')
}

pub(super) fn decode(rest: &[u8], last: bool, text: &mut String) -> Part {
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'+' => match shifted(rest, at, last, text) {
                Ok(end) => at = end,
                Err(part) => return part,
            },
            _ if byte.is_ascii() => {
                text.push(char::from(byte));
                at += 1;
            }
            _ => return Part { good: at, bad: 1, reason: "unexpected special character" },
        }
    }
    Part::good(at)
}

/// Reads the shifted characters that the `+` at `start` begins, and returns where they end.
fn shifted(rest: &[u8], start: usize, last: bool, text: &mut String) -> Result<usize, Part> {
    let wrong = |end: usize, reason| Err(Part { good: start, bad: end - start, reason });
    match rest.get(start + 1) {
        Some(b'-') => {
            text.push('+');
            return Ok(start + 2);
        }
        Some(&byte) if digit(byte).is_none() => return wrong(start + 2, "ill-formed sequence"),
        _ => {}
    }
    let before = text.len();
    let (mut units, mut bits, mut buffer) = (Vec::new(), 0_u32, 0_u32);
    let mut at = start + 1;
    while let Some(digit) = rest.get(at).copied().and_then(digit) {
        buffer = buffer << 6 | digit;
        bits += 6;
        if bits >= 16 {
            bits -= 16;
            units.push((buffer >> bits) as u16);
            buffer &= (1 << bits) - 1;
        }
        at += 1;
    }
    let mut is_whole = true;
    text.extend(
        char::decode_utf16(units).map_while(|unit| unit.inspect_err(|_| is_whole = false).ok()),
    );
    match rest.get(at) {
        // A part of a character, or a lone surrogate.
        Some(_) if bits >= 6 || !is_whole => wrong(at + 1, "partial character in shift sequence"),
        Some(_) if buffer != 0 => wrong(at + 1, "non-zero padding bits in shift sequence"),
        Some(b'-') => Ok(at + 1),
        Some(_) => Ok(at),
        None if !last => {
            text.truncate(before);
            Err(Part::good(start))
        }
        None if bits >= 6 || buffer != 0 || !is_whole => wrong(at, "unterminated shift sequence"),
        None => Ok(at),
    }
}

pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    // Shifted characters, which are written before the next direct one.
    let mut shifted: Vec<u16> = Vec::new();
    for c in text.chars() {
        if c == '+' && shifted.is_empty() {
            bytes.extend(b"+-");
        } else if is_direct(c) {
            if !shifted.is_empty() {
                shift(&mut shifted, &mut bytes);
                // Every other direct character ends the shift by itself.
                if c == '-' || u8::try_from(c).ok().and_then(digit).is_some() {
                    bytes.push(b'-');
                }
            }
            bytes.extend(u8::try_from(c));
        } else {
            shifted.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    if !shifted.is_empty() {
        shift(&mut shifted, &mut bytes);
        bytes.push(b'-');
    }
    bytes
}

/// Writes characters in base 64.
fn shift(units: &mut Vec<u16>, bytes: &mut Vec<u8>) {
    bytes.push(b'+');
    let octets: Vec<u8> = units.drain(..).flat_map(u16::to_be_bytes).collect();
    for three in octets.chunks(3) {
        let buffer = three.iter().fold(0, |buffer, &octet| buffer << 8 | u32::from(octet))
            << (8 * (3 - three.len()));
        let digits =
            (0..=three.len()).filter_map(|at| DIGITS.get((buffer >> (18 - 6 * at)) as usize & 63));
        bytes.extend(digits);
    }
}
