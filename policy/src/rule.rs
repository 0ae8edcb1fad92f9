//! Rules as text: `VERB=TARGET;KEY=VALUE;KEY=VALUE`.
//!
//! Options of the command, strings of a policy file and the builder take this text. A `;` begins a
//! term. A `;` that belongs to the target or to a value is written `\;`, and a backslash before a
//! `;` is written twice. All other backslashes stand for themselves.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::{GrantError, ParseError};
use crate::terms::{TermError, Terms};
use crate::verbs::{Grant, Verb};

/// One rule: what it is about, and the terms on which it allows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The verb and the target.
    pub grant: Grant,
    /// The terms. A rule that denies has none.
    pub terms: Terms,
}

impl Rule {
    /// Returns the rule's verb.
    pub fn verb(&self) -> Verb {
        self.grant.verb()
    }

    /// Returns how the rule wants TLS to be. None if it does not say.
    pub fn tls(&self) -> Option<&crate::TlsTerms> {
        self.terms.tls.as_ref()
    }

    /// Makes a rule of a verb and a target, as a table of a policy file has them, without terms.
    pub(crate) fn of_target(verb: Verb, target: Option<&str>) -> Result<Self, ParseError> {
        let grant = crate::grant::parse_target(verb, target)?;
        Ok(Self { grant, terms: Terms::default() })
    }
}

impl From<Grant> for Rule {
    fn from(grant: Grant) -> Self {
        Self { grant, terms: Terms::default() }
    }
}

/// A part of a rule's text between two `;`, without the escapes.
struct Part<'a> {
    /// Where it begins in the whole text.
    start: usize,
    text: Cow<'a, str>,
    /// Where the backslashes stood that are left out, in bytes from the start.
    escapes: Vec<usize>,
}

impl Part<'_> {
    /// Returns the place in the whole text of a place in this part.
    fn place(&self, mut offset: usize) -> usize {
        for escape in &self.escapes {
            if *escape <= offset {
                offset += 1;
            }
        }
        self.start + offset
    }
}

/// Splits a text at every `;` that no backslash escapes.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut backslashes, mut escapes) = (0, 0, Vec::new());
    let part = |start: usize, end: usize, escapes: Vec<usize>| {
        let raw = &text[start..end];
        let text = if escapes.is_empty() {
            Cow::Borrowed(raw)
        } else {
            let kept = raw.char_indices().filter(|(at, _)| !escapes.contains(at));
            kept.map(|(_, c)| c).collect::<String>().into()
        };
        Part { start, text, escapes }
    };
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => backslashes += 1,
            b';' => {
                // Of two backslashes the first is left out, and of an odd number the last too.
                let run = at - backslashes - start;
                escapes.extend((0..backslashes).step_by(2).map(|nth| run + nth));
                if backslashes % 2 == 0 {
                    parts.push(part(start, at, std::mem::take(&mut escapes)));
                    start = at + 1;
                }
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
    }
    parts.push(part(start, text.len(), escapes));
    parts
}

/// Writes a target or a value with the escapes that keep its `;` apart from those before terms.
/// `more` says that a term follows.
pub(crate) fn escape(text: &str, more: bool) -> Cow<'_, str> {
    let ends = more && text.ends_with('\\');
    if !text.contains(';') && !ends {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 2);
    let mut backslashes = 0;
    for c in text.chars() {
        if c == ';' {
            escaped.extend(std::iter::repeat_n('\\', backslashes + 1));
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        escaped.push(c);
    }
    if more {
        escaped.extend(std::iter::repeat_n('\\', backslashes));
    }
    escaped.into()
}

/// Returns the text of a rule without terms that has this target.
pub(crate) fn with_target(verb: Verb, target: &str) -> String {
    format!("{verb}={}", escape(target, false))
}

fn parse(text: &str) -> Result<Rule, ParseError> {
    let mut parts = split(text).into_iter();
    let Some(head) = parts.next() else {
        return Err(ParseError::new(0, "the rule is missing", "write VERB=TARGET"));
    };
    let grant = crate::grant::parse(&head.text)
        .map_err(|error| ParseError { offset: head.place(error.offset), ..error })?;
    let verb = grant.verb();
    let mut terms = Terms::default();
    let mut seen: Vec<String> = Vec::new();
    let mut last = head.place(head.text.len());
    for part in parts {
        last = part.start;
        let error_at =
            |offset: usize, error: ParseError| ParseError { offset: part.place(offset), ..error };
        let Some((key, value)) = part.text.split_once('=') else {
            // An unknown key is the better error.
            let known = Terms::check_key(verb, &part.text);
            let missing = || {
                let what = format!("`{}` has no value", part.text.escape_debug());
                ParseError::new(part.text.len(), what, "write KEY=VALUE after a `;`")
            };
            let error = known.err().unwrap_or_else(missing);
            return Err(error_at(error.offset, error));
        };
        if seen.iter().any(|known| known == key) {
            let what = format!("`{}` is there twice", key.escape_debug());
            return Err(error_at(0, ParseError::new(0, what, "write each key once")));
        }
        terms.set(verb, key, value).map_err(|error| match error {
            TermError::Key(error) => error_at(error.offset, error),
            TermError::Value(error) => error_at(key.len() + 1 + error.offset, error),
        })?;
        seen.push(key.to_owned());
    }
    let terms = terms.finished().map_err(|error| error.shifted(last))?;
    Ok(Rule { grant, terms })
}

