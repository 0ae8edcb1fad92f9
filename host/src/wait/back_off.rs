//! The back-off of a loop whose waits may come to nothing: a descriptor is reported as ready, and the
//! next attempt finds nothing.

use std::time::Duration;

/// The number of waits in a row that may come to nothing before the loop sleeps. The first wait may
/// have seen an old edge. The second may have lost to another holder of the open file description.
const FREE: u32 = 2;

/// The first and the longest sleep. Each sleep is twice as long as the previous one.
const STEP_MIN: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(50);

/// Counts the waits in a row that came to nothing.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    empty_waits: u32,
    step: Duration,
}

impl BackOff {
    /// Whether to sleep before the next wait.
    pub(crate) const fn is_due(&self) -> bool {
        self.empty_waits >= FREE
    }

    /// Whether the last wait came to nothing.
    pub(crate) const fn has_begun(&self) -> bool {
        self.empty_waits > 0
    }

    /// The length of the next sleep.
    pub(crate) fn step(&mut self) -> Duration {
        self.step = (self.step * 2).clamp(STEP_MIN, STEP_MAX);
        self.step
    }

    /// Counts a wait of this many nanoseconds. After a long one the count starts again, because it
    /// did not return at once.
    pub(crate) fn count(&mut self, waited: u64) {
        if u128::from(waited) >= STEP_MAX.as_nanos() {
            self.reset();
        }
        self.empty_waits = self.empty_waits.saturating_add(1);
    }

    /// Records progress: readiness can be trusted again.
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
        // A long wait starts the count again.
        back_off.count(60_000_000);
        assert!(back_off.has_begun() && !back_off.is_due());
        assert_eq!(back_off.step(), STEP_MIN);
    }
}
