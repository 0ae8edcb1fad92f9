//! The only errno map: what the kernel, the policy and wasmtime say, as the error of the contract.

use rustix::io::Errno;

use crate::bindings::sandsock::socket::types;
pub use types::Error;

/// Why a host function did not give its result: an error value for the guest, or a trap.
///
/// A trap is for a bad handle or a broken invariant alone; all else that a guest can reach is an
/// error value.
#[derive(Debug)]
pub enum Fault {
    /// An error value.
    Error(Error),
    /// A trap.
    Trap(wasmtime::Error),
}

/// The result of an operation before it is split into error value and trap.
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
        // WIT: numbers are Linux's generic values, which are this kernel's own on x86-64 and
        // AArch64.
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

/// Splits an outcome into what a hand-registered host function returns.
pub(crate) fn answer<T>(outcome: CallResult<T>) -> wasmtime::Result<(Result<T, Error>,)> {
    match outcome {
        Ok(value) => Ok((Ok(value),)),
        Err(Fault::Error(error)) => Ok((Err(error),)),
        Err(Fault::Trap(trap)) => Err(trap),
    }
}

impl Fault {
    /// Whether it is this errno.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Error(Error::Os(number)) if *number == errno.raw_os_error())
    }
}
