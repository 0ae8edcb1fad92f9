//! `wit/posix.md` names every function, flag and verb. The suite `docs` compares its tables of
//! options and ioctls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandsock_abi::constants::CONSTANTS;
use sandsock_host::policy::Verb;
use wit_parser::Resolve;

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}

fn page() -> String {
    std::fs::read_to_string(wit().join("posix.md")).expect("wit/posix.md is there")
}

/// What stands between backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// The interfaces that the host fulfils.
const RAW: [&str; 9] = [
    "clock",
    "connections",
    "descriptors",
    "files",
    "interrupts",
    "netdb",
    "polling",
    "syscalls",
    "tls",
];

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
