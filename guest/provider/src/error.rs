//! Conversion of errors and progress to the contract's types.

use sandsock::{ErrorKind, errno};

use crate::contract::sockets::{AttemptError, Error, LookupError, OsError, Progress};
use sandsock::raw::types::Denial;

impl From<sandsock::Progress> for Progress {
    fn from(progress: sandsock::Progress) -> Self {
        Self { deadline: progress.deadline, done: progress.done }
    }
}

impl From<Progress> for sandsock::Progress {
    fn from(progress: Progress) -> Self {
        Self { deadline: progress.deadline, done: progress.done }
    }
}

impl From<sandsock::Error> for Error {
    fn from(error: sandsock::Error) -> Self {
        if let Some(progress) = error.progress() {
            return Self::Interrupted(progress.into());
        }
        let text = error.strerror().into_owned();
        match error.kind() {
            ErrorKind::Denied => Self::Denied(denial(&error)),
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::AddressInfo => Self::Gaierror(lookup(&error)),
            ErrorKind::Host => Self::Herror(lookup(&error)),
            ErrorKind::Value => Self::ValueError(text),
            ErrorKind::Type => Self::TypeError(text),
            ErrorKind::Overflow => Self::OverflowError(text),
            ErrorKind::Unicode => Self::UnicodeError(text),
            ErrorKind::Memory => Self::MemoryError,
            ErrorKind::Group => {
                Self::Group(error.errors().iter().map(AttemptError::from).collect())
            }
            _ => Self::Os(os(&error)),
        }
    }
}

impl From<&sandsock::Error> for AttemptError {
    fn from(error: &sandsock::Error) -> Self {
        match error.kind() {
            ErrorKind::Denied => Self::Denied(denial(error)),
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::AddressInfo => Self::Gaierror(lookup(error)),
            _ => Self::Os(os(error)),
        }
    }
}

fn os(error: &sandsock::Error) -> OsError {
    OsError { errno: error.errno(), text: error.strerror().into_owned() }
}

fn lookup(error: &sandsock::Error) -> LookupError {
    LookupError { code: error.errno().unwrap_or_default(), text: error.strerror().into_owned() }
}

fn denial(error: &sandsock::Error) -> Denial {
    let text = error.strerror();
    // The caller adds the errno's own text.
    let reason =
        errno::text(errno::EACCES).and_then(|prefix| text.strip_prefix(prefix)?.strip_prefix(": "));
    Denial { grant: error.grant().map(str::to_owned), reason: reason.unwrap_or(&text).to_owned() }
}

/// Returns Python's ValueError.
pub(crate) fn value_error(text: &str) -> Error {
    Error::ValueError(text.to_owned())
}

/// Returns an errno with a text of its own.
pub(crate) fn os_error(number: i32) -> Error {
    sandsock::Error::from_errno(number).into()
}

/// Makes a call that may wait, from where an interrupt ended it. The next interrupt ends it again,
/// and the caller runs its handlers.
pub(crate) fn waiting<T>(
    resume: Option<Progress>,
    call: impl FnOnce() -> sandsock::Result<T>,
) -> Result<T, Error> {
    sandsock::set_interrupt_handler(Some(|| Err(sandsock::Error::from_errno(errno::EINTR))));
    Ok(match resume {
        Some(progress) => sandsock::resume(progress.into(), call),
        None => call(),
    }?)
}
