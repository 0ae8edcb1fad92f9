//! UNIX paths and abstract names, as rules name them.

use std::fmt;

use crate::error::ParseError;
use crate::text::glob;

/// One component of a UNIX path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Component {
    /// These bytes.
    Literal(Box<[u8]>),
    /// Text with `*` and `?` in it.
    Glob(Box<str>),
    /// `**`.
    AnyDepth,
}

impl Component {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(own) => **own == *name,
            Self::Glob(pattern) => glob(pattern.as_bytes(), name),
            Self::AnyDepth => true,
        }
    }
}

fn split_head(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|b| *b == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

/// Returns whether `pattern` holds `path`, a relative path of one or more plain components.
pub(super) fn match_components(pattern: &[Component], path: &[u8]) -> bool {
    let mut rest = Some(path);
    let mut next = 0;
    // Where to go on when the last `**` has to swallow one component more.
    let mut back: Option<(usize, &[u8])> = None;
    loop {
        let Some(here) = rest else {
            return next == pattern.len();
        };
        let (head, tail) = split_head(here);
        match pattern.get(next) {
            Some(Component::AnyDepth) => {
                next += 1;
                back = Some((next, here));
            }
            Some(component) if component.matches(head) => {
                next += 1;
                rest = tail;
            }
            _ => {
                let Some((after, from)) = back else {
                    return false;
                };
                let (_, tail) = split_head(from);
                let Some(tail) = tail else {
                    return after == pattern.len();
                };
                back = Some((after, tail));
                (next, rest) = (after, Some(tail));
            }
        }
    }
}

/// A path as a rule names it: `*` and `?` within a component, `**` for any number of them (none as
/// well, except at the end).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub(super) absolute: bool,
    pub(super) components: Box<[Component]>,
}

