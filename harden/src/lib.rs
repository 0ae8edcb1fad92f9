//! Restricts the process to what the policies of its guests can need of the kernel.
//!
//! The policy decides about each act, and this crate does not help it there. It is the second wall:
//! a fault of the host, or of wasmtime, reaches no further than the kernel lets this process. The
//! command restricts itself before its second thread starts. The library `sandsock-host` never
//! restricts the process of an embedder, who may do so with this crate.
//!
//! The measures, in their order: no new privileges (man 2 prctl), Landlock (man 7 landlock), fewer
//! capabilities (man 7 capabilities), system calls by seccomp (man 2 seccomp). Nothing of it can be
//! undone.

mod calls;
mod files;
mod privileges;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustix::thread::CapabilitySet;
use sandsock_policy::{Ceiling, Part};

/// Why the process could not be restricted. Some measures may hold already, so it must end.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// There are more threads. The measures would not hold for them.
    #[error("it has {0} threads already, and must have one")]
    Threads(usize),
    /// `/proc` is not there.
    #[error("/proc/self/task: {0}")]
    Proc(std::io::Error),
    /// prctl(2) or capset(2).
    #[error("{0}: {1}")]
    Privileges(&'static str, rustix::io::Errno),
    /// A file can't be opened for a rule.
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    File(PathBuf, std::io::Error),
    /// Landlock.
    #[error("Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// Seccomp.
    #[error("seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// The filter of system calls.
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// What may be done with a file, or with everything beneath a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read files and folders.
    Read,
    /// Read files that every user may read.
    ReadPublic,
    /// Read, write, make, rename and remove files and folders.
    Write,
    /// Read files, write them, and replace them by new ones.
    Replace,
    /// Make sockets. If the folder is missing, its nearest folder above counts.
    Sockets,
    /// Remove files.
    Remove,
    /// Read, write and ioctl(2) of a device.
    Device,
}

/// What the process keeps.
#[derive(Clone, Debug)]
pub struct Hardening {
    sockets: BTreeMap<(i32, i32), Part<BTreeSet<i32>>>,
    capabilities: CapabilitySet,
    host_name: bool,
    new_code: bool,
    files: BTreeSet<(PathBuf, Access)>,
    tcp_bind: Part<BTreeSet<u16>>,
    tcp_connect: Part<BTreeSet<u16>>,
    abstract_names: bool,
}

impl Hardening {
    /// Keeps what a ceiling needs, and no file but those that the families need.
    pub fn of(ceiling: &Ceiling) -> Self {
        let mut own = Self {
            sockets: ceiling.sockets().clone(),
            capabilities: privileges::of(ceiling),
            host_name: ceiling.sets_host_name(),
            tcp_bind: ceiling.tcp_bind().clone(),
            tcp_connect: ceiling.tcp_connect().clone(),
            abstract_names: ceiling.abstract_names(),
            ..Self::closed()
        };
        match ceiling.unix_bind() {
            Part::All => {
                own.file("/", Access::Sockets);
            }
            Part::Of(folders) => folders.iter().for_each(|folder| {
                own.file(folder, Access::Sockets);
            }),
        }
        if ceiling.asks_vsock() {
            own.file("/dev/vsock", Access::Device);
        }
        // Standard input is replaced by it.
        own.file("/dev/null", Access::Device);
        own
    }

    /// Keeps no socket and no file. It suits a process that computes, from what is open to what is
    /// open.
    pub fn closed() -> Self {
        Self {
            sockets: BTreeMap::new(),
            capabilities: CapabilitySet::empty(),
            host_name: false,
            new_code: false,
            files: BTreeSet::new(),
            tcp_bind: Part::Of(BTreeSet::new()),
            tcp_connect: Part::Of(BTreeSet::new()),
            abstract_names: false,
        }
    }

    /// Keeps what the C library and its modules need to look names up: sockets without privileges,
    /// new code (man 5 nsswitch.conf), and every file to read.
    pub fn look_ups() -> Self {
        let mut own = Self::of(&Ceiling::ordinary());
        // glibc asks for this host's addresses by netlink.
        for kind in [libc::SOCK_RAW, libc::SOCK_DGRAM] {
            own.sockets.insert((libc::AF_NETLINK, kind), Part::Of([libc::NETLINK_ROUTE].into()));
        }
        own.new_code = true;
        own.files = [("/".into(), Access::Read), ("/dev/null".into(), Access::Device)].into();
        own.capabilities = CapabilitySet::DAC_READ_SEARCH;
        own.tcp_bind = Part::Of([0].into());
        own
    }

    /// Keeps a file, or what is beneath a folder. A file that does not exist is not kept.
    pub fn file(&mut self, path: impl Into<PathBuf>, access: Access) -> &mut Self {
        self.capabilities |= privileges::for_files(access);
        self.files.insert((path.into(), access));
        self
    }

    /// Restricts the process, which must have one thread. Later threads have the same restrictions.
    ///
    /// # Errors
    ///
    /// A measure can't be taken. A kernel without Landlock is no error: see [`Applied`].
    pub fn apply(&self) -> Result<Applied, HardenError> {
        let threads = std::fs::read_dir("/proc/self/task").map_err(HardenError::Proc)?.count();
        if threads != 1 {
            return Err(HardenError::Threads(threads));
        }
        rustix::thread::set_no_new_privs(true)
            .map_err(|errno| HardenError::Privileges("no_new_privs", errno))?;
        let files = files::restrict(self)?;
        let kept = privileges::drop_others(self.capabilities)?;
        let calls = calls::restrict(self)?;
        Ok(Applied {
            lines: vec![format!("no new privileges; capabilities kept: {kept}"), calls, files],
        })
    }
}

/// The measures that hold now.
#[derive(Clone, Debug)]
pub struct Applied {
    lines: Vec<String>,
}

impl Applied {
    /// The measures, one a line, for people.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// Joins words for people.
fn list<T: std::fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
