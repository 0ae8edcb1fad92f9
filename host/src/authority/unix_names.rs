//! Counts the names of UNIX sockets that guests leave in folders. Closing a socket does not remove
//! its name (man 7 unix). A guest can remove those that it made itself.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;

use crate::authority::permit::{Permit, RemoveName};
use crate::sys::{self, real_path};

/// A file, independent of its names: device and inode.
type Inode = (u64, u64);

/// The names that the contexts of one builder made. The names and their count outlive the contexts.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnixNames {
    made: Arc<Mutex<Made>>,
    /// The context that uses this, and 0 for the builder.
    context: u64,
}

#[derive(Debug, Default)]
struct Made {
    /// Binds in progress.
    reserved: u64,
    /// How many contexts there have been.
    contexts: u64,
    names: HashMap<PathBuf, Name>,
}

/// What is known of a name.
#[derive(Debug)]
struct Name {
    inode: Inode,
    /// When the inode was last changed: its number is used again after it is gone.
    changed: (i64, u64),
    /// The context that made it.
    context: u64,
}

impl Name {
    fn is(&self, stat: &Stat) -> bool {
        self.inode == of(stat) && self.changed == changed(stat)
    }
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
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the same names for a new context.
    pub(crate) fn for_context(&self) -> Self {
        let context = {
            let mut made = self.made();
            made.contexts += 1;
            made.contexts
        };
        Self { made: Arc::clone(&self.made), context }
    }

    /// Removes a name, if this context has made it and nobody has changed it since. ENOENT if not.
    pub(crate) fn remove(&self, permit: Permit<RemoveName>) -> Result<(), Errno> {
        let RemoveName { parent, name } = permit.act();
        let path = real_path(parent.as_fd())?.join(name);
        // Binds of other contexts wait meanwhile: they must not find the name half removed.
        let mut made = self.made();
        let own = made.names.get(&path).filter(|own| own.context == self.context);
        let own = own.ok_or(Errno::NOENT)?;
        sys::remove_socket(permit, |stat| own.is(stat))?;
        made.names.remove(&path);
        Ok(())
    }

    /// Counts a bind. At the limit, names that no longer exist are uncounted first. If there is
    /// still no room, the error is ENOSPC, as for a full directory.
    pub(crate) fn reserve(&self, limit: u64) -> Result<Reserved, Errno> {
        let mut made = self.made();
        if made.count() >= limit {
            made.names.retain(|path, name| {
                rustix::fs::lstat(path.as_path()).is_ok_and(|stat| of(&stat) == name.inode)
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
            let (inode, changed, context) = (of(&stat), changed(&stat), self.0.context);
            self.0.made().names.insert(parent.join(name), Name { inode, changed, context });
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.made().reserved -= 1;
    }
}

fn of(stat: &Stat) -> Inode {
    (stat.st_dev, stat.st_ino)
}

fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_ctime, stat.st_ctime_nsec)
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
