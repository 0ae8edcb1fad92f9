//! The error codes of `wasi:sockets`.

use rustix::io::Errno;

use crate::authority::budgets::Held;
use crate::bindings::sandsock::socket::types::Error;
use crate::error::Fault;

/// An error code of some version of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub(crate) enum ErrorCode {
    Unknown,
    AccessDenied,
    NotSupported,
    InvalidArgument,
    OutOfMemory,
    Timeout,
    ConcurrencyConflict,
    NotInProgress,
    WouldBlock,
    InvalidState,
    NewSocketLimit,
    AddressNotBindable,
    AddressInUse,
    RemoteUnreachable,
    ConnectionRefused,
    ConnectionBroken,
    ConnectionReset,
    ConnectionAborted,
    DatagramTooLarge,
    NameUnresolvable,
    TemporaryResolverFailure,
    PermanentResolverFailure,
}

/// Why a function of the package did not return its result: an error code, or a trap.
#[derive(Debug)]
pub(crate) enum SocketFault {
    /// An error code. The cause is for observers: the package's codes say less.
    Code {
        code: ErrorCode,
        cause: Option<Error>,
    },
    Trap(wasmtime::Error),
}

/// The result of a function of the package.
pub(crate) type SocketResult<T> = Result<T, SocketFault>;

impl SocketFault {
    /// A trap with this text.
    pub(crate) fn trap(text: &'static str) -> Self {
        Self::Trap(wasmtime::Error::msg(text))
    }

    /// Whether this errno is the cause.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        let Self::Code { cause: Some(Error::Os(number)), .. } = self else { return false };
        *number == errno.raw_os_error()
    }

    /// The fault with another code for one errno, which means something of its own in the call.
    #[must_use]
    pub(crate) fn with_code(self, errno: Errno, code: ErrorCode) -> Self {
        let is = self.is(errno);
        match self {
            Self::Code { cause, .. } if is => Self::Code { code, cause },
            other => other,
        }
    }
}

impl From<ErrorCode> for SocketFault {
    fn from(code: ErrorCode) -> Self {
        Self::Code { code, cause: None }
    }
}

impl From<Fault> for SocketFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Error(error) => Self::Code { code: code_of(&error), cause: Some(error) },
            Fault::Trap(trap) => Self::Trap(trap),
        }
    }
}

impl From<Held> for SocketFault {
    fn from(held: Held) -> Self {
        match held {
            Held::Refused(fault) => fault.into(),
            held => held.errno().into(),
        }
    }
}

impl From<Errno> for SocketFault {
    fn from(errno: Errno) -> Self {
        Fault::from(errno).into()
    }
}

impl From<wasmtime::component::ResourceTableError> for SocketFault {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<wasmtime::Error> for SocketFault {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}

fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Denied(_) => ErrorCode::AccessDenied,
        Error::Os(number) => ErrorCode::from(Errno::from_raw_os_error(*number)),
    }
}

impl From<Errno> for ErrorCode {
    /// The code that the package's documentation has for an errno in most of its functions.
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM => Self::AccessDenied,
            Errno::OPNOTSUPP
            | Errno::NOPROTOOPT
            | Errno::PFNOSUPPORT
            | Errno::PROTONOSUPPORT
            | Errno::PROTOTYPE
            | Errno::SOCKTNOSUPPORT
            | Errno::AFNOSUPPORT => Self::NotSupported,
            Errno::INVAL => Self::InvalidArgument,
            Errno::NOMEM | Errno::NOBUFS => Self::OutOfMemory,
            Errno::TIMEDOUT => Self::Timeout,
            Errno::ALREADY => Self::ConcurrencyConflict,
            Errno::AGAIN | Errno::INTR => Self::WouldBlock,
            // A socket that a check has taken away (EBADF) is closed.
            Errno::ISCONN | Errno::NOTCONN | Errno::DESTADDRREQ | Errno::BADF => Self::InvalidState,
            Errno::MFILE | Errno::NFILE => Self::NewSocketLimit,
            Errno::ADDRNOTAVAIL => Self::AddressNotBindable,
            Errno::ADDRINUSE => Self::AddressInUse,
            Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::NETRESET
            | Errno::NONET => Self::RemoteUnreachable,
            Errno::CONNREFUSED => Self::ConnectionRefused,
            Errno::PIPE => Self::ConnectionBroken,
            Errno::CONNRESET => Self::ConnectionReset,
            Errno::CONNABORTED => Self::ConnectionAborted,
            Errno::MSGSIZE => Self::DatagramTooLarge,
            _ => Self::Unknown,
        }
    }
}
