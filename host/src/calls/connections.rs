//! The calls that make or end a connection. All of them can wait.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, Resource};

use crate::authority::family;
use crate::bindings::sandsock::socket::types::{Address, SocketKind, Wait};
use crate::calls::caller::Caller;
use crate::calls::netdb;
use crate::ctx::{SandsockView, StoreView as _};
use crate::descriptor::account::Account;
use crate::descriptor::{self, Closing, Descriptor, Handle};
use crate::error::CallResult;
use crate::sys;
use crate::wait::budget::WaitBudget;
use crate::wait::pool::{self, Job};

/// WIT `accepted`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Accepted {
    descriptor: Resource<Descriptor>,
    address: Option<Address>,
}

crate::observe::record_to_value! { Accepted: descriptor, address }

/// How long a connect that must not wait waits for the end of the messages that it drops, in
/// nanoseconds. The kernel's own call lasts until then. It takes longer only if a file that is closed
/// with a message takes its time.
const MOMENT: u64 = 100_000_000;

/// WIT `connections.connect`.
pub(crate) async fn connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, address, mut wait): (Resource<Descriptor>, Address, Wait),
) -> CallResult<()> {
    let (handle, kind) = store.view().socket_of(&d)?;
    store.view().ctx.judge().change(&handle, "connect")?;
    // Where a socket was accepted counts for good, so its connection can't be exchanged for another.
    if handle.open.tls.has_session() || handle.open.tls.accepted().is_some() {
        return Err(Errno::ISCONN.into());
    }
    let mut permit = judge_connect(store, &handle, kind, &address, &mut wait).await?;
    let mut budget = WaitBudget::new(wait, 0);
    if matches!(address, Address::Unspec) {
        handle.forget_port();
    } else {
        store.view().ctx.judge().local_of_connect(&handle, kind)?;
    }
    let mut beginning = store.view().ctx.judge().begin_connect(&handle, kind, &permit)?;
    handle.set_peer(&address);
    // A UNIX datagram socket that leaves its peer discards the messages that it has not read, with
    // the descriptors in them.
    let drops = kind.type_ == libc::SOCK_DGRAM
        && handle.may_hold_others()
        && sys::peer_address(handle.fd()).is_ok();
    if drops && matches!(wait, Wait::None) {
        budget = WaitBudget::new(Wait::Within(MOMENT), 0);
    }
    if drops || handle.may_block() && kind.type_ != libc::SOCK_DGRAM {
        let view = store.view();
        let left = &mut view.table.get_mut(&d)?.connecting;
        if left.as_ref().is_some_and(|job| !job.is_done()) {
            // The kernel handles the connects of a socket one after the other. One of this socket
            // is under way.
            return Err(Errno::ALREADY.into());
        }
        *left = None;
        let own = Arc::clone(&handle);
        let job = pool::BLOCKING.reserve(&view.ctx.usage)?.start(move || {
            let (result, _) = sys::connect(own.fd(), permit);
            beginning.ended(result);
            result
        })?;
        return under_way(finish_on_pool(store, &d, job, &handle, &mut budget).await, wait);
    }
    // A call that blocks gets its result from connect(2), not from SO_ERROR. connect(2) leaves the
    // socket as a blocking call would: connected, or free to connect again. After a read of
    // SO_ERROR, TCP's next connect would report the result a second time.
    let as_blocking =
        budget.is_forever() && kind.protocol == libc::IPPROTO_TCP && !handle.is_nonblocking();
    let mut begun = false;
    loop {
        let (result, last) = sys::connect(handle.fd(), permit);
        beginning.ended(result);
        let Err(errno) = result else { return Ok(()) };
        match errno {
            // The signal's handler runs before the wait goes on.
            Errno::INTR if handle.is_of_process() => return Err(errno.into()),
            // Over loopback, the kernel handles the answer before connect(2) returns. Then the
            // second attempt succeeds without a wait.
            Errno::INPROGRESS if as_blocking && !begun => begun = true,
            Errno::INPROGRESS | Errno::ALREADY | Errno::INTR if as_blocking => {
                match budget.again(store, &handle, PollFlags::OUT).await {
                    // man 7 socket: this is the error after SO_SNDTIMEO.
                    Err(fault) if fault.is(Errno::AGAIN) && errno == Errno::ALREADY && !begun => {
                        return Err(errno.into());
                    }
                    Err(fault) if fault.is(Errno::AGAIN) => return Err(Errno::INPROGRESS.into()),
                    result => result?,
                }
            }
            Errno::INPROGRESS | Errno::INTR => {
                return under_way(finish(store, &handle, &mut budget).await, wait);
            }
            // The backlog is full. A blocking AF_UNIX socket waits for room, but the kernel has no
            // readiness for it.
            Errno::AGAIN if budget.is_forever() => {
                budget.back_off(store, &handle, PollFlags::OUT).await?
            }
            errno => return Err(handle.check().err().unwrap_or(errno.into())),
        }
        let view = store.view();
        let judge = view.ctx.judge();
        permit = if judge.is_current(&last) {
            last
        } else {
            judge.connect_socket(&handle, kind, &address)?
        };
    }
}

