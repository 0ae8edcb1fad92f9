//! `wit/posix.md` says of every function, option, ioctl, flag and verb what there is. Its lists of
//! options and ioctls are made from the tables: `SANDSOCK_WRITE=1 cargo test --test
//! posix_documented` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sandsock_abi::constants::CONSTANTS;
use sandsock_abi::ioctl::{self, IOCTLS};
use sandsock_abi::option::{self, Access};
use sandsock_host::policy::Verb;
use wit_parser::Resolve;

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

fn page() -> String {
    std::fs::read_to_string(wit().join("posix.md")).expect("wit/posix.md is there")
}

/// What a use of an option or a request needs, in a table's cell. `grant` is the verb of one that
/// needs its own.
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

/// The aliases of a name, each with a comma before it.
fn also(aliases: &[(&str, &str)], name: &str) -> String {
    aliases
        .iter()
        .filter(|(_, of)| *of == name)
        .fold(String::new(), |all, (alias, _)| format!("{all}, {alias}"))
}

fn options() -> String {
    let mut text = String::new();
    let mut level = "";
    for row in option::all() {
        if row.level_name != level {
            level = row.level_name;
            write!(
                text,
                "\n### {level}\n\n| option | read | set | sent as a control message |\n| --- | --- | --- | --- |\n"
            )
            .expect("a string takes it");
        }
        let grant = format!("option={row}");
        let control = row.control.map_or_else(|| "–".into(), |access| cell(access, &grant));
        let names = format!("{}{}", row.name, also(option::ALIASES, row.name));
        writeln!(
            text,
            "| {names} | {} | {} | {control} |",
            cell(row.get, &grant),
            cell(row.set, &grant)
        )
        .expect("a string takes it");
    }
    text
}

fn ioctls() -> String {
    let mut text =
        String::from("\n| request | number | argument in bytes | |\n| --- | --- | --- | --- |\n");
    for row in IOCTLS {
        let size = match row.shape {
            ioctl::Shape::InterfaceList => format!("{} each", row.shape.size()),
            shape => shape.size().to_string(),
        };
        let grant = cell(row.access, &format!("ioctl={}", row.name));
        let names = format!("{}{}", row.name, also(ioctl::ALIASES, row.name));
        writeln!(text, "| {names} | {:#06x} | {size} | {grant} |", row.number)
            .expect("a string takes it");
    }
    text
}

/// The page with its lists made anew.
fn renewed(page: &str) -> String {
    let mut page = page.to_owned();
    for (name, list) in [("options", options()), ("ioctls", ioctls())] {
        let (begin, end) = (
            format!("<!-- {name}: made from the table -->\n"),
            format!("\n<!-- end of {name} -->"),
        );
        let from = page.find(&begin).unwrap_or_else(|| panic!("no {begin:?}")) + begin.len();
        let to = page.find(&end).unwrap_or_else(|| panic!("no {end:?}"));
        page.replace_range(from..to, &list);
    }
    page
}

#[test]
fn the_lists_are_the_tables() {
    let page = page();
    let renewed = renewed(&page);
    if std::env::var_os("SANDSOCK_WRITE").is_some() {
        std::fs::write(wit().join("posix.md"), &renewed).expect("is written");
    } else if let Some((old, new)) = page.lines().zip(renewed.lines()).find(|(old, new)| old != new)
    {
        panic!(
            "wit/posix.md has\n{old}\nand the tables say\n{new}\nSANDSOCK_WRITE=1 writes it anew"
        );
    } else {
        assert_eq!(page, renewed);
    }
}

/// What stands between backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// The interfaces that the host fulfils.
const RAW: [&str; 8] =
    ["clock", "connections", "descriptors", "files", "interrupts", "netdb", "polling", "syscalls"];

#[test]
fn every_function_is_there_and_no_other() {
    let page = page();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit()).expect("the package parses");
    let mut known = BTreeSet::new();
    for (name, &id) in &resolve.packages[package].interfaces {
        for function in resolve.interfaces[id].functions.values() {
            // A method is named by its resource.
            let of = function.item_name();
            let resource = function
                .name
                .split_once(']')
                .and_then(|(_, rest)| rest.split_once('.'))
                .map(|(r, _)| r);
            known.insert((name.clone(), format!("{}.{of}", resource.unwrap_or(name))));
        }
    }
    let mentioned: BTreeSet<&str> = quoted(&page).collect();
    for (interface, name) in &known {
        if RAW.contains(&interface.as_str()) || interface == "transfers" {
            assert!(mentioned.contains(name.as_str()), "wit/posix.md does not mention `{name}`");
        }
    }
    for word in mentioned {
        let Some((interface, _)) = word.split_once('.') else { continue };
        if RAW.contains(&interface) || interface == "transfers" {
            assert!(
                known.iter().any(|(_, name)| name == word),
                "wit/posix.md mentions `{word}`, which there is not"
            );
        }
    }
}

#[test]
fn every_grant_is_of_a_verb_and_every_verb_has_its_place() {
    let page = page();
    for info in Verb::TABLE {
        let names = |word: &str| {
            word == info.name
                || word.strip_prefix(info.name).is_some_and(|rest| rest.starts_with('='))
        };
        assert!(quoted(&page).any(names), "wit/posix.md does not mention {}", info.name);
    }
}

#[test]
fn every_flag_is_there() {
    let page = page();
    let prefixes = ["MSG_", "SHUT_"];
    for (name, _) in CONSTANTS {
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let there = page
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == *name);
            assert!(there, "wit/posix.md does not mention {name}");
        }
    }
}
