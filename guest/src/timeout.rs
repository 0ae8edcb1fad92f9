//! Timeouts as in Python, and how long a call may wait by them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use sandsock_abi::errno;

use crate::{
    Error, ErrorKind, Flags, Progress, Result, interrupt,
    raw::{
        clock,
        descriptors::Descriptor,
        polling,
        types::{self, Wait},
    },
    waits,
};

/// A socket's timeout in nanoseconds, as in CPython. A negative number is no timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub(crate) i64);

impl Timeout {
    /// No timeout: the socket blocks.
    pub(crate) const NONE: Self = Self(-1);
    /// The socket does not wait.
    pub(crate) const ZERO: Self = Self(0);

    /// Converts a duration to whole nanoseconds.
    pub(crate) fn from_duration(timeout: Option<Duration>) -> Result<Self> {
        let Some(timeout) = timeout else {
            return Ok(Self::NONE);
        };
        i64::try_from(timeout.as_nanos()).map(Self).map_err(|_| {
            Error::text(ErrorKind::Overflow, "timestamp too large to convert to C PyTime_t")
        })
    }

    /// Converts seconds, rounded away from zero to whole nanoseconds.
    pub(crate) fn from_seconds(seconds: Option<f64>) -> Result<Self> {
        let Some(seconds) = seconds else {
            return Ok(Self::NONE);
        };
        if seconds.is_nan() {
            return Err(Error::text(ErrorKind::Value, "Invalid value NaN (not a number)"));
        }
        let nanoseconds = seconds * 1e9;
        let nanoseconds = if nanoseconds < 0.0 { nanoseconds.floor() } else { nanoseconds.ceil() };
        // 2^63 is the first number that does not fit.
        if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&nanoseconds) {
            return Err(Error::text(
                ErrorKind::Overflow,
                "timestamp out of range for platform time_t",
            ));
        }
        if nanoseconds < 0.0 {
            return Err(Error::text(ErrorKind::Value, "Timeout value out of range"));
        }
        Ok(Self(nanoseconds as i64))
    }

    pub(crate) fn duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }

    /// Returns the timeout in seconds, as Python prints it.
    pub(crate) fn seconds(self) -> Option<f64> {
        u64::try_from(self.0).ok().map(|nanoseconds| nanoseconds as f64 / 1e9)
    }

    /// Returns how long a transfer that the caller makes may wait. `whole` is for a call with one
    /// deadline for all of its transfers.
    pub(crate) fn plan(self, whole: bool, deadline: Option<u64>) -> Result<Wait> {
        let nanoseconds = self.0.unsigned_abs();
        match deadline {
            _ if self.is_none() => Ok(Wait::Forever),
            _ if self.is_zero() => Ok(Wait::None),
            Some(deadline) if clock::now() >= deadline => Err(Error::timed_out()),
            Some(deadline) => Ok(Wait::Until(deadline)),
            None if whole => Ok(Wait::Until(clock::now().saturating_add(nanoseconds))),
            None => Ok(Wait::Within(nanoseconds)),
        }
    }

    /// Whether there is no timeout. Only then the open file description is blocking.
    pub(crate) const fn is_none(self) -> bool {
        self.0 < 0
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

static DEFAULT: AtomicI64 = AtomicI64::new(Timeout::NONE.0);

/// Returns the timeout of new sockets.
pub(crate) fn default() -> Timeout {
    Timeout(DEFAULT.load(Ordering::Relaxed))
}

/// Returns the timeout of new sockets. None is no limit, and the default at the start.
///
/// Python: `socket.getdefaulttimeout()`.
#[must_use]
pub fn getdefaulttimeout() -> Option<Duration> {
    default().duration()
}

/// Returns the timeout of new sockets in seconds.
#[must_use]
pub fn getdefaulttimeout_f64() -> Option<f64> {
    default().seconds()
}

/// Sets the timeout of new sockets: those made, accepted, made as a pair, or taken over by a
/// number.
///
/// Python: `socket.setdefaulttimeout(timeout)`.
///
/// # Errors
/// `OverflowError` for more than 63 bits of nanoseconds.
pub fn setdefaulttimeout(timeout: Option<Duration>) -> Result<()> {
    set_default(Timeout::from_duration(timeout)?);
    Ok(())
}

/// Sets the timeout of new sockets in seconds, checked and rounded as
/// [`Socket::settimeout_f64`](crate::Socket::settimeout_f64) does.
///
/// # Errors
/// `ValueError` below 0 and for NaN, `OverflowError` for more than 63 bits of nanoseconds.
pub fn setdefaulttimeout_f64(seconds: Option<f64>) -> Result<()> {
    set_default(Timeout::from_seconds(seconds)?);
    Ok(())
}

fn set_default(timeout: Timeout) {
    DEFAULT.store(timeout.0, Ordering::Relaxed);
}

/// The number of waits in a row that may come to nothing before a call sleeps.
#[cfg(all(feature = "threads", not(test)))]
const FREE: u32 = 2;

/// The shortest and the longest sleep, in nanoseconds.
#[cfg(all(feature = "threads", not(test)))]
const STEP_MIN: u64 = 1_000_000;
#[cfg(all(feature = "threads", not(test)))]
const STEP_MAX: u64 = 50_000_000;

/// The wait of one call. It lasts from the start of the call, through interrupts.
pub(crate) struct Waiting {
    timeout: Timeout,
    deadline: Option<u64>,
    /// Whether the deadline spans several transfers.
    spanning: bool,
    /// The work that is done, for the error of an interrupt.
    pub(crate) done: u64,
    /// How many waits in a row came to nothing.
    #[cfg(all(feature = "threads", not(test)))]
    empty: u32,
}

impl Waiting {
    /// Begins the wait of a call that makes one transfer.
    #[inline]
    pub(crate) fn new(timeout: Timeout) -> Self {
        let progress = interrupt::take_resume().unwrap_or_default();
        Self {
            timeout,
            deadline: progress.deadline,
            spanning: false,
            done: progress.done,
            #[cfg(all(feature = "threads", not(test)))]
            empty: 0,
        }
    }

    /// Begins the wait of a call whose deadline spans several transfers.
    #[inline]
    pub(crate) fn spanning(timeout: Timeout) -> Self {
        Self { spanning: true, ..Self::new(timeout) }
    }

    /// Whether the timeout can end the call.
    pub(crate) const fn is_timed(&self) -> bool {
        self.timeout.0 > 0
    }

    /// Returns how long the next transfer may wait. The first use starts the time.
    ///
    /// A call of one transfer does not read the clock, because the host measures its wait. The
    /// deadline must be known only if a handler can let the call go on after an interrupt.
    #[inline]
    pub(crate) fn wait(&mut self) -> Wait {
        // The wait is then a call of its own.
        if waits::is_hooked() {
            return Wait::None;
        }
        if self.timeout.is_none() {
            return Wait::Forever;
        }
        if self.timeout.is_zero() {
            return Wait::None;
        }
        let nanoseconds = self.timeout.0.unsigned_abs();
        if self.deadline.is_none() {
            if !self.spanning && !interrupt::is_handled() {
                return Wait::Within(nanoseconds);
            }
            self.deadline = Some(clock::now().saturating_add(nanoseconds));
        }
        self.deadline.map_or(Wait::Within(nanoseconds), Wait::Until)
    }

    /// Waits after an attempt that failed with `error`, while other threads run. Returns Ok if
    /// another attempt is worth it, or else the error for [`failed`](Self::failed). Without a hook
    /// that is `error` itself. `flags` are the call's MSG_* bits.
    pub(crate) fn again(
        &mut self,
        error: types::Error,
        #[allow(unused_variables, reason = "without threads the host waits within the call")]
        (descriptor, events, flags): (&Descriptor, i32, Flags),
    ) -> Result<(), types::Error> {
        #[cfg(all(feature = "threads", not(test)))]
        if self.may_wait(&error, flags) {
            return self.ready(descriptor, events);
        }
        Err(error)
    }

    /// Whether a call with these flags waits for itself after this error.
    #[cfg(all(feature = "threads", not(test)))]
    pub(crate) fn may_wait(&self, error: &types::Error, flags: Flags) -> bool {
        // WIT `wait.forever`: such a transfer does not wait.
        let never = self.timeout.is_none()
            && (flags.contains(Flags::DONTWAIT) || flags.contains(Flags::ERRQUEUE));
        *error == types::Error::Os(errno::EAGAIN)
            && waits::is_hooked()
            && !self.timeout.is_zero()
            && !never
    }

    /// Waits until another attempt is worth it. From the third time in a row on it sleeps first,
    /// because the kernel can report readiness and then EAGAIN for as long as a peer likes.
    #[cfg(all(feature = "threads", not(test)))]
    pub(crate) fn ready(
        &mut self,
        descriptor: &Descriptor,
        events: i32,
    ) -> Result<(), types::Error> {
        let wait = self.own_wait();
        self.back_off(wait)?;
        let begun = (self.empty > 0).then(clock::now);
        let result = waits::ready(descriptor, events as u16, wait);
        if begun.is_some_and(|begun| clock::now().saturating_sub(begun) >= STEP_MAX) {
            self.empty = 0;
        }
        self.empty = self.empty.saturating_add(1);
        result
    }

    /// Waits for entries of which none was ready, while other threads run. Returns false if the time
    /// is over, and without a hook, because the host has waited.
    pub(crate) fn poll(
        &mut self,
        #[allow(unused_variables, reason = "without threads the host waits within the call")]
        entries: &[polling::PollEntry<'_>],
    ) -> Result<bool, types::Error> {
        #[cfg(all(feature = "threads", not(test)))]
        if let Some(wait) = self.poll_wait() {
            self.back_off(wait)?;
            self.empty = self.empty.saturating_add(1);
            waits::poll(entries, wait)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// As [`poll`](Self::poll), for a poller.
    #[cfg(not(test))]
    pub(crate) fn poller(
        &mut self,
        #[allow(unused_variables, reason = "without threads the host waits within the call")]
        poller: &polling::Poller,
    ) -> Result<bool, types::Error> {
        #[cfg(all(feature = "threads", not(test)))]
        if let Some(wait) = self.poll_wait() {
            self.back_off(wait)?;
            self.empty = self.empty.saturating_add(1);
            waits::poller_ready(poller, wait)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Returns how long the wait of a poll lasts. None if it does not wait any more.
    #[cfg(all(feature = "threads", not(test)))]
    fn poll_wait(&mut self) -> Option<Wait> {
        if !waits::is_hooked() || self.timeout.is_zero() {
            return None;
        }
        match self.own_wait() {
            Wait::Until(deadline) if clock::now() >= deadline => None,
            wait => Some(wait),
        }
    }

    /// Sleeps if two waits in a row came to nothing, each time twice as long.
    #[cfg(all(feature = "threads", not(test)))]
    fn back_off(&self, wait: Wait) -> Result<(), types::Error> {
        let Some(steps) = self.empty.checked_sub(FREE) else { return Ok(()) };
        let step = STEP_MIN.checked_shl(steps.min(6)).unwrap_or(STEP_MAX).min(STEP_MAX);
        let end = clock::now().saturating_add(step);
        waits::sleep(match wait {
            Wait::Until(deadline) => deadline.min(end),
            _ => end,
        })
    }

    /// Waits as long as one step of the back-off, for something without readiness. EAGAIN if the
    /// time is over.
    #[cfg(all(feature = "threads", not(test)))]
    pub(crate) fn pause(&mut self) -> Result<(), types::Error> {
        let wait = self.own_wait();
        self.empty = self.empty.max(FREE);
        self.back_off(wait)?;
        self.empty = self.empty.saturating_add(1);
        match wait {
            Wait::Until(deadline) if clock::now() >= deadline => {
                Err(types::Error::Os(errno::EAGAIN))
            }
            _ => Ok(()),
        }
    }

    /// Returns how long the call's own wait may last. The first use starts the time.
    #[cfg(all(feature = "threads", not(test)))]
    pub(crate) fn own_wait(&mut self) -> Wait {
        if self.timeout.is_none() {
            return Wait::Forever;
        }
        let nanoseconds = self.timeout.0.unsigned_abs();
        let start = || clock::now().saturating_add(nanoseconds);
        Wait::Until(*self.deadline.get_or_insert_with(start))
    }

    /// Counts a piece as done. The next piece has the whole time again.
    #[cfg(not(test))]
    pub(crate) fn next_piece(&mut self, done: u64) {
        self.done = self.done.saturating_add(done);
        self.deadline = None;
    }

    pub(crate) const fn progress(&self) -> Progress {
        Progress { deadline: self.deadline, done: self.done }
    }

    /// Fails if the time is over.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) if self.is_timed() && clock::now() >= deadline => {
                Err(Error::timed_out())
            }
            _ => Ok(()),
        }
    }

    /// Returns Ok if the call can go on after an interrupt, or else the call's error.
    pub(crate) fn failed(&self, error: types::Error) -> Result<()> {
        match error {
            types::Error::Os(errno::EINTR) => interrupt::handle(self.progress()),
            types::Error::Os(errno::EAGAIN) if self.is_timed() => Err(Error::timed_out()),
            error => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Result<i64, (&'static str, String)> {
        Timeout::from_seconds(Some(seconds))
            .map(|timeout| timeout.0)
            .map_err(|e| (e.class(), e.to_string()))
    }

    #[test]
    fn seconds_are_rounded_away_from_zero() {
        assert_eq!(seconds(0.0), Ok(0));
        assert_eq!(seconds(-0.0), Ok(0));
        assert_eq!(seconds(1e-12), Ok(1));
        assert_eq!(seconds(0.1), Ok(100_000_000));
        assert_eq!(seconds(1.5), Ok(1_500_000_000));
        assert_eq!(seconds(9e9), Ok(9_000_000_000_000_000_000));
        assert_eq!(Timeout::from_seconds(None).map(|timeout| timeout.0), Ok(-1));
    }

    #[test]
    fn seconds_out_of_range_are_pythons_errors() {
        let negative = Err(("ValueError", "Timeout value out of range".to_owned()));
        assert_eq!(seconds(-1.0), negative);
        assert_eq!(seconds(-1e-10), negative);
        assert_eq!(
            seconds(f64::NAN),
            Err(("ValueError", "Invalid value NaN (not a number)".to_owned()))
        );
        let overflow =
            Err(("OverflowError", "timestamp out of range for platform time_t".to_owned()));
        assert_eq!(seconds(f64::INFINITY), overflow);
        assert_eq!(seconds(f64::NEG_INFINITY), overflow);
        assert_eq!(seconds(1e10), overflow);
        assert_eq!(
            Timeout::from_duration(Some(Duration::MAX)).map_err(|e| e.class()),
            Err("OverflowError")
        );
    }

    proptest! {
        #[test]
        fn a_duration_comes_back(nanoseconds in 0..=i64::MAX) {
            let duration = Duration::from_nanos(nanoseconds.unsigned_abs());
            prop_assert_eq!(Timeout::from_duration(Some(duration)).unwrap().duration(), Some(duration));
        }

        #[test]
        fn any_number_of_seconds_is_checked(value in any::<f64>()) {
            match Timeout::from_seconds(Some(value)) {
                Ok(timeout) => {
                    prop_assert!(timeout.0 >= 0);
                    prop_assert!(timeout.0 as f64 >= value * 1e9);
                }
                Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Value | ErrorKind::Overflow)),
            }
        }
    }
}
