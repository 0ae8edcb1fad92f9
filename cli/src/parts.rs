//! Components that are parts of this command: files beside it.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::exit::Exit;

/// A component that belongs to this command.
pub(crate) struct Part {
    /// Its file.
    file: &'static str,
    /// The variable that names another file.
    variable: &'static str,
    /// What needs it, for the error if it is missing.
    need: &'static str,
}

/// The provider of Python's socket API.
pub(crate) const PROVIDER: Part = Part {
    file: "provider.wasm",
    variable: "SANDSOCK_PROVIDER",
    need: "the component needs a provider of sandsock:socket/sockets",
};

/// The attacks of `policy attack`.
pub(crate) const ATTACKS: Part = Part {
    file: "attack_policy_denied.wasm",
    variable: "SANDSOCK_ATTACKS",
    need: "the attacks are a component",
};

impl Part {
    /// Returns the paths where the part is looked for, up to the first that exists: the variable's,
    /// or else those beside the command as it is installed (`../lib/sandsock/`) or built
    /// (`../guests/`).
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable) {
            return vec![PathBuf::from(path)];
        }
        let command =
            std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
        let folder = command.parent().unwrap_or(Path::new("/"));
        let mut places =
            vec![folder.join("../lib/sandsock"), folder.join("../guests"), folder.to_owned()];
        places.iter_mut().for_each(|place| place.push(self.file));
        let there = places.iter().position(|place| place.is_file());
        places.truncate(there.map_or(places.len(), |at| at + 1));
        places
    }

    /// Finds the part.
    pub(crate) fn find(&self) -> Result<PathBuf, Exit> {
        let places = self.places();
        let is_named = std::env::var_os(self.variable).is_some();
        let found = places.last().filter(|path| path.is_file() || is_named);
        found.cloned().ok_or_else(|| {
            anyhow!(
                "{}, and there is no {}; `make guests` builds it, `make install` installs it, and {} can name another one",
                self.need,
                places[0].display(),
                self.variable
            )
            .into()
        })
    }
}
