//! WIT `scheduler`: the host's part of the guest's threads.

use wasmtime::StoreContextMut;
use wasmtime::component::WasmList;

use crate::ctx::preemption::{self, Words};
use crate::ctx::{SandsockCtxView, SandsockView};

impl SandsockCtxView<'_> {
    /// WIT `scheduler.limit`.
    pub(crate) fn thread_limit(&mut self) -> wasmtime::Result<u32> {
        let threads = self.ctx.limits().threads;
        self.ctx.parking.allow(threads);
        Ok(u32::try_from(threads).unwrap_or(u32::MAX))
    }

    /// WIT `scheduler.unpark`.
    pub(crate) fn unpark(&mut self, token: u32) -> wasmtime::Result<()> {
        self.ctx.parking.unpark(token);
        Ok(())
    }

    /// WIT `scheduler.preempt`.
    pub(crate) fn preempt(
        &mut self,
        holder: u32,
        locked: u32,
        offset: u32,
        flag: u32,
    ) -> wasmtime::Result<()> {
        self.ctx.preemption.set_words(Words { holder, locked, offset, flag });
        // From now on the guest waits for such calls without the store.
        self.ctx.waiter.end_grace();
        Ok(())
    }
}

/// WIT `scheduler.show-memory`.
pub(crate) fn show_memory<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    part: WasmList<u8>,
) -> wasmtime::Result<()> {
    preemption::show_memory(store, part);
    Ok(())
}
