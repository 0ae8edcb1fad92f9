//! The hot calls: every way to move bytes.

mod ancillary;
mod opening;
mod send;

pub(crate) use opening::Opening;
pub(crate) use send::*;