/// Converts EAGAIN to EINPROGRESS, with which Linux reports a wait that never began, or that
/// SO_SNDTIMEO ended.
fn under_way(result: CallResult<()>, wait: Wait) -> CallResult<()> {
    match result {
        Err(fault) if fault.is(Errno::AGAIN) && matches!(wait, Wait::None | Wait::Forever) => {
            Err(Errno::INPROGRESS.into())
        }
        result => result,
    }
}

/// Waits for a connect on a thread of the pool. If the wait ends first, the connect goes on.
async fn finish_on_pool<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    d: &Resource<Descriptor>,
    job: Job<Result<(), Errno>>,
    handle: &Handle,
    budget: &mut WaitBudget,
) -> CallResult<()> {
    match wait_for(store, &job, handle, budget, PollFlags::OUT).await {
        // The description was switched to nonblocking.
        Ok(Err(Errno::INPROGRESS)) => finish(store, handle, budget).await,
        Ok(result) => Ok(result?),
        Err(fault) => {
            store.view().table.get_mut(d)?.connecting = Some(job);
            Err(fault)
        }
    }
}

async fn judge_connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    kind: SocketKind,
    address: &Address,
    wait: &mut Wait,
) -> CallResult<crate::authority::permit::Permit<crate::authority::permit::Connect>> {
    netdb::with_fresh_names(store, wait, |view| {
        view.ctx.judge().connect_socket(handle, kind, address)
    })
    .await
}

/// Waits for a connection under way, and returns what SO_ERROR has.
async fn finish<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    budget: &mut WaitBudget,
) -> CallResult<()> {
    budget.again(store, handle, PollFlags::OUT).await?;
    match sys::own_option(handle.fd(), libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 | libc::EISCONN => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno).into()),
    }
}

/// WIT `connections.finish-connect`.
pub(crate) async fn finish_connect<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, wait): (Resource<Descriptor>, Wait),
) -> CallResult<()> {
    let (handle, _) = store.view().socket_of(&d)?;
    // Under `none`, a connection that is there already is success. EAGAIN is for a connection that
    // is not there yet.
    let wait = if matches!(wait, Wait::None) { Wait::Within(0) } else { wait };
    let mut budget = WaitBudget::new(wait, 0);
    let left = store.view().table.get_mut(&d)?.connecting.take();
    match left {
        Some(job) => finish_on_pool(store, &d, job, &handle, &mut budget).await,
        None => finish(store, &handle, &mut budget).await,
    }
}

/// WIT `connections.accept`.
pub(crate) async fn accept<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, wait): (Resource<Descriptor>, Wait),
) -> CallResult<Accepted> {
    let view = store.view();
    let (handle, kind) = view.socket_of(&d)?;
    view.room_for(1)?;
    view.ctx.gate.buffers.room_to_accept(&handle, kind)?;
    let mut budget = WaitBudget::new(wait, 0);
    let account = handle.open.spending.local();
    let (fd, address, open) = loop {
        let open = account.as_ref().map(Account::open_connection);
        if let Some(Err(_)) = open {
            // It waits in the queue until another connection is closed.
            budget.back_off(store, &handle, PollFlags::IN).await?;
            continue;
        }
        let result = if handle.may_block() {
            accept_on_pool(store, &d, &handle, kind, &mut budget).await?
        } else {
            if handle.is_of_process() && !is_ready(&handle, PollFlags::IN) {
                // The kernel would block in accept(2). poll(2) can be interrupted.
                budget.again(store, &handle, PollFlags::IN).await?;
            }
            accept_now(&handle, kind)
        };
        match result {
            Ok((fd, address)) => break (fd, address, open.and_then(Result::ok)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // The place is free while the call waits.
                drop(open);
                budget.again(store, &handle, PollFlags::IN).await?;
            }
            // If the listener was closed during the call, the denial says why.
            Err(errno) => return Err(handle.check().err().unwrap_or(errno.into())),
        }
    };
    let mut view = store.view();
    let accepted = Handle::own(fd.take(), kind, false, &view.ctx.rights);
    accepted.inherit_options(&handle);
    accepted.inherit_view(&handle);
    accepted.open.tls.accepted_by(&handle.open.tls);
    accepted.open.spending.set_accepted(account, open);
    if !handle.is_sole()
        && let Some(seconds) = sys::linger(accepted.fd())
    {
        // The kernel copies SO_LINGER from the listener. The accepted description is the guest's
        // own, so the handle keeps the option.
        sys::set_linger(accepted.fd(), None);
        accepted.hold_linger(seconds);
    }
    let descriptor = view.push(accepted)?;
    Ok(Accepted { descriptor, address: family::decode(&address, kind) })
}

