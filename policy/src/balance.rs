//! The balance of a budget: what was moved and what is left.
//!
//! It is pure arithmetic: the caller gives the time. The host keeps one balance for each account and
//! asks it before each system call that moves bytes.

use std::time::{Duration, Instant};

use crate::denial::Denial;
use crate::terms::Budget;

/// The longest time in which tokens gather before a move goes on, as a part of a second. A move that
/// has to wait gets tokens of so much time at once. Without this it would move a few bytes at a
/// time, each with a system call of its own.
const GATHER: u64 = 20;
/// The most tokens that a move waits for, in bytes.
const GATHER_MOST: u64 = 64 * 1024;

/// One token, which is one byte. A token a second is then one of these a nanosecond.
const TOKEN: i128 = 1_000_000_000;

/// What was moved and what is left of one budget.
#[derive(Clone, Debug)]
pub struct Balance {
    rule: Box<str>,
    bytes: Option<u64>,
    /// Bytes that were moved, or taken for a move.
    moved: u64,
    rate: Option<Rate>,
    connections: Option<u32>,
    open: u32,
    most_open: u32,
    /// Nothing is refused, and nothing waits.
    passes: bool,
    /// It was said that the bytes are used up.
    said: bool,
}

/// The tokens of a rate. A move after the fact can leave a debt.
#[derive(Clone, Debug)]
struct Rate {
    rate: u64,
    /// Billionths of a byte. There are at most the bytes of one second.
    level: i128,
    filled: Instant,
}

/// Why bytes can't move now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Not before so much time has passed.
    Wait(Duration),
    /// Never: the bytes are used up.
    UsedUp(Denial),
}

impl Rate {
    fn new(rate: u64, now: Instant) -> Self {
        Self { rate, level: i128::from(rate) * TOKEN, filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.filled).as_nanos();
        let gain = i128::try_from(time).unwrap_or(i128::MAX).saturating_mul(self.rate.into());
        self.level = self.level.saturating_add(gain).min(i128::from(self.rate) * TOKEN);
        self.filled = self.filled.max(now);
    }

    /// Returns how many bytes a move of `wanted` bytes may move now.
    fn room(&self, wanted: u64) -> Result<u64, Duration> {
        let whole = u64::try_from(self.level / TOKEN).unwrap_or(0);
        let least = wanted.min((self.rate / GATHER).clamp(1, GATHER_MOST));
        if whole >= least {
            return Ok(whole.min(wanted));
        }
        let missing = i128::from(least) * TOKEN - self.level;
        let time = missing.unsigned_abs().div_ceil(u128::from(self.rate.max(1)));
        Err(Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX)))
    }
}

impl Balance {
    /// Starts with a whole budget. `rule` is the rule's text.
    pub fn new(rule: &str, budget: &Budget, now: Instant) -> Self {
        Self {
            rule: rule.into(),
            bytes: budget.bytes,
            moved: 0,
            rate: budget.rate.map(|rate| Rate::new(rate, now)),
            connections: budget.connections,
            open: 0,
            most_open: 0,
            passes: false,
            said: false,
        }
    }

    /// Returns a balance that only counts, for a policy that only observes: it refuses nothing and
    /// lets nothing wait. [`Self::excess`] and [`Self::full`] say what it would refuse.
    #[must_use]
    pub fn passing(self) -> Self {
        Self { passes: true, ..self }
    }

    /// Returns the rule's text.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Returns how many bytes were moved.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns how many connections are open.
    pub fn open(&self) -> u32 {
        self.open
    }

    /// Returns how many connections were open at once, at most.
    pub fn most_open(&self) -> u32 {
        self.most_open
    }

