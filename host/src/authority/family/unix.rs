//! AF_UNIX (man 7 unix). The host walks a path beneath a granted directory, and checks it both by
//! its name and by where it leads.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::{FamilyRules, Use};
use crate::authority::gate::{Gate, unix_request};
use crate::authority::permit::{Anchor, Destination};
use crate::bindings::sandsock::socket::types::{Address, SocketKind, UnixAddress};
use crate::descriptor::Handle;
use crate::error::{CallResult, Fault};
use crate::sys;
use crate::sys::address::RawAddress;
use crate::sys::real_path;
use sandsock_policy::{Denial, Request, UnixRoute, UnixTarget, Verb, show_path};

/// The most links that one path may go through: the kernel's MAXSYMLINKS (man 7 path_resolution).
const LINKS_MAX: usize = 40;

/// sockaddr_un's room for a path and its NUL.
const ROOM: usize = 108;

pub(super) struct Unix;

fn raw(tail: &[u8]) -> RawAddress {
    let mut bytes = Vec::with_capacity(2 + tail.len());
    bytes.extend((libc::AF_UNIX as u16).to_ne_bytes());
    bytes.extend(tail);
    RawAddress::from_bytes(&bytes)
}

fn encode_path(path: &[u8]) -> Result<RawAddress, Errno> {
    if path.is_empty() || path.contains(&0) {
        return Err(Errno::INVAL);
    }
    if path.len() >= ROOM {
        return Err(Errno::NAMETOOLONG);
    }
    Ok(raw(&[path, &[0]].concat()))
}

fn encode_abstract(name: &[u8]) -> Result<RawAddress, Errno> {
    if name.len() >= ROOM { Err(Errno::INVAL) } else { Ok(raw(&[&[0], name].concat())) }
}

impl FamilyRules for Unix {
    const TYPES: &'static [i32] = &[libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET];

