//! The bytecode of a program's own modules, in the user's own cache.
//!
//! A process of this command compiles them before the program starts, in an instance of the runner in
//! which nothing else runs. The instance has no grants. It reads one folder of code, and writes into
//! the place of this folder alone. So no program can leave bytecode behind, and the code of one folder
//! can't change another one's. A program gets the bytecode of its own folders, read-only, and its
//! interpreter compares the hash of each source with the bytecode's.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::code::{Code, CodeFolder};
use super::runner::{CACHE, OWN_VERSION, Runner, private_folder, write};
use crate::cache;
use crate::folders::Folder;

/// The guest's name of the folder of bytecode. `python/runner` has the same.
pub(crate) const GUEST_BYTECODE: &str = "/python-cache";

/// The most entries of a folder that are looked at in search of modules.
const SEARCHED: usize = 20_000;

/// The least source that is worth a process: it takes as long as compiling so much.
const WORTH: u64 = 64 << 10;

/// The most source that is compiled at once. The next start goes on.
const AT_ONCE: u64 = 32 << 20;

/// How long the compilation may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The most folders of code whose bytecode is kept.
const KEPT: usize = 64;

/// A module's size and time of change, by its path below the folder.
type Modules = BTreeMap<String, (u64, i64, i64)>;

/// Returns a folder of bytecode for the folder that the guest calls so.
pub(super) fn folder(host: &Path, guest: &str, writable: bool) -> Folder {
    let guest = format!("{GUEST_BYTECODE}{}", guest.trim_end_matches('/'));
    Folder { host: host.to_owned(), guest, writable }
}

/// Returns the folders of bytecode for a program's code. Compiles what is new first.
pub(super) fn of(runner: &Runner, code: &Code) -> Vec<Folder> {
    let made = code.folders.iter().filter_map(|code| match of_folder(runner, code) {
        Ok(made) => made,
        Err(why) => {
            tracing::info!("{}: its modules have no bytecode: {why:#}", code.guest);
            None
        }
    });
    made.collect()
}

fn of_folder(runner: &Runner, code: &CodeFolder) -> anyhow::Result<Option<Folder>> {
    let modules = modules(&code.served);
    let bytes: u64 = modules.values().map(|(size, ..)| size).sum();
    // A list has one path a line.
    if bytes < WORTH || code.guest.contains('\n') {
        return Ok(None);
    }
    let Some(base) = cache::folder(CACHE).map(|cache| cache.join("bytecode")) else {
        bail!("neither XDG_CACHE_HOME nor a home folder is known");
    };
    private_folder(&base)?;
    let head = head(runner, code)?;
    // The names are those of one user's folders, and the list says which folder it is for.
    #[expect(deprecated, reason = "DefaultHasher promises no algorithm")]
    let mut hasher = std::hash::SipHasher::new();
    head.hash(&mut hasher);
    let place = base.join(format!("{:016x}", hasher.finish()));
    let list = place.with_extension("list");
    let mut known = std::fs::read_to_string(&list)
        .ok()
        .and_then(|text| parse(&text, &head))
        .unwrap_or_default();
    let mut new = Modules::new();
    let mut bytes = 0;
    for (path, state) in &modules {
        if known.get(path) != Some(state) && bytes < AT_ONCE {
            bytes += state.0;
            new.insert(path.clone(), *state);
        }
    }
    if bytes >= WORTH {
        private_folder(&place)?;
        compile(runner, code, &place, &new)?;
        known.retain(|path, _| modules.contains_key(path));
        known.extend(new);
        write(&list, text(&known, &head).as_bytes())
            .with_context(|| format!("{}: can't write", list.display()))?;
        remove_oldest(&base);
    }
    Ok((!known.is_empty()).then(|| folder(&place, &code.guest, false)))
}

/// Compiles modules in a process of its own.
fn compile(runner: &Runner, code: &CodeFolder, place: &Path, new: &Modules) -> anyhow::Result<()> {
    say!("compiling {} modules of {}, which is done once", new.len(), code.guest);
    let mut child = Command::new(std::env::current_exe().context("this command is gone")?)
        .arg("python-compile")
        .args([runner.folder.as_path(), &code.served])
        .arg(&code.guest)
        .arg(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("can't start the compilation")?;
    let names: String =
        new.keys().map(|path| format!("{}/{path}\n", code.guest.trim_end_matches('/'))).collect();
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends early, its status says so.
        let _ = stdin.write_all(names.as_bytes());
    }
    wait(&mut child)
}

