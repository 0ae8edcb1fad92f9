//! Builds the guests, and pairs guest programs with tests by name. The tests do not compile if a
//! program lacks its test, or a test names a program that does not exist.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The files and folders that the guests are built from, below the workspace's folder. The examples'
/// own files come on top of them.
const SOURCES: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "abi/Cargo.toml",
    "abi/src",
    "examples/Cargo.toml",
    "guest",
    "scripts/crt1-command.rs",
    "scripts/guests.sh",
    "scripts/wasm-toolchain.sh",
    "tests/attacks/Cargo.toml",
    "tests/attacks/src",
    "tests/programs",
    "tests/wasi",
    "wit",
];

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out.
    let target = out.ancestors().nth(4).expect("OUT_DIR lies in the target folder").to_owned();
    println!("cargo::rustc-env=SANDSOCK_TARGET={}", target.display());
    build_guests(&target);
    pair(&out);
}

/// Builds the guests into `TARGET/guests`, unless cargo only checks, which needs no guests.
fn build_guests(target: &Path) {
    let root = Path::new("..");
    let watch = |path: &Path| println!("cargo::rerun-if-changed={}", path.display());
    SOURCES.iter().for_each(|source| watch(&root.join(source)));
    for entry in root.join("examples").read_dir().expect("the examples are there") {
        let path = entry.expect("the examples are there").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            watch(&path);
        }
    }
    // Without this file cargo runs the script again. Its time is older than every source, so that
    // cargo does not take it for a change.
    let built = target.join("guests/.built");
    watch(&built);
    if cargo_only_checks() {
        return;
    }
    let _ = std::fs::remove_file(&built);

    let mut script = Command::new(root.join("scripts/guests.sh"));
    script.arg(target);
    // Cargo sets these variables for this script, not for the cargo that builds the guests.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_outer_cargo) {
            script.env_remove(name);
        }
    }
    // If it fails, cargo prints the output, which should be the compiler's errors alone.
    script.env("CARGO_TERM_QUIET", "true");
    let status = script.status().expect("scripts/guests.sh starts");
    if !status.success() {
        eprintln!("the guests could not be built: {status}");
        std::process::exit(1);
    }
    File::create(&built)
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)))
        .expect("the target folder is writable");
}

/// Whether cargo was started as `cargo check`, `clippy` (which is a check) or `doc`. Cargo itself
/// does not say so. If the script then does nothing, cargo runs it again before it builds the tests,
/// because `.built` is missing.
fn cargo_only_checks() -> bool {
    let parent = std::os::unix::process::parent_id();
    let line = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    let mut words = line.split(|&byte| byte == 0).skip(1);
    let command = words.find(|word| !word.starts_with(b"-") && !word.starts_with(b"+"));
    matches!(command, Some(b"check" | b"c" | b"clippy" | b"doc" | b"d" | b"rustdoc"))
}

/// Whether the variable is one that cargo sets for build scripts, or that chooses how the host's
/// programs are compiled. Variables that configure the network or name cargo's home stay.
fn is_of_outer_cargo(name: &str) -> bool {
    const KEPT: [&str; 5] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    const OTHERS: [&str; 15] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
        "__CARGO_DEFAULT_LIB_METADATA",
    ];
    let kept = KEPT.iter().any(|prefix| name.starts_with(prefix));
    OTHERS.contains(&name) || name == "CARGO" || (name.starts_with("CARGO_") && !kept)
}

/// Writes the programs' names, and a macro that names each one's test.
fn pair(out: &Path) {
    // A test of `suite_what_outcome` is in the suite's file. An attack's suite is its kind:
    // `attack_kind_what_outcome`.
    let mut guests = programs("programs/src/bin");
    guests.extend(programs("wasi/src/bin"));
    let suites = guests.into_iter().map(|name| {
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
    // These are modules of one component.
    for name in programs("wasi/src/wasi3") {
        let suite = match name.split('_').next() {
            Some("wasi3") => "wasi3",
            Some("attack") => "attacks::wasi",
            _ => continue,
        };
        writeln!(pairs, "#[allow(unused_imports)]\nuse crate::{suite}::{name} as _;")
            .expect("a string takes it");
    }
    writeln!(constants, "/// All of them.\npub const ALL: &[Program] = &[{list}];")
        .expect("a string takes it");
    // The tests are another crate: there, `crate` is theirs.
    let pairs = format!(
        "/// Names the test of each program.\n#[macro_export]\n#[allow(clippy::crate_in_macro_def)]\nmacro_rules! pairs {{\n() => {{\n{pairs}}};\n}}\n"
    );
    std::fs::write(out.join("programs.rs"), constants).expect("OUT_DIR is writable");
    std::fs::write(out.join("pairs.rs"), pairs).expect("OUT_DIR is writable");
}

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
