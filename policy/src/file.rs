//! The policy file: TOML with the keys of [`KEYS`].

use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::limits::LimitError;
use crate::builder::PolicyBuilder;
use crate::error::{GrantError, ParseError, suggestion};
use crate::grant::unknown_verb;
use crate::rule::Rule;
use crate::terms::{TermError, Terms};
use crate::text::decimal;
use crate::verbs::Verb;

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

pub(crate) const KEYS: [&str; 8] =
    ["allow", "deny", "include", "limits", "nat64", "publish", "resolve", "sets"];

/// How deep files may include one another.
const DEEPEST: usize = 8;

/// The most files that one file includes, directly or by others.
const MOST_FILES: usize = 64;

/// Returns the text of a file. This crate reads no file itself.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

impl PolicyBuilder {
    /// Adds what the text of a policy file says. If the text has an error, nothing is added. `path`
    /// only names the file in errors. The text can include no other file.
    ///
    /// # Errors
    ///
    /// The text is not TOML, or is no policy. The error has the file, the line and the column.
    pub fn file_text(&mut self, path: &Path, text: &str) -> Result<&mut Self, PolicyFileError> {
        let mut next = self.clone();
        Files { read: None, open: Vec::new() }.apply(&mut next, path, text)?;
        *self = next;
        Ok(self)
    }

    /// Adds what a policy file says, and the files that it includes. `read` returns their texts. A
    /// file that several include is read once. If one has an error, nothing is added.
    ///
    /// # Errors
    ///
    /// A file can't be read, is not TOML, or is no policy.
    pub fn file_with(
        &mut self,
        path: &Path,
        read: ReadFile<'_>,
    ) -> Result<&mut Self, PolicyFileError> {
        let mut next = self.clone();
        let text =
            read(path).map_err(|source| PolicyFileError::Read { path: path.into(), source })?;
        next.files.push(path.into());
        Files { read: Some(read), open: vec![path.into()] }.apply(&mut next, path, &text)?;
        *self = next;
        Ok(self)
    }
}

/// The files that are being read.
struct Files<'a> {
    read: Option<ReadFile<'a>>,
    /// Each includes the next one.
    open: Vec<PathBuf>,
}

/// What is wrong with a file: with this one, or with one that it includes.
enum Fault {
    Here(Found),
    Included(PolicyFileError),
}

impl From<Found> for Fault {
    fn from(found: Found) -> Self {
        Self::Here(found)
    }
}

impl Files<'_> {
    /// Adds to `builder` what `text` says, up to the first error.
    fn apply(
        &mut self,
        builder: &mut PolicyBuilder,
        path: &Path,
        text: &str,
    ) -> Result<(), PolicyFileError> {
        self.read_document(builder, path, text).map_err(|fault| match fault {
            Fault::Here((at, message)) => {
                let (line, column) = place(text, at);
                PolicyFileError::Invalid { path: path.into(), line, column, message }
            }
            Fault::Included(error) => error,
        })
    }

    /// Adds what the files of `include` say. Their names are relative to the folder of the file.
    fn include(
        &mut self,
        builder: &mut PolicyBuilder,
        path: &Path,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Fault> {
        const WANTED: &str = "a list of files, as in [\"base.toml\"]";
        let list =
            value.get_ref().as_array().ok_or_else(|| wrong_type(value, "include", WANTED))?;
        for entry in list.iter() {
            let name =
                entry.get_ref().as_str().ok_or_else(|| wrong_type(entry, "include", WANTED))?;
            let no = |message: String| Fault::Here((entry.span().start, message));
            let shown = name.escape_debug();
            let Some(read) = self.read else {
                return Err(no(format!("can't include {shown}: this program reads no other file")));
            };
            if name.is_empty() {
                return Err(no(format!("the file's name is empty; write {WANTED}")));
            }
            let next = path.parent().unwrap_or(Path::new("")).join(name);
            let plain = next.components().filter(|part| *part != Component::CurDir);
            let next: PathBuf = plain.collect();
            if self.open.contains(&next) {
                return Err(no(format!("{shown} includes itself, directly or by other files")));
            }
            if builder.files.contains(&next) {
                continue;
            }
            if self.open.len() >= DEEPEST || builder.files.len() >= MOST_FILES {
                return Err(no(format!(
                    "can't include {shown}: at most {MOST_FILES} files can be included, and {DEEPEST} deep"
                )));
            }
            let text =
                read(&next).map_err(|why| no(format!("can't read {}: {why}", next.display())))?;
            builder.files.push(next.clone());
            self.open.push(next.clone());
            self.apply(builder, &next, &text).map_err(Fault::Included)?;
            self.open.pop();
        }
        Ok(())
    }

    fn read_document(
        &mut self,
        builder: &mut PolicyBuilder,
        path: &Path,
        text: &str,
    ) -> Result<(), Fault> {
        let document = parse(text)?;
        let document = document.get_ref();
        // Rules can name what follows them in the file.
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "include" => self.include(builder, path, value)?,
                "nat64" => texts(text, value, "nat64", "[\"2001:db8:64::/96\"]", |prefix| {
                    builder.nat64(prefix).map(drop)
                })?,
                _ => {}
            }
        }
        if let Some((_, value)) = document.iter().find(|(key, _)| key.get_ref() == "sets") {
            let table = table(
                value,
                "sets",
                "`[sets]` and lines such as backends = [\"10.0.0.0/24\", \"db.example\"]",
            )?;
            sets(builder, text, table)?;
        }
        Ok(read_rules(builder, text, document)?)
    }
}

