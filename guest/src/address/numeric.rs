//! Numeric addresses as text and as bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use sandsock_abi::errno;

use crate::{Error, ErrorKind, Family, Result};

/// Returns glibc's text of an IPv6 address. It differs from the standard library's for
/// v4-compatible addresses.
pub(super) fn ipv6_text(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}

/// Returns the bytes of a numeric address, in network order: inet_pton(3).
///
/// An IPv4 address is four decimal numbers without leading zeros. An IPv6 address has no `%zone`.
/// Python: `socket.inet_pton(family, text)`.
///
/// # Errors
/// `OSError` without an errno for any other text; EAFNOSUPPORT for a family other than INET and
/// INET6.
///
/// ```
/// use sandsock::{Family, inet_pton};
///
/// assert_eq!(inet_pton(Family::INET, "127.0.0.1")?, [127, 0, 0, 1]);
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn inet_pton(family: impl Into<Family>, text: &str) -> Result<Vec<u8>> {
    let bytes = match family.into() {
        Family::INET => text.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
        Family::INET6 => text.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec()),
        _ => return Err(Error::from_errno(errno::EAFNOSUPPORT)),
    };
    bytes.ok_or_else(|| Error::text(ErrorKind::Os, "illegal IP address string passed to inet_pton"))
}

/// Returns the text of a numeric address: inet_ntop(3), in glibc's form.
///
/// Python: `socket.inet_ntop(family, bytes)`.
///
/// # Errors
/// `ValueError` if there are not 4 bytes (INET) or 16 bytes (INET6), and for another family.
pub fn inet_ntop(family: impl Into<Family>, bytes: &[u8]) -> Result<String> {
    let wrong_length =
        |_| Error::text(ErrorKind::Value, "invalid length of packed IP address string");
    match family.into() {
        Family::INET => <[u8; 4]>::try_from(bytes)
            .map(|bytes| Ipv4Addr::from(bytes).to_string())
            .map_err(wrong_length),
        Family::INET6 => {
            <[u8; 16]>::try_from(bytes).map(|bytes| ipv6_text(bytes.into())).map_err(wrong_length)
        }
        Family(family) => {
            Err(Error::text(ErrorKind::Value, format!("unknown address family {family}")))
        }
    }
}

/// Returns the four bytes of an IPv4 address in one of its old forms: inet_aton(3).
///
/// The text has one to four numbers, decimal, octal (`0177`) or hexadecimal (`0x7f`). The last
/// number fills the remaining bytes. White space ends the text. Python: `socket.inet_aton(text)`.
///
/// # Errors
/// `OSError` without an errno for any other text.
///
/// ```
/// assert_eq!(sandsock::inet_aton("127.1")?, [127, 0, 0, 1]);
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn inet_aton(text: &str) -> Result<[u8; 4]> {
    let illegal = || Error::text(ErrorKind::Os, "illegal IP address string passed to inet_aton");
    if text.contains('\0') {
        return Err(Error::text(ErrorKind::Value, "embedded null character"));
    }
    let text = text.split([' ', '\t', '\n', '\x0b', '\x0c', '\r']).next().unwrap_or_default();
    let parts: Vec<u32> =
        text.split('.').map(c_number).collect::<Option<_>>().ok_or_else(illegal)?;
    let Some((&last, leading)) = parts.split_last() else {
        return Err(illegal());
    };
    if leading.len() > 3 {
        return Err(illegal());
    }
    let mut bytes = [0; 4];
    for (byte, part) in bytes.iter_mut().zip(leading) {
        *byte = u8::try_from(*part).map_err(|_| illegal())?;
    }
    let room = 32 - 8 * leading.len() as u32;
    if u64::from(last) >> room != 0 {
        return Err(illegal());
    }
    for (byte, value) in bytes.iter_mut().zip(last.to_be_bytes()).skip(leading.len()) {
        *byte = value;
    }
    Ok(bytes)
}

/// Parses a number in C's notation: decimal, octal or hexadecimal.
fn c_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` takes a sign, but inet_aton does not.
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// Returns the text of four bytes: inet_ntoa(3).
///
/// Python: `socket.inet_ntoa(bytes)`.
///
/// # Errors
/// `OSError` without an errno for another length.
pub fn inet_ntoa(bytes: &[u8]) -> Result<String> {
    <[u8; 4]>::try_from(bytes)
        .map(|bytes| Ipv4Addr::from(bytes).to_string())
        .map_err(|_| Error::text(ErrorKind::Os, "packed IP wrong length for inet_ntoa"))
}
