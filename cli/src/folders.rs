//! The folders of `--dir`. A guest with write access to a folder can rename and link everything in
//! it. So the command refuses to give it one that holds a name which the policy judges, or a file
//! which the command itself trusts or writes.

use std::collections::HashSet;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};

use crate::path_walk::{Id, Mounts, PathWalk, holds_link, id};

/// The most entries of a folder that are searched for a hard link to a file: some seconds.
const SEARCHED: usize = 1_000_000;

/// A folder that the guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) host: PathBuf,
    /// The guest's name for it.
    pub(crate) guest: String,
    pub(crate) writable: bool,
}

/// A rule about UNIX paths, and the option that set it.
pub(crate) struct SocketRule {
    /// The rule's longest part without a pattern.
    pub(crate) folder: PathBuf,
    /// How an error names it, for example `--allow unix-connect=/run/app/*.sock`.
    pub(crate) name: String,
}

/// A file or a folder that this command trusts or writes.
pub(crate) struct TrustedPath {
    pub(crate) path: PathBuf,
    /// How an error describes it, for example `the policy of --policy`.
    pub(crate) what: String,
    /// A folder, whose whole contents are protected.
    pub(crate) folder: bool,
}

impl TrustedPath {
    pub(crate) fn file(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into(), folder: false }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--dir {}", self.names())?;
        if self.writable { Ok(()) } else { write!(f, ":ro") }
    }
}

impl Folder {
    fn names(&self) -> String {
        let host = self.host.display().to_string();
        if host == self.guest { host } else { format!("{host}::{}", self.guest) }
    }

    /// The option that gives this folder read-only.
    fn read_only(&self) -> String {
        format!("--dir {}:ro", self.names())
    }

    /// Parses `HOST[::GUEST][:ro|:rw]`. Without a mode the folder is writable. A name that itself
    /// ends in `:ro` needs a mode after it.
    pub(crate) fn parse(word: &str) -> anyhow::Result<Self> {
        let (names, mode) = match word.rsplit_once(':') {
            Some((names, mode @ ("ro" | "rw"))) => (names, Some(mode)),
            _ => (word, None),
        };
        // The mode, to append to the names that an error suggests.
        let behind = mode.map_or_else(String::new, |mode| format!(":{mode}"));
        if let (Some(rest), Some(mode)) =
            (names.strip_suffix(':').filter(|rest| !rest.is_empty()), mode)
        {
            let named = format!("; for the guest's name {mode} write {rest}::./{mode}");
            let named = if rest.contains("::") { "" } else { &named };
            bail!("--dir {word}: write one colon before the mode, as in {rest}:{mode}{named}");
        }
        let (host, guest) = names.split_once("::").unwrap_or((names, names));
        if host.is_empty() || guest.is_empty() {
            bail!(
                "--dir {word}: write it as HOST::GUEST, for example ./data::/data, or read-only ./data::/data:ro"
            );
        }
        let there = Path::new(host).exists();
        // The end of a name with a colon may be a mode that was misspelt.
        let unknown = |name: &str| {
            name.rsplit_once(':').is_some_and(|(_, end)| !end.is_empty() && !end.contains('/'))
        };
        if mode.is_none() && unknown(guest) && (names != host || !there) {
            bail!(
                "--dir {word}: the modes are :ro and :rw; a name with a colon in it needs one, as in {word}:rw"
            );
        }
        if !there && names == host {
            // Docker separates the two names with one colon. A folder's own name may have a colon
            // as well.
            if let Some((host, guest)) =
                names.split_once(':').filter(|(_, guest)| guest.starts_with('/'))
            {
                bail!(
                    "--dir {word}: there is no such folder; write two colons between the two names: {host}::{guest}{behind}"
                );
            }
            if mode.is_some() && Path::new(word).exists() {
                bail!(
                    "--dir {word}: there is no folder {host}; if the folder's own name ends in {behind}, write {word}:rw or {word}:ro"
                );
            }
        }
        Ok(Self {
            host: PathBuf::from(host),
            guest: guest.to_owned(),
            writable: mode != Some("ro"),
        })
    }

