//! The bytes of a TCP connection. Streams have no store, so a connection has all that they use of
//! their context. No rule is about the bytes of a connection, but a budget can count them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::authority::budgets::{self, Allowance, Held, Withheld};
use crate::authority::gate::Gate;
use crate::bindings::sandsock::socket::types::SocketKind;
use crate::calls::connections::is_ready;
use crate::ctx::SandsockCtx;
use crate::descriptor::Handle;
use crate::observe::{PollableWaits, StreamFunctions, Transfer, Watch};
use crate::sys;
use crate::wait::polled::PolledWait;
use crate::wait::{PollableWaiter, now, ready_in_background};

/// How long a send waits before another attempt that no readiness announces: the limit of buffers
/// has no room, or the kernel no memory.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// The kind of a connection, as far as budgets ask for it.
const STREAM: SocketKind =
    SocketKind { family: libc::AF_INET, type_: libc::SOCK_STREAM, protocol: libc::IPPROTO_TCP };

/// What a receive got.
pub(crate) struct Received<R> {
    /// The bytes, or their number.
    pub(crate) value: R,
    /// The kernel had less than it was asked for, so another receive would find nothing.
    pub(crate) is_drained: bool,
}

/// Why nothing moves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The kernel's answer, or a refusal.
    Os(Errno),
    /// A budget lets nothing move for this time, or the limit of buffers has no room. No readiness
    /// stands behind that.
    Held(Duration),
}

impl Stop {
    fn until(instant: u64) -> Self {
        Self::Held(Duration::from_nanos(instant.saturating_sub(now()).max(1)))
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

impl From<Held> for Stop {
    fn from(held: Held) -> Self {
        match held {
            Held::Until(instant) => Self::until(instant),
            held => Self::Os(held.errno()),
        }
    }
}

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
    gate: Arc<Gate>,
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
            gate: Arc::clone(&ctx.gate),
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

    /// Returns how many of so many bytes a budget lets a receive get, and what counts them.
    fn allowance(&self, asked: usize) -> Result<(usize, Option<Allowance>), Stop> {
        let asked = asked.min(self.transfer_limit);
        let allowance = budgets::to_receive(&self.gate, &self.handle, STREAM, (asked, 0))?;
        Ok((allowance.as_ref().map_or(asked, |allowance| allowance.most().min(asked)), allowance))
    }

    /// A receive got so many bytes.
    fn received(&self, allowance: Option<Allowance>, count: usize) {
        if let Some(allowance) = allowance {
            allowance.received(&self.handle, count);
        }
        self.gate.buffers.received(count);
    }

    /// Receives at most this many bytes. No bytes are the end of the stream. EAGAIN if there are
    /// none yet.
    pub(crate) fn receive(&self, most: usize) -> Result<Received<Vec<u8>>, Stop> {
        self.handle.check_errno()?;
        let (asked, allowance) = self.allowance(most)?;
        let call =
            || sys::receive(self.handle.fd(), asked, libc::MSG_DONTWAIT).map(|(data, _)| data);
        let data = self.observed(call, |result, report| {
            let result = result.as_ref().map(Vec::as_slice).map_err(|errno| *errno);
            report(&Transfer::Received { asked, result });
        })?;
        let is_drained = (1..asked).contains(&data.len());
        self.received(allowance, data.len());
        Ok(Received { value: data, is_drained })
    }

    /// The same, into memory of the guest. Returns the number of bytes.
    pub(crate) fn receive_into(&self, buffer: &mut [u8]) -> Result<Received<usize>, Stop> {
        self.handle.check_errno()?;
        let (asked, allowance) = self.allowance(buffer.len())?;
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
        self.received(allowance, count);
        Ok(Received { value: count, is_drained: (1..asked).contains(&count) })
    }

    /// Sends some of these bytes. EAGAIN if the kernel takes none now.
    pub(crate) fn send(&self, data: &[u8]) -> Result<Taken, Stop> {
        self.handle.check_errno()?;
        let room = self.gate.buffers.room_on(&self.handle, data.len().min(self.transfer_limit));
        if room == 0 && !data.is_empty() {
            return Err(Stop::Held(PAUSE));
        }
        let account = self.handle.open.spending.connection();
        let wanted = (room, 0);
        let taken = budgets::to_send(&self.gate, &self.handle, STREAM, account.as_ref(), wanted)?;
        let room = taken.as_ref().map_or(room, |taken| taken.count().min(room));
        let data = &data[..room];
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = self.observed(
            || sys::send(self.handle.fd(), data, flags),
            |result, report| report(&Transfer::Sent { data, result: *result }),
        )?;
        budgets::sent(STREAM, taken, count);
        self.gate.buffers.sent(count);
        Ok(Taken { count, is_full: count < room })
    }

    /// Whether a send would take bytes now, or report an error.
    pub(crate) fn is_writable(&self) -> bool {
        self.can_send().is_ok()
    }

    /// Returns why a send would take no bytes now.
    pub(crate) fn can_send(&self) -> Result<(), Stop> {
        if self.gate.buffers.room_on(&self.handle, 1) == 0 {
            return Err(Stop::Held(PAUSE));
        }
        self.can(PollFlags::OUT)
    }

    /// Returns why there is nothing to receive, no end, and no error.
    pub(crate) fn can_receive(&self) -> Result<(), Stop> {
        self.can(PollFlags::IN)
    }

    fn can(&self, events: PollFlags) -> Result<(), Stop> {
        if !is_ready(&self.handle, events) {
            return Err(Errno::AGAIN.into());
        }
        self.withheld(events).map_or(Ok(()), |withheld| Err(Stop::until(withheld.until)))
    }

    fn withheld(&self, events: PollFlags) -> Option<Withheld> {
        budgets::withheld_now(&self.gate, &self.handle, events)
    }

    /// Whether the limit of buffers and the budget let a send go on.
    pub(crate) fn has_room(&self) -> bool {
        self.room(1) > 0
    }

    /// How many of so many bytes the limit of buffers has room for. 0 if a budget lets none go.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        let room = self.gate.buffers.room_on(&self.handle, wanted);
        if self.withheld(PollFlags::OUT).is_some() { 0 } else { room }
    }

    /// The host holds `now` unsent bytes of the connection, and held `before`. They count against
    /// the limit of buffers.
    pub(crate) fn holds(&self, before: usize, now: usize) {
        self.gate.buffers.holds(before, now);
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
        loop {
            self.waiter.ready(self.handle.fd(), cell, PollFlags::IN).await?;
            let Some(withheld) = self.withheld(PollFlags::IN) else { return Ok(()) };
            self.waiter.sleep(withheld.until).await?;
        }
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
            // No readiness stands behind the limit, nor behind a budget.
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
