//! Pairs guest programs with tests by name: a program without a test of its name does not compile,
//! nor does a test that names a program that is not there.

use std::fmt::Write as _;
use std::path::Path;

/// The programs of a folder, by name.
fn programs(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder of the programs is there")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn main() {
    // A test of `suite_what_outcome` is in the suite's file. An attack's suite is its kind:
    // `attack_kind_what_outcome`.
    let suites = programs("programs/src/bin").into_iter().map(|name| {
        let suite = name.split('_').next().unwrap_or(&name).to_owned();
        (name, suite)
    });
    let attacks = programs("attacks/src/bin").into_iter().map(|name| {
        let kind = name.split('_').nth(1).unwrap_or(&name).to_owned();
        (name, format!("attacks::{kind}"))
    });
    let (mut constants, mut pairs, mut list) = (String::new(), String::new(), String::new());
    for (name, suite) in suites.chain(attacks) {
        writeln!(
            constants,
            "/// The program `{name}`.\n#[allow(non_upper_case_globals)]\npub const {name}: Program = Program({name:?});"
        )
        .expect("a string takes it");
        writeln!(pairs, "#[allow(unused_imports)]\nuse crate::{suite}::{name} as _;")
            .expect("a string takes it");
        write!(list, "{name}, ").expect("a string takes it");
    }
    writeln!(constants, "/// All of them.\npub const ALL: &[Program] = &[{list}];")
        .expect("a string takes it");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("programs.rs"), constants).expect("OUT_DIR is writable");
    std::fs::write(Path::new(&out).join("pairs.rs"), pairs).expect("OUT_DIR is writable");
}
