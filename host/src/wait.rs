//! Waiting: for a descriptor, for a time, or for a thread that makes a blocking call.

pub(crate) mod back_off;
pub(crate) mod background;
pub(crate) mod budget;
pub(crate) mod parking;
pub(crate) mod polled;
pub(crate) mod pool;
pub(crate) mod registration;
pub(crate) mod waiter;

pub use background::finish_sends;
pub(crate) use budget::HasWaiter;
pub use waiter::Interrupter;
pub(crate) use waiter::{
    Mode, PollableWaiter, WaitObserver, WaitOutcome, Waiter, begin, deadline, now,
    ready_in_background, ready_until, set_of, sleep_until,
};
