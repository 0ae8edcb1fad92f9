//! The folders of a program's code. A guest reads them, and can't write to them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{anyhow, bail};

use super::view;
use crate::exit::Exit;
use crate::folders::{Folder, TrustedPath};
use crate::path_walk::{PathWalk, id};

/// CPython's status if the script can't be opened.
const NO_SCRIPT: u8 = 2;

/// The most files of a folder that are looked at in search of code.
const SEARCHED: usize = 100_000;

/// The most bytes of a script that is read from a pipe.
const SOURCE: u64 = 16 << 20;

/// A folder of code.
pub(super) struct CodeFolder {
    /// Its real path, which is the guest's name for it too.
    real: PathBuf,
    /// The guest's name as text.
    pub(super) guest: String,
    /// What the guest gets: the folder, or a view of it.
    pub(super) served: PathBuf,
}

/// The folders of a program's code, and what it needs to find them.
pub(crate) struct Code {
    pub(super) folders: Vec<CodeFolder>,
    /// The same folders, and the script.
    pub(crate) trusted: Vec<TrustedPath>,
    /// The script's real path. If the script is no file, the path as it was given.
    pub(crate) script: Option<String>,
    /// The script itself, if it is no file.
    pub(crate) source: Option<String>,
}

impl Code {
    /// Finds the script's folder, or the working directory's if there is no script. `sites` are the
    /// folders of `--site`.
    pub(crate) fn new(
        script: Option<&str>,
        working_directory: Option<&Path>,
        sites: &[PathBuf],
    ) -> Result<Self, Exit> {
        let mut code =
            Self { folders: Vec::new(), trusted: Vec::new(), script: None, source: None };
        if let Some(given) = script {
            code.add_script(given)?;
        } else if let Some(folder) = working_directory {
            code.add(folder, "the working directory, which modules are imported from", None)?;
        }
        for site in sites {
            let real = PathWalk::of(site).end;
            if site.as_os_str().is_empty() || !real.is_dir() {
                return Err(anyhow!("--site {}: there is no such folder", site.display()).into());
            }
            code.add(&real, "a folder of --site", None)?;
        }
        Ok(code)
    }

    fn add_script(&mut self, given: &str) -> Result<(), Exit> {
        // CPython: the name of the working directory may be empty.
        let path = Path::new(if given.is_empty() { "." } else { given });
        let real = PathWalk::of(path).end;
        let closed = |error: std::io::Error| Exit {
            status: NO_SCRIPT,
            error: anyhow!("can't open file '{}': {}", real.display(), plain(&error)),
        };
        // The link of a pipe's descriptor has no path for an end, so the kernel follows it.
        let there = path.metadata().map_err(closed)?;
        if !there.is_file() && !there.is_dir() {
            code_of_stream(path).map(|source| self.source = Some(source)).map_err(|error| {
                Exit { status: NO_SCRIPT, error: error.context(format!("can't read '{given}'")) }
            })?;
            self.script = Some(given.to_owned());
            return Ok(());
        }
        File::open(&real).map_err(closed)?;
        self.script = Some(guest_name(&real)?);
        // CPython: a folder with a `__main__.py` is a program too.
        let folder = if there.is_dir() { real.as_path() } else { real.parent().unwrap_or(&real) };
        self.add(folder, "the folder of the script", real.file_name())?;
        self.trusted.push(TrustedPath::file(&real, "the script"));
        Ok(())
    }

    fn add(&mut self, folder: &Path, what: &str, script: Option<&OsStr>) -> Result<(), Exit> {
        let guest = guest_name(folder)?;
        if self.folders.iter().any(|other| other.guest == guest) {
            return Ok(());
        }
        let served = if view::is_needed(folder) {
            say!(
                "{guest} holds more than a program, so the program can read only the Python files and packages in it; put the script \
                 into a folder of its own, or give a folder with --dir"
            );
            view::of(folder, script)?
        } else {
            folder.to_owned()
        };
        self.folders.push(CodeFolder { real: folder.to_owned(), guest, served });
        self.trusted.push(TrustedPath::file(folder, what));
        Ok(())
    }

    /// Joins the folders of `--dir` with those of the code. A folder that is given twice by the same
    /// name is one.
    ///
    /// # Errors
    /// A writable folder lies in a folder of code and has code itself, or the name of one is taken.
    pub(crate) fn join(&self, given: Vec<Folder>) -> anyhow::Result<Vec<Folder>> {
        for folder in given.iter().filter(|folder| folder.writable) {
            let real = PathWalk::of(&folder.host).end;
            let inside = |code: &&CodeFolder| real.starts_with(&code.real) && real != code.real;
            let Some(code) = self.folders.iter().find(inside) else { continue };
            if let Some(file) = code_in(&real)? {
                bail!(
                    "{folder} holds {}, and lies in {}, from which the program imports its code: a guest that may write there could \
                     change the code; give the folder read-only with --dir {}:ro, or keep the two apart",
                    file.display(),
                    code.guest,
                    folder.host.display()
                );
            }
        }
        let mut all = given;
        for code in &self.folders {
            match all.iter().find(|folder| folder.guest == code.guest) {
                None => all.push(Folder {
                    host: code.served.clone(),
                    guest: code.guest.clone(),
                    writable: false,
                }),
                // A writable one is refused as every folder that holds code.
                Some(same) if id(&same.host).ok() == id(&code.real).ok() => {}
                Some(other) => bail!(
                    "{other}: the guest's name {} is that of a folder of the program's code; give it another name",
                    other.guest
                ),
            }
        }
        Ok(all)
    }
}

/// Returns a folder of `--dir` with absolute names, by which a program finds it as it would outside. A
/// guest has no working directory of its own.
pub(crate) fn absolute(folder: Folder, working_directory: &Path) -> Folder {
    let mut name = PathBuf::new();
    for part in working_directory.join(&folder.guest).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(name.pop()),
            part => name.push(part),
        }
    }
    let host = working_directory.join(&folder.host);
    Folder { host, guest: name.to_string_lossy().into_owned(), ..folder }
}

/// Returns a path as text, which is all that a component can be given.
pub(crate) fn guest_name(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        anyhow!("{}: the name is not UTF-8, as WebAssembly's names are", path.display())
    })
}

/// Returns a file of this folder, or below it, that Python could import.
fn code_in(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let mut left = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > SEARCHED {
                bail!(
                    "{}: too many files to search for code; keep it apart from the program's code",
                    folder.display()
                );
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(path),
                _ if is_code(&path) => return Ok(Some(path)),
                _ => {}
            }
        }
    }
    Ok(None)
}

/// Returns whether Python could import a file.
fn is_code(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["py", "pyc", "so", "pth"].iter().any(|code| end == *code))
}

/// Reads a script from a pipe or a device, which a guest can't open.
fn code_of_stream(path: &Path) -> anyhow::Result<String> {
    let mut source = String::new();
    let read = File::open(path)?.take(SOURCE + 1).read_to_string(&mut source);
    match read {
        Ok(_) if source.len() as u64 > SOURCE => {
            bail!("a script from a pipe may have {} MiB", SOURCE >> 20)
        }
        Ok(_) => Ok(source),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            bail!("a script from a pipe must be UTF-8; put it into a file")
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the text of an error, without the number that Rust adds.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
