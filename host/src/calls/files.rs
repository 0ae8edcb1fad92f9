//! Regular files in the folders that the embedder gave. They are open for reading, and the kernel
//! can send them by itself.

use std::fs::File as StdFile;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::event::PollFlags;
use rustix::io::Errno;
use wasmtime::StoreContextMut;
use wasmtime::component::Resource;

use crate::authority::budgets;
use crate::bindings::sandsock::socket::types::Wait;
use crate::calls::tls;
use crate::calls::transfers::{Opening, keep_interrupt};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::tls::PIECE;
use crate::descriptor::{Descriptor, Handle, Reservation};
use crate::descriptor::{buffers, folder};
use crate::error::{CallResult, Fault};
use crate::observe::Identify;
use crate::sys;
use crate::wait::budget::WaitBudget;

/// The most bytes that one call sends. The contract allows less than `count`. Without this limit, a
/// fast reader could keep the thread busy.
const SEND_MOST: u64 = 16 << 20;

/// The most bytes that are copied at a time through the host's memory, if the kernel can't send a
/// file by itself.
const COPIED: usize = 64 * 1024;

/// WIT `files.file`.
pub(crate) struct File {
    file: StdFile,
    position: u64,
    /// Counts against the limit `descriptors`.
    _place: Reservation,
}

impl Identify for File {}

/// WIT `files.open`.
pub(crate) fn open(view: &mut SandsockCtxView<'_>, path: String) -> CallResult<Resource<File>> {
    let path = folder::plain(Path::new(&path));
    let (folder, rest) = folder::find(&view.ctx.folders, &path).ok_or(Errno::NOENT)?;
    let place = view.ctx.descriptor_quota.take()?;
    let file = folder.open_file(&rest)?;
    tracing::info!("opened: {path:?}");
    Ok(view.table.push(File { file, position: 0, _place: place })?)
}

/// WIT `file.read`.
pub(crate) fn read(
    view: &mut SandsockCtxView<'_>,
    file: Resource<File>,
    length: u64,
) -> CallResult<Vec<u8>> {
    let most = view.ctx.gate.policy().limits().transfer_bytes;
    let file = view.table.get_mut(&file)?;
    let mut data = vec![0; usize::try_from(length.min(most)).unwrap_or(0)];
    let count = file.file.read_at(&mut data, file.position)?;
    data.truncate(count);
    file.position += count as u64;
    Ok(data)
}

/// WIT `file.seek`.
pub(crate) fn seek(
    view: &mut SandsockCtxView<'_>,
    file: Resource<File>,
    position: u64,
) -> CallResult<()> {
    view.table.get_mut(&file)?.position = offset(position)?;
    Ok(())
}

/// WIT `file.position`.
pub(crate) fn position(view: &mut SandsockCtxView<'_>, file: Resource<File>) -> CallResult<u64> {
    Ok(view.table.get(&file)?.position)
}

/// WIT `file.size`.
pub(crate) fn size(view: &mut SandsockCtxView<'_>, file: Resource<File>) -> CallResult<u64> {
    Ok(view.table.get(&file)?.file.metadata()?.len())
}

/// Returns an offset that the kernel can hold. EINVAL for others.
fn offset(position: u64) -> Result<u64, Errno> {
    i64::try_from(position).map(|_| position).map_err(|_| Errno::INVAL)
}

/// How the bytes go from the file to the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// sendfile(2).
    Kernel,
    /// splice(2), in the steps that sendfile(2) makes. splice(2) says whether more data follows.
    /// AF_ALG ends its operation if none does.
    KernelWithMore,
    /// Through the host's memory, but never through the guest's.
    Copy,
}

