//! Descriptors and what belongs to one: the resource of the contract, the open description, the
//! poller, and the share of the kernel's memory that its buffers take.

pub(crate) mod acceptor;
pub(crate) mod account;
pub(crate) mod acts;
pub(crate) mod buffers;
pub(crate) mod filter_slot;
pub(crate) mod folder;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod in_flight;
pub(crate) mod inherited;
mod kind;
pub(crate) mod open_list;
pub(crate) mod poll_set;
mod quota;
mod resource;
pub(crate) mod spending;
pub(crate) mod terminator;
pub(crate) mod tls;

pub(crate) use handle::{Closing, Handed, Handle, Open, Polls};
pub(crate) use kind::{kind_of, socket_kind};
pub(crate) use quota::{Quota, Reservation};
pub(crate) use resource::Accepted;
pub use resource::Descriptor;
