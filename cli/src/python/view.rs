//! A view of a folder that holds more than a program: `/`, a home folder, or one for temporary
//! files. A guest with a script there shall not read everything else. So it gets a copy of what Python
//! can import from the folder, which is kept in the user's own cache.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;

use super::runner::{CACHE, private_folder};
use crate::cache;

/// The most that is copied. A folder with more code is not one that a script lies in by chance.
const FILES: usize = 20_000;
const BYTES: u64 = 256 << 20;

/// The folders for temporary files, beside the one of TMPDIR.
const TEMPORARY: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run/shm"];

/// Returns whether a folder holds more than a program: by its real path.
pub(super) fn is_needed(folder: &Path) -> bool {
    let same = |other: &Path| other.canonicalize().is_ok_and(|other| other == folder);
    folder.parent().is_none()
        || folder.parent() == Some(Path::new("/home"))
        || std::env::home_dir().is_some_and(|home| same(&home))
        || same(&std::env::temp_dir())
        || TEMPORARY.iter().any(|temporary| same(Path::new(temporary)))
}

/// Copies what Python can import from a folder, and the script. Returns the copy.
///
/// # Errors
/// There is too much, or the cache can't be used.
pub(super) fn of(folder: &Path, script: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    let view = place(folder)?;
    let mut copy = Copy { files: 0, bytes: 0 };
    copy.level(folder, &view, &|name, there| {
        let package = there.is_dir() && folder.join(name).join("__init__.py").is_file();
        package || there.is_file() && (Some(name) == script || has_ending(name, "py"))
    })
    .with_context(|| {
        format!(
            "{}: can't copy the code in it; put the program into a folder of its own",
            folder.display()
        )
    })?;
    Ok(view)
}

/// Makes the folder of a view.
fn place(folder: &Path) -> anyhow::Result<PathBuf> {
    let Some(cache) = cache::folder(CACHE) else {
        bail!(
            "neither XDG_CACHE_HOME nor a home folder is known, so there is no room for a copy of the code"
        );
    };
    // A folder has one view, so its name comes from the path.
    #[expect(deprecated, reason = "DefaultHasher promises no algorithm")]
    let mut hasher = std::hash::SipHasher::new();
    folder.hash(&mut hasher);
    let view = cache.join("views").join(format!("{:016x}", hasher.finish()));
    private_folder(&view)?;
    Ok(view)
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("{}: can't make the folder", folder.display()))
}

fn has_ending(name: &OsStr, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == ending)
}

/// How much has been copied.
struct Copy {
    files: usize,
    bytes: u64,
}

impl Copy {
    /// Copies the entries of a folder that `takes` accepts, and all below them. Removes all others
    /// from the copy.
    fn level(
        &mut self,
        from: &Path,
        to: &Path,
        takes: &dyn Fn(&OsStr, &Metadata) -> bool,
    ) -> anyhow::Result<()> {
        let mut taken = HashSet::new();
        for entry in from.read_dir()? {
            let entry = entry?;
            // A link may lead to anything. Other users can put files into a folder for temporary
            // files.
            let Ok(there) = entry.metadata() else { continue };
            let owner = there.uid();
            if there.is_symlink() || (owner != geteuid().as_raw() && owner != 0) {
                continue;
            }
            let name = entry.file_name();
            if name == "__pycache__" || !takes(&name, &there) {
                continue;
            }
            let copy = to.join(&name);
            if there.is_dir() {
                make(&copy)?;
                self.level(&entry.path(), &copy, &|_, there| there.is_dir() || there.is_file())?;
            } else {
                self.file(&entry.path(), &there, &copy)?;
            }
            taken.insert(name);
        }
        for old in to.read_dir()?.flatten().filter(|old| !taken.contains(&old.file_name())) {
            let is_folder = old.file_type().is_ok_and(|kind| kind.is_dir());
            let remove = if is_folder { std::fs::remove_dir_all } else { std::fs::remove_file };
            remove(old.path())?;
        }
        Ok(())
    }

    /// Copies one file, if its copy is not there or has another size or time.
    fn file(&mut self, from: &Path, there: &Metadata, to: &Path) -> anyhow::Result<()> {
        self.files += 1;
        self.bytes += there.len();
        if self.files > FILES || self.bytes > BYTES {
            bail!("there are more than {FILES} files or {} MiB", BYTES >> 20);
        }
        let modified = there.modified()?;
        let same = |copy: Metadata| {
            copy.len() == there.len() && copy.modified().is_ok_and(|time| time == modified)
        };
        if to.symlink_metadata().is_ok_and(same) {
            return Ok(());
        }
        // The file gets its name when it is whole, because another run may read the copy.
        let temporary = to.with_extension(format!("{}.new", std::process::id()));
        let mut copy = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        std::io::copy(&mut File::open(from)?, &mut copy)?;
        copy.set_modified(modified)?;
        Ok(std::fs::rename(&temporary, to)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn view_has_what_can_be_imported() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        for folder in ["package/data", "package/__pycache__", "other"] {
            std::fs::create_dir_all(from.join(folder)).unwrap();
        }
        for file in [
            "a.py",
            "script",
            "secret.txt",
            ".netrc",
            "package/__init__.py",
            "package/data/x.txt",
            "package/__pycache__/y.pyc",
            "other/b.py",
        ] {
            std::fs::write(from.join(file), file).unwrap();
        }
        symlink("secret.txt", from.join("link.py")).unwrap();
        std::fs::create_dir(&to).unwrap();
        let view = || {
            let takes = |name: &OsStr, there: &Metadata| {
                there.is_dir() && from.join(name).join("__init__.py").is_file()
                    || name == "script"
                    || has_ending(name, "py")
            };
            Copy { files: 0, bytes: 0 }.level(&from, &to, &takes).unwrap();
            let mut names = Vec::new();
            let mut left = vec![to.clone()];
            while let Some(folder) = left.pop() {
                for entry in folder.read_dir().unwrap().flatten() {
                    match entry.file_type().unwrap().is_dir() {
                        true => left.push(entry.path()),
                        false => names
                            .push(entry.path().strip_prefix(&to).unwrap().display().to_string()),
                    }
                }
            }
            names.sort();
            names
        };
        let whole = ["a.py", "package/__init__.py", "package/data/x.txt", "script"];
        assert_eq!(view(), whole);
        assert_eq!(view(), whole);
        std::fs::remove_file(from.join("package/__init__.py")).unwrap();
        std::fs::write(from.join("a.py"), "changed").unwrap();
        assert_eq!(view(), ["a.py", "script"]);
        assert_eq!(std::fs::read_to_string(to.join("a.py")).unwrap(), "changed");
    }

    #[test]
    fn folders_of_many_things_need_a_view() {
        for (folder, needed) in [
            ("/", true),
            ("/tmp", true),
            ("/home/someone", true),
            ("/srv/app", false),
            ("/tmp/app", false),
        ] {
            assert_eq!(is_needed(Path::new(folder)), needed, "{folder}");
        }
    }
}
