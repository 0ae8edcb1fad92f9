//! The tables of the documentation that are made from tables of the code.

use crate::root;

/// Compares tables of a page of the repository with `tables`: the name of each, and its lines. In
/// the page, a comment before each table and one after it have its name. With the variable
/// `SANDSOCK_WRITE` it writes the tables instead.
///
/// # Panics
/// If a table differs, or is not in the page.
#[track_caller]
pub fn compare(page: &str, tables: &[(&str, String)]) {
    let path = root().join(page);
    let old = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut new = old.clone();
    for (name, table) in tables {
        let begin = format!("<!-- {name}: made from the table -->\n");
        let end = format!("\n<!-- end of {name} -->");
        let from = new.find(&begin).unwrap_or_else(|| panic!("{page} has no {begin:?}"));
        let from = from + begin.len();
        let length = new[from..].find(&end).unwrap_or_else(|| panic!("{page} has no {end:?}"));
        new.replace_range(from..from + length, table);
    }
    if std::env::var_os("SANDSOCK_WRITE").is_some() {
        std::fs::write(&path, new).unwrap_or_else(|error| panic!("{page}: {error}"));
        return;
    }
    if let Some((old, new)) = old.lines().zip(new.lines()).find(|(old, new)| old != new) {
        panic!("{page} has\n{old}\nand the code's table says\n{new}\n`make docs` writes the page");
    }
    assert_eq!(old, new, "`make docs` writes {page}");
}

/// Returns the lines of a table in Markdown, with an empty line before it.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', r"\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = vec!["---".to_owned(); head.len()];
    let rows = rows.into_iter().map(|cells| line(&cells));
    let text: String = [line(&head), line(&rule)].into_iter().chain(rows).collect();
    // An empty cell needs no second space.
    format!("\n{}", text.replace("|  |", "| |"))
}
