//! The documentation's tables that repeat tables of the code. `make docs` writes them.

use std::collections::BTreeSet;

use sandsock_abi::ioctl::{self, IOCTLS};
use sandsock_abi::option::{self, Access};
use sandsock_host::policy::{Limits, Verb};
use sandsock_tests::docs::{compare, table};
use sandsock_tests::root;

/// Returns the grant that a use of an option or an ioctl needs, as a table's cell. `grant` is the
/// grant for this row alone.
fn cell(access: Access, grant: &str) -> String {
    match access {
        Access::Ordinary => "yes".into(),
        Access::Granted => format!("`{grant}`"),
        Access::GrantedOnDatagrams => format!("yes; on datagrams `{grant}`"),
        Access::Header => "`raw=header`".into(),
        Access::Multicast => "`multicast=GROUP`".into(),
        Access::Absent => "–".into(),
        Access::Refused(why) => format!("refused: {why}"),
    }
}

/// Returns the name with its aliases.
fn names(name: &str, aliases: &[(&str, &str)]) -> String {
    let aliases = aliases.iter().filter(|(_, of)| *of == name).map(|(alias, _)| *alias);
    std::iter::once(name).chain(aliases).collect::<Vec<_>>().join(", ")
}

fn options() -> String {
    let rows: Vec<_> = option::all().collect();
    let levels = rows.chunk_by(|one, next| one.level_name == next.level_name);
    levels
        .map(|rows| {
            let head = ["option", "read", "set", "sent as a control message"];
            let lines = rows.iter().map(|row| {
                let grant = format!("option={row}");
                let control = row.control.unwrap_or(Access::Absent);
                let uses = [row.get, row.set, control].map(|access| cell(access, &grant));
                [vec![names(row.name, option::ALIASES)], uses.to_vec()].concat()
            });
            format!("\n### {}\n{}", rows[0].level_name, table(&head, lines))
        })
        .collect()
}

fn ioctls() -> String {
    let rows = IOCTLS.iter().map(|row| {
        let size = match row.shape {
            ioctl::Shape::InterfaceList => format!("{} each", row.shape.size()),
            shape => shape.size().to_string(),
        };
        let grant = cell(row.access, &format!("ioctl={}", row.name));
        vec![names(row.name, ioctl::ALIASES), format!("{:#06x}", row.number), size, grant]
    });
    table(&["request", "number", "argument in bytes", ""], rows)
}

#[test]
fn docs_options_and_ioctls() {
    compare("wit/posix.md", &[("options", options()), ("ioctls", ioctls())]);
}

#[test]
fn docs_verbs() {
    let rows = Verb::TABLE.iter().map(|row| {
        let examples: Vec<String> =
            row.examples.iter().map(|example| format!("`{example}`")).collect();
        let examples = if examples.is_empty() { "none".into() } else { examples.join(", ") };
        vec![format!("`{}`", row.name), examples, row.about.to_owned()]
    });
    let verbs = table(&["verb", "targets, for example", "allows to"], rows);
    compare("docs/policy.md", &[("verbs", verbs)]);
}

#[test]
fn docs_limits() {
    let rows = Limits::TABLE.iter().map(|row| {
        let numbers = [row.default, row.least, row.most].map(|number| number.to_string());
        let [default, least, most] = numbers;
        vec![format!("`{}`", row.name), default, format!("{least} to {most}"), row.about.to_owned()]
    });
    let limits = table(&["limit", "default", "range", ""], rows);
    compare("docs/command.md", &[("limits", limits)]);
}

/// Each test of the attacks' page exists, and each attack that is a test is on the page.
#[test]
fn docs_attacks_are_tests() {
    let page = include_str!("../../docs/attacks.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let words: BTreeSet<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    let is_name =
        |word: &&str| word.contains('_') && word.starts_with(|c: char| c.is_ascii_lowercase());
    let named: BTreeSet<&str> = words.into_iter().filter(is_name).collect();
    let sources: Vec<String> = ["tests/all", "tests/all/wasi", "tests/attacks/host", "tls/tests"]
        .iter()
        .flat_map(|folder| root().join(folder).read_dir().expect("a folder"))
        .filter_map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).ok())
        .collect();
    let tests: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split("#[test]").skip(1))
        .filter_map(|rest| rest.split_once("fn ")?.1.split('(').next())
        .collect();
    // A word of SO_* or the like is no test.
    let missing: Vec<_> = named.difference(&tests).collect();
    assert_eq!(missing, [&""; 0], "no tests have these names");
    let attacks = tests.iter().filter(|test| test.starts_with("attack_"));
    let unnamed: Vec<_> = attacks.filter(|test| !named.contains(**test)).collect();
    assert_eq!(unnamed, [&""; 0], "the page does not have these attacks");
}