/// WIT `files.send-file`.
pub(crate) async fn send_file<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, source, from, count, wait): (Resource<Descriptor>, Resource<File>, u64, u64, Wait),
) -> CallResult<u64> {
    let view = store.view();
    let handle = view.referred(&d)?;
    let is_session = handle.open.tls.is_attached();
    if !is_session {
        view.ctx.judge().plain_bytes(&handle)?;
    }
    let kind = handle.socket()?;
    let of_algorithm = kind.family == libc::AF_ALG;
    if kind.type_ != libc::SOCK_STREAM && !of_algorithm {
        return Err(Errno::OPNOTSUPP.into());
    }
    let from = offset(from)?;
    let file = view.table.get(&source)?.file.try_clone()?;
    let chunk = view.ctx.gate.policy().limits().transfer_bytes;
    // The end of the range that the guest asked for, or of the file.
    let end = from.saturating_add(count).min(file.metadata()?.len());
    let count = count.min(SEND_MOST);
    let mut budget = WaitBudget::new(wait, 0);
    if is_session {
        // The session encrypts the bytes, so they go through the host's memory.
        let most = chunk.min(PIECE as u64);
        return tls::send_bytes(store, &handle, budget, count, |_, sent| {
            Ok(read_piece(&file, from.saturating_add(sent), most.min(count - sent))?.into())
        })
        .await;
    }
    let whole = budget.is_forever();
    // sendfile(2) has no MSG_DONTWAIT. If another holder lets the description block, the call could
    // not be ended. If it were left on a thread, nobody would know how much it sends.
    let mut way = match (handle.may_block(), of_algorithm) {
        (true, _) => Way::Copy,
        (false, true) => Way::KernelWithMore,
        (false, false) => Way::Kernel,
    };
    let mut opening = Opening::new(&handle, kind, 0, &budget);
    let account = budgets::account_to_send(&handle, kind, None);
    let mut sent = 0;
    while sent < count {
        let at = from.saturating_add(sent);
        let more = of_algorithm.then_some(end);
        let mut length = chunk.min(count - sent);
        if buffers::is_sampled(kind) {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            length = store.view().ctx.gate.buffers.room_on(&handle, wanted) as u64;
        }
        let wanted = (usize::try_from(length).unwrap_or(usize::MAX), 0);
        let gate = &store.view().ctx.gate;
        let taken = match budgets::to_send(gate, &handle, kind, account.as_ref(), wanted) {
            Ok(taken) => taken,
            Err(held) => match held.wait(store, &handle, &mut budget, PollFlags::OUT).await {
                Ok(()) => continue,
                Err(fault) => return after(store, sent, fault),
            },
        };
        if let Some(taken) = &taken {
            length = length.min(taken.count() as u64);
        }
        let step = match length {
            0 => Err(Errno::NOBUFS),
            length => step(&handle, &file, way, at, length, more),
        };
        let fault: Fault = match step {
            Ok(0) => break,
            // The limit of buffers has no readiness in the kernel, so this waits with pauses.
            Err(Errno::NOBUFS) if length == 0 => {
                match budget.back_off(store, &handle, PollFlags::OUT).await {
                    Ok(()) => continue,
                    Err(fault) => fault,
                }
            }
            Ok(some) => {
                budgets::sent(kind, taken, usize::try_from(some).unwrap_or(usize::MAX));
                if buffers::is_sampled(kind) {
                    store.view().ctx.gate.buffers.sent(usize::try_from(some).unwrap_or(usize::MAX));
                }
                if way != Way::Copy {
                    store.view().ctx.count_sent_by_kernel(some);
                }
                sent += some;
                budget.progress(store).await;
                if whole {
                    continue;
                }
                break;
            }
            Err(Errno::INTR) => continue,
            // The file system has no sendfile or splice.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if way != Way::Copy => {
                way = Way::Copy;
                continue;
            }
            Err(Errno::AGAIN) => match budget.again(store, &handle, PollFlags::OUT).await {
                Ok(()) => continue,
                Err(fault) => fault,
            },
            Err(errno) if opening.is_under_way(&errno.into()) => {
                match opening.wait(store, &handle, &mut budget, errno).await {
                    Ok(()) => continue,
                    Err(fault) => fault,
                }
            }
            Err(errno) => errno.into(),
        };
        return after(store, sent, fault);
    }
    Ok(sent)
}

/// Returns the result of a call that ended with `fault` after `sent` bytes.
fn after<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    sent: u64,
    fault: Fault,
) -> CallResult<u64> {
    match fault {
        Fault::Error(_) if sent > 0 => {
            keep_interrupt(store, &fault);
            Ok(sent)
        }
        fault => Err(fault),
    }
}

/// Makes one system call. Returns 0 at the end of the file. If `end` is given, bytes that end
/// before it are sent with MSG_MORE.
fn step(
    handle: &Handle,
    file: &StdFile,
    way: Way,
    from: u64,
    count: u64,
    end: Option<u64>,
) -> Result<u64, Errno> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let more = |length: usize| end.is_some_and(|end| from.saturating_add(length as u64) < end);
    let sent = match way {
        Way::Kernel => sys::send_file(handle.fd(), file.as_fd(), from, count)?,
        Way::KernelWithMore => sys::splice_file(handle.fd(), file.as_fd(), from, count, more)?,
        Way::Copy => {
            let data = read_piece(file, from, count.min(COPIED) as u64)?;
            match data.as_slice() {
                [] => 0,
                data => {
                    let flags = if more(data.len()) { libc::MSG_MORE } else { 0 };
                    sys::send(handle.fd(), data, flags | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)?
                }
            }
        }
    };
    Ok(sent as u64)
}

/// Reads at most `most` bytes, a part that fits into memory. No bytes are the end of the file.
fn read_piece(file: &StdFile, from: u64, most: u64) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0; usize::try_from(most).unwrap_or(0)];
    let length = file
        .read_at(&mut data, from)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    data.truncate(length);
    Ok(data)
}
