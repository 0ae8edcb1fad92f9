//! The bytes of a TCP connection. Streams have no store, so a connection has all that they use of
//! their context. No rule is about the bytes of a connection.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::calls::connections::is_ready;
use crate::ctx::SandsockCtx;
use crate::descriptor::Handle;
use crate::descriptor::buffers::Buffers;
use crate::observe::{PollableWaits, StreamFunctions, Transfer, Watch};
use crate::sys;
use crate::wait::polled::PolledWait;
use crate::wait::{PollableWaiter, now, ready_in_background};

/// How long a send waits before another attempt that no readiness announces: the limit of buffers
/// has no room, or the kernel no memory.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// What a send took.
pub(crate) struct Taken {
    /// The number of bytes.
    pub(crate) count: usize,
    /// The kernel took fewer bytes than it was given, so another send would take none. It reports
    /// when there is room again.
    pub(crate) is_full: bool,
}

/// A TCP connection of the guest.
pub(crate) struct Connection {
    handle: Arc<Handle>,
    waiter: Arc<PollableWaiter>,
    buffers: Arc<Buffers>,
    /// The observers, and the socket's place as they know it.
    watch: Option<(Arc<Watch>, u32)>,
    functions: &'static StreamFunctions,
    /// Counts the waits of the streams.
    pub(crate) waits: PollableWaits,
    /// The most bytes that one call moves.
    pub(crate) transfer_limit: usize,
}

impl Connection {
    /// The connection of the socket that observers know by this place, and whose streams are read
    /// and written by these functions.
    pub(crate) fn new(
        ctx: &SandsockCtx,
        handle: &Arc<Handle>,
        place: u32,
        functions: &'static StreamFunctions,
    ) -> Arc<Self> {
        Arc::new(Self {
            functions,
            handle: Arc::clone(handle),
            waiter: Arc::clone(&ctx.pollables),
            buffers: Arc::clone(&ctx.gate.buffers),
            watch: ctx.watch().map(|watch| (Arc::clone(watch), place)),
            waits: PollableWaits::new(ctx.watch(), Some(place)),
            transfer_limit: ctx.limits().transfer_bytes as usize,
        })
    }

    /// The socket of the connection.
    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Makes a system call, and reports it.
    fn observed<R>(
        &self,
        call: impl Fn() -> Result<R, Errno>,
        report: impl FnOnce(&Result<R, Errno>, &dyn Fn(&Transfer<'_>)),
    ) -> Result<R, Errno> {
        let again = || loop {
            match call() {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        let Some((watch, place)) = &self.watch else { return again() };
        let start = (SystemTime::now(), Instant::now());
        let result = again();
        report(&result, &|transfer| {
            watch.transferred((*place, &self.handle), self.functions, transfer, start)
        });
        result
    }

    /// Receives at most this many bytes. No bytes are the end of the stream. EAGAIN if there are
    /// none yet.
    pub(crate) fn receive(&self, most: usize) -> Result<Vec<u8>, Errno> {
        let asked = most.min(self.transfer_limit);
        let call =
            || sys::receive(self.handle.fd(), asked, libc::MSG_DONTWAIT).map(|(data, _)| data);
        let data = self.observed(call, |result, report| {
            let result = result.as_ref().map(Vec::as_slice).map_err(|errno| *errno);
            report(&Transfer::Received { asked, result });
        })?;
        self.buffers.received(data.len());
        Ok(data)
    }

    /// The same, into memory of the guest. Returns the number of bytes.
    pub(crate) fn receive_into(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let asked = buffer.len().min(self.transfer_limit);
        let start = self.watch.as_ref().map(|_| (SystemTime::now(), Instant::now()));
        let result = loop {
            match sys::receive_into(self.handle.fd(), &mut buffer[..asked], libc::MSG_DONTWAIT) {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        if let (Some((watch, place)), Some(start)) = (&self.watch, start) {
            let transfer =
                Transfer::Received { asked, result: result.map(|count| &buffer[..count]) };
            watch.transferred((*place, &self.handle), self.functions, &transfer, start);
        }
        let count = result?;
        self.buffers.received(count);
        Ok(count)
    }

    /// Sends some of these bytes. EAGAIN if the kernel, or the limit of buffers, takes none now.
    pub(crate) fn send(&self, data: &[u8]) -> Result<Taken, Errno> {
        let room = self.buffers.room_on(&self.handle, data.len().min(self.transfer_limit));
        if room == 0 && !data.is_empty() {
            return Err(Errno::AGAIN);
        }
        let data = &data[..room];
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = self.observed(
            || sys::send(self.handle.fd(), data, flags),
            |result, report| report(&Transfer::Sent { data, result: *result }),
        )?;
        self.buffers.sent(count);
        Ok(Taken { count, is_full: count < room })
    }

    /// Whether a send would take bytes now, or report an error.
    pub(crate) fn is_writable(&self) -> bool {
        is_ready(&self.handle, PollFlags::OUT) && self.has_room()
    }

    /// Whether there is something to receive, or the end, or an error.
    pub(crate) fn is_readable(&self) -> bool {
        is_ready(&self.handle, PollFlags::IN)
    }

    /// Whether the limit of buffers lets a send go on.
    pub(crate) fn has_room(&self) -> bool {
        self.room(1) > 0
    }

    /// How many of so many bytes the limit of buffers has room for.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        self.buffers.room_on(&self.handle, wanted)
    }

    /// The host holds `now` unsent bytes of the connection, and held `before`. They count against
    /// the limit of buffers.
    pub(crate) fn holds(&self, before: usize, now: usize) {
        self.buffers.holds(before, now);
    }

    /// The waits of a direction of this connection.
    pub(crate) fn polled_wait(&self, events: PollFlags) -> PolledWait {
        PolledWait::new(&self.waiter, events)
    }

    /// Waits until there is something to receive, or the end.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn readable(&self) -> Result<(), Errno> {
        let cell = &self.handle.registration;
        self.waiter.ready(self.handle.fd(), cell, PollFlags::IN).await
    }

    /// Waits until a send would take bytes or report an error.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn writable(&self) -> Result<(), Errno> {
        let cell = &self.handle.registration;
        loop {
            self.waiter.ready(self.handle.fd(), cell, PollFlags::OUT).await?;
            if self.has_room() {
                return Ok(());
            }
            // No readiness stands behind the limit.
            self.pause().await?;
        }
    }

    /// Waits before another attempt that no readiness announces.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn pause(&self) -> Result<(), Errno> {
        let pause = u64::try_from(PAUSE.as_nanos()).unwrap_or(u64::MAX);
        self.waiter.sleep(now().saturating_add(pause)).await
    }

    /// The same, in the background of the guest, where no interrupt is taken.
    pub(crate) async fn pause_in_background() {
        tokio::time::sleep(PAUSE).await;
    }

    /// As `writable`, in the background of the guest.
    pub(crate) async fn writable_in_background(&self) {
        let cell = &self.handle.registration;
        loop {
            let ready = ready_in_background(self.handle.fd(), cell, PollFlags::OUT).await;
            if ready.is_ok() && self.has_room() {
                return;
            }
            Self::pause_in_background().await;
        }
    }

    /// shutdown(2). A connection that the peer has reset can't be shut any more, and need not be.
    pub(crate) fn shutdown(&self, how: i32) {
        let _ = sys::shutdown(self.handle.fd(), how);
    }
}
