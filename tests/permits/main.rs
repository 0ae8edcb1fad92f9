//! Without a permit, no system call: code that tries does not compile.
//!
//! The permits are private to the host. So each module of `permits/` is compiled as a module of
//! the host's own sources, against the dependencies that this test was built with. Each line with
//! `//~ CODE` must have the compiler's error of this code, and no other line may have any.

mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandsock_tests::built::{crates, rustc};
use sandsock_tests::root;

/// The direct dependencies of the host, as `extern` names.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../../host/Cargo.toml");
    let (_, rest) = manifest.split_once("[dependencies]\n").expect("it has dependencies");
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| Some(line.split(['.', ' ']).next()?.replace('-', "_")))
        .filter(|name| !name.is_empty())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes a folder");
    for entry in from.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        let copied = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &copied)
        } else {
            std::fs::copy(&path, &copied).expect("copies");
        }
    }
}

/// Compiles the host with one module more, and returns the errors: line and code.
fn errors(
    work: &Path,
    module: &str,
    source: &str,
    crates: &BTreeMap<String, PathBuf>,
) -> BTreeSet<(u64, String)> {
    let sources = work.join(module).join("src");
    copy(&root().join("host/src"), &sources);
    std::fs::write(sources.join("trial.rs"), source).expect("writes");
    let library = sources.join("lib.rs");
    let host = std::fs::read_to_string(&library).expect("reads");
    std::fs::write(&library, format!("{host}\nmod trial;\n")).expect("writes");
    let mut command = rustc();
    command.env("CARGO_MANIFEST_DIR", root().join("host")).env("CARGO_PKG_VERSION", "0.1.0");
    command.args(["--crate-name", "sandsock_host", "--crate-type", "lib", "--emit", "metadata"]);
    command.args(["--error-format", "json", "--out-dir"]).arg(&sources).arg(&library);
    // Only the crates that the host names.
    for name in dependencies() {
        if let Some(path) = crates.get(&name) {
            command.arg("--extern").arg(format!("{name}={}", path.display()));
        }
    }
    let output = command.output().expect("rustc starts");
    let report = String::from_utf8_lossy(&output.stderr);
    let mut found = BTreeSet::new();
    for line in report.lines() {
        let message: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let Some(code) = message["code"]["code"].as_str().filter(|_| message["level"] == "error")
        else {
            let other = message["level"] == "error"
                && !message["spans"].as_array().is_none_or(Vec::is_empty);
            assert!(!other, "{}", message["rendered"]);
            continue;
        };
        let span = message["spans"]
            .as_array()
            .and_then(|spans| spans.iter().find(|span| span["is_primary"] == true));
        let span = span.unwrap_or_else(|| panic!("{}", message["rendered"]));
        assert!(
            span["file_name"].as_str().is_some_and(|name| name.ends_with("trial.rs")),
            "{}",
            message["rendered"]
        );
        found.insert((span["line_start"].as_u64().expect("a line"), code.to_owned()));
    }
    found
}

#[test]
fn permits_are_needed() {
    let work = tempfile::tempdir().expect("a folder");
    // The host's sources include the contract.
    let contract = root().join("wit");
    std::os::unix::fs::symlink(contract, work.path().join("wit")).expect("links");
    let crates = crates();
    for (name, source) in [
        ("types", include_str!("types.rs")),
        ("moves", include_str!("moves.rs")),
        ("privacy", include_str!("privacy.rs")),
    ] {
        let expected = source.lines().zip(1..).filter_map(|(line, number)| {
            Some((number, line.split_once("//~ ")?.1.trim().to_owned()))
        });
        let expected: BTreeSet<(u64, String)> = expected.collect();
        assert_eq!(errors(work.path(), name, source, &crates), expected, "permits/{name}.rs");
    }
}
