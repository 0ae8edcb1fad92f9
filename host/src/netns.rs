//! Running inside an existing network namespace (man 8 ip-netns).

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sys::{OwnCopy, unshare};

/// Why a namespace can't be entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// There is no such file.
    #[error("there is no network namespace {}; `ip netns list` shows those that have a name", .0.display())]
    Missing(PathBuf),
    /// The file can't be opened.
    #[error("{}: can't open the network namespace: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is no network namespace.
    #[error("{} is not a network namespace", .0.display())]
    Other(PathBuf),
    /// The process lacks the privilege.
    #[error("{}: entering a network namespace needs CAP_SYS_ADMIN; run as root", .0.display())]
    Privilege(PathBuf),
    /// Any other error of the kernel.
    #[error("{}: can't enter the network namespace: {errno}", path.display())]
    Enter {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A file of `/etc/netns/NAME` can't replace its namesake in `/etc`.
    #[error("{}: can't be mounted over {}: {errno}", file.display(), place.display())]
    Files {
        /// The namespace's file.
        file: PathBuf,
        /// Where it belongs.
        place: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Moves the calling thread into a network namespace, together with the threads that it starts later.
/// Call it before the process starts any thread or runtime.
///
/// `name` is a name of `ip netns`, or a path with a slash such as `/proc/PID/ns/net`. Open sockets
/// stay in their namespace. Each file of `/etc/netns/NAME/`, such as `resolv.conf`, replaces the file
/// of the same name in `/etc`, as with `ip netns exec`. This holds only for this thread and those it
/// starts later.
///
/// # Errors
/// There is no such namespace, or the process may not enter it. After [`NetnsError::Files`] the thread
/// is in the namespace.
pub fn enter(name: &OsStr) -> Result<(), NetnsError> {
    let is_path = name.as_bytes().contains(&b'/');
    let path = if is_path { PathBuf::from(name) } else { Path::new("/run/netns").join(name) };
    let file = File::open(&path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => NetnsError::Missing(path.clone()),
        _ => NetnsError::Open { path: path.clone(), cause },
    })?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| {
        match errno {
            Errno::PERM => NetnsError::Privilege(path.clone()),
            Errno::INVAL => NetnsError::Other(path.clone()),
            errno => NetnsError::Enter { path: path.clone(), errno },
        }
    })?;
    if is_path { Ok(()) } else { own_files(name) }
}

/// Moves the calling thread into a new network namespace, in which no interface is up, and gives it a
/// host name of its own. Call it before the process starts any thread or runtime.
///
/// Without the privilege it makes a user namespace first, in which the process has it (man 7
/// user_namespaces).
///
/// # Errors
/// The process may make neither.
pub fn enter_empty() -> std::io::Result<()> {
    match unshare(OwnCopy::Network) {
        Err(Errno::PERM) => {
            unshare(OwnCopy::User)?;
            unshare(OwnCopy::Network)?;
        }
        result => result?,
    }
    Ok(unshare(OwnCopy::HostName)?)
}

/// Puts the namespace's own configuration in place (man 8 ip-netns).
fn own_files(name: &OsStr) -> Result<(), NetnsError> {
    let folder = Path::new("/etc/netns").join(name);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let pairs: Vec<(PathBuf, PathBuf)> = entries
        .flatten()
        .map(|entry| (entry.path(), Path::new("/etc").join(entry.file_name())))
        .collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let fail = |file: &Path, place: &Path, errno| NetnsError::Files {
        file: file.into(),
        place: place.into(),
        errno,
    };
    own_mounts().map_err(|errno| fail(&folder, Path::new("/etc"), errno))?;
    for (file, place) in &pairs {
        mount_bind(file, place).map_err(|errno| fail(file, place, errno))?;
    }
    Ok(())
}

/// Gives the calling thread its own view of the mounted file systems. The view follows later mounts
/// elsewhere.
fn own_mounts() -> Result<(), Errno> {
    unshare(OwnCopy::Mounts)?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
}
