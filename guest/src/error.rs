//! The error type of this crate, with everything that an exception of Python has.

use std::{borrow::Cow, fmt, io};

use sandsock_abi::{constants, errno};

use crate::{interrupt::Progress, raw::types};

/// The class of Python's exceptions that an [`Error`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `OSError`, or the subclass that belongs to the errno.
    Os,
    /// `PermissionError`: the policy denied the call.
    Denied,
    /// `TimeoutError` without an errno: the socket's timeout ended the call.
    TimedOut,
    /// `socket.gaierror`.
    AddressInfo,
    /// `socket.herror`.
    Host,
    /// `ValueError`.
    Value,
    /// `TypeError`.
    Type,
    /// `OverflowError`.
    Overflow,
    /// `UnicodeError`.
    Unicode,
    /// `KeyError`.
    Key,
    /// `MemoryError`.
    Memory,
    /// `ExceptionGroup`: several errors at once.
    Group,
    /// An exception of another class, made by [`Error::exception`].
    Other,
}

/// Why a call failed, as in Python.
///
/// Like an exception of Python, it has an errno if there is one, the text, and the name of the
/// class.
///
/// ```
/// use sandsock::Error;
///
/// let error = Error::from_errno(sandsock::errno::ECONNREFUSED);
/// assert_eq!(error.to_string(), "[Errno 111] Connection refused");
/// assert_eq!(error.class(), "ConnectionRefusedError");
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionRefused);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    /// The kernel's errno.
    Os(i32),
    /// An errno with another text than strerror's.
    OsText(i32, Box<str>),
    /// EAGAIN of a buffered write, and the number of bytes that the buffer took.
    Blocked(usize),
    /// EINTR, and the progress of the call.
    Interrupted(Progress),
    /// The policy's denial.
    Denied(Box<Denial>),
    /// The socket's timeout.
    TimedOut,
    /// An EAI_* code.
    AddressInfo(i32),
    /// An h_errno.
    Host(i32),
    /// Any other error that is only a text.
    Text(ErrorKind, Cow<'static, str>),
    /// An exception of another class, by the class's name.
    Exception(&'static str, Box<str>),
    /// Several errors.
    Group(&'static str, Box<[Error]>),
}

#[derive(Clone, PartialEq, Eq)]
struct Denial {
    grant: Option<String>,
    text: String,
}

impl Error {
    /// Returns the `OSError` of an errno. Its class is the one that belongs to the errno.
    #[must_use]
    pub const fn from_errno(errno: i32) -> Self {
        Self(Repr::Os(errno))
    }

    /// Returns an exception of any class, with which an interrupt handler can let its call fail.
    #[must_use]
    pub fn exception(class: &'static str, text: &str) -> Self {
        Self(Repr::Exception(class, text.into()))
    }

    /// Returns an error from before the system call: a class and a text, without an errno.
    pub(crate) fn text(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Repr::Text(kind, text.into()))
    }

    /// Returns the error of a buffered write that would block after the buffer took `taken` bytes.
    pub(crate) const fn blocked(taken: usize) -> Self {
        Self(Repr::Blocked(taken))
    }

    pub(crate) const fn timed_out() -> Self {
        Self(Repr::TimedOut)
    }

    pub(crate) const fn interrupted(progress: Progress) -> Self {
        Self(Repr::Interrupted(progress))
    }

    pub(crate) const fn address_info(code: i32) -> Self {
        Self(Repr::AddressInfo(code))
    }

    pub(crate) fn group(text: &'static str, errors: Vec<Self>) -> Self {
        Self(Repr::Group(text, errors.into()))
    }

    /// Adds the progress of the call, if the error is an interrupt.
    pub(crate) fn at(self, progress: Progress) -> Self {
        match self.0 {
            Repr::Os(errno::EINTR) => Self::interrupted(progress),
            _ => self,
        }
    }

    /// Returns the same error with a longer text, like Python's `error(err.errno, "...")`.
    pub(crate) fn with_text(self, text: String) -> Self {
        match self.0 {
            Repr::Denied(denial) => {
                Self(Repr::Denied(Box::new(Denial { grant: denial.grant, text })))
            }
            _ => match self.errno() {
                Some(errno) => Self(Repr::OsText(errno, text.into())),
                None => Self::text(ErrorKind::Os, text),
            },
        }
    }

    /// Returns the class of the exception, as a kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::Os(_) | Repr::OsText(..) | Repr::Blocked(_) | Repr::Interrupted(_) => {
                ErrorKind::Os
            }
            Repr::Denied(_) => ErrorKind::Denied,
            Repr::TimedOut => ErrorKind::TimedOut,
            Repr::AddressInfo(_) => ErrorKind::AddressInfo,
            Repr::Host(_) => ErrorKind::Host,
            Repr::Text(kind, _) => *kind,
            Repr::Exception(class, _) if is_unicode(class) => ErrorKind::Unicode,
            Repr::Exception(..) => ErrorKind::Other,
            Repr::Group(..) => ErrorKind::Group,
        }
    }

    /// Returns the name of Python's class, for example `ConnectionRefusedError`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match &self.0 {
            Repr::Exception(class, _) => class,
            Repr::Os(errno) | Repr::OsText(errno, _) => sandsock_abi::python_class(*errno),
            Repr::Blocked(_) => sandsock_abi::python_class(errno::EAGAIN),
            Repr::Interrupted(_) => sandsock_abi::python_class(errno::EINTR),
            _ => match self.kind() {
                ErrorKind::Os | ErrorKind::Other => "OSError",
                ErrorKind::Denied => "PermissionError",
                ErrorKind::TimedOut => "TimeoutError",
                ErrorKind::AddressInfo => "gaierror",
                ErrorKind::Host => "herror",
                ErrorKind::Value => "ValueError",
                ErrorKind::Type => "TypeError",
                ErrorKind::Overflow => "OverflowError",
                ErrorKind::Unicode => "UnicodeError",
                ErrorKind::Key => "KeyError",
                ErrorKind::Memory => "MemoryError",
                ErrorKind::Group => "ExceptionGroup",
            },
        }
    }

    /// Returns Python's `errno`, which is the `EAI_*` code for a gaierror. None if Python itself
    /// refuses the call, and if the socket's timeout ended it.
    #[must_use]
    pub const fn errno(&self) -> Option<i32> {
        match &self.0 {
            Repr::Os(errno) | Repr::OsText(errno, _) => Some(*errno),
            Repr::Blocked(_) => Some(errno::EAGAIN),
            Repr::Interrupted(_) => Some(errno::EINTR),
            Repr::Denied(_) => Some(errno::EACCES),
            Repr::AddressInfo(code) | Repr::Host(code) => Some(*code),
            Repr::TimedOut | Repr::Text(..) | Repr::Exception(..) | Repr::Group(..) => None,
        }
    }

    /// Returns Python's `strerror`: the text without the errno.
    #[must_use]
    pub fn strerror(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Os(errno) => errno_text(*errno),
            Repr::Interrupted(_) => errno_text(errno::EINTR),
            Repr::Blocked(_) => Cow::Borrowed("write could not complete without blocking"),
            Repr::OsText(_, text) | Repr::Exception(_, text) => Cow::Borrowed(text),
            Repr::Denied(denial) => Cow::Borrowed(&denial.text),
            Repr::TimedOut => Cow::Borrowed("timed out"),
            Repr::AddressInfo(code) => {
                Cow::Borrowed(constants::address_info_text(*code).unwrap_or("Unknown error"))
            }
            Repr::Host(code) => {
                Cow::Borrowed(constants::host_text(*code).unwrap_or("Unknown resolver error"))
            }
            Repr::Text(_, text) => Cow::Borrowed(text),
            Repr::Group(text, errors) => {
                let s = if errors.len() == 1 { "" } else { "s" };
                Cow::Owned(format!("{text} ({} sub-exception{s})", errors.len()))
            }
        }
    }

    /// Returns the grant that would allow the denied call, as a rule of a policy (`VERB=TARGET`).
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        match &self.0 {
            Repr::Denied(denial) => denial.grant.as_deref(),
            _ => None,
        }
    }

    /// Returns the progress of a call that an interrupt ended (see [`resume`](crate::resume)).
    #[must_use]
    pub const fn progress(&self) -> Option<Progress> {
        match &self.0 {
            Repr::Interrupted(progress) => Some(*progress),
            _ => None,
        }
    }

    /// Returns how many bytes a buffered [`SocketFile::write`](crate::SocketFile::write) took
    /// before it would have blocked. They stay in the buffer, and the next write or flush sends
    /// them. None for any other error.
    ///
    /// Python: `BlockingIOError.characters_written`.
    #[must_use]
    pub const fn characters_written(&self) -> Option<usize> {
        match self.0 {
            Repr::Blocked(taken) => Some(taken),
            _ => None,
        }
    }

    /// Returns the errors of a group, and none for any other error.
    #[must_use]
    pub const fn errors(&self) -> &[Self] {
        match &self.0 {
            Repr::Group(_, errors) => errors,
            _ => &[],
        }
    }
}

