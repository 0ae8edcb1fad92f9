//! A kernel of the tests' own, for families that this machine's kernel may lack: Debian's stock
//! one, booted in QEMU.
//!
//! Each test of the suites in [`FAMILIES`] hands its body to [`booted`]. The first of them boots
//! the machine, in which this same test program runs those suites once more, natively; there
//! `booted` runs the body. All of them get their own outcome from that one boot. The guests are
//! compiled outside, for plain x86-64: in an emulated machine that would take minutes. They come
//! along as wasmtime's cache, made by the same engine, so that nothing has to trust a compiled
//! file. `sandsock python` comes along with its runner, whose code is compiled outside too.
//!
//! `scripts/kernel.sh` provides the kernel; without it these tests are skipped, or fail where
//! `SANDSOCK_KERNEL=required`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine};

use super::{Program, command, programs, root, skip, target};

/// A family that is tested in the booted kernel, and the suite of its tests.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// AF_*.
    pub name: &'static str,
    /// The beginning of its tests' and guests' names.
    pub suite: &'static str,
}

/// The families that are promised to work in that kernel.
pub const FAMILIES: &[Family] = &[
    Family { name: "AF_CAN", suite: "can" },
    Family { name: "AF_ALG", suite: "alg" },
    Family { name: "AF_TIPC", suite: "tipc" },
    Family { name: "AF_VSOCK", suite: "vsock" },
    Family { name: "AF_BLUETOOTH", suite: "bluetooth" },
    Family { name: "AF_RDS", suite: "rds" },
    Family { name: "AF_QIPCRTR", suite: "qipcrtr" },
];

/// Tests of other suites that run there too, for they ask for more than a process may have on many
/// machines.
pub const TESTS: &[&str] = &["poller::poller_idle_flat"];

/// The examples that tests of those suites run.
pub const EXAMPLES: &[&str] = &["can_node", "sha256"];

/// The Python programs of those suites, in `tests/python`.
pub const SCRIPTS: &[&str] = &["can_node.py", "programs/package_can.py"];

/// The packages that they use, and those that these use.
const PACKAGES: &[&str] = &["can", "packaging", "typing_extensions.py", "wrapt"];

/// Where the Python runner and the packages are in the booted machine.
pub const RUNNER: &str = "/sandsock/python";
/// See [`RUNNER`].
pub const SITE: &str = "/sandsock/site";

/// Where this program is there: as deep in its folder as here, so that it finds the command.
const OWN: &str = "/sandsock/release/deps/tests";

/// How long the machine may take from power on to power off.
const LIMIT: Duration = Duration::from_secs(280);

/// Set in the booted machine.
const BOOTED: &str = "SANDSOCK_BOOTED";

/// How a test ended in the booted machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, with what it printed.
    Failed(String),
    /// It did not run, for this reason.
    Skipped(String),
}

/// The report of the booted machine.
#[derive(Debug)]
pub struct Report {
    /// Its kernel's release, and how fast it was.
    pub machine: String,
    /// How each test ended, by its name.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// Whether this is the booted machine.
pub fn is_booted() -> bool {
    std::env::var_os(BOOTED).is_some()
}

/// Runs a test's body in the booted machine, once for each way to wait. The test's own name has to
/// be its thread's, as it is in Rust's test programs.
#[track_caller]
pub fn booted(body: impl Fn(super::Way)) {
    booted_once(|| super::both_ways(&body));
}

/// Runs a test's body in the booted machine once.
#[track_caller]
pub fn booted_once(body: impl FnOnce()) {
    if is_booted() {
        return body();
    }
    let thread = std::thread::current();
    let name = thread.name().expect("a test's thread has its name");
    match report().as_ref().map(|report| report.outcomes.get(name)) {
        Ok(Some(Outcome::Passed)) => {}
        Ok(Some(Outcome::Failed(output))) => {
            panic!("{name} failed in the booted kernel:\n{output}")
        }
        Ok(Some(Outcome::Skipped(reason))) => skip(name, reason),
        Ok(None) => panic!("{name} did not run in the booted kernel"),
        Err(Absence::NotHere(reason)) => absent(name, reason),
        Err(Absence::Broken(what)) => panic!("{what}"),
    }
}

/// Skips a test because there is no kernel to boot; panics where that is no excuse.
#[track_caller]
pub fn absent(test: &str, reason: &str) {
    assert!(
        std::env::var_os("SANDSOCK_KERNEL").is_none_or(|word| word != "required"),
        "{test} cannot run: {reason}"
    );
    skip(test, reason);
}

/// Why there is no report.
#[derive(Debug)]
pub enum Absence {
    /// This machine has nothing to boot, for this reason.
    NotHere(String),
    /// It was to boot and did not, or not to the end.
    Broken(String),
}

/// Returns the report of the booted machine. The first call boots it.
pub fn report() -> &'static Result<Report, Absence> {
    static REPORT: OnceLock<Result<Report, Absence>> = OnceLock::new();
    REPORT.get_or_init(boot)
}

