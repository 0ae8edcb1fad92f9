//! How the command ends without a guest's own status.

use std::path::Path;

/// The exit status for an error of this command.
pub(crate) const OWN_ERROR: u8 = 125;

/// The exit status for a component that can't be loaded.
pub(crate) const CANNOT_LOAD: u8 = 126;

/// An error that ends the command, and its exit status.
pub(crate) struct Exit {
    pub(crate) status: u8,
    pub(crate) error: anyhow::Error,
}

impl Exit {
    /// The component can't be loaded.
    pub(crate) fn load(error: impl Into<anyhow::Error>) -> Self {
        Self { status: CANNOT_LOAD, error: error.into() }
    }

    /// Puts the component's file before the message.
    pub(crate) fn about(self, component: &Path) -> Self {
        Self { error: self.error.context(component.display().to_string()), ..self }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Exit {
    fn from(error: E) -> Self {
        Self { status: OWN_ERROR, error: error.into() }
    }
}

/// Converts an error of wasmtime with all its causes.
pub(crate) fn into_anyhow(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
