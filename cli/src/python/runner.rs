//! The runner: where it is, and its compiled code.
//!
//! The runner holds the secret of CPython's string hashes, so it is used only if nobody but its
//! owner can read it. Its compiled code is in the user's own cache, and is mapped from there. So a
//! process needs no compiler, and processes share the pages of the code. A runner that goes to other
//! machines can have portable code in its own folder instead.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use wasmtime::Engine;

use crate::cache;
use crate::compiled::{Cache, Code, compile_to, private};
use crate::engine::Loaded;
use crate::exit::Exit;
use crate::folders::{Folder, TrustedPath};
use crate::settings::Settings;
use crate::threads;

/// The files of a runner's folder.
const COMPONENT: &str = "runner.wasm";
const STDLIB: &str = "stdlib";
const STAND_INS: &str = "lib";
const VERSION: &str = "version";
/// The portable code with threads, and without.
const PORTABLE: [(bool, &str); 2] = [(true, "threads.cwasm"), (false, "plain.cwasm")];

/// The guest's names of the last two folders. `python/runner` has the same.
pub(crate) const GUEST_STDLIB: &str = "/python";
pub(crate) const GUEST_STAND_INS: &str = "/python-lib";

/// The version of the command, with the number of the arguments that it gives to the runner.
pub(super) const OWN_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " 3");

/// The most compiled runners that the cache keeps. Each has about 45 MB.
const KEPT: usize = 8;

/// A runner's folder.
pub(crate) struct Runner {
    pub(super) folder: PathBuf,
}

impl Runner {
    /// Finds the runner in the folder of `--runner`, or else the user's own, or the one beside the
    /// command as it is installed (`../lib/sandsock/python`) or built (`../python`).
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Exit> {
        let beside = beside();
        let installed = beside.join("../lib/sandsock/python");
        let places = match given {
            Some(given) => vec![given.to_owned()],
            None => {
                let own = own_place().into_iter();
                own.chain([installed.clone(), beside.join("../python")]).collect()
            }
        };
        // A folder that this user can't look into is there too. What is wrong with it is said later.
        let there = |place: &&PathBuf| place.join(VERSION).exists() || place.is_dir();
        let there: Vec<Self> =
            places.iter().filter(there).map(|folder| Self { folder: folder.clone() }).collect();
        // One that can be used comes before all others.
        let best = there.iter().position(|runner| runner.check().is_ok()).unwrap_or(0);
        there.into_iter().nth(best).ok_or_else(|| missing(given.unwrap_or(&installed)))
    }

    /// Checks that the runner was made for this command.
    pub(crate) fn check(&self) -> Result<(), Exit> {
        let path = self.folder.join(VERSION);
        let version = std::fs::read_to_string(&path).unwrap_or_default();
        if version.trim() != OWN_VERSION {
            self.component()?;
            return Err(Exit::load(anyhow!(
                "{}: this Python runner was made for another version of sandsock; make it anew with `{}`",
                self.folder.display(),
                build()
            )));
        }
        Ok(())
    }

    /// Marks the folder as one that was made for this command.
    pub(super) fn mark(&self) -> anyhow::Result<()> {
        let path = self.folder.join(VERSION);
        std::fs::write(&path, OWN_VERSION)
            .with_context(|| format!("{}: can't write", path.display()))
    }

