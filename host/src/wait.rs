//! Waiting: for a descriptor, for a time, or for a thread that does what can only block.

pub(crate) mod back_off;
pub(crate) mod budget;
pub(crate) mod pool;
pub(crate) mod registration;
pub(crate) mod waiter;

pub use waiter::Interrupter;
pub(crate) use waiter::{Mode, WaitOutcome, Waiter, begin, deadline, now};