/// The engine of a booted guest and of those who compile for it: for plain x86-64, whatever this
/// processor can do more, and with a cache of the program's own.
pub(super) fn engine(program: Program) -> Engine {
    let folder = cache(program);
    std::fs::create_dir_all(&folder).expect("target is writable");
    let mut caching = CacheConfig::new();
    caching.with_directory(folder);
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true);
    config.target("x86_64-unknown-linux-gnu").expect("a known target");
    config.cache(Some(Cache::new(caching).expect("a cache folder")));
    Engine::new(&config).expect("an engine")
}

fn cache(program: Program) -> PathBuf {
    target().join("kernel").join(program.0)
}

/// The guests of the suites and tests, and the examples.
fn guests() -> impl Iterator<Item = Program> {
    let wanted = |program: &&Program| {
        FAMILIES.iter().any(|family| program.0.split('_').next() == Some(family.suite))
            || TESTS.iter().any(|test| test.rsplit("::").next() == Some(program.0))
    };
    programs::ALL.iter().filter(wanted).copied().chain(EXAMPLES.iter().map(|name| Program(name)))
}

/// Compiles a guest into its cache, unless it is there.
fn compile(program: Program) -> Result<(), String> {
    let path = program.path();
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if time(&cache(program)) < time(&path) {
        // Code that was compiled from an older component is useless.
        let _ = std::fs::remove_dir_all(cache(program));
    }
    Component::from_file(&engine(program), &path)
        .map(drop)
        .map_err(|error| format!("{}: {error:?}", path.display()))
}

/// Copies the Python runner, and compiles the copy for plain x86-64. Does only what is not done yet.
/// Returns its folder. None if no runner is built.
fn runner() -> Result<Option<PathBuf>, String> {
    let (own, copy) = (target().join("python"), target().join("kernel").join("python"));
    let stamp = |folder: &Path| std::fs::read(folder.join("stamp")).ok();
    if !own.join("version").exists() {
        return Ok(None);
    }
    let finish = |command: &mut Command| {
        let told = |what: &str| format!("the Python runner for the booted kernel: {what}");
        let output = command.output().map_err(|error| told(&error.to_string()))?;
        let success = output.status.success();
        success.then_some(()).ok_or_else(|| told(&String::from_utf8_lossy(&output.stderr)))
    };
    if stamp(&copy).is_none() || stamp(&copy) != stamp(&own) {
        let _ = std::fs::remove_dir_all(&copy);
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&copy).expect("target is writable");
        // The stamp comes last, so that an unfinished copy is made anew.
        for name in ["lib", "stdlib", "runner.wasm", "version", "stamp"] {
            finish(Command::new("cp").arg("-a").arg(own.join(name)).arg(&copy))?;
        }
    }
    finish(Command::new(command()).args(["python-setup", "--portable"]).arg(&copy))?;
    Ok(Some(copy))
}