    /// Opens the component, if only this user can read it.
    fn component(&self) -> Result<File, Exit> {
        let path = self.folder.join(COMPONENT);
        let file = File::open(&path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                return missing(&self.folder);
            }
            Exit::load(anyhow::Error::new(error).context(format!(
                "{}: can't read the Python runner, which only its owner may; build one of your own with `{}`",
                path.display(),
                build()
            )))
        })?;
        let there = file.metadata().with_context(|| format!("{}", path.display()))?;
        private(&there).map_err(|why| {
            Exit::load(anyhow!(
                "{}: {why}; the runner holds the secret of Python's string hashes, so nobody but its owner may read it",
                path.display()
            ))
        })?;
        Ok(file)
    }

    /// Returns the folders that every Python program gets.
    pub(crate) fn folders(&self, writable: bool) -> [Folder; 2] {
        [(STAND_INS, GUEST_STAND_INS), (STDLIB, GUEST_STDLIB)].map(|(name, guest)| Folder {
            host: self.folder.join(name),
            guest: guest.to_owned(),
            writable,
        })
    }

    /// Returns what no guest may write to.
    pub(crate) fn trusted(&self) -> Vec<TrustedPath> {
        let folder =
            |path: PathBuf, what: &str| TrustedPath { path, what: what.to_owned(), folder: true };
        let mut trusted = vec![folder(self.folder.clone(), "the Python runner")];
        trusted.extend(cache::folder(CACHE).map(|path| folder(path, "its compiled code")));
        trusted
    }

    /// Compiles the runner into its own folder, for every processor of this architecture, unless that
    /// is done.
    pub(super) fn compile_portable(&self) -> Result<(), Exit> {
        let file = self.component()?;
        for (threads, name) in PORTABLE {
            let own = settings(threads, false);
            if self.portable(&own.engine()?, &file, threads).is_some() {
                continue;
            }
            let portable = Settings { portable: true, ..own };
            compile_to(portable, &self.bytes(threads)?, &self.folder.join(name))
                .map_err(|error| self.broken(error.into()))?;
        }
        Ok(())
    }

    /// Takes the portable code, if the runner's folder has it and only this user can write there.
    fn portable(&self, engine: &Engine, component: &File, threads: bool) -> Option<Code> {
        let (_, name) = PORTABLE.iter().find(|(with, _)| *with == threads)?;
        let path = self.folder.join(name);
        let compiled = path.metadata().ok()?.modified().ok()?;
        if component.metadata().ok()?.modified().ok()? > compiled {
            tracing::warn!("{} is not used: the runner is newer", path.display());
            return None;
        }
        if let Err(why) = cache::proven(&self.folder) {
            tracing::warn!("{} is not used: {why}", path.display());
            return None;
        }
        Code::open(engine, &path)
    }

    /// Returns the runner, compiled. If neither its folder nor the cache has its code, compiles it,
    /// which takes half a minute.
    ///
    /// With `threads`, the program can start threads. Without, it runs on an engine that supports
    /// none, where each call of the host is quicker.
    pub(crate) fn load(&self, threads: bool, no_harden: bool) -> Result<Loaded, Exit> {
        let file = self.component()?;
        let settings = settings(threads, no_harden);
        let engine = settings.engine()?;
        let code = match self.portable(&engine, &file, threads) {
            Some(code) => code,
            None => {
                let there =
                    file.metadata().with_context(|| format!("{}", self.folder.display()))?;
                let bytes = || {
                    say!("compiling the Python runner, which is done once");
                    self.bytes(threads)
                };
                RUNNERS
                    .code(settings, &engine, &key(&there), bytes)
                    .map_err(|error| self.broken(error))?
            }
        };
        let component = code.component;
        Ok(Loaded { engine, component, concurrent: threads, threads, provider: None })
    }

    /// Returns what identifies the component's contents.
    pub(super) fn identity(&self) -> anyhow::Result<String> {
        let there = self.folder.join(COMPONENT).metadata()?;
        let (seconds, nanoseconds) = (there.mtime(), there.mtime_nsec());
        Ok(format!("{} {} {} {seconds} {nanoseconds}", there.dev(), there.ino(), there.size()))
    }

    fn bytes(&self, threads: bool) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.join(COMPONENT);
        let bytes =
            std::fs::read(&path).with_context(|| format!("{}: can't read", path.display()))?;
        if !threads {
            return Ok(bytes);
        }
        threads::link(&bytes)
            .with_context(|| format!("{}: can't give the Python runner threads", path.display()))
    }

    fn broken(&self, error: anyhow::Error) -> Exit {
        Exit::load(error.context(format!(
            "{}: can't compile the Python runner; make it anew with `{}`",
            self.folder.display(),
            build()
        )))
    }
}

/// Returns the error for a folder without a runner.
fn missing(folder: &Path) -> Exit {
    Exit::load(anyhow!(
        "there is no Python runner in {}; `{}` builds it, and --runner names its folder",
        folder.display(),
        build()
    ))
}

/// Returns the folder of this command.
fn beside() -> PathBuf {
    let command = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    command.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Returns the place of the user's own runner. The XDG base directory specification: relative paths
/// are ignored.
fn own_place() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let base = given.filter(|path| path.is_absolute()).or_else(|| {
        Some(std::env::home_dir().filter(|home| home.is_absolute())?.join(".local/share"))
    })?;
    Some(base.join("sandsock/python"))
}

/// Returns the command line that builds a runner for this user.
fn build() -> String {
    let script = beside().join("../lib/sandsock/parts/scripts/python.sh");
    match script.canonicalize() {
        Ok(script) => script.display().to_string(),
        Err(_) => "make python".to_owned(),
    }
}

/// The name of the cache's folder.
pub(super) const CACHE: &str = "python";

/// The cache of compiled runners.
const RUNNERS: Cache =
    Cache { name: CACHE, what: "the compiled Python runner is", files: KEPT, bytes: u64::MAX };

/// Returns the settings of the runner's engine.
fn settings(threads: bool, no_harden: bool) -> Settings {
    Settings { concurrent: threads, threads, runner: true, no_harden, ..Settings::default() }
}

/// Returns what identifies the contents of a file.
fn key(there: &Metadata) -> String {
    let numbers = [there.dev(), there.ino(), there.size()];
    let times = [there.mtime(), there.mtime_nsec()].map(i64::cast_unsigned);
    let numbers: Vec<_> = numbers.iter().chain(&times).map(|part| format!("{part:x}")).collect();
    numbers.join("-")
}

/// Makes a folder that only this user can use, and checks that nobody else could have written into it.
pub(super) fn private_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("{}: can't make the folder", folder.display()))?;
    cache::proven(folder).map_err(anyhow::Error::msg)
}

/// Writes a file that only this user can read. It gets its name when it is whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)
}