    #[cfg(test)]
    fn encode(address: &Address) -> Result<RawAddress, Errno> {
        match address {
            Address::Unix(UnixAddress::Unnamed) => Ok(raw(&[])),
            Address::Unix(UnixAddress::Path(path)) => encode_path(path),
            Address::Unix(UnixAddress::Abstract(name)) => encode_abstract(name),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    fn decode(raw: &RawAddress, _kind: SocketKind) -> Option<Address> {
        let tail = raw.bytes().get(2..)?;
        Some(Address::Unix(match tail.split_first() {
            None => UnixAddress::Unnamed,
            Some((0, name)) => UnixAddress::Abstract(name.to_vec()),
            Some(_) => UnixAddress::Path(tail.split(|&byte| byte == 0).next()?.to_vec()),
        }))
    }

    fn judge(
        gate: &Gate,
        purpose: Use<'_>,
        _kind: SocketKind,
        address: &Address,
    ) -> CallResult<Destination> {
        let Address::Unix(address) = address else { return Err(Errno::AFNOSUPPORT.into()) };
        let verb = match purpose {
            Use::Bind(_) => Verb::UnixBind,
            Use::Connect | Use::Send(_) => Verb::UnixConnect,
        };
        match address {
            UnixAddress::Unnamed => {
                if let Use::Bind(_) = purpose {
                    gate.decide(&Request::UnixBind(UnixTarget::Unnamed))?;
                }
                // An unnamed address as a destination is the kernel's EINVAL.
                Ok(Destination::plain(raw(&[])))
            }
            UnixAddress::Abstract(name) => {
                // As for a path, a name that the kernel would refuse is neither checked nor
                // reported.
                let raw = encode_abstract(name)?;
                let target = UnixTarget::Abstract(name);
                let request = match purpose {
                    Use::Bind(_) => Request::UnixBind(target),
                    Use::Connect | Use::Send(_) => Request::UnixConnect(target),
                };
                gate.decide(&request)?;
                Ok(Destination::plain(raw).charged_to(gate.account(&request)))
            }
            UnixAddress::Path(path) => {
                // A path that the kernel would refuse is refused before anything is looked up.
                encode_path(path)?;
                let routes = gate.unix_route(verb, path)?;
                let go = |routes: &[UnixRoute]| {
                    walk(routes, |route| match purpose {
                        Use::Bind(_) => to_bind(route, path, start_of(gate, path)?),
                        Use::Connect | Use::Send(_) => to_connect(route),
                    })
                };
                let destination = go(&routes)?;
                gate.walked(verb, path, |routes| go(routes).map(drop));
                Ok(destination.charged_to(gate.account(&unix_request(verb, path))))
            }
        }
    }

    fn judge_listen(gate: &Gate, socket: &Handle) -> CallResult<()> {
        match Self::decode(&sys::local_address(socket.fd())?, socket.socket()?) {
            Some(Address::Unix(UnixAddress::Path(path))) => {
                gate.unix_route(Verb::UnixBind, &path)?;
                // The bind has walked there.
                gate.walked(Verb::UnixBind, &path, |_| Ok(()));
                Ok(())
            }
            Some(Address::Unix(UnixAddress::Abstract(name))) => {
                gate.decide(&Request::UnixBind(UnixTarget::Abstract(&name)))
            }
            // Nothing is bound, so the kernel answers EINVAL.
            _ => Ok(()),
        }
    }

    /// Checks a name that the kernel chose. A path was checked by where it leads.
    fn judge_bound(gate: &Gate, socket: &Handle, kind: SocketKind) -> CallResult<()> {
        match Self::decode(&sys::local_address(socket.fd())?, kind) {
            Some(Address::Unix(UnixAddress::Abstract(name))) => {
                gate.decide_again(&Request::UnixBind(UnixTarget::Abstract(&name)))
            }
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    fn samples() -> Vec<(i32, Address)> {
        vec![
            Address::Unix(UnixAddress::Unnamed),
            Address::Unix(UnixAddress::Path(b"/run/app/a.sock".to_vec())),
            Address::Unix(UnixAddress::Path(vec![0xff; 107])),
            Address::Unix(UnixAddress::Abstract(Vec::new())),
            Address::Unix(UnixAddress::Abstract(b"a\0b\xff".to_vec())),
            Address::Unix(UnixAddress::Abstract(vec![7; 107])),
        ]
        .into_iter()
        .map(|address| (0, address))
        .collect()
    }
}

/// Returns the directory and the name of a path that a grant lets the guest bind.
pub(crate) fn name(gate: &Gate, path: &[u8]) -> CallResult<(Dir, OsString)> {
    encode_path(path)?;
    let routes = gate.unix_route(Verb::UnixBind, path)?;
    let find = |routes: &[UnixRoute]| {
        walk(routes, |route| in_directory(route).map(|(parent, name, _)| (parent, name)))
    };
    let found = find(&routes)?;
    gate.walked(Verb::UnixBind, path, |routes| find(routes).map(drop));
    Ok(found)
}

/// Tries the routes that the policy found. Returns the first success, or the last refusal.
fn walk<T>(routes: &[UnixRoute], walk: impl Fn(&UnixRoute) -> CallResult<T>) -> CallResult<T> {
    let mut last = Errno::ACCESS.into();
    for route in routes {
        match walk(route) {
            Ok(end) => return Ok(end),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// Finds the socket's inode beneath the granted directory and connects to the inode, so that
/// changes of names in the meantime have no effect.
fn to_connect(route: &UnixRoute) -> CallResult<Destination> {
    let base = open_base(route)?;
    let real_base = real_path(base.as_fd())?;
    let inode: OwnedFd = if is_root(route) {
        // Everything is beneath the root, so absolute links can't lead out of it.
        rustix::fs::open(
            route.base.join(&route.relative),
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?
    } else {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_PATH);
        let path = without_links(route, &base, &real_base, &route.relative)?;
        let file = base.open_with(path, &options).map_err(|error| outside(route, &error))?;
        file.into_std().into()
    };
    route.permits_base(&real_base)?;
    let real = real_path(inode.as_fd())?;
    let relative = real.strip_prefix(&real_base).map_err(|_| Errno::ACCESS)?;
    route.permits(&real_base, relative)?;
    let address = encode_path(format!("/proc/self/fd/{}", inode.as_raw_fd()).as_bytes())?;
    Ok(Destination::anchored(address, Anchor::Inode(inode)))
}

/// Opens the directory beneath the granted one. A relative path is bound as the guest wrote it, in
/// the directory where it starts. An absolute path is bound by the directory's real path, unless
/// only the path as written is short enough. getsockname shows what was bound.
fn to_bind(route: &UnixRoute, given: &[u8], start: Option<Dir>) -> CallResult<Destination> {
    let (parent, name, real) = in_directory(route)?;
    let address = match start {
        Some(_) => encode_path(given),
        None => encode_path(real.as_os_str().as_bytes()).or_else(|_| encode_path(given)),
    }?;
    // man 2 bind: bind never replaces a file. So a name that does not exist now and is a socket
    // afterwards was made by the bind.
    if rustix::fs::statat(parent.as_fd(), &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(Errno::ADDRINUSE.into());
    }
    Ok(Destination::anchored(address, Anchor::Directory { parent, name, start }))
}

/// Opens the directory of a path beneath the granted one. Returns it, the name in it, and the real
/// path of both.
fn in_directory(route: &UnixRoute) -> CallResult<(Dir, OsString, PathBuf)> {
    let base = open_base(route)?;
    let real_base = real_path(base.as_fd())?;
    let name = route.relative.file_name().ok_or(Errno::INVAL)?.to_owned();
    let parent = match route.relative.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        None => base.try_clone()?,
        Some(parent) if is_root(route) => {
            Dir::open_ambient_dir(Path::new("/").join(parent), ambient_authority())?
        }
        Some(parent) => {
            let parent = without_links(route, &base, &real_base, parent)?;
            base.open_dir(parent).map_err(|error| outside(route, &error))?
        }
    };
    route.permits_base(&real_base)?;
    let real = real_path(parent.as_fd())?.join(&name);
    let relative = real.strip_prefix(&real_base).map_err(|_| Errno::ACCESS)?;
    route.permits(&real_base, relative)?;
    Ok((parent, name, real))
}

/// Returns where a relative path starts, for the kernel and for the policy. None for an absolute
/// path.
fn start_of(gate: &Gate, path: &[u8]) -> Result<Option<Dir>, Fault> {
    if path.starts_with(b"/") {
        return Ok(None);
    }
    let policy = gate.policy();
    let base = policy.start_of_paths().ok_or(Errno::ACCESS)?;
    Ok(Some(Dir::open_ambient_dir(base, ambient_authority())?))
}

/// Follows the links of a path beneath the granted directory. A link with an absolute target is
/// followed if the target is beneath the directory, by the name in the rule or by the directory's
/// real path. Links may change in the meantime, so the resulting path is opened beneath the
/// directory like any other and checked by where that led.
fn without_links(
    route: &UnixRoute,
    base: &Dir,
    real_base: &Path,
    path: &Path,
) -> CallResult<PathBuf> {
    let parts = |path: &Path| {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>()
    };
    let (mut left, mut done, mut links) = (parts(path), PathBuf::new(), 0);
    while let Some(name) = left.pop() {
        if name == ".." {
            if !done.pop() {
                return Err(leads_out(route));
            }
            continue;
        }
        let next = done.join(&name);
        // The name is not a link, or does not exist. The open reports it.
        let Ok(target) = base.read_link_contents(&next) else {
            done = next;
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        if target.is_absolute() {
            let beneath = [route.base.as_path(), real_base]
                .into_iter()
                .find_map(|base| target.strip_prefix(base).ok());
            left.extend(parts(beneath.ok_or_else(|| leads_out(route))?));
            done.clear();
        } else {
            left.extend(parts(&target));
        }
        left.retain(|part| part != ".");
    }
    Ok(if done.as_os_str().is_empty() { PathBuf::from(".") } else { done })
}

fn is_root(route: &UnixRoute) -> bool {
    route.base == Path::new("/")
}

fn open_base(route: &UnixRoute) -> Result<Dir, Fault> {
    Ok(Dir::open_ambient_dir(&route.base, ambient_authority())?)
}

/// cap-std's own refusals have no errno. They mean that the path led out of the granted directory.
fn outside(route: &UnixRoute, error: &std::io::Error) -> Fault {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw_os_error(number).into(),
        None => leads_out(route),
    }
}

fn leads_out(route: &UnixRoute) -> Fault {
    Denial::new(format!(
        "the path {} leads out of the granted folder {}",
        show_path(route.base.join(&route.relative).as_os_str().as_bytes()),
        show_path(route.base.as_os_str().as_bytes())
    ))
    .into()
}
