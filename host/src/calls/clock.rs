//! The clock of all deadlines.

use crate::bindings::sandsock::socket::clock;
use crate::ctx::SandsockCtxView;
use crate::wait;

impl clock::Host for SandsockCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(wait::now())
    }
}