impl FromStr for Rule {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        parse(text).map_err(|error| GrantError::new(text, error))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        verb.fmt(f)?;
        if !verb.stands_alone() {
            let target = self.grant.target().to_string();
            write!(f, "={}", escape(&target, !self.terms.is_empty()))?;
        }
        self.terms.fmt(f)
    }
}

/// Returns the error for terms of a rule that denies.
pub(crate) fn needless_terms(what: &str, rule: &Rule) -> ParseError {
    let without = Rule::from(rule.grant.clone()).to_string();
    ParseError::new(without.len(), format!("{what} takes no terms"), format!("write {without}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::{Budget, Scope, TlsTerms};

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        text.parse::<Rule>().expect_err(text).to_string()
    }

    #[test]
    fn terms_follow_the_target_in_any_order() {
        let all = rule("tcp-connect=api.example:443;rate=1MiB/s;bytes=100MiB;connections=8");
        let budget = Budget {
            bytes: Some(100 << 20),
            rate: Some(1 << 20),
            connections: Some(8),
            scope: Scope::Instance,
        };
        assert_eq!(all.terms.budget, Some(budget));
        assert_eq!(all.grant.to_string(), "tcp-connect=api.example:443");
        for (text, printed) in [
            ("udp-send=*:53;scope=command;bytes=1024", "udp-send=*:53;bytes=1KiB;scope=command"),
            ("unix-bind=@a;connections=1;rate=1500/s", "unix-bind=@a;rate=1500/s;connections=1"),
            ("tcp-listen=*:80;bytes=7B;scope=instance", "tcp-listen=*:80;bytes=7"),
            ("udp-receive=*:*;bytes=2000000", "udp-receive=*:*;bytes=2MB"),
            (
                "unix-connect=/a;bytes=18446744073709551615",
                "unix-connect=/a;bytes=18446744073709551615",
            ),
        ] {
            assert_eq!(rule(text).to_string(), printed);
            assert_eq!(rule(printed), rule(text));
        }
    }

    #[test]
    fn semicolon_of_a_target_is_escaped() {
        for (text, target) in [
            (r"unix-connect=/a\;b", "/a;b"),
            (r"unix-connect=/a\\\;b", r"/a\;b"),
            (r"unix-connect=/a\b\", r"/a\b\"),
            (r"unix-connect=/a\\;rate=1/s", r"/a\"),
            (r"unix-connect=/a\\b;rate=1/s", r"/a\\b"),
            (r"unix-connect=/ü\;ü;bytes=1", "/ü;ü"),
            (r"unix-bind=@a\;\x3b", r"@a\x3b\x3b"),
            (r"packet=a\;b", "a;b"),
            (r"can=a\;b:raw", "a;b:raw"),
            (r"netlink=generic:a\;b", "generic:a;b"),
        ] {
            let rule = rule(text);
            assert_eq!(rule.grant.target().to_string(), target, "{text}");
            assert_eq!(rule.to_string().parse(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn term_that_is_none_tells_where() {
        for (text, start) in [
            (
                "tcp-connect=a:1;rat=1MiB/s",
                "at character 17: unknown key `rat`; keys of tcp-connect are rate, bytes, connections, scope; did you mean rate?",
            ),
            ("tcp-connect=a:1;", "at character 17: the key is missing; keys of tcp-connect"),
            ("tcp-connect=a:1;rate", "at character 21: `rate` has no value; write KEY=VALUE"),
            ("tcp-connect=a:1;rate=1MiB", "at character 26: `1MiB` is not a rate: `/s` is missing"),
            ("tcp-connect=a:1;rate=1mib/s", "at character 23: unknown unit `mib`;"),
            ("tcp-connect=a:1;bytes=x", "at character 23: `x` is not a number of bytes;"),
            ("tcp-connect=a:1;bytes=0", "at character 23: the number is 0; write at least 1"),
            ("tcp-connect=a:1;bytes=99999999TiB", "at character 23: `99999999TiB` is too large"),
            ("tcp-connect=a:1;bytes=1;bytes=2", "at character 25: `bytes` is there twice"),
            ("tcp-connect=a:1;scope=instance", "at character 17: `scope` alone limits nothing"),
            (
                "tcp-connect=a:1;bytes=1;scope=comand",
                "at character 31: unknown scope `comand`; scopes are instance, command; did you mean command?",
            ),
            (
                "tcp-connect=a:1;connections=-1",
                "at character 29: `-1` is not a number of connections",
            ),
            (
                "udp-send=a:1;connections=1",
                "at character 14: `udp-send` takes no `connections`; verbs with it are tcp-connect, tcp-listen, tls-connect, tls-listen, tls-insecure, tls-upgrade, unix-connect, unix-bind",
            ),
            ("interfaces;rate=1/s", "at character 12: `interfaces` takes no `rate`"),
            ("resolve=*;x=1", "at character 11: unknown key `x`; `resolve` takes no terms"),
            (r"unix-connect=/a\;b;x=1", "at character 20: unknown key `x`"),
            (r"unix-connect=/a\;b//c", "at character 20: an empty component"),
        ] {
            let error = error(text);
            assert!(error.starts_with(start), "{text}\n{error}");
        }
    }

    #[test]
    fn terms_of_tls_follow_their_target() {
        let tls = |roots: Option<&str>, alpn: &[&str]| TlsTerms {
            roots: roots.map(str::to_owned),
            identity: None,
            alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (text, terms) in [
            ("tls-connect=a.example:443;roots=/a b.pem", tls(Some("/a b.pem"), &[])),
            (
                r"tls-upgrade=a.example:25;roots=/a\;b\\;alpn=h2,http/1.1",
                tls(Some("/a;b\\"), &["h2", "http/1.1"]),
            ),
            ("tls-insecure=a.example:443;alpn=h2", tls(None, &["h2"])),
            (
                "tls-listen=127.0.0.1:443;identity=web;alpn=h2",
                TlsTerms { identity: "web".parse().ok(), ..tls(None, &["h2"]) },
            ),
        ] {
            let rule = rule(text);
            assert_eq!(rule.terms.tls, Some(terms), "{text}");
            assert_eq!(rule.to_string(), text);
        }
        for (text, start) in [
            ("tls-connect=a.example:443;roots=", "at character 33: the path of the roots is empty"),
            (
                "tls-connect=a.example:443;alpn=h2,",
                "at character 35: the name of the protocol is empty",
            ),
            (
                "tls-connect=a.example:443;alpn=h2,h2",
                "at character 35: the protocol is there twice",
            ),
            (
                "tls-insecure=a.example:443;roots=/a",
                "at character 28: `tls-insecure` takes no `roots`",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(start), "{text}\n{error}");
        }
    }

    #[test]
    fn unit_in_other_letters_is_suggested() {
        for (text, unit) in [("1mib", "MiB"), ("1KB", "kB"), ("1kib", "KiB"), ("1tb", "TB")] {
            let error = error(&format!("tcp-connect=a:1;bytes={text}"));
            assert!(error.ends_with(&format!("did you mean {unit}?")), "{error}");
        }
    }

    #[test]
    fn rule_that_denies_takes_no_terms() {
        let mut builder = crate::Policy::builder();
        let error = builder.deny("tcp-connect=a:1;bytes=1").unwrap_err().to_string();
        assert_eq!(
            error,
            "at character 16: a rule that denies takes no terms; write tcp-connect=a:1"
        );
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let some = || proptest::option::of(1u64..);
        (some(), some(), proptest::option::of(1u32..), any::<bool>()).prop_map(
            |(bytes, rate, connections, command)| {
                let scope = if command { Scope::Command } else { Scope::Instance };
                let none = bytes.is_none() && rate.is_none() && connections.is_none();
                let budget = Budget { bytes, rate, connections, scope };
                Terms { budget: (!none).then_some(budget), tls: None }
            },
        )
    }

    proptest! {
        #[test]
        fn rule_comes_back_from_its_print(
            target in "/[a-z;\\\\ü]{1,12}",
            terms in terms(),
        ) {
            let grant = Grant::parse_target(Verb::UnixConnect, &target)
                .map_err(|error| TestCaseError::fail(error.what))?;
            let rule = Rule { grant, terms };
            let printed = rule.to_string();
            prop_assert_eq!(printed.parse::<Rule>(), Ok(rule), "{}", printed);
        }

        #[test]
        fn rule_of_any_text_never_panics(text in "(tcp-connect=a:1|unix-bind=/a)[;\\\\=a-z0-9MiB/ü]{0,24}") {
            match text.parse::<Rule>() {
                Ok(rule) => prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule)),
                Err(error) => {
                    prop_assert!(error.offset() <= text.len());
                    prop_assert!(text.is_char_boundary(error.offset()));
                }
            }
        }
    }
}