/// Returns the folder of the packages of PyPI. None if they can't be installed.
fn packages() -> Option<PathBuf> {
    let program = root().join("tests/python/packages.py");
    let output = Command::new("python3").arg(program).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn boot() -> Result<Report, Absence> {
    let root = root();
    let found = Command::new(root.join("scripts/kernel.sh")).arg("--ready").output();
    let found = found.map_err(|error| Absence::NotHere(format!("scripts/kernel.sh: {error}")))?;
    if !found.status.success() {
        let reason = String::from_utf8_lossy(&found.stderr);
        return Err(Absence::NotHere(reason.trim().trim_start_matches("kernel: ").to_owned()));
    }
    let kernel = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    run(&kernel, &root).map_err(Absence::Broken)
}

fn run(kernel: &Path, root: &Path) -> Result<Report, String> {
    let told = |what: &str| format!("the booted kernel: {what}");
    for program in guests() {
        compile(program)?;
    }
    let runner = runner()?;
    let work = tempfile::tempdir().map_err(|error| told(&error.to_string()))?;
    let file = |name: &str| work.path().join(name);
    let initramfs = initramfs(kernel, root, runner.as_deref())
        .map_err(|error| told(&format!("its initramfs: {error}")))?;
    std::fs::write(file("initramfs"), &initramfs).map_err(|error| told(&error.to_string()))?;
    // All files live in its memory, twice while they are unpacked. A hundred thousand sockets take
    // 300 MB of it.
    let megabytes = 1280 + 3 * initramfs.len() / 1_000_000;
    drop(initramfs);

    let start = Instant::now();
    let mut machine = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", &megabytes.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none"])
        .arg("-serial")
        .arg(prefixed("file:", &file("console")))
        .arg("-serial")
        .arg(prefixed("file:", &file("report")))
        .arg("-kernel")
        .arg(kernel.join("vmlinuz"))
        .arg("-initrd")
        .arg(file("initramfs"))
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on tsc=reliable cryptomgr.notests"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(file("complaints")).map_err(|error| told(&error.to_string()))?)
        .spawn()
        .map_err(|error| told(&format!("qemu-system-x86_64: {error}")))?;
    let ended = loop {
        match machine.try_wait() {
            Ok(Some(_)) => break "it stopped",
            Ok(None) if start.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) | Err(_) => {
                let _ = machine.kill();
                let _ = machine.wait();
                break "it took too long, and was stopped,";
            }
        }
    };
    let text = |name: &str| {
        std::fs::read(file(name))
            .map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let report = text("report");
    parse(&report, start.elapsed()).ok_or_else(|| {
        let (console, complaints) = (text("console"), text("complaints"));
        told(&format!(
            "{ended} without a whole report\n{report}\nits console:\n{console}\n{complaints}"
        ))
    })
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// Reads the output of the machine's `init` and of the test program in it. None if the end is
/// missing.
fn parse(report: &str, elapsed: Duration) -> Option<Report> {
    let mut outcomes = BTreeMap::new();
    let machine = report.lines().find(|line| line.starts_with("kernel "))?;
    let (tests, rest) = report.split_once("== skipped\n")?;
    let (skipped, _) = rest.split_once("status ")?;
    for line in tests.lines() {
        let Some((name, word)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            continue;
        };
        let outcome = match word {
            "ok" => Outcome::Passed,
            _ => {
                let begin = format!("---- {name} stdout ----\n");
                let output = tests.split_once(&begin).map_or("", |(_, rest)| rest);
                Outcome::Failed(output.split("\n----").next().unwrap_or_default().to_owned())
            }
        };
        outcomes.insert(name.to_owned(), outcome);
    }
    for line in skipped.lines() {
        let Some((name, reason)) = line.split_once(": ") else { continue };
        // A test that ran in part has its outcome.
        if outcomes.get(name) == Some(&Outcome::Passed) {
            outcomes.insert(name.to_owned(), Outcome::Skipped(reason.to_owned()));
        }
    }
    Some(Report { machine: format!("{machine}; {} s in all", elapsed.as_secs()), outcomes })
}

/// The kernel's own part, and ours: this program with its libraries, the guests, and the policies.
fn initramfs(kernel: &Path, root: &Path, runner: Option<&Path>) -> std::io::Result<Vec<u8>> {
    let mut archive =
        Archive { bytes: std::fs::read(kernel.join("base.cpio"))?, made: BTreeSet::new() };
    let program = std::env::current_exe()?;
    archive.add(OWN, &program)?;
    archive.add("/sandsock/release/sandsock", &command())?;
    let libraries = [libraries(&program)?, libraries(&command())?].concat();
    for library in BTreeSet::from_iter(libraries) {
        archive.add(&library, Path::new(&library))?;
    }
    let suites = FAMILIES.iter().map(|family| format!("{}::", family.suite));
    let chosen: Vec<_> = suites.chain(TESTS.iter().map(|test| (*test).to_owned())).collect();
    let script = format!(
        "export {BOOTED}=1 RUST_BACKTRACE=0\n{OWN} --test-threads=1 {}\nstatus=$?\necho '== skipped'\n\
         cat '{}' 2>/dev/null\nexit $status\n",
        chosen.join(" "),
        target().join("skipped.txt").display(),
    );
    archive.put("/sandsock/run", 0o100_755, script.as_bytes());
    // The programs look for their files at the same paths as on this machine.
    archive.folder(&Path::new(env!("CARGO_MANIFEST_DIR")).display().to_string());
    let here = |path: &Path| -> std::io::Result<String> {
        let path = path.canonicalize()?;
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| std::io::Error::other("the project's path is no text"))
    };
    for guest in guests() {
        archive.add(&here(&guest.path())?, &guest.path())?;
        let cache = cache(guest);
        archive.tree(&here(&cache)?, &cache)?;
    }
    if let Some(runner) = runner {
        archive.tree(RUNNER, runner)?;
        for script in SCRIPTS.iter().map(|name| root.join("tests/python").join(name)) {
            archive.add(&here(&script)?, &script)?;
        }
        if let Some(packages) = packages() {
            for name in PACKAGES {
                archive.tree(&format!("{SITE}/{name}"), &packages.join(name))?;
            }
        }
    }
    for example in EXAMPLES {
        let policy = root.join("examples/policies").join(example).with_extension("toml");
        archive.add(&here(&policy)?, &policy)?;
    }
    archive.put("/TRAILER!!!", 0, &[]);
    Ok(archive.bytes)
}

