//! The policy file: TOML with `allow`, `deny`, `publish`, `[limits]` and `[resolve]`.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::limits::LimitError;
use crate::builder::PolicyBuilder;
use crate::error::{GrantError, suggestion};
use crate::text::decimal;

/// A policy file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It can't be read.
    #[error("{}: can't read the policy file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text is no policy.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, the first being 1.
        line: usize,
        /// The column in characters, the first being 1.
        column: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// What is wrong, and where in the text.
type Found = (usize, String);

const KEYS: [&str; 5] = ["allow", "deny", "limits", "publish", "resolve"];

impl PolicyBuilder {
    /// Adds what the text of a policy file says. If the text has an error, nothing is added. `path`
    /// only names the file in errors.
    ///
    /// # Errors
    ///
    /// The text is not TOML, or is no policy. The error has the file, the line and the column.
    pub fn file_text(&mut self, path: &Path, text: &str) -> Result<&mut Self, PolicyFileError> {
        let mut next = self.clone();
        apply(&mut next, path, text)?;
        *self = next;
        Ok(self)
    }
}

/// Adds to `builder` what `text` says, up to the first error.
pub(super) fn apply(
    builder: &mut PolicyBuilder,
    path: &Path,
    text: &str,
) -> Result<(), PolicyFileError> {
    read_document(builder, text).map_err(|(at, message)| {
        let (line, column) = place(text, at);
        PolicyFileError::Invalid { path: path.into(), line, column, message }
    })
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

fn read_document(builder: &mut PolicyBuilder, text: &str) -> Result<(), Found> {
    let document = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        (at, e.message().to_owned())
    })?;
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "allow" => rules(text, value, "allow", |rule| builder.allow(rule).map(drop))?,
            "deny" => rules(text, value, "deny", |rule| builder.deny(rule).map(drop))?,
            "publish" => rules(text, value, "publish", |pair| builder.publish(pair).map(drop))?,
            "limits" => limits(
                builder,
                table(value, "limits", "`[limits]` and lines such as descriptors = 64")?,
            )?,
            "resolve" => resolve(
                builder,
                table(
                    value,
                    "resolve",
                    "`[resolve]` and lines such as \"db.example\" = \"10.0.0.5\"",
                )?,
            )?,
            word => {
                let suggestion = suggestion(word, KEYS);
                let message = format!(
                    "unknown key `{}`; keys are {}{suggestion}",
                    word.escape_debug(),
                    KEYS.join(", ")
                );
                return Err((key.span().start, message));
            }
        }
    }
    Ok(())
}

/// The message for a value of the wrong type.
fn wrong_type(value: &Spanned<DeValue<'_>>, name: &str, wanted: &str) -> Found {
    (
        value.span().start,
        format!("`{name}` is a value of type {}; write {wanted}", value.get_ref().type_str()),
    )
}

fn table<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    name: &str,
    wanted: &str,
) -> Result<&'a DeTable<'i>, Found> {
    value.get_ref().as_table().ok_or_else(|| wrong_type(value, name, wanted))
}

/// Where in the file an error in a string is. With escapes in the string it is the string's start.
fn inside(text: &str, span: Range<usize>, value: &str, offset: usize) -> usize {
    let raw = text.get(span.clone()).unwrap_or_default();
    match raw.find(value) {
        Some(at) if !value.is_empty() => span.start + at + offset,
        _ => span.start,
    }
}

fn rules(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    name: &str,
    mut add: impl FnMut(&str) -> Result<(), GrantError>,
) -> Result<(), Found> {
    const WANTED: &str = "a list of rules, as in [\"tcp-connect=127.0.0.1:8000\"]";
    let list = value.get_ref().as_array().ok_or_else(|| wrong_type(value, name, WANTED))?;
    for entry in list.iter() {
        let rule = entry.get_ref().as_str().ok_or_else(|| wrong_type(entry, name, WANTED))?;
        add(rule).map_err(|e| {
            (
                inside(text, entry.span(), rule, e.offset()),
                format!("in `{}`: {}", rule.escape_debug(), e.reason()),
            )
        })?;
    }
    Ok(())
}

fn limits(builder: &mut PolicyBuilder, table: &DeTable<'_>) -> Result<(), Found> {
    for (key, value) in table {
        let number = value
            .get_ref()
            .as_integer()
            .filter(|n| n.radix() == 10)
            .and_then(|n| decimal(&n.as_str().replace('_', "")));
        builder.limits_mut().set(key.get_ref().as_ref(), number).map_err(|error| match error {
            LimitError::Name(error) => {
                (key.span().start, format!("{}; {}", error.what, error.hint))
            }
            LimitError::Value(error) => {
                (value.span().start, format!("{}; {}", error.what, error.hint))
            }
        })?;
    }
    Ok(())
}

