//! Threads of a guest that wait until another one of its threads unparks them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use super::{WaitOutcome, sleep_until};

/// The parked threads of one instance, by the guest's tokens.
#[derive(Debug)]
pub(crate) struct Parking {
    parked: HashMap<u32, Place>,
    /// The tokens whose next `park` ends at once.
    kept: HashSet<u32>,
    /// The most tokens in `kept`, because the guest chooses them.
    most: usize,
}

/// Where the threads with one token wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<Notify>);

impl Parking {
    /// Makes the places of a guest with so many threads beside its first one.
    pub(crate) fn new(threads: u64) -> Self {
        let mut own = Self { parked: HashMap::new(), kept: HashSet::new(), most: 0 };
        own.allow(threads);
        own
    }

    /// The guest may have so many threads beside its first one.
    pub(crate) fn allow(&mut self, threads: u64) {
        // The guest's first thread has a token too.
        let most = usize::try_from(threads).unwrap_or(usize::MAX).saturating_add(1);
        self.most = self.most.max(most);
    }

    /// Returns where a thread waits. None if it does not have to.
    pub(crate) fn park(&mut self, token: u32) -> Option<Place> {
        if self.kept.remove(&token) {
            return None;
        }
        // A guest can cancel the call of a parked thread, which then never leaves.
        if self.parked.len() > self.most {
            self.parked.retain(|_, place| Arc::strong_count(&place.0) > 1);
        }
        Some(self.parked.entry(token).or_default().clone())
    }

    /// A thread does not wait any more.
    pub(crate) fn leave(&mut self, token: u32, place: Place) {
        drop(place);
        if self.parked.get(&token).is_some_and(|place| Arc::strong_count(&place.0) == 1) {
            self.parked.remove(&token);
        }
    }

    /// Ends a wait with this token, or else the next one.
    pub(crate) fn unpark(&mut self, token: u32) {
        match self.parked.get(&token) {
            Some(place) => place.0.notify_one(),
            None if self.kept.len() < self.most => {
                self.kept.insert(token);
            }
            None => {}
        }
    }
}

impl Place {
    /// Waits for `unpark`, at most until the deadline.
    pub(crate) async fn unparked(&self, deadline: Option<u64>) -> WaitOutcome {
        tokio::select! {
            // An `unpark` is not lost at the deadline.
            biased;
            () = self.0.notified() => WaitOutcome::Ready,
            () = sleep_until(deadline) => WaitOutcome::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unpark_ends_the_wait_or_the_next_one() {
        let mut parking = Parking::new(1);
        let place = parking.park(7).unwrap();
        parking.unpark(7);
        assert_eq!(place.unparked(None).await, WaitOutcome::Ready);
        parking.leave(7, place);
        assert!(parking.parked.is_empty());
        parking.unpark(7);
        assert!(parking.park(7).is_none());
        let place = parking.park(7).unwrap();
        assert_eq!(place.unparked(Some(0)).await, WaitOutcome::TimedOut);
        parking.leave(7, place);
    }

    #[test]
    fn a_guest_that_cancels_its_waits_leaves_a_bounded_number_of_places() {
        let mut parking = Parking::new(1);
        let waiting = parking.park(1000).unwrap();
        (0..100).for_each(|token| drop(parking.park(token)));
        assert!(parking.parked.len() <= 4, "{}", parking.parked.len());
        assert!(parking.parked.contains_key(&1000));
        drop(waiting);
    }

    #[test]
    fn a_guest_can_leave_no_more_tokens_than_it_may_have_threads() {
        let mut parking = Parking::new(1);
        (0..100).for_each(|token| parking.unpark(token));
        assert_eq!(parking.kept.len(), 2);
        assert!(parking.park(50).is_some());
    }
}
