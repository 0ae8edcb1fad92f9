//! Descriptors and what belongs to one: the resource of the contract, the open description, the
//! poller, and the share of the kernel's memory that its buffers take.

pub(crate) mod acceptor;
pub(crate) mod buffers;
pub(crate) mod filter_slot;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod in_flight;
pub(crate) mod inherited;
pub(crate) mod poll_set;

pub use handle::Descriptor;
pub(crate) use handle::{
    Accepted, Closing, Handed, Handle, Open, Polls, Quota, Reservation, kind_of, socket_kind,
};
