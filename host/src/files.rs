//! Files that the kernel itself can send. Not served yet: `open` answers ENOSYS, and a guest sends with a loop.

use rustix::io::Errno;
use wasmtime::component::Resource;

use crate::error::Outcome;

/// WIT `files.file`. No instance of it is made in this version.
pub(crate) enum File {}

/// WIT `files.open`.
pub(crate) fn open() -> Outcome<Resource<File>> {
    Err(Errno::NOSYS.into())
}
