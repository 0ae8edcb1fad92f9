//! Paths of descriptors.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, RenameFlags, Stat};
use rustix::io::Errno;

use crate::authority::permit::{Permit, RemoveName};

/// Returns whether a name in a directory is a socket.
pub(crate) fn is_socket_in(parent: &Dir, name: &OsStr) -> bool {
    rustix::fs::statat(parent.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Removes the name of a socket, if `is_own` recognises it. ENOENT if not.
///
/// Nobody can look at a name and remove it in one step. So the name is moved away first, and what was
/// moved is looked at again. It is moved back if another program has put it there in between.
pub(crate) fn remove_socket(
    permit: Permit<RemoveName>,
    is_own: impl Fn(&Stat) -> bool,
) -> Result<(), Errno> {
    let RemoveName { parent, name } = permit.into_act();
    let parent = parent.as_fd();
    let look = |name: &OsStr| rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    let there = look(&name)?;
    if FileType::from_raw_mode(there.st_mode) != FileType::Socket || !is_own(&there) {
        return Err(Errno::NOENT);
    }
    let aside = OsString::from(format!(".sandsock-{}-{}", std::process::id(), there.st_ino));
    let aside = aside.as_os_str();
    let noreplace = RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(parent, &name, parent, aside, noreplace)?;
    // A move changes the time of the inode's last change.
    let moved = look(aside)?;
    if (moved.st_dev, moved.st_ino) == (there.st_dev, there.st_ino) {
        return rustix::fs::unlinkat(parent, aside, AtFlags::empty());
    }
    rustix::fs::renameat_with(parent, aside, parent, &name, noreplace)?;
    Err(Errno::NOENT)
}

/// The present path of a file, with every link followed.
pub(crate) fn real_path(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(link.as_bytes())))
}
