//! Host names, and the patterns that hold them.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::error::{ParseError, zone_error};

/// The words of the sets that every policy has.
pub(super) const SET_WORDS: [&str; 5] =
    ["public", "private", "loopback", "link-local", "multicast"];

/// A text that is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

/// The one form of a host name in which names are compared, looked up and pinned: ASCII (IDNA by
/// UTS 46), lower case, no trailing dot.
///
/// The look-up must be made with this form: what was judged and what is asked for are then the same
/// bytes.
///
/// # Errors
///
/// The text can't be a host name.
pub fn normalise_name(name: &str) -> Result<Cow<'_, str>, NameError> {
    // Unicode can shrink to fewer ASCII bytes, but not from this much; it bounds the work of IDNA.
    if name.len() > 1024 {
        return Err(NameError("it is longer than 253 characters"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let encoded = |label: &str| {
        label.len() >= 4 && label.is_char_boundary(4) && label[..4].eq_ignore_ascii_case("xn--")
    };
    let ascii = if name.bytes().all(plain) && !name.split('.').any(encoded) {
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        }
    } else {
        let uts46 = idna::uts46::Uts46::new();
        uts46
            .to_ascii(
                name.as_bytes(),
                idna::uts46::AsciiDenyList::EMPTY,
                idna::uts46::Hyphens::Allow,
                idna::uts46::DnsLength::Ignore,
            )
            .map_err(|_| NameError("it does not follow the rules of international names (IDNA)"))?
    };
    let ascii = match ascii {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('.').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.ends_with('.') {
                text.pop();
            }
            Cow::Owned(text)
        }
    };
    if ascii.is_empty() {
        return Err(NameError("it is empty"));
    }
    if ascii.len() > 253 {
        return Err(NameError("it is longer than 253 characters"));
    }
    for label in ascii.split('.') {
        if label.is_empty() {
            return Err(NameError("a label is empty"));
        }
        if label.len() > 63 {
            return Err(NameError("a label is longer than 63 characters"));
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        {
            return Err(NameError("it holds a character that no host name has"));
        }
    }
    Ok(ascii)
}

/// Returns whether resolvers may read a name as an IPv4 address in one of its older notations
/// (`127.1`, `0x7f.1`, `2130706433`).
pub(super) fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !last.is_empty()
        && (last.bytes().all(|b| b.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .or(last.strip_prefix("0X"))
                .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())))
}

/// One name, or every name below one, in whole labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// `db.example`: this name alone.
    Exact(Box<str>),
    /// `*.example.com`: names with one or more labels before it, never `example.com` itself.
    Below(Box<str>),
}

impl NamePattern {
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let (rest, skipped) = match text.strip_prefix("*.") {
            Some(rest) => (rest, 2),
            None => (text, 0),
        };
        if let Some(at) = rest.find('*') {
            return Err(ParseError::new(
                skipped + at,
                "there is a `*` inside the name",
                "a `*` stands for whole labels and only at the start, as in *.example.com",
            ));
        }
        if rest.contains('%') {
            return Err(zone_error(skipped + rest.find('%').unwrap_or(0)));
        }
        let shown = rest.escape_debug();
        let name = normalise_name(rest).map_err(|e| {
            ParseError::new(
                skipped,
                format!("`{shown}` is not a host name: {e}"),
                "write a name such as db.example or *.example.com",
            )
        })?;
        if ends_in_number(&name) {
            return Err(ParseError::new(
                skipped,
                format!("`{shown}` is neither an IPv4 address nor a name"),
                "write an IPv4 address as four decimal numbers, as in 127.0.0.1",
            ));
        }
        let name = name.into();
        Ok(if skipped == 0 { Self::Exact(name) } else { Self::Below(name) })
    }

    /// Returns whether this pattern holds `name`, which must be in [`normalise_name`]'s form.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *name,
            Self::Below(suffix) => name
                .strip_suffix(&**suffix)
                .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// What `resolve` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResolvePattern {
    /// `*`: every name.
    Any,
    /// Names.
    Name(NamePattern),
    /// The names in a set, by the set's word.
    Set(Box<str>),
}

impl ResolvePattern {
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if SET_WORDS.contains(&text) {
            return Err(ParseError::new(
                0,
                format!("the set `{text}` holds addresses, and no name"),
                "name a host, a set with names, or `*`",
            ));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(ParseError::new(
                0,
                format!("`{text}` is an address"),
                "addresses need no resolve; name a host or `*`",
            ));
        }
        if let Some(at) = text.find(':') {
            return Err(ParseError::new(
                at,
                "there is a port",
                "resolve takes a name alone, as in db.example, *.example.com or `*`",
            ));
        }
        NamePattern::parse(text).map(Self::Name)
    }
}

impl fmt::Display for ResolvePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => name.fmt(f),
            Self::Set(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> NamePattern {
        NamePattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn name_is_compared_folded_encoded_and_without_its_last_dot() {
        for (given, normal) in [
            ("DB.Example", "db.example"),
            ("db.example.", "db.example"),
            ("Bücher.Example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("db。example", "db.example"),
            ("_sip._tcp.example", "_sip._tcp.example"),
            ("my_service", "my_service"),
            ("ＤＢ.example", "db.example"),
        ] {
            assert_eq!(normalise_name(given).as_deref(), Ok(normal), "{given}");
            assert!(name(given).matches(normal), "{given}");
        }
        assert!(matches!(normalise_name("db.example"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn name_that_is_none_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abc.".repeat(64));
        let huge = "ü".repeat(100_000);
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a:b",
            "a%b",
            "a\0b",
            "a*b",
            "db.example..",
            "xn--\u{1f4a9}",
            "xn--a",
            "xn--999999999",
            "-é\u{202e}",
            &long_label,
            &long_name,
            &huge,
            "fe80::1%eth0",
            "[::1]",
            "a\nb",
        ] {
            assert!(normalise_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn name_pattern_takes_whole_labels_alone() {
        let below = name("*.example.com");
        assert!(below.matches("a.example.com") && below.matches("b.a.example.com"));
        for not in [
            "example.com",
            "notexample.com",
            "a.notexample.com",
            ".example.com",
            "a.example.com.evil",
            "example.com.a",
        ] {
            assert!(!below.matches(not), "{not}");
        }
        let exact = name("example.com");
        assert!(
            exact.matches("example.com")
                && !exact.matches("a.example.com")
                && !exact.matches("xexample.com")
        );
    }

    #[test]
    fn name_pattern_with_a_star_elsewhere_is_refused() {
        for text in ["*", "*.", "a.*", "a*.b", "*a.b", "*.*.b", "**.b"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn name_pattern_that_reads_as_an_address_is_refused() {
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "1.2.3.4.5",
            "256.1.1.1",
            "*.1",
            "a.0x",
            "１２７.1",
        ] {
            let error = NamePattern::parse(text).unwrap_err();
            assert!(error.hint.contains("four decimal numbers"), "{text}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn normal_name_is_normal(text in "\\PC{0,40}") {
            if let Ok(once) = normalise_name(&text) {
                let twice = normalise_name(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }
        #[test]
        fn normal_name_any_spelling(text in "[a-z0-9_-]{1,12}(\\.[a-z0-9_-]{1,12}){0,3}") {
            if let Ok(normal) = normalise_name(&text) {
                let other = format!("{}.", text.to_uppercase());
                let other = normalise_name(&other);
                prop_assert_eq!(other.as_deref(), Ok(&*normal));
            }
        }
    }
}
