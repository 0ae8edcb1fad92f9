//! The folders of the host whose files a guest can send.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// A folder of the host and the guest's name for it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    name: PathBuf,
    dir: Arc<Dir>,
}

impl Folder {
    /// Opens the folder, with the embedder's own rights.
    pub(crate) fn open(host: &Path, guest: &Path) -> std::io::Result<Self> {
        let dir = Dir::open_ambient_dir(host, ambient_authority())?;
        Ok(Self { name: plain(guest), dir: Arc::new(dir) })
    }

    /// Opens a regular file in the folder for reading.
    ///
    /// # Errors
    /// EPERM if the path leads out of the folder, EISDIR for a directory, EINVAL for another file
    /// that is not regular, and what the kernel returns.
    pub(crate) fn open_file(&self, path: &Path) -> Result<File, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // Without O_NONBLOCK, the open of a FIFO would wait for its other end.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let opened = self.dir.open_with(path, OpenOptions::new().read(true).custom_flags(flags));
        // An error without a number is cap-std's own: the path leads out of the folder.
        let file =
            opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::PERM))?.into_std();
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }
}

/// Finds the folder that a plain path is in, and the path from there. If several names fit, the
/// longest counts, as it does for file systems that are mounted in each other.
pub(crate) fn find<'a>(folders: &'a [Folder], path: &Path) -> Option<(&'a Folder, PathBuf)> {
    let below = |folder: &Folder| path.strip_prefix(&folder.name).map(Path::to_owned).ok();
    folders
        .iter()
        .filter_map(|folder| Some((folder, below(folder)?)))
        .max_by_key(|(folder, _)| folder.name.components().count())
}

/// Returns a guest's path, relative to the root that the guest sees, which is its working directory
/// too. `..` stays in the path, because its meaning depends on links.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .collect()
}