fn wait(child: &mut Child) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("the compilation ended with {status}"),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the compilation took more than {} seconds", PATIENCE.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Returns the first line of a folder's list: which folder it is for, and which runner.
fn head(runner: &Runner, code: &CodeFolder) -> anyhow::Result<String> {
    let (runner, folder) = (runner.identity()?, code.served.metadata()?);
    Ok(format!("{OWN_VERSION} {runner} {} {} {}", folder.dev(), folder.ino(), code.guest))
}

/// Parses a list, if it begins with this line.
fn parse(text: &str, head: &str) -> Option<Modules> {
    let mut lines = text.lines();
    if lines.next()? != head {
        return None;
    }
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next()?.parse::<i64>().ok();
        let state = (number()?.cast_unsigned(), number()?, number()?);
        Some((words.next()?.to_owned(), state))
    };
    lines.map(line).collect()
}

fn text(modules: &Modules, head: &str) -> String {
    let lines = modules.iter().map(|(path, (size, seconds, nanoseconds))| {
        format!("{size} {seconds} {nanoseconds} {path}\n")
    });
    std::iter::once(format!("{head}\n")).chain(lines).collect()
}

/// Returns the modules of a folder: the files of Python whose names can be imported, and those of the
/// folders below.
fn modules(top: &Path) -> Modules {
    let mut modules = Modules::new();
    let mut left = vec![PathBuf::new()];
    let mut seen = 0;
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(top.join(&folder)).into_iter().flatten().flatten() {
            seen += 1;
            if seen > SEARCHED {
                return modules;
            }
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let Some(name) = name.to_str() else { continue };
            let stem = name.strip_suffix(".py");
            let is_name = |name: &str| {
                !name.starts_with(|first: char| first.is_ascii_digit())
                    && name.chars().all(|each| each == '_' || each.is_alphanumeric())
            };
            if kind.is_dir() && is_name(name) && name != "__pycache__" {
                left.push(folder.join(name));
            } else if kind.is_file()
                && stem.is_some_and(is_name)
                && let (Some(path), Ok(there)) = (folder.join(name).to_str(), entry.metadata())
            {
                let state = (there.size(), there.mtime(), there.mtime_nsec());
                modules.insert(path.to_owned(), state);
            }
        }
    }
    modules
}

/// Removes the bytecode of all folders but those that were compiled last.
fn remove_oldest(base: &Path) {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let mut lists: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "list"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    lists.sort();
    lists.reverse();
    for (_, list) in lists.iter().skip(KEPT) {
        // A program that reads it goes on with the files that it has open, and compiles the rest.
        let _ = std::fs::remove_file(list);
        let _ = std::fs::remove_dir_all(list.with_extension(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back() {
        let modules = Modules::from([
            ("a b.py".to_owned(), (5, 1, 2)),
            ("x/y.py".to_owned(), (u64::from(u32::MAX), -1, 0)),
        ]);
        let text = text(&modules, "head of /a b");
        assert_eq!(parse(&text, "head of /a b"), Some(modules));
        assert_eq!(parse(&text, "head of /a"), None);
        assert_eq!(parse("head\n1 2 x\n", "head"), None);
        assert_eq!(parse("", "head"), None);
    }

    #[test]
    fn modules_are_what_can_be_imported() {
        let place = tempfile::tempdir().unwrap();
        for folder in ["package/inner", "__pycache__", ".git", "with-dash", "space/deep"] {
            std::fs::create_dir_all(place.path().join(folder)).unwrap();
        }
        for file in [
            "a.py",
            "2b.py",
            "c.pyc",
            "d-e.py",
            "package/__init__.py",
            "package/inner/f.py",
            "package/data.txt",
            "__pycache__/g.py",
            ".git/h.py",
            "with-dash/i.py",
            "space/deep/j.py",
        ] {
            std::fs::write(place.path().join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("a.py", place.path().join("k.py")).unwrap();
        let found: Vec<String> = modules(place.path()).into_keys().collect();
        assert_eq!(found, ["a.py", "package/__init__.py", "package/inner/f.py", "space/deep/j.py"]);
    }
}
