//! Counts the names of UNIX sockets that guests leave in folders. Closing a socket does not remove
//! its name (man 7 unix), and no guest can remove it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::sys::real_path;

/// A file, independent of its names: device and inode.
type Inode = (u64, u64);

/// The names that the contexts of one builder made. The names and their count outlive the contexts.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnixNames(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    /// Binds in progress.
    reserved: u64,
    names: HashMap<PathBuf, Inode>,
}

impl Made {
    fn count(&self) -> u64 {
        self.names.len() as u64 + self.reserved
    }
}

/// Counts one bind. Dropping it uncounts the bind.
#[derive(Debug)]
pub(crate) struct Reserved(UnixNames);

impl UnixNames {
    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a bind. At the limit, names that no longer exist are uncounted first. If there is
    /// still no room, the error is ENOSPC, as for a full directory.
    pub(crate) fn reserve(&self, limit: u64) -> Result<Reserved, Errno> {
        let mut made = self.made();
        if made.count() >= limit {
            made.names.retain(|path, inode| {
                rustix::fs::lstat(path.as_path()).is_ok_and(|stat| of(&stat) == *inode)
            });
        }
        if made.count() >= limit {
            return Err(Errno::NOSPC);
        }
        made.reserved += 1;
        drop(made);
        Ok(Reserved(self.clone()))
    }
}

impl Reserved {
    /// Records the name that the bind has made.
    pub(crate) fn keep(self, parent: &Dir, name: &OsStr) {
        let stat = rustix::fs::statat(parent.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW);
        if let (Ok(stat), Ok(parent)) = (stat, real_path(parent.as_fd())) {
            self.0.made().names.insert(parent.join(name), of(&stat));
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.made().reserved -= 1;
    }
}

fn of(stat: &rustix::fs::Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn names_count_until_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let names = UnixNames::default();
        let bind = |name: &str| {
            let place = names.reserve(2)?;
            drop(UnixListener::bind(folder.path().join(name)).unwrap());
            place.keep(&dir, OsStr::new(name));
            Ok(())
        };
        assert_eq!((bind("a"), bind("b"), bind("c")), (Ok(()), Ok(()), Err(Errno::NOSPC)));
        // A bind that failed gives its place back, and one under way holds it.
        std::fs::remove_file(folder.path().join("a")).unwrap();
        drop(names.reserve(2).unwrap());
        let held = names.reserve(2).unwrap();
        assert_eq!(bind("c"), Err(Errno::NOSPC));
        drop(held);
        assert_eq!((bind("c"), bind("d")), (Ok(()), Err(Errno::NOSPC)));
        // Another file of that name is not the guest's.
        std::fs::rename(folder.path().join("b"), folder.path().join("moved")).unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        assert_eq!(bind("d"), Ok(()));
    }
}