    /// Parses every `--dir`. Each folder must have a guest's name of its own.
    pub(crate) fn parse_all(words: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut folders: Vec<Self> = Vec::new();
        for word in words {
            let folder = Self::parse(word)?;
            let name = |folder: &Self| folder.guest.trim_end_matches('/').to_owned();
            if let Some(other) = folders.iter().find(|other| name(other) == name(&folder)) {
                bail!(
                    "--dir {word}: the guest's name {} is taken by {other}; give each folder a name of its own",
                    folder.guest
                );
            }
            folders.push(folder);
        }
        Ok(folders)
    }
}

/// A folder that was checked and is open. Later changes of its name have no effect.
pub(crate) struct Opened {
    folder: OwnedFd,
    /// The guest's name for it.
    pub(crate) guest: String,
    pub(crate) writable: bool,
}

impl Opened {
    /// A path that leads to the folder that was checked, and to no other.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
    }
}

/// A folder and where it really is.
struct Place<'a> {
    folder: &'a Folder,
    id: Id,
    /// This folder and every folder above it.
    above: HashSet<Id>,
    real: PathBuf,
}

/// Opens the folders, and refuses a writable one in which the guest could change what a rule means,
/// or what this command trusts. A folder in which the guest could read one of the `secrets` is
/// refused too.
///
/// # Errors
/// A folder can't be opened or is refused. The error names both options, and `:ro` as the way out.
pub(crate) fn open(
    folders: &[Folder],
    rules: &[SocketRule],
    own: &[TrustedPath],
    secrets: &[TrustedPath],
) -> anyhow::Result<Vec<Opened>> {
    let mounts = Mounts::read();
    let (mut all, mut places) = (Vec::new(), Vec::new());
    for folder in folders {
        let can_not = || format!("--dir {}: can't open the folder", folder.host.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = Opened {
            folder: rustix::fs::open(&folder.host, flags, Mode::empty())
                .map_err(io::Error::from)
                .with_context(can_not)?,
            guest: folder.guest.clone(),
            writable: folder.writable,
        };
        if folder.writable || !secrets.is_empty() {
            let (id, real) = (
                id(&opened.path()).with_context(can_not)?,
                opened.path().read_link().with_context(can_not)?,
            );
            places.push(Place { folder, id, above: mounts.above(&real), real });
        }
        all.push(opened);
    }
    for secret in secrets {
        refuse_own(secret, &places, &mounts, Harm::Read)?;
    }
    let writable: Vec<_> = places.into_iter().filter(|place| place.folder.writable).collect();
    if writable.is_empty() {
        return Ok(all);
    }
    for folder in folders {
        refuse_links(folder, &writable, &mounts)?;
    }
    for rule in rules {
        refuse_rule(rule, &writable, &mounts)?;
    }
    for own in own {
        refuse_own(own, &writable, &mounts, Harm::Change)?;
    }
    Ok(all)
}

/// What a guest could do with a file of the command's.
#[derive(Clone, Copy)]
enum Harm {
    Change,
    Read,
}

/// Every folder in which a change of names could change what a path leads to: all folders on its
/// way and above them, and all folders above each mount of its end.
fn deciding(way: &PathWalk, mounts: &Mounts) -> HashSet<Id> {
    way.folders.iter().chain([&way.end]).flat_map(|place| mounts.above(place)).collect()
}

/// Refuses a `--dir` whose path goes by a link that a guest could have made during an earlier run.
fn refuse_links(folder: &Folder, writable: &[Place<'_>], mounts: &Mounts) -> anyhow::Result<()> {
    let way = PathWalk::of(&folder.host);
    for link in &way.links {
        let above = mounts.above(link);
        if let Some(other) = writable.iter().find(|other| above.contains(&other.id)) {
            bail!(
                "the path of {folder} has a link in {}, and a guest that may write there could change the link; name the folder itself, {}, \
                 or give the other folder read-only with {}",
                other.folder,
                way.end.display(),
                other.folder.read_only()
            );
        }
    }
    Ok(())
}

/// Refuses a folder that is, holds, or lies beneath the folder that a rule fixes.
fn refuse_rule(rule: &SocketRule, writable: &[Place<'_>], mounts: &Mounts) -> anyhow::Result<()> {
    let way = PathWalk::of(&rule.folder);
    let (deciding, fixed) = (deciding(&way, mounts), id(&way.end).ok());
    let met = |folder: &&Place<'_>| {
        deciding.contains(&folder.id) || fixed.is_some_and(|fixed| folder.above.contains(&fixed))
    };
    match writable.iter().find(met) {
        None => Ok(()),
        Some(met) => bail!(
            "{} and {} meet in {}: a guest that may write there could rename and link what the rule names; give the folder \
             read-only with {}, or keep the sockets in a folder of their own",
            met.folder,
            rule.name,
            if deciding.contains(&met.id) { &rule.folder } else { &met.folder.host }.display(),
            met.folder.read_only()
        ),
    }
}

/// Refuses a folder that holds a file of the command's by any of its names, or lies in a folder of
/// the command's.
fn refuse_own(
    own: &TrustedPath,
    places: &[Place<'_>],
    mounts: &Mounts,
    harm: Harm,
) -> anyhow::Result<()> {
    let way = PathWalk::of(&own.path);
    let deciding = deciding(&way, mounts);
    let refusal = |folder: &Folder, how: &str| {
        let what = format!("{folder} {how} {}, {}", own.path.display(), own.what);
        match harm {
            Harm::Change => format!(
                "{what}: a guest that may write there could change it; give the folder read-only with {}, or keep the two apart",
                folder.read_only()
            ),
            Harm::Read => format!("{what}: the guest could read it; keep the two apart"),
        }
    };
    let there = way.end.metadata().ok();
    for met in places {
        if deciding.contains(&met.id) {
            bail!(refusal(met.folder, "holds"));
        }
        let Some(there) = &there else { continue };
        let file = (there.dev(), there.ino());
        if own.folder && met.above.contains(&file) {
            bail!(refusal(met.folder, "lies in"));
        }
        // man 2 link: all hard links of a file are in its file system.
        if there.is_file() && there.nlink() > 1 && met.id.0 == file.0 {
            match holds_link(&met.real, file, SEARCHED) {
                Some(false) => {}
                Some(true) => bail!(refusal(met.folder, "holds another name (a hard link) of")),
                None => {
                    bail!(refusal(
                        met.folder,
                        "has too many files to search for another name (a hard link) of"
                    ))
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_parsed_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        let odd = format!("{root}/odd:ro");
        std::fs::create_dir(&odd).unwrap();
        for (word, host, guest, writable) in [
            (root.clone(), root.clone(), root.clone(), true),
            (format!("{root}:ro"), root.clone(), root.clone(), false),
            (format!("{root}:rw"), root.clone(), root.clone(), true),
            (format!("{root}::/data"), root.clone(), "/data".to_owned(), true),
            (format!("{root}::/data:ro"), root.clone(), "/data".to_owned(), false),
            (format!("{root}::data:rw"), root.clone(), "data".to_owned(), true),
            // A name that itself ends in a mode.
            (format!("{odd}:rw"), odd.clone(), odd.clone(), true),
            (format!("{odd}:ro"), odd.clone(), odd.clone(), false),
            (format!("{odd}::/data"), odd.clone(), "/data".to_owned(), true),
            (format!("{root}::/data:ro:rw"), root.clone(), "/data:ro".to_owned(), true),
            (format!("{root}::./ro"), root.clone(), "./ro".to_owned(), true),
        ] {
            assert_eq!(
                Folder::parse(&word).unwrap(),
                Folder { host: host.into(), guest, writable },
                "{word}"
            );
        }
        for (word, words) in [
            (odd.clone(), "if the folder's own name ends in :ro, write"),
            (format!("{root}::ro"), "write one colon before the mode, as in"),
            (format!("{root}::/data::ro"), "write one colon before the mode, as in"),
            (format!("{root}::/data:RO"), "the modes are :ro and :rw"),
            (format!("{root}::/data:readonly"), "the modes are :ro and :rw"),
            (format!("{root}:RO"), "the modes are :ro and :rw"),
            (format!("{root}/none:/data:ro"), "two colons between the two names"),
            (":ro".to_owned(), "write it as HOST::GUEST"),
            ("::/x:ro".to_owned(), "write it as HOST::GUEST"),
            (String::new(), "write it as HOST::GUEST"),
        ] {
            let error = Folder::parse(&word)
                .map(|folder| panic!("{word}: {folder:?}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{word}: {error}");
        }
        let twice = Folder::parse_all(&[format!("{root}::/x"), format!("{odd}::/x/")])
            .unwrap_err()
            .to_string();
        assert!(twice.contains("the guest's name /x/ is taken by --dir "), "{twice}");
    }
}
