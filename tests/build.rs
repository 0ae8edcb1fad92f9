//! Pairs guest programs with tests by name: a program without a test of its name does not compile, nor does a test that names a
//! program that is not there.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = root.join("programs/src/bin");
    println!("cargo::rerun-if-changed={}", programs.display());
    let mut names: Vec<String> = std::fs::read_dir(&programs)
        .expect("tests/programs/src/bin is there")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    let mut constants = String::new();
    let mut pairs = String::new();
    for name in &names {
        let suite = name.split('_').next().unwrap_or(name);
        writeln!(
            constants,
            "/// The program `{name}`.\n#[allow(non_upper_case_globals)]\npub const {name}: Program = Program({name:?});"
        )
        .expect("a string takes it");
        writeln!(pairs, "#[allow(unused_imports)]\nuse crate::{suite}::{name} as _;").expect("a string takes it");
    }
    let list: String = names.iter().map(|name| format!("{name}, ")).collect();
    writeln!(constants, "/// All of them.\npub const ALL: &[Program] = &[{list}];").expect("a string takes it");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("programs.rs"), constants).expect("OUT_DIR is writable");
    std::fs::write(Path::new(&out).join("pairs.rs"), pairs).expect("OUT_DIR is writable");
}