/// Whether a class is a subclass of `UnicodeError`.
fn is_unicode(class: &str) -> bool {
    matches!(class, "UnicodeDecodeError" | "UnicodeEncodeError")
}

fn errno_text(errno: i32) -> Cow<'static, str> {
    errno::text(errno).map_or_else(|| Cow::Owned(format!("Unknown error {errno}")), Cow::Borrowed)
}

/// As Python's `str(exception)`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(errno) = self.errno() {
            write!(f, "[Errno {errno}] ")?;
        }
        f.write_str(&self.strerror())
    }
}

/// The class and the text.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.class())?;
        for error in self.errors() {
            write!(f, "; {error:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Os(errno) => Self::from_errno(errno),
            types::Error::Denied(types::Denial { grant, reason }) => {
                let mut text = format!("{}: {reason}", errno_text(errno::EACCES));
                // The text must name the grant, so that a reader knows what to add to the policy.
                if let Some(grant) = &grant
                    && !reason.contains(grant.as_str())
                {
                    text.push_str(" (a grant would allow it: ");
                    text.push_str(grant);
                    text.push(')');
                }
                Self(Repr::Denied(Box::new(Denial { grant, text })))
            }
        }
    }
}

impl From<types::NameError> for Error {
    fn from(error: types::NameError) -> Self {
        match error {
            types::NameError::AddressInfo(code) => Self::address_info(code),
            types::NameError::Host(code) => Self(Repr::Host(code)),
            types::NameError::Other(error) => error.into(),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Denied => io::ErrorKind::PermissionDenied,
            ErrorKind::Value | ErrorKind::Type | ErrorKind::Overflow | ErrorKind::Unicode => {
                io::ErrorKind::InvalidInput
            }
            ErrorKind::Memory => io::ErrorKind::OutOfMemory,
            ErrorKind::Os => error.errno().map_or(io::ErrorKind::Other, io_kind),
            ErrorKind::Other if error.class() == "BlockingIOError" => io::ErrorKind::WouldBlock,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Returns the standard library's kind for an errno of Linux. On a wasm target, the library's own
/// numbers are those of WASI.
const fn io_kind(errno: i32) -> io::ErrorKind {
    use io::ErrorKind as Kind;
    match errno {
        errno::E2BIG => Kind::ArgumentListTooLong,
        errno::EACCES | errno::EPERM => Kind::PermissionDenied,
        errno::EADDRINUSE => Kind::AddrInUse,
        errno::EADDRNOTAVAIL => Kind::AddrNotAvailable,
        errno::EAGAIN => Kind::WouldBlock,
        errno::EBUSY => Kind::ResourceBusy,
        errno::ECONNABORTED => Kind::ConnectionAborted,
        errno::ECONNREFUSED => Kind::ConnectionRefused,
        errno::ECONNRESET => Kind::ConnectionReset,
        errno::EEXIST => Kind::AlreadyExists,
        errno::EHOSTUNREACH => Kind::HostUnreachable,
        errno::EINTR => Kind::Interrupted,
        errno::EINVAL => Kind::InvalidInput,
        errno::EISDIR => Kind::IsADirectory,
        errno::ENETDOWN => Kind::NetworkDown,
        errno::ENETUNREACH => Kind::NetworkUnreachable,
        errno::ENOENT => Kind::NotFound,
        errno::ENOMEM => Kind::OutOfMemory,
        errno::ENOSYS | errno::EOPNOTSUPP => Kind::Unsupported,
        errno::ENOTCONN => Kind::NotConnected,
        errno::ENOTDIR => Kind::NotADirectory,
        errno::EPIPE => Kind::BrokenPipe,
        errno::ETIMEDOUT => Kind::TimedOut,
        _ => Kind::Other,
    }
}

/// Returns a `TypeError` with a text.
pub(crate) fn type_error(text: impl Into<Cow<'static, str>>) -> Error {
    Error::text(ErrorKind::Type, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_classes_are_pythons() {
        for (error, class, errno, text) in [
            (
                Error::from_errno(errno::ECONNREFUSED),
                "ConnectionRefusedError",
                Some(111),
                "[Errno 111] Connection refused",
            ),
            (Error::from_errno(9999), "OSError", Some(9999), "[Errno 9999] Unknown error 9999"),
            (Error::timed_out(), "TimeoutError", None, "timed out"),
            (Error::address_info(-2), "gaierror", Some(-2), "[Errno -2] Name or service not known"),
            (Error(Repr::Host(1)), "herror", Some(1), "[Errno 1] Unknown host"),
            (
                Error::text(ErrorKind::Os, "AF_UNIX path too long"),
                "OSError",
                None,
                "AF_UNIX path too long",
            ),
            (
                Error::interrupted(Progress::default()),
                "InterruptedError",
                Some(4),
                "[Errno 4] Interrupted system call",
            ),
            (Error::exception("KeyboardInterrupt", ""), "KeyboardInterrupt", None, ""),
            (
                Error::group(
                    "create_connection failed",
                    vec![Error::timed_out(), Error::timed_out()],
                ),
                "ExceptionGroup",
                None,
                "create_connection failed (2 sub-exceptions)",
            ),
        ] {
            assert_eq!(
                (error.class(), error.errno(), error.to_string().as_str()),
                (class, errno, text)
            );
        }
    }

    #[test]
    fn a_denial_names_its_grant() {
        let grant = "tcp-connect=192.0.2.1:443".to_owned();
        for reason in ["not granted", "not granted: tcp-connect=192.0.2.1:443"] {
            let error = Error::from(types::Error::Denied(types::Denial {
                grant: Some(grant.clone()),
                reason: reason.into(),
            }));
            assert_eq!(
                (error.kind(), error.class(), error.errno()),
                (ErrorKind::Denied, "PermissionError", Some(13))
            );
            assert_eq!(error.grant(), Some(grant.as_str()));
            assert_eq!(error.to_string().matches(&grant).count(), 1, "{error}");
            assert!(error.to_string().starts_with("[Errno 13] Permission denied: "), "{error}");
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn with_text_keeps_errno_and_grant() {
        let error =
            Error::from_errno(errno::EADDRINUSE).with_text("Address already in use (there)".into());
        assert_eq!(error.to_string(), "[Errno 98] Address already in use (there)");
        let denied = Error::from(types::Error::Denied(types::Denial {
            grant: Some("a=b".into()),
            reason: String::new(),
        }));
        let denied = denied.with_text("no".into());
        assert_eq!((denied.grant(), denied.to_string().as_str()), (Some("a=b"), "[Errno 13] no"));
    }
}
