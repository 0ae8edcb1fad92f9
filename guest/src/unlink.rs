//! The names of UNIX sockets that this guest has bound, which it can remove.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sandsock_abi::errno;

use crate::{
    Error, Result,
    raw::{
        syscalls,
        types::{Address, UnixAddress},
    },
};

/// The paths as they were bound, each with the number of its bind. The host's limit of names bounds
/// them.
static BOUND: Mutex<BTreeMap<Vec<u8>, u64>> = Mutex::new(BTreeMap::new());

/// The number of the next bind.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn bound() -> MutexGuard<'static, BTreeMap<Vec<u8>, u64>> {
    BOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes an address that a socket was bound to.
pub(crate) fn note(address: &Address) {
    if let Address::Unix(UnixAddress::Path(path)) = address {
        bound().insert(path.clone(), NEXT.fetch_add(1, Ordering::Relaxed));
    }
}

/// Removes the name of a UNIX socket that this guest has bound. It is given as for the bind.
///
/// Python: `os.unlink(path)`.
///
/// # Errors
/// ENOENT if this guest has not bound it, or if it is gone, or another program has changed it since.
/// `PermissionError` if no grant names the path any more.
pub fn unlink(path: impl AsRef<[u8]>) -> Result<()> {
    let path = path.as_ref();
    if !bound().contains_key(path) {
        return Err(Error::from_errno(errno::ENOENT));
    }
    syscalls::unbind(path)?;
    bound().remove(path);
    Ok(())
}

/// Returns the number of the bind that made the name of a UNIX socket. Each bind has a number of its
/// own. None if this guest has not bound the name, or has removed it with [`unlink`]. The path is given
/// as for the bind. Another program may have removed the name since.
#[must_use]
pub fn bind_of(path: impl AsRef<[u8]>) -> Option<u64> {
    bound().get(path.as_ref()).copied()
}