impl PathPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let absolute = text.starts_with('/');
        let mut offset = usize::from(absolute);
        let mut components = Vec::new();
        for part in text[offset..].split('/') {
            let component = match part {
                "" => {
                    let what =
                        if text.len() <= 1 { "the path is missing" } else { "an empty component" };
                    return Err(ParseError::new(
                        offset,
                        what,
                        "write a path such as /run/app/*.sock",
                    ));
                }
                "." | ".." => {
                    return Err(ParseError::new(
                        offset,
                        format!("the path has the component `{part}`"),
                        "write the path without `.` and `..`; a relative path starts at the working directory",
                    ));
                }
                "**" if components.last() == Some(&Component::AnyDepth) => {
                    return Err(ParseError::new(
                        offset,
                        "there are two `**` in a row",
                        "one `**` stands for any number of components already",
                    ));
                }
                "**" => Component::AnyDepth,
                part if part.contains("**") => {
                    return Err(ParseError::new(
                        offset + part.find("**").unwrap_or(0),
                        "there is a `**` inside a component",
                        "`**` stands alone between slashes; within a component one `*` is any text",
                    ));
                }
                part if part.contains('\0') => {
                    return Err(ParseError::new(
                        offset + part.find('\0').unwrap_or(0),
                        "the path has a NUL",
                        "leave it out, because no path can have one",
                    ));
                }
                part if part.contains(['*', '?']) => Component::Glob(part.into()),
                part => Component::Literal(part.as_bytes().into()),
            };
            components.push(component);
            offset += part.len() + 1;
        }
        Ok(Self { absolute, components: components.into() })
    }

    /// Returns the number of components that are a literal directory. The last component, and all
    /// from the first pattern on, do not belong to it.
    pub(super) fn literal_directories(&self) -> usize {
        let literal =
            self.components.iter().take_while(|c| matches!(c, Component::Literal(_))).count();
        literal.min(self.components.len() - 1)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, component) in self.components.iter().enumerate() {
            if i > 0 || self.absolute {
                f.write_str("/")?;
            }
            match component {
                Component::Literal(bytes) => f.write_str(&String::from_utf8_lossy(bytes))?,
                Component::Glob(text) => f.write_str(text)?,
                Component::AnyDepth => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

/// A name of the abstract namespace, `*` standing for any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AbstractPattern {
    /// The literal parts with a `*` between each two; never empty.
    pub(super) parts: Box<[Box<[u8]>]>,
}

impl AbstractPattern {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parts = vec![Vec::new()];
        let mut bytes = text.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'*' => parts.push(Vec::new()),
                b'\\' => {
                    let value = text
                        .get(at + 1..at + 4)
                        .and_then(|escape| escape.strip_prefix('x'))
                        .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    let Some(value) = value else {
                        return Err(ParseError::new(
                            at,
                            "the escape is unknown",
                            "write `\\x5c` for a backslash, `\\xNN` for any byte",
                        ));
                    };
                    bytes.nth(2);
                    if let Some(part) = parts.last_mut() {
                        part.push(value);
                    }
                }
                byte => {
                    if let Some(part) = parts.last_mut() {
                        part.push(byte);
                    }
                }
            }
        }
        let length: usize = parts.iter().map(Vec::len).sum();
        if length > 107 {
            return Err(ParseError::new(
                0,
                format!("the name has {length} bytes"),
                "write at most 107, the limit for an abstract name",
            ));
        }
        Ok(Self { parts: parts.into_iter().map(Vec::into_boxed_slice).collect() })
    }

    /// The whole name, where no `*` is in it.
    pub(super) fn exact(&self) -> Option<&[u8]> {
        match &*self.parts {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Returns whether this pattern holds `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.parts else {
            return self.exact() == Some(name);
        };
        let Some(mut rest) =
            name.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last))
        else {
            return false;
        };
        for part in middle.iter().filter(|part| !part.is_empty()) {
            let Some(at) = rest.windows(part.len()).position(|window| *window == **part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// An abstract name as a pattern writes it, without the `@`.
pub(super) fn escape_abstract(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            // A `;` would begin a term of the rule.
            b'*' | b'\\' | b';' => text.push_str(&format!("\\x{byte:02x}")),
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

impl fmt::Display for AbstractPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str("*")?;
            }
            f.write_str(&escape_abstract(part))?;
        }
        Ok(())
    }
}

/// What a UNIX verb names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixPattern {
    /// `/run/app/*.sock`: paths of the host.
    Path(PathPattern),
    /// `@name`: names of the abstract namespace.
    Abstract(AbstractPattern),
}

impl UnixPattern {
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix('@') {
            Some(name) => {
                AbstractPattern::parse(name).map(Self::Abstract).map_err(|error| error.shifted(1))
            }
            None => PathPattern::parse(text).map(Self::Path),
        }
    }
}

impl fmt::Display for UnixPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    fn path_matches(pattern: &str, given: &str) -> bool {
        match_components(&path(pattern).components, given.trim_start_matches('/').as_bytes())
    }

    fn abstract_matches(pattern: &str, name: &[u8]) -> bool {
        AbstractPattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn star_stays_in_its_component() {
        assert!(path_matches("/*.sock", "a.sock") && path_matches("/*.sock", ".sock"));
        assert!(!path_matches("/*.sock", "a/b.sock") && !path_matches("/*.sock", "a.socks"));
        assert!(path_matches("/a*b*c", "aXbYbc") && !path_matches("/a*b*c", "aXbYb"));
        assert!(path_matches("/*", "x") && !path_matches("/*", "x/y"));
    }

    #[test]
    fn question_mark_is_one_character() {
        assert!(
            path_matches("/a?c", "abc")
                && path_matches("/a?c", "aüc")
                && path_matches("/a?c", "a𝄞c")
        );
        assert!(!path_matches("/a?c", "ac") && !path_matches("/a?c", "abbc"));
        assert!(
            glob(b"a?c", b"a\xffc")
                && !glob(b"a?c", b"a\xff\xffc")
                && glob(b"?", b"\xc3")
                && !glob(b"?", b"a/")
        );
    }

    #[test]
    fn double_star_is_any_number_of_components() {
        for (pattern, given, held) in [
            ("/**/x", "x", true),
            ("/**/x", "a/b/x", true),
            ("/**/x", "a/b/y", false),
            ("/**", "a", true),
            ("/**", "a/b/c", true),
            ("/a*/**", "ab", false),
            ("/a*/**", "ab/c", true),
            ("/**/b/**/d", "b/d", true),
            ("/**/b/**/d", "a/b/c/b/c/d", true),
            ("/**/b/**/d", "a/c/d", false),
            ("/**/a/b", "a/a/b", true),
            ("/**/a/b", "a/b/c", false),
            ("/**/*.sock", "a/b/c.sock", true),
        ] {
            assert_eq!(path_matches(pattern, given), held, "{pattern} {given}");
        }
    }

    #[test]
    fn path_without_metacharacters_holds_itself() {
        for odd in ["[a]", "{a,b}", "a\\b", "a\\x2d", "~", "$HOME", "!a"] {
            assert!(path_matches(&format!("/{odd}"), odd));
        }
        assert!(!path_matches("/[a]", "a"));
    }

    #[test]
    fn path_pattern_that_is_none_tells_where() {
        for (text, offset) in [
            ("", 0),
            ("/", 1),
            ("/a//b", 3),
            ("/a/", 3),
            ("/a/../b", 3),
            ("./a", 0),
            ("/a/.", 3),
            ("/a**", 2),
            ("/**/**", 4),
            ("/a\0", 2),
        ] {
            assert_eq!(
                PathPattern::parse(text).map(|_| ()).unwrap_err().offset,
                offset,
                "{text:?}"
            );
        }
        assert!(PathPattern::parse("/a/../b").unwrap_err().hint.contains("without `.` and `..`"));
    }

    #[test]
    fn abstract_name_star_is_any_bytes() {
        assert!(
            abstract_matches("a*", b"a/\0\xff")
                && abstract_matches("*", b"")
                && abstract_matches("", b"")
        );
        assert!(
            !abstract_matches("", b"a")
                && !abstract_matches("a?", b"ab")
                && abstract_matches("a?", b"a?")
        );
        assert!(abstract_matches("a*b*c", b"a-b-b-c") && !abstract_matches("a*b*c", b"a-c"));
        assert!(!abstract_matches("ab*bc", b"abc") && abstract_matches("ab*bc", b"abbc"));
        assert!(abstract_matches(r"\x00\x2a\x5c", b"\0*\\") && !abstract_matches(r"\x2a", b"x"));
    }

    #[test]
    fn abstract_name_with_a_bad_escape_is_refused() {
        for text in [r"\", r"\x", r"\x1", r"\xgg", r"\n", r"\x+1", "\\xü"] {
            assert!(AbstractPattern::parse(text).is_err(), "{text}");
        }
        assert!(
            AbstractPattern::parse(&"a".repeat(107)).is_ok()
                && AbstractPattern::parse(&"a".repeat(108)).is_err()
        );
    }

    /// What a glob means, by definition: each `*` tried with every length.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            Some((b'?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
        }
    }

    fn naive_components(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", [])) => !path.is_empty(),
            Some((&"**", rest)) => (0..=path.len()).any(|n| naive_components(rest, &path[n..])),
            Some((one, rest)) => path.split_first().is_some_and(|(head, tail)| {
                naive(one.as_bytes(), head.as_bytes()) && naive_components(rest, tail)
            }),
        }
    }

    proptest! {
        #[test]
        fn glob_is_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }
        #[test]
        fn abstract_pattern_is_what_its_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(abstract_matches(&pattern, text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }
        #[test]
        fn components_are_what_their_definition_says(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "a*", "?", "**"]), 1..7),
            given in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "c"]), 1..8),
        ) {
            prop_assume!(!pattern.windows(2).any(|two| two == ["**", "**"]));
            let parsed = path(&format!("/{}", pattern.join("/")));
            prop_assert_eq!(match_components(&parsed.components, given.join("/").as_bytes()), naive_components(&pattern, &given));
        }
        #[test]
        fn abstract_name_escaped_holds_that_name_alone(name in prop::collection::vec(any::<u8>(), 0..=107), other in prop::collection::vec(any::<u8>(), 0..=107)) {
            let pattern = AbstractPattern::parse(&escape_abstract(&name)).unwrap();
            prop_assert_eq!(pattern.exact(), Some(&*name));
            prop_assert_eq!(pattern.matches(&other), name == other);
        }
    }
}
