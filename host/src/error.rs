//! The only errno map: converts errors of the kernel, the policy and wasmtime to the contract's.

use rustix::io::Errno;

use crate::bindings::sandsock::socket::types;
pub use types::Error;

/// Why a host function did not return its result: an error value for the guest, or a trap.
///
/// Only an invalid handle or a broken invariant is a trap. Everything else that a guest can cause
/// is an error value.
#[derive(Debug)]
pub enum Fault {
    /// An error value.
    Error(Error),
    /// A trap.
    Trap(wasmtime::Error),
}

/// The result of a call, before it is split into an error value and a trap.
pub(crate) type CallResult<T> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Error(errno.into())
    }
}

impl From<sandsock_policy::Denial> for Fault {
    fn from(denial: sandsock_policy::Denial) -> Self {
        Self::Error(denial.into())
    }
}

impl From<wasmtime::component::ResourceTableError> for Fault {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        // WIT: numbers are Linux's generic values. On x86-64 and AArch64 these are the kernel's
        // own.
        Self::Os(errno.raw_os_error())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl From<sandsock_policy::Denial> for Error {
    fn from(denial: sandsock_policy::Denial) -> Self {
        Self::Denied(types::Denial { grant: denial.grant, reason: denial.reason })
    }
}

/// Splits a result into the form that a host function registered by hand returns.
pub(crate) fn answer<T>(outcome: CallResult<T>) -> wasmtime::Result<(Result<T, Error>,)> {
    match outcome {
        Ok(value) => Ok((Ok(value),)),
        Err(Fault::Error(error)) => Ok((Err(error),)),
        Err(Fault::Trap(trap)) => Err(trap),
    }
}

impl Fault {
    /// Returns whether the error is this errno.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Error(Error::Os(number)) if *number == errno.raw_os_error())
    }

    /// Returns the errno by which a guest knows the error.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Error(Error::Os(number)) => Errno::from_raw_os_error(*number),
            Self::Error(Error::Denied(_)) => Errno::ACCESS,
            Self::Trap(_) => Errno::IO,
        }
    }
}
