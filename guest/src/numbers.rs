//! Conversion of numbers to and from network byte order.

use crate::{Error, ErrorKind, Result};

/// Converts a number to an unsigned type, with the errors of the newest Python.
fn unsigned<T: TryFrom<i64>>(value: i64, name: &str) -> Result<T> {
    if value < 0 {
        return Err(Error::text(ErrorKind::Value, "Cannot convert negative int"));
    }
    T::try_from(value)
        .map_err(|_| Error::text(ErrorKind::Overflow, format!("Python int too large for C {name}")))
}

/// Converts a 16-bit number from network to host byte order. Python: `socket.ntohs(value)`.
///
/// # Errors
/// `ValueError` below 0, `OverflowError` above 16 bits.
///
/// ```
/// assert_eq!(sandsock::ntohs(0x1234)?, 0x3412);
/// # Ok::<(), sandsock::Error>(())
/// ```
pub fn ntohs(value: impl Into<i64>) -> Result<u16> {
    unsigned(value.into(), "uint16_t").map(u16::from_be)
}

/// Converts a 16-bit number from host to network byte order. Python: `socket.htons(value)`.
///
/// # Errors
/// Those of [`ntohs`].
pub fn htons(value: impl Into<i64>) -> Result<u16> {
    unsigned(value.into(), "uint16_t").map(u16::to_be)
}

/// Converts a 32-bit number from network to host byte order. Python: `socket.ntohl(value)`.
///
/// # Errors
/// `ValueError` below 0, `OverflowError` above 32 bits.
pub fn ntohl(value: impl Into<i64>) -> Result<u32> {
    unsigned(value.into(), "uint32_t").map(u32::from_be)
}

/// Converts a 32-bit number from host to network byte order. Python: `socket.htonl(value)`.
///
/// # Errors
/// Those of [`ntohl`].
pub fn htonl(value: impl Into<i64>) -> Result<u32> {
    unsigned(value.into(), "uint32_t").map(u32::to_be)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn bytes_are_swapped() {
        assert_eq!((ntohs(0x1234).unwrap(), htons(0xff00).unwrap()), (0x3412, 0xff));
        assert_eq!((ntohl(0x1234_5678).unwrap(), htonl(1).unwrap()), (0x7856_3412, 0x0100_0000));
    }

    #[test]
    fn numbers_out_of_range_are_pythons_errors() {
        let shown = |error: Error| (error.class(), error.to_string());
        let negative = ("ValueError", "Cannot convert negative int".to_owned());
        assert_eq!(ntohs(-1).map_err(shown), Err(negative.clone()));
        assert_eq!(htonl(i64::MIN).map_err(shown), Err(negative));
        let large = |name| ("OverflowError", format!("Python int too large for C {name}"));
        assert_eq!(htons(0x10000).map_err(shown), Err(large("uint16_t")));
        assert_eq!(ntohl(1_i64 << 32).map_err(shown), Err(large("uint32_t")));
    }
}
