//! Compiled code: from a cache, or from a process that does nothing but compile.
//!
//! A cache is a folder with one file for each component and each choice of settings. The code is
//! mapped from the file, so processes share its pages. A component that is not there is compiled by
//! a process of its own, which gets the component on standard input and writes the code to standard
//! output. It can open no file and no socket, so a component that misleads the compiler changes
//! nothing but its own code.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustix::fs::{MemfdFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens, memfd_create};
use rustix::process::geteuid;
use sandsock_harden::Hardening;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache;
use crate::exit::{Exit, into_anyhow};
use crate::settings::Settings;

/// The hidden subcommand that compiles.
const COMPILE: &str = "compile";

/// man 7 inode: all rights of the group and of others.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// A cache of compiled code.
pub(crate) struct Cache {
    /// The name of its folder.
    pub(crate) name: &'static str,
    /// What is compiled, for messages.
    pub(crate) what: &'static str,
    /// The most files that are kept, and the most bytes. Those that were used last stay.
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// The cache of components.
pub(crate) const COMPONENTS: Cache =
    Cache { name: cache::COMPILED, what: "compiled components are", files: 1000, bytes: 1 << 30 };

impl Cache {
    /// Returns the code of a component for an engine, which has these settings. `key` is the name of
    /// its contents in the cache. `bytes` gives the component, if it must be compiled.
    ///
    /// # Errors
    /// The component can't be compiled.
    pub(crate) fn code(
        &self,
        settings: Settings,
        engine: &Engine,
        key: &str,
        bytes: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Code> {
        let Some(folder) = self.folder() else {
            return Code::new(engine, compiled(settings, &bytes()?)?);
        };
        let path = folder.join(name(engine, key));
        if let Some(code) = Code::open(engine, &path) {
            return Ok(code);
        }
        let bytes = bytes()?;
        let file = match compile_to(settings, &bytes, &path) {
            Ok(file) => file,
            Err(Failed::Compile(error)) => return Err(error),
            Err(Failed::Write(error)) => {
                tracing::warn!("{} not cached: {}: {error}", self.what, path.display());
                compiled(settings, &bytes)?
            }
        };
        self.remove_oldest(&folder);
        Code::new(engine, file)
    }

    /// Returns the folder, and makes it if needed. None, and a message, if it can't be used.
    fn folder(&self) -> Option<PathBuf> {
        let folder = cache::folder(self.name)?;
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
            tracing::info!("{} not cached: {}: {error}", self.what, folder.display());
            return None;
        }
        if let Err(why) = cache::proven(&folder) {
            tracing::warn!("{} not cached: {why}", self.what);
            return None;
        }
        Some(folder)
    }

    /// Removes the files that were not used for the longest time.
    fn remove_oldest(&self, folder: &Path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "cwasm" || end == "new"))
            .filter_map(|path| {
                let there = path.metadata().ok()?;
                Some((there.modified().ok()?, there.len(), path))
            })
            .collect();
        files.sort();
        files.reverse();
        let mut bytes = 0;
        for (at, (_, length, path)) in files.iter().enumerate() {
            bytes += length;
            // The first is the one that was just made.
            if at > 0 && (at >= self.files || bytes > self.bytes) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Compiled code, in a file that nobody else can have written or will change.
pub(crate) struct Code {
    file: File,
    pub(crate) component: Component,
}

impl Code {
    /// Opens a file of compiled code, if only this user can have written it and it is for this
    /// engine. The caller has checked its folder.
    pub(crate) fn open(engine: &Engine, path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let there = file.metadata().ok()?;
        if !there.is_file() || private(&there).is_err() {
            return None;
        }
        let code = Self::new(engine, file)
            .inspect_err(|error| tracing::info!("compiled code is not used: {error:#}"))
            .ok()?;
        // The time says when it was used. An error only makes the file look older.
        let age = there.modified().ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(3600)) {
            let time = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
            let used =
                Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
            let _ = futimens(&code.file, &used);
        }
        Some(code)
    }

    /// Maps the code of a file that [`Code::open`] has checked, or that was just compiled.
    fn new(engine: &Engine, file: File) -> anyhow::Result<Self> {
        // The path of the open file leads to what was checked.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        // wasmtime maps the code, and runs it without a check. The file is this user's and closed to
        // all others, and so is its folder: `Code::open` and its callers have checked that. Or it is
        // this process's own memory. Only the process that compiles writes it, whole and before it
        // gets its name. wasmtime refuses code of another version, for other settings, or for a
        // processor that can do more than this one.
        #[expect(unsafe_code, reason = "the loader of compiled code")]
        // SAFETY: the file has what `precompile_component` returned, and nobody changes it: see
        // above.
        let component = unsafe { Component::deserialize_file(engine, open) };
        Ok(Self { file, component: component.map_err(into_anyhow)? })
    }

    /// Maps the code for another engine, which must have the same settings but for its pool.
    pub(crate) fn again(&self, engine: &Engine) -> anyhow::Result<Component> {
        let file = self.file.try_clone().context("no descriptor is free")?;
        Ok(Self::new(engine, file)?.component)
    }
}

/// A file in memory.
fn memory(name: &str) -> anyhow::Result<File> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC);
    Ok(file.map_err(std::io::Error::from).context("can't make a file in memory")?.into())
}

