//! Rules added to the text of a policy file. What the file has already stays as it is, with its
//! comments and its order.

use std::net::IpAddr;
use std::path::Path;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::{Learnt, LearntRule};
use crate::file::{PolicyFileError, place};
use crate::rule::Rule;

/// The text of a policy file, to which rules can be added.
#[derive(Clone, Debug)]
pub struct PolicyText {
    document: DocumentMut,
}

impl PolicyText {
    /// Reads the text of a policy file. `path` only names the file in errors.
    ///
    /// # Errors
    ///
    /// The text is not TOML. The error has the file, the line and the column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, PolicyFileError> {
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            let (line, column) = place(text, error.span().map_or(0, |span| span.start));
            let message = error.message().to_owned();
            PolicyFileError::Invalid { path: path.into(), line, column, message }
        })?;
        Ok(Self { document })
    }

    /// Starts a file with a comment.
    pub fn new(comment: &str) -> Self {
        let mut document = DocumentMut::new();
        document.insert("allow", value(Array::new()));
        if let Some(mut key) = document.key_mut("allow") {
            key.leaf_decor_mut().set_prefix(commented(comment, ""));
        }
        Self { document }
    }

    /// Adds what was learnt. Returns the rules and the entries that are new.
    pub fn add(&mut self, learnt: &Learnt) -> Vec<String> {
        let mut new = Vec::new();
        for LearntRule { rule, comment } in &learnt.rules {
            if self.add_to("allow", rule, comment) {
                new.push(rule.clone());
            }
        }
        for pair in &learnt.publish {
            if self.add_to("publish", pair, "bound by the guest") {
                new.push(format!("publish={pair}"));
            }
        }
        for (name, addresses) in &learnt.resolve {
            if self.add_name(name, addresses) {
                let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
                new.push(format!("[resolve] {name} = {}", addresses.join(", ")));
            }
        }
        new
    }

    /// Adds a rule that allows. Returns whether it is new.
    pub fn allow(&mut self, rule: &str, comment: &str) -> bool {
        self.add_to("allow", rule, comment)
    }

    /// Adds an entry to a list, on a line of its own below its comment. Returns whether it is new.
    fn add_to(&mut self, key: &str, entry: &str, comment: &str) -> bool {
        let item = self.document.entry(key).or_insert_with(|| value(Array::new()));
        if let Some(tables) = item.as_array_of_tables_mut() {
            return add_table(tables, entry, comment);
        }
        let Some(list) = item.as_array_mut() else { return false };
        if list.iter().any(|known| known.as_str() == Some(entry)) {
            return false;
        }
        // Comments before the closing bracket stay where they are, above the new entry.
        let above = list.trailing().as_str().unwrap_or_default().trim_end().to_owned();
        let mut added = Value::from(entry);
        added.decor_mut().set_prefix(format!("{above}\n    {}    ", commented(comment, "    ")));
        list.push_formatted(added);
        list.set_trailing("\n");
        list.set_trailing_comma(true);
        true
    }

    /// Adds the addresses of a name to `[resolve]`, unless the name has some. Returns whether it is
    /// new.
    fn add_name(&mut self, name: &str, addresses: &[IpAddr]) -> bool {
        let item = self.document.entry("resolve").or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = item.as_table_like_mut() else { return false };
        if table.contains_key(name) {
            return false;
        }
        let all: Array = addresses.iter().map(IpAddr::to_string).collect();
        let addresses = match addresses {
            [one] => value(one.to_string()),
            _ => value(all),
        };
        table.insert(name, addresses);
        true
    }
}

/// Adds a rule as a table. Returns whether it is new.
fn add_table(tables: &mut ArrayOfTables, rule: &str, comment: &str) -> bool {
    let Ok(rule) = rule.parse::<Rule>() else { return false };
    let (verb, target) = (rule.verb().name(), rule.grant.target().to_string());
    let same = |table: &Table| {
        let is = |key: &str, text: &str| {
            table.get(key).and_then(Item::as_str).unwrap_or_default() == text
        };
        is("verb", verb) && is("target", &target)
    };
    if tables.iter().any(same) {
        return false;
    }
    let mut table = Table::new();
    table.insert("verb", value(verb));
    if !target.is_empty() {
        table.insert("target", value(target));
    }
    table.decor_mut().set_prefix(format!("\n{}", commented(comment, "")));
    tables.push(table);
    true
}

/// Returns a text as comments, one a line, with a newline at the end. Lines after the first are
/// indented.
fn commented(text: &str, indent: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect::<Vec<_>>().join(indent)
}

impl std::fmt::Display for PolicyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}