fn accept_now(handle: &Handle, kind: SocketKind) -> descriptor::Accepted {
    let (fd, address) = sys::accept(handle.fd(), has_names(kind))?;
    // The queue may have unread messages with descriptors of any kind, so the close may take time.
    Ok((handle.closer().defer(fd), address))
}

/// Returns whether accept(2) can return the peer's address. AF_ALG has no peers. With a buffer for
/// the address, its accept fails with ECONNABORTED.
fn has_names(kind: SocketKind) -> bool {
    kind.family != libc::AF_ALG
}

/// Accepts on a description that blocks in the kernel. Another process may take the connection that
/// poll(2) has seen.
async fn accept_on_pool<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    d: &Resource<Descriptor>,
    handle: &Arc<Handle>,
    kind: SocketKind,
    budget: &mut WaitBudget,
) -> CallResult<descriptor::Accepted> {
    let left = store.view().table.get_mut(d)?.accepting.take();
    let job = match left {
        Some(job) => job,
        None => {
            if !is_ready(handle, PollFlags::IN) {
                budget.again(store, handle, PollFlags::IN).await?;
            }
            let thread = pool::BLOCKING.reserve(&store.view().ctx.usage)?;
            let own = Arc::clone(handle);
            thread.start(move || accept_now(&own, kind))?
        }
    };
    let result = wait_for(store, &job, handle, budget, PollFlags::IN).await;
    if result.is_err() {
        store.view().table.get_mut(d)?.accepting = Some(job);
    }
    result
}

pub(crate) fn is_ready(handle: &Handle, events: PollFlags) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(
        &mut [rustix::event::PollFd::from_borrowed_fd(handle.fd(), events)],
        Some(&now),
    )
    .is_ok_and(|count| count > 0)
}

/// Waits for a job on a thread of a pool.
async fn wait_for<T: SandsockView, R>(
    store: &mut StoreContextMut<'_, T>,
    job: &Job<R>,
    handle: &Handle,
    budget: &mut WaitBudget,
    events: PollFlags,
) -> CallResult<R> {
    budget.until_done(store, job.as_fd(), handle, events).await?;
    job.take().ok_or_else(|| Errno::IO.into())
}

/// WIT `connections.close`.
pub(crate) async fn close(
    caller: &mut impl Caller,
    (d,): (Resource<Descriptor>,),
) -> CallResult<()> {
    let closing = caller.step(|view| {
        let descriptor = view.table.delete(d)?;
        // The alias is removed too, but there was nothing to close.
        let handle = descriptor.into_handle().ok_or(Errno::BADF)?;
        CallResult::Ok(handle.close())
    })?;
    match closing {
        None => Ok(()),
        Some(Closing::Done(result)) => Ok(result?),
        Some(Closing::Lingering(job)) => closed(caller, job.as_fd(), || job.take()).await,
        Some(Closing::Apart(job)) => closed(caller, job.as_fd(), || job.take()).await,
    }
}

/// Waits for a close on another thread.
async fn closed(
    caller: &mut impl Caller,
    done: BorrowedFd<'_>,
    result: impl FnOnce() -> Option<Result<(), Errno>> + Send,
) -> CallResult<()> {
    match caller.readable(done, None).await {
        Ok(_) => Ok(result().unwrap_or(Err(Errno::IO))?),
        // man 7 socket: a signal ends the linger. The descriptor is closed all the same.
        Err(Errno::INTR) => {
            caller.step(|view| view.ctx.waiter.interrupter().interrupt());
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}