    fn left(&self) -> u64 {
        self.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(self.moved))
    }

    fn spend(&mut self, count: u64) {
        self.moved = self.moved.saturating_add(count);
        if let Some(rate) = &mut self.rate {
            rate.level = rate.level.saturating_sub(i128::from(count) * TOKEN);
        }
    }

    fn used_up(&self) -> Denial {
        let rule = &self.rule;
        self.denial(format!("the budget of the rule {rule} has no bytes left"))
    }

    /// Returns the denial that a balance that only counts would have answered with, because more
    /// bytes were moved than the budget has. It is returned once.
    pub fn excess(&mut self) -> Option<Denial> {
        let is_new = self.passes && !self.said && self.bytes.is_some_and(|most| self.moved > most);
        self.said |= is_new;
        is_new.then(|| self.used_up())
    }

    fn denial(&self, reason: String) -> Denial {
        Denial { rule: Some(self.rule.to_string()), ..Denial::new(reason) }
    }

    /// Takes bytes for a move of at most `wanted` bytes, which may be cut. Returns how many bytes
    /// may move. What does not move is given back.
    ///
    /// # Errors
    ///
    /// None may move now.
    pub fn take(&mut self, wanted: u64, now: Instant) -> Result<u64, Shortage> {
        if self.passes {
            self.spend(wanted);
            return Ok(wanted);
        }
        let mut count = wanted.min(self.left());
        if count == 0 && wanted > 0 {
            return Err(Shortage::UsedUp(self.used_up()));
        }
        if let Some(rate) = &mut self.rate {
            rate.fill(now);
            count = rate.room(count).map_err(Shortage::Wait)?;
        }
        self.spend(count);
        Ok(count)
    }

    /// Takes bytes for a message that can't be cut. A message without bytes counts as one byte. Of a
    /// rate it can take more than is there, and later moves wait for the rest.
    ///
    /// # Errors
    ///
    /// The message may not move now.
    pub fn take_message(&mut self, length: u64, now: Instant) -> Result<u64, Shortage> {
        let count = length.max(1);
        if self.passes {
            self.spend(count);
            return Ok(count);
        }
        let left = self.left();
        if left == 0 {
            return Err(Shortage::UsedUp(self.used_up()));
        }
        if count > left {
            let rule = &self.rule;
            return Err(Shortage::UsedUp(self.denial(format!(
                "the budget of the rule {rule} has {left} of its bytes left, and the message has {length}"
            ))));
        }
        if let Some(rate) = &mut self.rate {
            rate.fill(now);
            rate.room(count).map_err(Shortage::Wait)?;
        }
        self.spend(count);
        Ok(count)
    }

    /// Takes as many of these bytes as are left, without regard to the rate: for bytes that can't
    /// wait.
    pub fn take_now(&mut self, wanted: u64) -> u64 {
        let count = if self.passes { wanted } else { wanted.min(self.left()) };
        self.spend(count);
        count
    }

    /// Counts bytes that have moved already.
    pub fn charge(&mut self, count: u64) {
        self.spend(count);
    }

    /// Gives back bytes that were taken and have not moved.
    pub fn give_back(&mut self, count: u64) {
        self.moved = self.moved.saturating_sub(count);
        if let Some(rate) = &mut self.rate {
            let most = i128::from(rate.rate) * TOKEN;
            rate.level = rate.level.saturating_add(i128::from(count) * TOKEN).min(most);
        }
    }

    /// Returns how long moves have to wait for the rate. None if they don't, or if none may move
    /// any more.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        let left = self.left();
        let rate = self.rate.as_mut().filter(|_| left > 0 && !self.passes)?;
        rate.fill(now);
        rate.room(left).err()
    }

    /// Returns whether another connection may be open.
    pub fn may_open(&self) -> bool {
        self.passes || self.has_place()
    }

    fn has_place(&self) -> bool {
        self.connections.is_none_or(|most| self.open < most)
    }

    /// Returns the denial of another connection, if as many are open as the budget allows.
    pub fn full(&self) -> Option<Denial> {
        let most = self.connections.filter(|_| !self.has_place())?;
        let rule = &self.rule;
        let which = if most == 1 { "it is open" } else { "all are open" };
        Some(self.denial(format!(
            "the budget of the rule {rule} allows {most} at once, and {which}; close one first"
        )))
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// As many as the budget allows are open.
    pub fn open_connection(&mut self) -> Result<(), Denial> {
        if let Some(denial) = self.full().filter(|_| !self.passes) {
            return Err(denial);
        }
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
        Ok(())
    }

    /// Closes a connection.
    pub fn close_connection(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn balance(bytes: Option<u64>, rate: Option<u64>, now: Instant) -> Balance {
        let budget = Budget { bytes, rate, ..Budget::default() };
        Balance::new("tcp-connect=a:1", &budget, now)
    }

    fn reason(shortage: Shortage) -> String {
        match shortage {
            Shortage::UsedUp(denial) => denial.reason,
            Shortage::Wait(time) => panic!("a wait of {time:?}"),
        }
    }

    #[test]
    fn bytes_are_used_up_and_what_did_not_move_comes_back() {
        let now = Instant::now();
        let mut balance = balance(Some(10), None, now);
        assert_eq!(balance.take(6, now), Ok(6));
        balance.give_back(2);
        assert_eq!(balance.take(100, now), Ok(6));
        assert_eq!(balance.take(0, now), Ok(0));
        let used_up = reason(balance.take(1, now).unwrap_err());
        assert_eq!(used_up, "the budget of the rule tcp-connect=a:1 has no bytes left");
        assert_eq!(balance.moved(), 10);
        assert_eq!(balance.pause(now), None);
    }

    #[test]
    fn a_message_is_not_cut_and_counts_at_least_one_byte() {
        let now = Instant::now();
        let mut balance = balance(Some(10), None, now);
        assert_eq!(balance.take_message(0, now), Ok(1));
        let longer = reason(balance.take_message(10, now).unwrap_err());
        assert!(longer.ends_with("has 9 of its bytes left, and the message has 10"), "{longer}");
        assert_eq!(balance.take_message(9, now), Ok(9));
        assert!(reason(balance.take_message(0, now).unwrap_err()).ends_with("no bytes left"));
    }

    #[test]
    fn a_rate_gives_a_second_at_once_and_then_gathers() {
        let start = Instant::now();
        let mut balance = balance(None, Some(1000), start);
        assert_eq!(balance.take(5000, start), Ok(1000));
        let Err(Shortage::Wait(time)) = balance.take(5000, start) else { panic!("no wait") };
        assert_eq!(time, Duration::from_millis(50));
        assert_eq!(balance.pause(start), Some(time));
        assert_eq!(balance.take(5000, start + time), Ok(50));
        // A short move waits no longer than for its own bytes.
        let Err(Shortage::Wait(time)) = balance.take(3, start + time) else { panic!("no wait") };
        assert_eq!(time, Duration::from_millis(3));
        let hour = start + Duration::from_secs(3600);
        assert_eq!(balance.take(5000, hour), Ok(1000));
    }

    #[test]
    fn a_long_message_leaves_a_debt() {
        let start = Instant::now();
        let mut balance = balance(None, Some(100), start);
        assert_eq!(balance.take_message(1000, start), Ok(1000));
        let Err(Shortage::Wait(time)) = balance.take_message(1, start) else { panic!("no wait") };
        assert_eq!(time, Duration::from_millis(9010));
        balance.charge(100);
        assert!(balance.take(1, start + time).is_err());
    }

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let budget = Budget { connections: Some(1), ..Budget::default() };
        let mut balance = Balance::new("tcp-connect=a:1", &budget, Instant::now());
        balance.open_connection().unwrap();
        let denial = balance.open_connection().unwrap_err();
        assert_eq!(
            denial.reason,
            "the budget of the rule tcp-connect=a:1 allows 1 at once, and it is open; close one first"
        );
        assert_eq!(denial.rule.as_deref(), Some("tcp-connect=a:1"));
        balance.close_connection();
        balance.open_connection().unwrap();
    }

    #[test]
    fn a_balance_that_only_counts_says_once_what_it_would_refuse() {
        let now = Instant::now();
        let budget =
            Budget { bytes: Some(10), rate: Some(1), connections: Some(1), ..Budget::default() };
        let mut balance = Balance::new("tcp-connect=a:1", &budget, now).passing();
        assert_eq!(balance.take(100, now), Ok(100));
        balance.give_back(90);
        assert_eq!((balance.moved(), balance.excess()), (10, None));
        assert_eq!(balance.take_message(0, now), Ok(1));
        let denial = balance.excess().expect("a denial");
        assert_eq!(denial.reason, "the budget of the rule tcp-connect=a:1 has no bytes left");
        balance.charge(5);
        assert_eq!((balance.take_now(5), balance.pause(now), balance.excess()), (5, None, None));
        assert_eq!(balance.full(), None);
        balance.open_connection().unwrap();
        assert!(balance.full().is_some() && balance.may_open());
        balance.open_connection().unwrap();
        assert_eq!((balance.open(), balance.most_open()), (2, 2));
    }

    proptest! {
        /// Whatever is asked, no more moves than the budget says, and a wait is worth it.
        #[test]
        fn no_more_moves_than_the_budget_says(
            bytes in prop::option::of(1u64..5000),
            rate in prop::option::of(1u64..5000),
            steps in prop::collection::vec((0u64..3000, 0u64..400, 0u64..=100), 1..40),
        ) {
            let start = Instant::now();
            let mut balance = balance(bytes, rate, start);
            let (mut now, mut moved) = (start, 0u64);
            for (wanted, pause, part) in steps {
                now += Duration::from_millis(pause);
                match balance.take(wanted, now) {
                    Ok(count) => {
                        prop_assert!(count <= wanted && (count > 0 || wanted == 0));
                        let kept = count * part / 100;
                        balance.give_back(count - kept);
                        moved += kept;
                    }
                    Err(Shortage::Wait(time)) => {
                        prop_assert!(time > Duration::ZERO);
                        let taken = balance.clone().take(wanted, now + time);
                        prop_assert!(taken.is_ok_and(|count| count > 0));
                    }
                    Err(Shortage::UsedUp(_)) => prop_assert_eq!(Some(moved), bytes),
                }
                prop_assert!(bytes.is_none_or(|bytes| moved <= bytes));
                let most = |rate: u64| {
                    let millis = u64::try_from((now - start).as_millis()).unwrap();
                    rate + rate * millis / 1000
                };
                prop_assert!(rate.is_none_or(|rate| moved <= most(rate)));
            }
            prop_assert_eq!(balance.moved(), moved);
        }
    }
}