fn resolve(builder: &mut PolicyBuilder, table: &DeTable<'_>) -> Result<(), Found> {
    const WANTED: &str =
        "an address or a list of addresses, as in \"10.0.0.5\" or [\"10.0.0.5\", \"::1\"]";
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if value.get_ref().as_table().is_some() {
            // TOML takes the dots of a bare key for tables.
            let hint =
                format!("quote the name, as in \"{}.example\" = \"10.0.0.5\"", name.escape_debug());
            return Err((
                key.span().start,
                format!("`{}` is a table, and not an address; {hint}", name.escape_debug()),
            ));
        }
        let mut add = |value: &Spanned<DeValue<'_>>| {
            let address =
                value.get_ref().as_str().ok_or_else(|| wrong_type(value, name, WANTED))?;
            builder.fix(name, address).map_err(|(second, what)| {
                (
                    if second { value.span().start } else { key.span().start },
                    format!("{what}; write a name and {WANTED}"),
                )
            })
        };
        match value.get_ref().as_array() {
            Some(list) => list.iter().try_for_each(add)?,
            None => add(value)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Policy;
    use super::*;

    fn build(text: &str) -> Result<Policy, String> {
        let mut builder = Policy::builder();
        builder.file_text(Path::new("p.toml"), text).map_err(|e| e.to_string())?;
        Ok(builder.build())
    }

    fn error(text: &str) -> String {
        build(text).expect_err(text)
    }

    #[test]
    fn file_sets_rules_limits_and_addresses() {
        let policy = build(
            r#"
            allow = ["tcp-connect=db.example:5432", "unix-connect=@x"]
            deny = ["tcp-connect=10.0.0.0/8:*"]
            [limits]
            descriptors = 64
            transfer-bytes = 1_000
            [resolve]
            "db.example" = "10.0.0.5"
            cache = ["10.0.0.6", "::1"]
            "#,
        )
        .unwrap();
        assert_eq!(policy.allowed().len(), 2);
        assert_eq!(policy.denied()[0].to_string(), "tcp-connect=10.0.0.0/8:*");
        assert_eq!(
            (policy.limits().descriptors, policy.limits().transfer_bytes, policy.limits().pollers),
            (64, 1000, 16)
        );
        assert_eq!(policy.fixed("cache").unwrap().len(), 2);
        assert_eq!(policy.fixed("DB.example."), Some(&["10.0.0.5".parse().unwrap()][..]));
    }

    #[test]
    fn file_empty_denies() {
        for text in ["", "allow = []\ndeny = []", "[limits]"] {
            let policy = build(text).unwrap();
            assert!(policy.allowed().is_empty() && !policy.allows_all());
        }
    }

    #[test]
    fn file_fault_is_told_by_line_and_column() {
        for (text, start) in [
            (
                "allow = [\"tcp-conect=1.2.3.4:80\"]",
                "p.toml:1:11: in `tcp-conect=1.2.3.4:80`: unknown verb `tcp-conect`",
            ),
            (
                "allow = [\n  \"tcp-connect=1.2.3.4:80\",\n  \"tcp-connect=1.2.3.4:x\",\n]",
                "p.toml:3:24: in",
            ),
            (
                "# ü\nallow = 'x'",
                "p.toml:2:9: `allow` is a value of type string; write a list of rules",
            ),
            (
                "allow = [1]",
                "p.toml:1:10: `allow` is a value of type integer; write a list of rules",
            ),
            (
                "allows = []",
                "p.toml:1:1: unknown key `allows`; keys are allow, deny, limits, publish, resolve; did you mean allow?",
            ),
            ("[limit]\ndescriptors = 1", "p.toml:1:2: unknown key `limit`"),
            (
                "[limits]\ndescriptor = 1",
                "p.toml:2:1: unknown limit `descriptor`; limits are descriptors,",
            ),
            (
                "[limits]\ndescriptors = -1",
                "p.toml:2:15: wrong value for `descriptors`; write a number from 0 to 1048576",
            ),
            ("[limits]\ndescriptors = '1'", "p.toml:2:15: wrong value for `descriptors`"),
            ("[limits]\ndescriptors = 0x10", "p.toml:2:15: wrong value for `descriptors`"),
            ("limits = 3", "p.toml:1:10: `limits` is a value of type integer; write `[limits]`"),
            ("[resolve]\ndb = 'x'", "p.toml:2:6: `x` is not an address; write"),
            (
                "[resolve]\ndb.example = '::1'",
                "p.toml:2:1: `db` is a table, and not an address; quote the name, as in \"db.example\"",
            ),
            ("[resolve]\ndb = 1", "p.toml:2:6: `db` is a value of type integer; write an address"),
            ("[resolve]\n'a b' = '::1'", "p.toml:2:1: `a b` is not a host name"),
            ("allow = [\n\"x\"\nallow", "p.toml:3:1: "),
            ("allow = []\nallow = []", "p.toml:2:1: duplicate key"),
            ("allow = [\"\\u0074cp-conect=1:2\"]", "p.toml:1:10: in `tcp-conect=1:2`"),
        ] {
            let message = error(text);
            assert!(message.starts_with(start), "{text}\n{message}");
        }
    }

    #[test]
    fn file_with_a_fault_adds_nothing() {
        let mut builder = Policy::builder();
        let text = "allow = ['tcp-connect=*:1', 'x']\n[limits]\ndescriptors = 1";
        assert!(builder.file_text(Path::new("p.toml"), text).is_err());
        let policy = builder.build();
        assert!(policy.allowed().is_empty());
        assert_eq!(policy.limits().descriptors, 1024);
    }

    proptest! {
        #[test]
        fn file_of_any_text_never_panics(text in any::<String>()) {
            drop(build(&text));
        }

        #[test]
        fn file_of_any_pieces_never_panics(pieces in prop::collection::vec(prop::sample::select(vec![
            "allow", "deny", "[limits]", "[resolve]", "=", "[", "]", "\"tcp-connect=*:1\"", "\n", ",", "'ü'", "1", "descriptors", ".", "{", "}", "\"\\u0000\"",
        ]), 0..20)) {
            drop(build(&pieces.concat()));
        }
    }
}
