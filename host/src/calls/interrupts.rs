//! Interrupts, by which the host ends a guest's wait from outside.

use crate::bindings::sandsock::socket::interrupts;
use crate::ctx::SandsockCtxView;

impl interrupts::Host for SandsockCtxView<'_> {
    fn take(&mut self) -> wasmtime::Result<bool> {
        Ok(self.ctx.waiter.interrupter().take())
    }
}
