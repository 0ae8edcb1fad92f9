//! What a guest may do: the families ask the policy, and permits are what it answers with.

pub(crate) mod family;
pub(crate) mod filter;
pub(crate) mod gate;
pub(crate) mod permit;
pub(crate) mod unix_names;
