//! Sleeps, and time limits for futures.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use super::runtime;
use crate::{Error, Result, raw::clock};

/// The future of [`sleep`].
#[derive(Debug)]
#[must_use = "it sleeps when it is awaited"]
pub struct Sleep {
    /// When the sleep ends, by the host's clock.
    at: u64,
    /// The timer's number, once it is set.
    timer: Option<u64>,
}

/// Sleeps for at least `time`, from this call on. Other tasks run even if `time` is 0.
///
/// Python: `asyncio.sleep(delay)`.
pub fn sleep(time: Duration) -> Sleep {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Sleep { at: clock::now().saturating_add(nanoseconds), timer: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (at, waker) = (self.at, context.waker());
        let over = runtime::with(|runtime| match self.timer {
            Some(number) => runtime.reactor.has_fired(at, number, waker),
            None => {
                self.timer = Some(runtime.reactor.set_timer(at, waker));
                false
            }
        });
        if over == Some(true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.timer {
            runtime::with(|runtime| runtime.reactor.remove_timer(self.at, number));
        }
    }
}

/// Runs a future for at most `time`, and drops it if it has not ended by then.
///
/// Python: `asyncio.wait_for(future, timeout)`.
///
/// # Errors
/// `TimeoutError`, the same as that of a socket's timeout.
pub async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output> {
    let mut future = pin!(future);
    // A future that is ready at once does not need the clock.
    let mut end = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(end.get_or_insert_with(|| sleep(time)))
            .poll(context)
            .map(|()| Err(Error::timed_out()))
    })
    .await
}