/// Checks that a file is this user's, and that nobody else has a right to it.
pub(crate) fn private(there: &Metadata) -> Result<(), String> {
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

/// Returns the name of a file: of the component's contents, and of wasmtime's version and settings.
fn name(engine: &Engine, key: &str) -> String {
    use std::hash::{Hash as _, Hasher as _};
    // The hasher's keys are constants, so that each process has the same names.
    #[expect(
        deprecated,
        reason = "DefaultHasher promises no algorithm, and a wrong guess costs a compilation"
    )]
    let mut hasher = std::hash::SipHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{key}-{:016x}.cwasm", hasher.finish())
}

/// Why there is no file of compiled code.
pub(crate) enum Failed {
    /// The component can't be compiled.
    Compile(anyhow::Error),
    /// The file can't be written.
    Write(std::io::Error),
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Compile(error) => error,
            Failed::Write(error) => error.into(),
        }
    }
}

/// Compiles a component into a file that only this user can read. It gets its name when it is whole.
pub(crate) fn compile_to(
    settings: Settings,
    component: &[u8],
    path: &Path,
) -> Result<File, Failed> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&temporary).map_err(Failed::Write)?;
    let made = compile(settings, component, &file)
        .map_err(Failed::Compile)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(Failed::Write));
    if made.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    made.map(|()| file)
}

/// Compiles a component into memory.
fn compiled(settings: Settings, component: &[u8]) -> anyhow::Result<File> {
    let memory = memory("code")?;
    compile(settings, component, &memory)?;
    Ok(memory)
}

/// Compiles a component in a process of its own, which writes the code to `to`. With `--no-harden`,
/// this process compiles it.
fn compile(settings: Settings, component: &[u8], to: &File) -> anyhow::Result<()> {
    if settings.no_harden {
        let code = settings.engine()?.precompile_component(component).map_err(into_anyhow)?;
        return (&mut &*to).write_all(&code).context("can't write the code");
    }
    let can_not = "can't start the process that compiles";
    let mut from = memory("component")?;
    from.write_all(component).context(can_not)?;
    from.seek(SeekFrom::Start(0)).context(can_not)?;
    // The path leads to this program even if its file was replaced.
    let mut command = Command::new("/proc/self/exe");
    command.arg(COMPILE).args(settings.words()).env_remove("SANDSOCK_LOG");
    let output = command
        .stdin(from)
        .stdout(to.try_clone().context(can_not)?)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context(can_not)?;
    let text = String::from_utf8_lossy(&output.stderr);
    match text.trim_end() {
        _ if output.status.success() => Ok(()),
        "" => Err(anyhow!("the process that compiles has ended: {}", output.status)),
        text => Err(anyhow!("{}", text.strip_prefix("sandsock: ").unwrap_or(text))),
    }
}

/// What the hidden subcommand takes.
#[derive(Args)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    settings: Settings,
}

/// Compiles standard input to standard output, in a process that can do nothing else.
pub(crate) fn compile_input(args: &CompileArgs) -> Result<ExitCode, Exit> {
    let applied = Hardening::closed().apply();
    applied.context("the process that compiles can't restrict itself")?;
    let mut component = Vec::new();
    std::io::stdin().read_to_end(&mut component).context("standard input")?;
    let code = args.settings.engine()?.precompile_component(&component).map_err(into_anyhow)?;
    std::io::stdout().write_all(&code).context("can't write the code")?;
    Ok(ExitCode::SUCCESS)
}
