//! Without a permit, no system call: code that tries does not compile.
//!
//! The permits are private to the host. So each module of `permits/` is compiled as a module of
//! the host's own sources, against the dependencies that this test was built with. Each line with
//! `//~ CODE` must have the compiler's error of this code, and no other line may have any.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Holds the crates that the tests were built with.
fn deps() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("it lies in a folder").to_owned()
}

fn rustc() -> Command {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--cap-lints", "allow", "-L"]);
    command.arg(format!("dependency={}", deps().display()));
    command.env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"));
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the crates that the host was compiled with, as `name=path`. The linker's arguments for a
/// program that uses the host name just these, though the folder has others from earlier builds.
fn crates(work: &Path) -> Vec<String> {
    let hosts = deps().read_dir().expect("a folder").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?;
        let is_host = name.starts_with("libsandsock_host-") && name.ends_with(".rlib");
        is_host.then(|| (path.metadata().and_then(|data| data.modified()).ok(), path.clone()))
    });
    let (_, host) = hosts.max().expect("this test was built with the host");
    std::fs::write(work.join("probe.rs"), "extern crate sandsock_host;\nfn main() {}\n")
        .expect("writes");
    let output = rustc()
        .arg("--extern")
        .arg(format!("sandsock_host={}", host.display()))
        .args(["--print", "link-args", "-o"])
        .args([work.join("probe"), work.join("probe.rs")])
        .output()
        .expect("rustc starts");
    let (arguments, errors) = text(&output);
    assert!(output.status.success(), "{errors}");
    let crates = arguments.split_whitespace().filter_map(|word| {
        // Rust's own crates lie elsewhere.
        let path = word.trim_matches('"').strip_prefix(deps().to_str()?)?;
        let file = path.strip_prefix("/lib")?.strip_suffix(".rlib")?;
        let (name, _) = file.rsplit_once('-')?;
        Some(format!("{name}={}{path}", deps().display()))
    });
    crates.collect()
}

/// The direct dependencies of the host, as `extern` names.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
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
fn errors(work: &Path, module: &str, source: &str, crates: &[String]) -> BTreeSet<(u64, String)> {
    let sources = work.join(module).join("src");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &sources);
    std::fs::write(sources.join("trial.rs"), source).expect("writes");
    let root = sources.join("lib.rs");
    let host = std::fs::read_to_string(&root).expect("reads");
    std::fs::write(&root, format!("{host}\nmod trial;\n")).expect("writes");
    let mut command = rustc();
    command.args(["--crate-name", "sandsock_host", "--crate-type", "lib", "--emit", "metadata"]);
    command.args(["--error-format", "json", "--out-dir"]).arg(&sources).arg(&root);
    for name in dependencies() {
        let of_name = |known: &&String| known.split('=').next() == Some(&name);
        let found: Vec<_> = crates.iter().filter(of_name).collect();
        assert!(found.len() <= 1, "{name}: {found:?}");
        found.iter().for_each(|found| {
            command.arg("--extern").arg(found);
        });
    }
    let (_, report) = text(&command.output().expect("rustc starts"));
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
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    std::os::unix::fs::symlink(contract, work.path().join("wit")).expect("links");
    let crates = crates(work.path());
    for (name, source) in [
        ("types", include_str!("permits/types.rs")),
        ("moves", include_str!("permits/moves.rs")),
        ("privacy", include_str!("permits/privacy.rs")),
    ] {
        let expected = source.lines().zip(1..).filter_map(|(line, number)| {
            Some((number, line.split_once("//~ ")?.1.trim().to_owned()))
        });
        let expected: BTreeSet<(u64, String)> = expected.collect();
        assert_eq!(errors(work.path(), name, source, &crates), expected, "permits/{name}.rs");
    }
}
