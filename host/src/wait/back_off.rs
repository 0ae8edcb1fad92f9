//! The back-off of a loop whose waits may come to nothing: what was shown as ready is then not
//! there.

use std::time::Duration;

/// How many waits in a row may come to nothing before the loop sleeps. The first wait may have seen
/// an old edge, the second may have lost to another holder of the description.
const FREE: u32 = 2;

/// The first sleep, which each further one doubles, and the longest.
const STEP_MIN: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(50);

/// Counts the waits in a row that came to nothing.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    fruitless: u32,
    step: Duration,
}

impl BackOff {
    /// Whether to sleep before the next wait.
    pub(crate) const fn is_due(&self) -> bool {
        self.fruitless >= FREE
    }

    /// Whether a wait has come to nothing so far.
    pub(crate) const fn has_begun(&self) -> bool {
        self.fruitless > 0
    }

    /// The length of the next sleep.
    pub(crate) fn step(&mut self) -> Duration {
        self.step = (self.step * 2).clamp(STEP_MIN, STEP_MAX);
        self.step
    }

    /// Counts a wait, which took so many nanoseconds. A long one has waited for something: the
    /// count begins again with it.
    pub(crate) fn count(&mut self, waited: u64) {
        if u128::from(waited) >= STEP_MAX.as_nanos() {
            self.reset();
        }
        self.fruitless = self.fruitless.saturating_add(1);
    }

    /// The loop got on: readiness can be trusted again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_wait_in_a_row_sleeps_first_and_longer_each_time() {
        let mut back_off = BackOff::default();
        for _ in 0..FREE {
            assert!(!back_off.is_due());
            back_off.count(0);
        }
        assert!(back_off.is_due());
        let steps: Vec<_> = (0..8).map(|_| back_off.step().as_millis()).collect();
        assert_eq!(steps, [1, 2, 4, 8, 16, 32, 50, 50]);
        // A wait that lasted has waited for something.
        back_off.count(60_000_000);
        assert!(back_off.has_begun() && !back_off.is_due());
        assert_eq!(back_off.step(), STEP_MIN);
    }
}
