//! Received control messages: descriptors, and the identity of the sender.

use std::os::fd::AsFd as _;

use rustix::event::PollFlags;
use rustix::io::Errno;
use sandsock_abi::constants::SO_PEERCRED;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use crate::bindings::sandsock::socket::types::{DescriptorKind, SocketKind};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::{Descriptor, Handle, kind_of, socket_kind};
use crate::error::{CallResult, Fault};
use crate::sys::closer::DeferredFd;
use crate::wait::now;
use sandsock_policy::{Ancillary, OptionRequest, Request};

/// How long a file system may take to say what kind of file a received descriptor is, in
/// nanoseconds.
const ANSWER: u64 = 1_000_000_000;

/// Puts received descriptors that the policy allows into the table, and closes the others. No
/// descriptor is used before the policy has said that any may come in. The kind of a file that is
/// no socket is read on a thread of the closer.
pub(crate) async fn accept<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    fds: Vec<DeferredFd>,
    pidfd: bool,
) -> CallResult<Vec<Resource<Descriptor>>> {
    let Sorted { kinds, kept, unknown } = judge(&store.view(), fds, pidfd);
    let (mut kept, mut looked_at) = (kept.into_iter(), look(store, unknown).await?.into_iter());
    let mut list = Vec::new();
    for kind in kinds {
        let next = match kind {
            Some(kind) => kept.next().map(|fd| (fd, kind)),
            None => looked_at.next(),
        };
        let mut view = store.view();
        // A descriptor without room in the table is closed, and MSG_CTRUNC reports it.
        let Some(Ok(handle)) =
            next.map(|(fd, kind)| Handle::foreign(fd, kind, pidfd, &view.ctx.rights))
        else {
            continue;
        };
        match view.push(handle) {
            Ok(d) => list.push(d),
            Err(Fault::Error(_)) => {}
            Err(trap) => return Err(trap),
        }
    }
    Ok(list)
}

/// Received descriptors that may come in.
#[derive(Default)]
struct Sorted {
    /// The kinds, in the order of the descriptors. None if the kind is not known yet.
    kinds: Vec<Option<DescriptorKind>>,
    /// The descriptors whose kind is known.
    kept: Vec<DeferredFd>,
    unknown: Vec<DeferredFd>,
}

fn judge(view: &SandsockCtxView<'_>, fds: Vec<DeferredFd>, pidfd: bool) -> Sorted {
    let mut sorted = Sorted::default();
    let gate = &view.ctx.gate;
    let (granted_kinds, any_kind) = (
        Request::Ancillary(Ancillary::RightsReceive),
        Request::Ancillary(Ancillary::RightsReceiveAny),
    );
    if !gate.would_allow(&granted_kinds) && !gate.would_allow(&any_kind) {
        for _ in &fds {
            // The decision is made for the observers.
            let _ = gate.decide(&granted_kinds);
        }
        return sorted;
    }
    for fd in fds {
        let kind = socket_kind(fd.as_fd()).ok();
        // Even if the guest may make such a socket itself, this one may be connected.
        let is_granted = |kind: SocketKind| {
            let policy = gate.policy();
            let policy = policy.enforced().unwrap_or(&policy);
            policy.has_grant_for(kind.family, kind.type_, kind.protocol)
        };
        let asked = if kind.is_some_and(is_granted) { granted_kinds } else { any_kind };
        let about = kind.map(|kind| (kind.family, kind.type_, kind.protocol));
        if gate.decide_about(&asked, about).is_err() {
            continue;
        }
        // A pidfd is made by the kernel, and is no file of a file system.
        let kind = kind.map(DescriptorKind::Socket).or(pidfd.then_some(DescriptorKind::Other));
        match kind {
            Some(_) => sorted.kept.push(fd),
            None => sorted.unknown.push(fd),
        }
        sorted.kinds.push(kind);
    }
    sorted
}

/// Reads the kinds of files. Descriptors whose file system does not answer in time are closed when
/// it does.
async fn look<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    fds: Vec<DeferredFd>,
) -> CallResult<Vec<(DeferredFd, DescriptorKind)>> {
    if fds.is_empty() {
        return Ok(Vec::new());
    }
    let view = store.view();
    let look = |fd: DeferredFd| kind_of(fd.as_fd()).map(|kind| (fd, kind)).ok();
    let job =
        view.ctx.rights.closer.run(move || fds.into_iter().filter_map(look).collect::<Vec<_>>())?;
    let until = now().saturating_add(ANSWER);
    let mut interrupted = false;
    let result = loop {
        match view.ctx.waiter.ready(job.as_fd(), None, PollFlags::IN, Some(until)).await {
            // The message is received already, so the interrupt ends the next wait.
            Err(Errno::INTR) => interrupted = true,
            Ok(_) => break Ok(job.take().unwrap_or_default()),
            Err(errno) => break Err(errno.into()),
        }
    };
    if interrupted {
        view.ctx.waiter.interrupter().interrupt();
    }
    result
}

/// Hides SCM_CREDENTIALS (man 7 unix: the process, user and group that sent a message) without the
/// grant for SO_PEERCRED, which has the same. The guest then sees what the kernel shows for ids
/// that a program may not see: no process, and nobody.
pub(crate) fn hide_ids(
    view: &SandsockCtxView<'_>,
    kind: SocketKind,
    message: (i32, i32),
    data: &mut [u8],
) {
    if kind.family != libc::AF_UNIX || message != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return;
    }
    let asked = Request::Option(OptionRequest::Get {
        family: kind.family,
        level: libc::SOL_SOCKET,
        number: SO_PEERCRED,
    });
    if !view.ctx.gate.lets_pass(&asked) {
        let nobody = [0u32, NOBODY, NOBODY].map(u32::to_ne_bytes).concat();
        data.iter_mut().zip(nobody).for_each(|(byte, hidden)| *byte = hidden);
    }
}

/// The kernel's overflowuid and overflowgid (man 7 user_namespaces).
const NOBODY: u32 = 65534;