/// The shared libraries of a program, as `ldd` names them.
fn libraries(program: &Path) -> std::io::Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect())
}

/// A cpio archive in the form that the kernel unpacks (the kernel's
/// Documentation/driver-api/early-userspace/buffer-format.rst).
struct Archive {
    bytes: Vec<u8>,
    made: BTreeSet<String>,
}

impl Archive {
    /// Adds a file of this machine.
    fn add(&mut self, name: &str, file: &Path) -> std::io::Result<()> {
        let mut contents = Vec::new();
        File::open(file)?.read_to_end(&mut contents)?;
        self.put(name, 0o100_000 | (file.metadata()?.mode() & 0o777), &contents);
        Ok(())
    }

    /// Adds a file or a folder of this machine, and all below it.
    fn tree(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        if !path.is_dir() {
            return self.add(name, path);
        }
        if self.made.insert(name.to_owned()) {
            self.put(name, 0o040_000 | (path.metadata()?.mode() & 0o777), &[]);
        }
        for entry in path.read_dir()? {
            let entry = entry?;
            self.tree(&format!("{name}/{}", entry.file_name().display()), &entry.path())?;
        }
        Ok(())
    }

    /// Adds a folder, and those above it.
    fn folder(&mut self, name: &str) {
        if name.is_empty() || !self.made.insert(name.to_owned()) {
            return;
        }
        self.put(name, 0o040_755, &[]);
    }

    /// Adds an entry, and the folders above it.
    fn put(&mut self, name: &str, mode: u32, contents: &[u8]) {
        if let Some((above, _)) = name.rsplit_once('/') {
            self.folder(above);
        }
        let name = name.trim_start_matches('/');
        let number = self.made.len() as u32 + self.bytes.len() as u32;
        let fields =
            [number, mode, 0, 0, 1, 0, contents.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(b"070701");
        fields.iter().for_each(|field| {
            let _ = write!(self.bytes, "{field:08x}");
        });
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(contents);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let report = "kernel 6.1, ready after 2 s\nrunning 4 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest a::three ... ok\n\n\
                      failures:\n\n---- a::two stdout ----\nit was wrong\n\nfailures:\n    a::two\n\n== skipped\na::three: no such thing\nstatus 101\n";
        let parsed = parse(report, Duration::from_secs(7)).expect("it is whole");
        assert_eq!(parsed.outcomes["a::one"], Outcome::Passed);
        assert!(
            matches!(&parsed.outcomes["a::two"], Outcome::Failed(text) if text.starts_with("it was wrong\n"))
        );
        assert_eq!(parsed.outcomes["a::three"], Outcome::Skipped("no such thing".into()));
        assert!(
            parse(&report[..report.len() - 12], Duration::ZERO).is_none(),
            "the end is missing"
        );
    }
}
