//! The walk along a path: every folder that the kernel looks into while it resolves the path. Write
//! access to any of them is enough to make the path lead elsewhere.
//!
//! Folders are compared by device and inode, and a folder that is mounted in several places is
//! known by all of them.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// man 7 path_resolution: the kernel follows at most 40 links.
const LINKS: usize = 40;

/// The identity of a file or folder, independent of its names: device and inode.
pub(crate) type Id = (u64, u64);

/// Returns the identity of the file that a path leads to, all links followed.
///
/// # Errors
/// The path leads to nothing, or can't be looked at.
pub(crate) fn id(path: &Path) -> io::Result<Id> {
    path.metadata().map(|there| (there.dev(), there.ino()))
}

/// How the kernel resolves a path (man 7 path_resolution).
pub(crate) struct PathWalk {
    /// The folders in which a name was looked up, by their real paths. All folders above them are
    /// included.
    pub(crate) folders: Vec<PathBuf>,
    /// The folders in which the name was a link.
    pub(crate) links: Vec<PathBuf>,
    /// The real path of the end. Names that do not exist are kept as they were given.
    pub(crate) end: PathBuf,
}

impl PathWalk {
    /// Resolves a path. A relative path starts in the working directory.
    pub(crate) fn of(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let names = |path: &Path| -> Vec<OsString> {
            path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
        };
        let (mut left, mut at) = (names(&path), PathBuf::from("/"));
        let (mut folders, mut links) = (Vec::new(), Vec::new());
        while let Some(name) = left.pop() {
            match Path::new(&name).components().next() {
                Some(Component::RootDir) => at = PathBuf::from("/"),
                Some(Component::ParentDir) => drop(at.pop()),
                Some(Component::Normal(_)) => {
                    if !folders.contains(&at) {
                        folders.push(at.clone());
                    }
                    let next = at.join(&name);
                    match next.read_link() {
                        Ok(target) if links.len() < LINKS => {
                            links.push(at.clone());
                            left.extend(names(&target));
                        }
                        _ => at = next,
                    }
                }
                _ => {}
            }
        }
        Self { folders, links, end: at }
    }
}

/// The mounts of this process's namespace.
#[derive(Default)]
pub(crate) struct Mounts(Vec<Mount>);

/// One line of man 5 proc_pid_mountinfo.
struct Mount {
    /// The device, as `major:minor`.
    device: Vec<u8>,
    /// The folder of the file system that is mounted.
    root: PathBuf,
    /// The folder that it is mounted on.
    point: PathBuf,
}

impl Mounts {
    /// Reads them from /proc. The list is empty if there is no /proc.
    pub(crate) fn read() -> Self {
        Self::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Self {
        let mount = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            Some(Mount {
                device: fields.next()?.to_owned(),
                root: path(fields.next()?),
                point: path(fields.next()?),
            })
        };
        Self(text.split(|byte| *byte == b'\n').filter_map(mount).collect())
    }

    /// Returns all paths of a folder, its own real path first.
    fn names(&self, real: &Path) -> Vec<PathBuf> {
        let mut names = vec![real.to_owned()];
        let Ok(own) = id(real) else { return names };
        let depth = |mount: &&Mount| mount.point.components().count();
        let mounted =
            self.0.iter().filter(|mount| real.starts_with(&mount.point)).max_by_key(depth);
        let Some(mounted) = mounted else { return names };
        let place = mounted.root.join(real.strip_prefix(&mounted.point).unwrap_or(Path::new("")));
        let same = self.0.iter().filter(|mount| mount.device == mounted.device);
        let others =
            same.filter_map(|mount| Some(mount.point.join(place.strip_prefix(&mount.root).ok()?)));
        // Another mount may hide the folder.
        names
            .extend(others.filter(|name| name != real && id(name).is_ok_and(|there| there == own)));
        names
    }

    /// Returns the folder and all folders above it, by each of its paths.
    pub(crate) fn above(&self, real: &Path) -> HashSet<Id> {
        let names = self.names(real);
        names
            .iter()
            .flat_map(|name| name.ancestors())
            .filter_map(|folder| id(folder).ok())
            .collect()
    }
}

/// Decodes a field of mountinfo, where spaces and newlines are written in octal.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, more)) = rest.split_first() {
        let octal = more
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Returns whether a folder or any folder below it has a hard link to this file. None after `most`
/// entries.
pub(crate) fn holds_link(folder: &Path, file: Id, most: usize) -> Option<bool> {
    let mut left = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > most {
                return None;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                // Symbolic links are not followed: WASI follows none that leads out of the folder.
                Ok(_) if entry.metadata().is_ok_and(|there| (there.dev(), there.ino()) == file) => {
                    return Some(true);
                }
                _ => {}
            }
        }
    }
    Some(false)
}

/// Returns the files that this process runs: its program and libraries.
pub(crate) fn own_files() -> Vec<PathBuf> {
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    // man 5 proc_pid_maps: the path is the last field and begins with a slash.
    let file = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b'/')?;
        Some(PathBuf::from(OsStr::from_bytes(&line[at..])))
    };
    let mut files: Vec<PathBuf> = maps.split(|byte| *byte == b'\n').filter_map(file).collect();
    files.extend(std::env::current_exe());
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn way_has_each_folder_and_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        std::fs::create_dir_all(at("real/deep")).unwrap();
        std::fs::create_dir(at("links")).unwrap();
        symlink("../real", at("links/in")).unwrap();
        symlink(at("links/in/deep"), at("to")).unwrap();
        let way = PathWalk::of(&at("to/file"));
        assert_eq!(way.end, at("real/deep/file"));
        assert_eq!(way.links, [root.clone(), at("links")]);
        for folder in [PathBuf::from("/"), root.clone(), at("links"), at("real"), at("real/deep")] {
            assert!(way.folders.contains(&folder), "{folder:?} is not in {:?}", way.folders);
        }
        // man 7 path_resolution: `..` after a link is the parent of the folder that the link led
        // to.
        assert_eq!(PathWalk::of(&at("to/../file")).end, at("real/file"));
        // Names that do not exist are kept, and a circle of links ends.
        assert_eq!(PathWalk::of(&at("none/../none/x")).end, at("none/x"));
        symlink("loop", at("loop")).unwrap();
        assert_eq!(PathWalk::of(&at("loop")).end, at("loop"));
    }

    #[test]
    fn mounts_name_a_folder_by_each_place() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:1 /srv/a\\040b /mnt/x rw - ext4 /dev/sda rw\nshort\n";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.0.len(), 2);
        assert_eq!(
            (mounts.0[1].root.as_path(), mounts.0[1].point.as_path()),
            (Path::new("/srv/a b"), Path::new("/mnt/x"))
        );
        assert_eq!(mounts.names(Path::new("/")), [PathBuf::from("/")]);
        assert!(Mounts::read().above(Path::new("/tmp")).contains(&id(Path::new("/")).unwrap()));
    }
}