/// Parses TOML.
fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Found> {
    DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        let hint = match e.message() {
            "duplicate key" if before.ends_with("[[") => {
                "; the list stands above: write the table in it, as in { verb = \"interfaces\" }"
            }
            "duplicate key" => "; write each key once",
            _ => "",
        };
        (at, format!("{}{hint}", e.message()))
    })
}

/// Line and column of a byte.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

/// Reads everything but the sets and the included files.
fn read_rules(
    builder: &mut PolicyBuilder,
    text: &str,
    document: &DeTable<'_>,
) -> Result<(), Found> {
    for (key, value) in document {
        match key.get_ref().as_ref() {
            "allow" => rules(text, value, "allow", |rule| builder.allow_rule(rule))?,
            "deny" => rules(text, value, "deny", |rule| builder.deny_rule(rule))?,
            "publish" => {
                texts(text, value, "publish", "[\"0.0.0.0:8080=127.0.0.1:80\"]", |pair| {
                    builder.publish(pair).map(drop)
                })?
            }
            "include" | "nat64" | "sets" => {}
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

/// Reads rules: a list of texts and tables, or the tables `[[allow]]` and `[[deny]]`.
fn rules(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    name: &str,
    mut add: impl FnMut(Rule) -> Result<(), ParseError>,
) -> Result<(), Found> {
    const WANTED: &str = "a list of rules, as in [\"tcp-connect=127.0.0.1:8000\"]";
    let list = value.get_ref().as_array().ok_or_else(|| wrong_type(value, name, WANTED))?;
    for entry in list.iter() {
        if let Some(table) = entry.get_ref().as_table() {
            rule_table(text, entry.span(), table, name, &mut add)?;
            continue;
        }
        let rule = entry.get_ref().as_str().ok_or_else(|| wrong_type(entry, name, WANTED))?;
        let parsed = rule
            .parse::<Rule>()
            .and_then(|parsed| add(parsed).map_err(|error| GrantError::new(rule, error)));
        parsed.map_err(|e| {
            (
                inside(text, entry.span(), rule, e.offset()),
                format!("in `{}`: {}", rule.escape_debug(), e.reason()),
            )
        })?;
    }
    Ok(())
}

/// Reads a list of texts.
fn texts(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    name: &str,
    example: &str,
    mut add: impl FnMut(&str) -> Result<(), GrantError>,
) -> Result<(), Found> {
    let wanted = format!("a list, as in {example}");
    let list = value.get_ref().as_array().ok_or_else(|| wrong_type(value, name, &wanted))?;
    for entry in list.iter() {
        let part = entry.get_ref().as_str().ok_or_else(|| wrong_type(entry, name, &wanted))?;
        add(part).map_err(|e| {
            (
                inside(text, entry.span(), part, e.offset()),
                format!("in `{}`: {}", part.escape_debug(), e.reason()),
            )
        })?;
    }
    Ok(())
}

/// Reads the sets that the operator names.
fn sets(builder: &mut PolicyBuilder, text: &str, table: &DeTable<'_>) -> Result<(), Found> {
    const WANTED: &str = "a list of hosts, as in [\"10.0.0.0/24\", \"db.example\"]";
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        let said = |error: &ParseError| format!("{}; {}", error.what, error.hint);
        builder.new_set(word).map_err(|e| (key.span().start, said(&e)))?;
        let list = value.get_ref().as_array().ok_or_else(|| wrong_type(value, word, WANTED))?;
        if list.is_empty() {
            return Err((
                value.span().start,
                format!("the set `{word}` has no host; write {WANTED}"),
            ));
        }
        for entry in list.iter() {
            let host = entry.get_ref().as_str().ok_or_else(|| wrong_type(entry, word, WANTED))?;
            builder.add_to_set(word, host).map_err(|e| {
                (
                    inside(text, entry.span(), host, e.offset),
                    format!("in `{}`: {}", host.escape_debug(), said(&e)),
                )
            })?;
        }
    }
    Ok(())
}

/// Reads a rule from a table with the keys `verb`, `target` and those of [`Terms::TABLE`].
fn rule_table(
    text: &str,
    span: Range<usize>,
    table: &DeTable<'_>,
    name: &str,
    add: &mut impl FnMut(Rule) -> Result<(), ParseError>,
) -> Result<(), Found> {
    let said = |error: &ParseError| format!("{}; {}", error.what, error.hint);
    let text_of = |key: &str| match table.iter().find(|(known, _)| known.get_ref() == key) {
        None => Ok(None),
        Some((_, value)) => match value.get_ref().as_str() {
            Some(word) => Ok(Some((value.span(), word))),
            None => Err(wrong_type(value, key, "a text in quotes")),
        },
    };
    let Some((verb_span, word)) = text_of("verb")? else {
        let example = "verb = \"tcp-connect\" and target = \"127.0.0.1:8000\"";
        return Err((span.start, format!("a table of `{name}` has no `verb`; write {example}")));
    };
    let Some(verb) = Verb::by_name(word) else {
        return Err((verb_span.start, said(&unknown_verb(word))));
    };
    for (key, _) in table {
        let word = key.get_ref().as_ref();
        if !matches!(word, "verb" | "target") {
            Terms::check_key(verb, word).map_err(|e| {
                let near = suggestion(word, ["verb", "target"]);
                (key.span().start, format!("{}{near}", said(&e)))
            })?;
        }
    }
    let target = text_of("target")?;
    let target_at = target.as_ref().map_or(span.start, |(span, _)| span.start);
    let mut rule =
        Rule::of_target(verb, target.as_ref().map(|(_, target)| *target)).map_err(|e| {
            let at =
                target.as_ref().map(|(span, target)| inside(text, span.clone(), target, e.offset));
            (at.unwrap_or(span.start), said(&e))
        })?;
    let mut first_term = None;
    for (key, value) in table {
        let word = key.get_ref().as_ref();
        if matches!(word, "verb" | "target") {
            continue;
        }
        let number = || {
            let number = value.get_ref().as_integer().filter(|number| number.radix() == 10)?;
            Some(number.as_str().replace('_', ""))
        };
        let Some(given) = value.get_ref().as_str().map(str::to_owned).or_else(number) else {
            return Err(wrong_type(value, word, "a text in quotes, or a number"));
        };
        first_term.get_or_insert(key.span().start);
        rule.terms.set(verb, word, &given).map_err(|error| match error {
            TermError::Key(e) => (key.span().start, said(&e)),
            TermError::Value(e) => (inside(text, value.span(), &given, e.offset), said(&e)),
        })?;
    }
    let term_at = first_term.unwrap_or(span.start);
    rule.terms = rule.terms.finished().map_err(|e| (term_at, said(&e)))?;
    let has_terms = !rule.terms.is_empty();
    add(rule).map_err(|e| (if has_terms { term_at } else { target_at }, said(&e)))
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
    fn file_names_sets_and_nat64_prefixes() {
        let policy = build(
            r#"
            allow = ["tcp-connect=backends:5432", "tcp-listen=mine:80"]
            nat64 = ["2001:db8:64::/96"]
            [sets]
            backends = ["10.0.0.0/24", "db.example", "loopback"]
            mine = ["192.0.2.1"]
            "#,
        )
        .unwrap();
        assert_eq!(policy.sets().count(), 2);
        assert_eq!(policy.nat64().len(), 1);
        assert_eq!(policy.allowed()[1].to_string(), "tcp-listen=mine:80");
        for (text, start) in [
            ("[sets]\na = 'x'", "p.toml:2:5: `a` is a value of type string; write a list of hosts"),
            ("[sets]\na = ['10.0.0.300']", "p.toml:2:7: in `10.0.0.300`: `10.0.0.300` is neither"),
            ("[sets]\npublic = []", "p.toml:2:1: every policy has the set `public`"),
            ("[sets]\na = []", "p.toml:2:5: the set `a` has no host; write a list of hosts"),
            ("[sets]\na = ['b']\nb = []", "p.toml:3:1: `b` is the name of a host already"),
            ("sets = 1", "p.toml:1:8: `sets` is a value of type integer; write `[sets]`"),
            ("nat64 = ['::/1']", "p.toml:1:11: in `::/1`: `::/1` is not a NAT64 prefix"),
            ("include = ['a']", "p.toml:1:12: can't include a: this program reads no other file"),
        ] {
            let message = error(text);
            assert!(message.starts_with(start), "{text}\n{message}");
        }
    }

    /// Reads from a list of files.
    fn build_of(files: &[(&str, &str)]) -> Result<Policy, String> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or(io::ErrorKind::NotFound.into())
        };
        let mut builder = Policy::builder();
        builder.file_with(Path::new(files[0].0), &read).map_err(|e| e.to_string())?;
        Ok(builder.build())
    }

    #[test]
    fn file_includes_others_from_its_own_folder() {
        let policy = build_of(&[
            (
                "d/a.toml",
                "include = ['b.toml', './sub/c.toml']\nallow = ['resolve=a', 'resolve=s']",
            ),
            ("d/b.toml", "allow = ['resolve=b']\n[sets]\ns = ['x.example']"),
            ("d/sub/c.toml", "include = ['../d.toml', '/e.toml']\ndeny = ['resolve=c']"),
            ("d/sub/../d.toml", "include = []"),
            ("/e.toml", "include = ['d/b.toml']"),
            ("/d/b.toml", "[limits]\ndescriptors = 5"),
        ])
        .unwrap();
        let rules: Vec<_> = policy.allowed().iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["resolve=b", "resolve=a", "resolve=s"]);
        assert_eq!((policy.denied().len(), policy.limits().descriptors), (1, 5));
        let files: Vec<_> = policy.files().iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            files,
            ["d/a.toml", "d/b.toml", "d/sub/c.toml", "d/sub/../d.toml", "/e.toml", "/d/b.toml"]
        );
        assert!(policy.sets().any(|(word, _)| word == "s"));
        // A file that two others include is read once.
        let policy = build_of(&[
            ("a", "include = ['b', 'c']"),
            ("b", "include = ['c']"),
            ("c", "allow = ['resolve=c']"),
        ]);
        assert_eq!(policy.unwrap().allowed().len(), 1);
    }

    #[test]
    fn file_that_cannot_be_included_is_told() {
        for (files, start) in [
            (&[("a", "\ninclude = ['b']")][..], "a:2:12: can't read b: entity not found"),
            (
                &[("a", "include = 'b'")],
                "a:1:11: `include` is a value of type string; write a list",
            ),
            (&[("a", "include = ['']")], "a:1:12: the file's name is empty"),
            (&[("a", "include = ['./a']")], "a:1:12: ./a includes itself, directly or by"),
            (
                &[("a", "include = ['b']"), ("b", "include = ['a']")],
                "b:1:12: a includes itself, directly or by other files",
            ),
            (
                &[("a", "include = ['b']"), ("b", "allow = ['resolve=']")],
                "b:1:19: in `resolve=`: `resolve` needs a target",
            ),
        ] {
            let message = build_of(files).map(drop).unwrap_err();
            assert!(message.starts_with(start), "{message}");
        }
        let deep: Vec<(String, String)> =
            (0..12).map(|n| (format!("f{n}"), format!("include = ['f{}']", n + 1))).collect();
        let deep: Vec<_> = deep.iter().map(|(name, text)| (&**name, &**text)).collect();
        let message = build_of(&deep).map(drop).unwrap_err();
        assert!(message.starts_with("f7:1:12: can't include f8: at most 64 files"), "{message}");
    }

    #[test]
    fn file_has_rules_as_texts_and_as_tables() {
        let policy = build(
            r#"
            allow = ["resolve=*", { verb = "unix-bind", target = '/a\;b', connections = 8 }]
            [[deny]]
            verb = "interfaces"
            "#,
        )
        .unwrap();
        assert_eq!(policy.allowed()[1].to_string(), r"unix-bind=/a\\\;b;connections=8");
        assert_eq!(policy.denied()[0].to_string(), "interfaces");
        let policy = build(
            r#"
            [[allow]]
            verb = "tcp-connect"
            target = "api.example:443"
            rate = "1MiB/s"
            bytes = 100_000
            scope = "command"
            [[allow]]
            verb = "tcp-connect"
            target = "db.example:5432"
            "#,
        )
        .unwrap();
        let rules: Vec<_> = policy.allowed().iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            [
                "tcp-connect=api.example:443;rate=1MiB/s;bytes=100kB;scope=command",
                "tcp-connect=db.example:5432",
            ]
        );
        assert_eq!(policy.budgets().count(), 1);
    }

    #[test]
    fn file_fault_in_a_table_is_told_by_line_and_column() {
        let table = |lines: &str| error(&format!("[[allow]]\n{lines}"));
        for (lines, start) in [
            ("target = 'a:1'", "p.toml:1:1: a table of `allow` has no `verb`; write verb = "),
            ("verb = 'tcp-conect'", "p.toml:2:8: unknown verb `tcp-conect`; verbs are"),
            ("verb = 1", "p.toml:2:8: `verb` is a value of type integer; write a text"),
            ("verb = 'tcp-connect'", "p.toml:1:1: `tcp-connect` needs a target; examples"),
            (
                "verb = 'tcp-connect'\ntaget = 'a:1'",
                "p.toml:3:1: unknown key `taget`; keys of tcp-connect are rate, bytes,",
            ),
            ("verb = 'interfaces'\ntarget = 'x'", "p.toml:3:11: `interfaces` takes no target"),
            ("verb = 'tcp-connect'\ntarget = 'a:x'", "p.toml:3:13: `x` is not a port"),
            (
                "verb = 'tcp-connect'\ntarget = 'a:1'\nrat = '1/s'",
                "p.toml:4:1: unknown key `rat`; keys of tcp-connect are rate, bytes,",
            ),
            (
                "verb = 'tcp-connect'\ntarget = 'a:1'\nrate = '1xB/s'",
                "p.toml:4:10: unknown unit `xB`",
            ),
            (
                "verb = 'tcp-connect'\ntarget = 'a:1'\nconnections = true",
                "p.toml:4:15: `connections` is a value of type boolean; write",
            ),
            (
                "verb = 'tcp-connect'\ntarget = 'a:1'\nscope = 'command'",
                "p.toml:4:1: `scope` alone limits nothing",
            ),
            ("verb = 'unix-bind'\ntarget = 'a'", "p.toml:3:10: the path is relative"),
        ] {
            let message = table(lines);
            assert!(message.starts_with(start), "{lines}\n{message}");
        }
        let denied = error("[[deny]]\nverb = 'udp-send'\ntarget = 'a:1'\nbytes = 1");
        assert!(denied.starts_with("p.toml:4:1: a rule that denies takes no terms"), "{denied}");
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
                "p.toml:1:1: unknown key `allows`; keys are allow, deny, include, limits, nat64, publish, resolve, sets; did you mean allow?",
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
            ("allow = []\nallow = []", "p.toml:2:1: duplicate key; write each key once"),
            (
                "allow = []\n[[allow]]\nverb = 'interfaces'",
                "p.toml:2:3: duplicate key; the list stands above: write the table in it, as in",
            ),
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
            "allow", "deny", "include", "[limits]", "[resolve]", "[sets]", "[[allow]]", "verb", "'interfaces'", "=", "[", "]", "\"tcp-connect=*:1\"", "\n", ",", "'ü'", "1", "descriptors", ".", "{", "}", "\"\\u0000\"",
        ]), 0..20)) {
            drop(build(&pieces.concat()));
        }
    }
}
