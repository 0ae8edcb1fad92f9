//! The crates that the tests were built with, for programs that a test compiles itself: nothing of
//! wasmtime is compiled again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the crates.
fn deps() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("it lies in target/PROFILE/deps").to_owned()
}

/// Returns the programs of this name: those of this build, and perhaps of earlier ones.
pub fn programs(name: &str) -> Vec<PathBuf> {
    let entries = deps().read_dir().expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            file.rsplit_once('-').is_some_and(|(before, _)| before == name)
                && path.extension().is_none()
        })
        .collect()
}

/// Returns a compiler that finds what the crates of [`crates`] use.
pub fn rustc() -> Command {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--cap-lints", "allow", "-L"]);
    command.arg(format!("dependency={}", deps().display()));
    command
}

/// Returns the paths of the crates that this library was built with, by name. The folder has others
/// from earlier builds, but the linker's arguments for a program that uses the library name just
/// these. A crate of several versions has no place here.
#[track_caller]
pub fn crates() -> BTreeMap<String, PathBuf> {
    let own = deps().read_dir().expect("a folder").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?;
        let is_own = name.starts_with("libsandsock_tests-") && name.ends_with(".rlib");
        is_own.then(|| (path.metadata().and_then(|data| data.modified()).ok(), path.clone()))
    });
    let (_, own) = own.max().expect("this test was built with the library");
    let work = tempfile::tempdir().expect("a folder");
    let probe = work.path().join("probe.rs");
    std::fs::write(&probe, "extern crate sandsock_tests;\nfn main() {}\n").expect("writes");
    let output = rustc()
        .arg("--extern")
        .arg(format!("sandsock_tests={}", own.display()))
        .args(["--print", "link-args", "-o"])
        .args([work.path().join("probe"), probe])
        .output()
        .expect("rustc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeMap::<String, Vec<PathBuf>>::new();
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        let path = PathBuf::from(word.trim_matches('"'));
        // Rust's own crates lie elsewhere.
        let file = path.strip_prefix(deps()).ok().and_then(|file| file.to_str());
        let name = file.and_then(|file| file.strip_prefix("lib")?.strip_suffix(".rlib"));
        if let Some((name, _)) = name.and_then(|name| name.rsplit_once('-')) {
            found.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    found.retain(|_, paths| paths.len() == 1);
    found.into_iter().map(|(name, mut paths)| (name, paths.remove(0))).collect()
}
