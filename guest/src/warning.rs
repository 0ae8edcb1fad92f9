//! Warnings that Python would report through its `warnings` module.

use std::sync::{Mutex, PoisonError};

use crate::{Result, Socket, ancillary::Warning};

/// Which of Python's classes a warning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningCategory {
    /// `ResourceWarning`: a socket was dropped that nobody had closed.
    Resource,
    /// `RuntimeWarning`: received ancillary data was cut or malformed.
    Runtime,
}

impl WarningCategory {
    /// The name of Python's class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Resource => "ResourceWarning",
            Self::Runtime => "RuntimeWarning",
        }
    }
}

/// What is told a warning, with Python's text.
type Handler = fn(WarningCategory, &str) -> Result<()>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// Sets what is told warnings, and returns what was told them before. Without a handler nobody is
/// told.
///
/// An error that it gives is the call's, as with Python's filter `error`: descriptors that the call
/// had received are closed. Where a socket is dropped there is no call, and the error is lost.
///
/// ```
/// use sandsock::set_warning_handler;
///
/// set_warning_handler(Some(|category, text| {
///     eprintln!("{}: {text}", category.class());
///     Ok(())
/// }));
/// ```
pub fn set_warning_handler(handler: Option<Handler>) -> Option<Handler> {
    std::mem::replace(&mut *HANDLER.lock().unwrap_or_else(PoisonError::into_inner), handler)
}

fn warn(category: WarningCategory, text: &str) -> Result<()> {
    // The handler may set another.
    let handler = *HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
    handler.map_or(Ok(()), |handler| handler(category, text))
}

fn is_heard() -> bool {
    HANDLER.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// A socket is dropped that nobody has closed.
pub(crate) fn unclosed(socket: &Socket) {
    // The text asks for the socket's addresses: nobody's time is spent for nothing.
    if is_heard() {
        let _ = warn(WarningCategory::Resource, &format!("unclosed {socket:?}"));
    }
}

/// Ancillary data that was not whole.
pub(crate) fn ancillary(warning: Warning) -> Result<()> {
    match warning {
        Warning::MalformedControlData | Warning::TruncatedControlData => warn(
            WarningCategory::Runtime,
            "received malformed or improperly-truncated ancillary data",
        ),
    }
}
