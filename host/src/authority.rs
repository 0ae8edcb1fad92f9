//! What a guest may do: the families ask the policy, permits are what it answers with, and the
//! budgets of its rules bound what moves.

pub(crate) mod budgets;
pub(crate) mod family;
pub(crate) mod filter;
pub(crate) mod gate;
pub(crate) mod open_acts;
pub(crate) mod permit;
pub(crate) mod unix_names;
