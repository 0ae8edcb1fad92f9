//! Waits of the streams and async functions of the Component Model, several of which can be under
//! way in one instance. An interrupt ends all of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::time::Sleep;

use super::PollableWaiter;
use super::registration::{Registration, RegistrationCell, is_closed, registration, renewed};
use super::waiter::io_errno;

/// How long a direction rests that is closed, and finds nothing all the same.
const CLOSED_PAUSE: Duration = Duration::from_millis(1);

type Future = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;

/// The interrupts of one wait after the other.
pub(crate) struct Interrupts {
    waiter: Arc<PollableWaiter>,
    /// The interrupts before the wait.
    before: u64,
    next: Option<Future>,
}

impl Interrupts {
    pub(crate) fn new(waiter: &Arc<PollableWaiter>) -> Self {
        Self { waiter: Arc::clone(waiter), before: waiter.interrupts(), next: None }
    }

    /// A wait begins. Earlier interrupts do not end it.
    fn begin(&mut self) {
        self.before = self.waiter.interrupts();
    }

    /// Ends at an interrupt, also at one that another wait has taken.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Errno> {
        if self.waiter.interrupts() != self.before {
            return Poll::Ready(Errno::INTR);
        }
        let next = match &mut self.next {
            Some(next) => next,
            None => match self.waiter.take_interrupt() {
                Ok(next) => self.next.insert(Box::pin(next)),
                Err(errno) => return Poll::Ready(errno),
            },
        };
        ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(Errno::INTR)
    }

    /// Waits for a future.
    ///
    /// # Errors
    ///
    /// EINTR at an interrupt.
    pub(crate) async fn unless_interrupted<R>(
        mut self,
        future: impl std::future::Future<Output = R>,
    ) -> Result<R, Errno> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

/// What came of an attempt.
pub(crate) enum Attempt<R> {
    Done(Result<R, Errno>),
    /// It is done, and another attempt would find nothing.
    Drained(R),
    /// The kernel has nothing, or takes nothing.
    NotReady,
    /// No readiness stands behind what the attempt lacks. It is made again after this time.
    Pause(Duration),
}

/// The waits of one direction of a socket.
pub(crate) struct PolledWait {
    /// IN or OUT.
    events: PollFlags,
    registration: Option<Registration>,
    interrupts: Interrupts,
    waits: bool,
    pause: Option<Pin<Box<Sleep>>>,
    /// Ends when the attempts are to be made anew.
    renewed: Option<Future>,
    /// The renewals before the last attempt.
    renewals: u64,
}

impl PolledWait {
    pub(crate) fn new(waiter: &Arc<PollableWaiter>, events: PollFlags) -> Self {
        let interrupts = Interrupts::new(waiter);
        Self {
            events,
            registration: None,
            interrupts,
            waits: false,
            pause: None,
            renewed: None,
            renewals: waiter.renewals(),
        }
    }

    /// Makes attempts until one is done. EINTR at an interrupt, if no attempt is done before it.
    ///
    /// `cell` keeps the registration of the socket `fd`.
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        (fd, cell): (std::os::fd::BorrowedFd<'_>, &RegistrationCell),
        mut attempt: impl FnMut() -> Attempt<R>,
    ) -> Poll<Result<R, Errno>> {
        if !std::mem::replace(&mut self.waits, true) {
            self.interrupts.begin();
        }
        let mut result = self.attempts(cx, (fd, cell), &mut attempt);
        while result.is_pending() && self.is_renewed(cx) {
            // The number may have another description now.
            (self.registration, self.pause) = (None, None);
            result = self.attempts(cx, (fd, cell), &mut attempt);
        }
        let result = match result {
            Poll::Pending => self.interrupts.poll(cx).map(Err),
            done => done,
        };
        self.waits = result.is_pending();
        result
    }

    /// Returns whether the waits were told to look again.
    fn is_renewed(&mut self, cx: &mut Context<'_>) -> bool {
        let (waiter, seen) = (&self.interrupts.waiter, self.renewals);
        let renewed = self.renewed.get_or_insert_with(|| Box::pin(waiter.renewed_since(seen)));
        let is_renewed = renewed.as_mut().poll(cx).is_ready();
        if is_renewed {
            (self.renewed, self.renewals) = (None, waiter.renewals());
        }
        is_renewed
    }

    fn attempts<R>(
        &mut self,
        cx: &mut Context<'_>,
        (fd, cell): (std::os::fd::BorrowedFd<'_>, &RegistrationCell),
        attempt: &mut impl FnMut() -> Attempt<R>,
    ) -> Poll<Result<R, Errno>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.registration.is_none() {
            match attempt() {
                Attempt::Done(result) => return Poll::Ready(result),
                Attempt::Drained(value) => return Poll::Ready(Ok(value)),
                Attempt::NotReady => self.registration = Some(registration(Some(cell), fd)?),
                Attempt::Pause(time) => return self.rest(cx, time),
            }
        }
        while let Some(registered) = &self.registration {
            let readiness = match self.events {
                PollFlags::OUT => registered.poll_write_ready(cx),
                _ => registered.poll_read_ready(cx),
            };
            let mut guard = ready!(readiness).map_err(io_errno)?;
            match attempt() {
                Attempt::Done(result) => return Poll::Ready(result),
                Attempt::Drained(value) => {
                    // man 7 tcp: a receive also ends before urgent data, which may have more bytes
                    // behind it.
                    if registered.try_io(Interest::PRIORITY, |_| Ok(())).is_err() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(value));
                }
                Attempt::Pause(time) => return self.rest(cx, time),
                Attempt::NotReady if is_closed(&guard) => {
                    drop(guard);
                    self.registration = Some(renewed(registered, Some(cell))?);
                    return self.rest(cx, CLOSED_PAUSE);
                }
                Attempt::NotReady => guard.clear_ready(),
            }
        }
        Poll::Pending
    }

    /// Wakes the task after this time.
    fn rest<R>(&mut self, cx: &mut Context<'_>, time: Duration) -> Poll<Result<R, Errno>> {
        let pause = self.pause.insert(Box::pin(tokio::time::sleep(time)));
        if pause.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
