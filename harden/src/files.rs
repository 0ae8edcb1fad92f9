//! Files, TCP ports, abstract names and signals, by Landlock (man 7 landlock).

use std::collections::BTreeSet;
use std::path::Path;

use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope,
};
use sandsock_policy::Part;

use crate::{Access, HardenError, Hardening, list};

/// The newest version whose rights are handled here.
const NEWEST: ABI = ABI::V7;

/// Returns the rights of an access.
fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Read | Access::ReadPublic => read,
        Access::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSym
                // The guest may link and move the sockets in it. A bind has its own grant.
                | AccessFs::MakeSock
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer
        }
        Access::Replace => {
            AccessFs::ReadFile
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::RemoveFile
        }
        // A socket's name is removed when its guest closes it.
        Access::Sockets => AccessFs::MakeSock | AccessFs::RemoveFile,
        Access::Remove => AccessFs::RemoveFile.into(),
        Access::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
    }
}

/// Returns the folder itself, or the nearest one above it that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"))
}

/// Restricts the process. Returns what holds, for people.
pub(crate) fn restrict(kept: &Hardening) -> Result<String, HardenError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(landlock::Access::from_all(NEWEST) as BitFlags<AccessFs>)?;
    if let Part::Of(_) = kept.tcp_bind {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    if let Part::Of(_) = kept.tcp_connect {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    ruleset = ruleset.scope(Scope::Signal)?;
    if !kept.abstract_names {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut ruleset = ruleset.create()?;
    for (path, access) in &kept.files {
        let path = if *access == Access::Sockets { nearest(path) } else { path };
        let Ok(there) = path.metadata() else { continue };
        let mut rights = rights(*access);
        if !there.is_dir() {
            rights &= AccessFs::from_file(NEWEST);
        }
        let file = PathFd::new(path)
            .map_err(|error| HardenError::File(path.to_owned(), std::io::Error::other(error)))?;
        ruleset = ruleset.add_rule(PathBeneath::new(file, rights))?;
    }
    let ports = [(&kept.tcp_bind, AccessNet::BindTcp), (&kept.tcp_connect, AccessNet::ConnectTcp)];
    for (part, access) in ports {
        if let Part::Of(ports) = part {
            for port in ports {
                ruleset = ruleset.add_rule(NetPort::new(*port, access))?;
            }
        }
    }
    Ok(match ruleset.restrict_self()?.landlock {
        LandlockStatus::Available { effective_abi, .. } => describe(kept, effective_abi),
        LandlockStatus::NotEnabled => "Landlock: it is not enabled in this kernel".to_owned(),
        LandlockStatus::NotImplemented => "Landlock: this kernel does not have it".to_owned(),
    })
}

/// Returns the path of an open file (man 5 proc_pid_fd), for people. Other paths are themselves.
fn shown(path: &Path) -> String {
    let open = path.starts_with("/proc/self/fd").then(|| path.read_link().ok()).flatten();
    open.as_deref().unwrap_or(path).display().to_string()
}

fn describe(kept: &Hardening, abi: ABI) -> String {
    let of = |access: Access| {
        list(kept.files.iter().filter(|(_, other)| *other == access).map(|(path, _)| shown(path)))
    };
    let ports = |part: &Part<BTreeSet<u16>>| match part {
        Part::All => "any".to_owned(),
        _ if abi < ABI::V4 => "any".to_owned(),
        Part::Of(ports) => list(ports),
    };
    let mut text = format!(
        "Landlock (ABI {}): files to read: {}; to write: {}; TCP ports to bind: {}, to connect to: {}",
        abi as i32,
        of(Access::Read),
        of(Access::Write),
        ports(&kept.tcp_bind),
        ports(&kept.tcp_connect),
    );
    if abi >= ABI::V6 {
        let abstracts = if kept.abstract_names { "" } else { " and no abstract name" };
        text += &format!("; no signal{abstracts} of other processes");
    }
    text
}
