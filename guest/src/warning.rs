//! Warnings that Python would report through its `warnings` module.

use std::sync::{Mutex, PoisonError};

use crate::{Result, Socket, ancillary::Warning};

/// The class of a warning in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningCategory {
    /// `ResourceWarning`: a socket was dropped and not closed before.
    Resource,
    /// `RuntimeWarning`: received ancillary data was cut or malformed.
    Runtime,
}

impl WarningCategory {
    /// Returns the name of the class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Resource => "ResourceWarning",
            Self::Runtime => "RuntimeWarning",
        }
    }
}

/// A function that gets warnings, with Python's text.
type Handler = fn(WarningCategory, &str) -> Result<()>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// Sets the handler that gets warnings, and returns the previous one. Without a handler, warnings
/// are dropped.
///
/// If the handler returns an error, the call fails with it, as with Python's filter `error`, and
/// the descriptors that the call had received are closed. A dropped socket has no call, so the
/// error is lost there.
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
    // Copied, because the handler may set another.
    let handler = *HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
    handler.map_or(Ok(()), |handler| handler(category, text))
}

fn has_handler() -> bool {
    HANDLER.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Warns of a socket that is dropped and not closed before.
pub(crate) fn unclosed(socket: &Socket) {
    // The text needs the socket's addresses, which are system calls.
    if has_handler() {
        let _ = warn(WarningCategory::Resource, &format!("unclosed {socket:?}"));
    }
}

/// Warns of ancillary data that was cut or malformed.
pub(crate) fn ancillary(warning: Warning) -> Result<()> {
    match warning {
        Warning::MalformedControlData | Warning::TruncatedControlData => warn(
            WarningCategory::Runtime,
            "received malformed or improperly-truncated ancillary data",
        ),
    }
}
