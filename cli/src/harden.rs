//! How the command restricts itself: before its second thread starts, and after everything is open.
//!
//! Names are looked up by a process that is started first, and components are compiled by one of
//! their own (`compiled.rs`). So the process that runs guests needs neither name servers, nor
//! `/etc`, nor new code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use sandsock_harden::{Access, Hardening};
use sandsock_host::LookUpProcess;
use sandsock_host::policy::{Ceiling, Policy, PolicyBuilderExt as _};

use crate::folders::{Opened, TrustedPath};

/// Options about what the command keeps for itself.
#[derive(Args, Default)]
pub(crate) struct HardenArgs {
    /// Keep what the grants in this policy file need of the kernel, too. The guest gets nothing by
    /// it.
    #[arg(long, value_name = "FILE", conflicts_with = "no_harden")]
    ceiling: Option<PathBuf>,

    /// Don't restrict the command itself to what the policy can need of the kernel.
    #[arg(long)]
    pub(crate) no_harden: bool,
}

/// The files that the C library reads for services and protocols (man 5 nsswitch.conf), which need no
/// grant.
const TABLES: [&str; 4] =
    ["/etc/gai.conf", "/etc/nsswitch.conf", "/etc/protocols", "/etc/services"];

/// Where distributions have the system's root certificates, and no keys. They are read when a session
/// of TLS first needs them, which may be one on a socket of `tcp-connect`.
const ROOTS: [&str; 6] = [
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
];

/// Where names are looked up.
pub(crate) type LookUps = Option<Arc<LookUpProcess>>;

impl HardenArgs {
    /// Returns the file that the command trusts.
    pub(crate) fn own_file(&self) -> Option<TrustedPath> {
        self.ceiling.as_ref().map(|path| TrustedPath::file(path, "the ceiling of --ceiling"))
    }

    /// Starts the process that looks names up, if a grant can need it. This must happen before there
    /// is a second thread. With `--no-harden` there is none: the command looks names up itself.
    pub(crate) fn look_ups(&self, kept: &Kept) -> anyhow::Result<LookUps> {
        if self.no_harden || !kept.ceiling.looks_up() {
            return Ok(None);
        }
        let restrict =
            || Hardening::look_ups().apply().map(drop).map_err(|error| error.to_string());
        let process = LookUpProcess::start(restrict)
            .context("can't start the process that looks names up; --no-harden runs without it")?;
        tracing::debug!("process {} looks names up", process.id());
        Ok(Some(Arc::new(process)))
    }

    /// Returns what the command keeps. `asks` says that grants may be added later, at a terminal.
    /// `replaced` are files that the command may replace later.
    pub(crate) fn kept(
        &self,
        policy: &Policy,
        asks: bool,
        replaced: Vec<PathBuf>,
    ) -> anyhow::Result<Kept> {
        // A policy that observes allows everything that no rule denies.
        let own = match policy.enforced() {
            Some(_) => Ceiling::top(),
            None => Ceiling::of(policy),
        };
        let later = match &self.ceiling {
            Some(file) => {
                let mut builder = Policy::builder();
                let here = std::env::current_dir().context("the working directory is gone")?;
                builder.base_directory(here)?;
                builder.file(file).context("--ceiling")?;
                Some(Ceiling::of(&builder.build()))
            }
            None => asks.then(Ceiling::ordinary),
        };
        let ceiling = match later {
            Some(later) => own.join(&later),
            None => own,
        };
        Ok(Kept { ceiling, asks, replaced })
    }

    /// Restricts the command, which must have one thread. `folders` are those of the guest, and
    /// `removed` is a file that the command removes at its end. Returns the ceiling, which no later
    /// grant can go beyond. None if nothing is restricted.
    pub(crate) fn apply(
        &self,
        kept: Kept,
        folders: &[Opened],
        removed: Option<&Path>,
    ) -> anyhow::Result<Option<Ceiling>> {
        if self.no_harden {
            tracing::info!("--no-harden: the command does not restrict itself");
            return Ok(None);
        }
        let mut hardening = Hardening::of(&kept.ceiling);
        if !kept.ceiling.looks_up() {
            // The command itself reads the tables.
            for file in TABLES {
                hardening.file(file, Access::ReadPublic);
            }
        }
        for folder in ROOTS {
            hardening.file(folder, Access::ReadPublic);
        }
        for folder in folders {
            let access = if folder.writable { Access::Write } else { Access::Read };
            hardening.file(folder.path(), access);
        }
        for file in &kept.replaced {
            // A link leads to the file that is replaced.
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            hardening.file(folder_of(&real), Access::Replace);
        }
        if kept.asks {
            hardening.file("/dev/tty", Access::Device);
        }
        if let Some(file) = removed {
            hardening.file(folder_of(file), Access::Remove);
        }
        let applied = hardening
            .apply()
            .context("the command can't restrict itself; --no-harden runs without it")?;
        tracing::info!("the command restricts itself to what the policy can need; it has 1 thread");
        for line in applied.lines() {
            tracing::info!("{line}");
        }
        Ok(Some(kept.ceiling))
    }
}

/// What the command keeps for itself.
pub(crate) struct Kept {
    ceiling: Ceiling,
    asks: bool,
    replaced: Vec<PathBuf>,
}

/// Returns the sentence that refuses a grant beyond the ceiling. None if it is within.
pub(crate) fn beyond(ceiling: &Ceiling, grant: &str) -> Option<String> {
    let mut builder = Policy::builder();
    // A grant of a denial always parses.
    builder.base_directory("/").ok()?.allow(grant).ok()?;
    let needed = ceiling.check(&builder.build()).err()?;
    Some(format!(
        "{grant} can't be granted now: the command has given up {needed}; start it with --allow {grant}, a --ceiling that has it, or \
         --no-harden"
    ))
}

/// Returns the folder in which a file lies.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_beyond_the_ceiling_is_refused_with_a_sentence() {
        let ceiling = Ceiling::ordinary();
        assert_eq!(beyond(&ceiling, "tcp-connect=db.example:5432"), None);
        let text = beyond(&ceiling, "netlink=route:read").unwrap();
        assert!(text.contains("given up sockets of AF_NETLINK; start it with --allow"), "{text}");
        let text = beyond(&ceiling, "tcp-listen=127.0.0.1:80").unwrap();
        assert!(text.contains("given up the capability CAP_NET_BIND_SERVICE"), "{text}");
    }
}
