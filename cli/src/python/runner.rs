//! The runner: where it is, and its compiled code.
//!
//! The runner holds the secret of CPython's string hashes, so it is used only if nobody but its
//! owner can read it. Its compiled code is in the user's own cache, and is mapped from there. So a
//! process needs no compiler, and processes share the pages of the code.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use rustix::process::geteuid;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache;
use crate::engine::{Loaded, runner_config};
use crate::exit::{Exit, into_anyhow};
use crate::folders::{Folder, TrustedPath};
use crate::threads;

/// The files of a runner's folder.
const COMPONENT: &str = "runner.wasm";
const STDLIB: &str = "stdlib";
const STAND_INS: &str = "lib";
const VERSION: &str = "version";

/// The guest's names of the last two folders. `python/runner` has the same.
pub(crate) const GUEST_STDLIB: &str = "/python";
pub(crate) const GUEST_STAND_INS: &str = "/python-lib";

/// The version of the command, with the number of the arguments that it gives to the runner.
const OWN_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " 1");

/// man 7 inode: all rights of the group and of others.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// The most compiled runners that the cache keeps. Each has about 45 MB.
const KEPT: usize = 8;

/// A runner's folder.
pub(crate) struct Runner {
    folder: PathBuf,
}

impl Runner {
    /// Finds the runner in the folder of `--runner`, or else beside the command as it is installed
    /// (`../lib/sandsock/python`) or built (`../python`).
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Exit> {
        let command =
            std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
        let beside = command.parent().unwrap_or(Path::new("/"));
        let places = match given {
            Some(given) => vec![given.to_owned()],
            None => vec![beside.join("../lib/sandsock/python"), beside.join("../python")],
        };
        // A folder that this user can't look into is there too. What is wrong with it is said later.
        let there = |place: &&PathBuf| place.join(VERSION).exists() || place.is_dir();
        match places.iter().find(there) {
            Some(folder) => Ok(Self { folder: folder.clone() }),
            None => Err(Exit::load(anyhow!(
                "there is no Python runner in {}; `make python` builds it, `make install` installs it, and --runner names its folder",
                places[0].display()
            ))),
        }
    }

    /// Checks that the runner was made for this command.
    pub(crate) fn check(&self) -> Result<(), Exit> {
        let path = self.folder.join(VERSION);
        let version = std::fs::read_to_string(&path).unwrap_or_default();
        if version.trim() != OWN_VERSION {
            self.component()?;
            return Err(Exit::load(anyhow!(
                "{}: this Python runner was made for another version of sandsock; make it anew with `make python`",
                self.folder.display()
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
        let file = File::open(&path)
            .with_context(|| {
                format!(
                    "{}: can't read the Python runner, which only its owner may; build one of your own with `make python`",
                    path.display()
                )
            })
            .map_err(Exit::load)?;
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

    /// Returns the runner, compiled. If the cache does not have its code, compiles it, which takes
    /// half a minute.
    ///
    /// With `threads`, the program can start threads. Without, it runs on an engine that supports
    /// none, where each call of the host is quicker.
    pub(crate) fn load(&self, threads: bool) -> Result<Loaded, Exit> {
        let file = self.component()?;
        let engine = Engine::new(&runner_config(threads)).map_err(into_anyhow)?;
        let component = match self.cached(&engine, &file, threads) {
            Ok(component) => component,
            Err(why) => {
                tracing::warn!("the compiled Python runner is not cached: {why:#}");
                Component::from_binary(&engine, &self.bytes(threads)?)
                    .map_err(into_anyhow)
                    .map_err(|error| self.broken(error))?
            }
        };
        Ok(Loaded { engine, component, concurrent: threads, threads, provider: None })
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
            "{}: can't compile the Python runner; make it anew with `make python`",
            self.folder.display()
        )))
    }

    /// Takes the compiled code from the cache. Compiles it first if it is not there.
    fn cached(&self, engine: &Engine, file: &File, threads: bool) -> anyhow::Result<Component> {
        let Some(folder) = cache::folder(CACHE) else {
            bail!("neither XDG_CACHE_HOME nor a home folder is known");
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("{}", folder.display()))?;
        cache::proven(&folder).map_err(anyhow::Error::msg)?;
        let path = folder.join(name(engine, &file.metadata()?));
        if let Some(component) = mapped(engine, &path) {
            return Ok(component);
        }
        say!("compiling the Python runner, which is done once");
        let code = engine.precompile_component(&self.bytes(threads)?).map_err(into_anyhow)?;
        write(&path, &code).with_context(|| format!("{}: can't write", path.display()))?;
        remove_oldest(&folder);
        mapped(engine, &path).with_context(|| format!("{}: can't be used", path.display()))
    }
}

/// The name of the cache's folder.
pub(super) const CACHE: &str = "python";

/// Checks that a file is this user's, and that nobody else has a right to it.
fn private(there: &Metadata) -> Result<(), String> {
    let own = geteuid().as_raw();
    if there.uid() != own {
        return Err(format!("it belongs to user {} and not to {own}, who runs this", there.uid()));
    }
    match there.mode() & 0o7777 {
        mode if mode & RIGHTS_OF_OTHERS != 0 => {
            Err(format!("it is open to others (mode {mode:04o}); chmod go= makes it private"))
        }
        _ => Ok(()),
    }
}

/// Returns the name of the compiled form of a component. It has what identifies the file's
/// contents, and wasmtime's version and settings.
fn name(engine: &Engine, component: &Metadata) -> String {
    use std::hash::{Hash as _, Hasher as _};
    // The hasher's keys are constants, so that each process has the same names.
    #[expect(
        deprecated,
        reason = "DefaultHasher promises no algorithm, and a wrong guess costs a compilation"
    )]
    let mut hasher = std::hash::SipHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    for number in [component.dev(), component.ino(), component.size()] {
        number.hash(&mut hasher);
    }
    [component.mtime(), component.mtime_nsec()].hash(&mut hasher);
    format!("{:016x}.cwasm", hasher.finish())
}

/// Maps compiled code from a file that only this user can have written, if it is for this engine.
fn mapped(engine: &Engine, path: &Path) -> Option<Component> {
    let file = File::open(path).ok()?;
    let there = file.metadata().ok()?;
    if !there.is_file() || private(&there).is_err() {
        return None;
    }
    // The path of the open file leads to what was checked.
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    // wasmtime maps the code, and runs it without a check. The file is this user's and closed to all
    // others, and so is its folder: `cached` has checked that. Only `cached` writes such files, whole
    // and before they get their name. wasmtime refuses code of another version or other settings.
    #[expect(unsafe_code, reason = "the loader of compiled code")]
    // SAFETY: the file has what `precompile_component` returned, and nobody changes it: see above.
    let component = unsafe { Component::deserialize_file(engine, open) };
    component.inspect_err(|error| tracing::info!("compiled code is not used: {error:#}")).ok()
}

/// Writes a file that only this user can read. It gets its name when it is whole.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)
}

/// Removes all compiled runners but the newest.
fn remove_oldest(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "cwasm" || end == "new"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    files.reverse();
    for (_, path) in files.iter().skip(KEPT) {
        let _ = std::fs::remove_file(path);
    }
}
