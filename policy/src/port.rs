//! Ranges of ports.

use std::fmt;

use crate::error::ParseError;
use crate::text::decimal;

/// Ports from `low` to `high`, both included.
///
/// Port 0 is the one that the kernel chooses at bind. `*` holds every port, 0 too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl PortRange {
    /// Every port: `*`.
    pub const ANY: Self = Self { low: 0, high: u16::MAX };

    pub(super) const fn new(low: u16, high: u16) -> Self {
        Self { low, high }
    }

    /// One port.
    pub const fn single(port: u16) -> Self {
        Self { low: port, high: port }
    }

    /// The first port.
    pub const fn low(self) -> u16 {
        self.low
    }

    /// The last port.
    pub const fn high(self) -> u16 {
        self.high
    }

    /// Returns whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }

    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        const HINT: &str =
            "a port is a number from 0 to 65535, a range such as 8000-8999, or `*` for any";
        let port = |text: &str, offset: usize| {
            decimal(text).and_then(|n| u16::try_from(n).ok()).ok_or_else(|| {
                ParseError::new(offset, format!("`{}` is not a port", text.escape_debug()), HINT)
            })
        };
        if text == "*" {
            return Ok(Self::ANY);
        }
        let Some((low, high)) = text.split_once('-') else {
            return port(text, 0).map(Self::single);
        };
        let range = Self { low: port(low, 0)?, high: port(high, low.len() + 1)? };
        if range.low > range.high {
            return Err(ParseError::new(
                0,
                format!("the range `{text}` runs backwards"),
                format!("write {high}-{low}"),
            ));
        }
        Ok(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.write_str("*"),
            Self { low, high } if low == high => write!(f, "{low}"),
            Self { low, high } => write!(f, "{low}-{high}"),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn port_zero_is_itself_alone() {
        let zero = PortRange::parse("0").unwrap();
        assert!(zero.contains(0) && !zero.contains(1));
        let any = PortRange::parse("*").unwrap();
        assert!(any.contains(0) && any.contains(65535));
        assert!(!PortRange::parse("1-65535").unwrap().contains(0));
        assert!(PortRange::parse("0-1023").unwrap().contains(0));
        assert_eq!(PortRange::parse("0-65535").unwrap().to_string(), "*");
        assert_eq!(PortRange::parse("80-80").unwrap().to_string(), "80");
    }

    #[test]
    fn port_that_is_none_is_refused() {
        for text in [
            "", "-", "a", "+80", "-1", "65536", "80-", "-80", "80-79", "1-2-3", " 80", "8*", "0x50",
        ] {
            assert!(PortRange::parse(text).is_err(), "{text}");
        }
        assert!(PortRange::parse("90-80").unwrap_err().hint.contains("80-90"));
    }
}
