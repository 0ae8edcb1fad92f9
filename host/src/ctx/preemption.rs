//! How a thread of the guest that computes is made to give way.

use wasmtime::StoreContextMut;
use wasmtime::component::WasmList;

use super::{SandsockView, StoreView as _};
use crate::sys::GuestMemory;

/// The bit by which the host asks the running thread to give way.
const GIVE_WAY: u32 = 1;

/// The bit by which the host reports an interrupt.
const INTERRUPTED: u32 = 2;

/// What the host keeps for the threads of one instance.
#[derive(Default)]
pub(crate) struct Preemption {
    memory: GuestMemory,
    words: Option<Words>,
}

/// The addresses of WIT `scheduler.preempt`.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) holder: u32,
    pub(crate) locked: u32,
    pub(crate) offset: u32,
    pub(crate) flag: u32,
}

impl Preemption {
    pub(crate) fn set_words(&mut self, words: Words) {
        self.words = Some(words);
    }
}

/// Adds a part of the guest's memory.
pub(crate) fn show_memory<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    part: WasmList<u8>,
) {
    with_memory(store, |memory, store| memory.show(store, part));
}

/// The store lends its data and its guest's memory only one after the other.
fn with_memory<T: SandsockView + 'static>(
    store: &mut StoreContextMut<'_, T>,
    step: impl FnOnce(&mut GuestMemory, &mut StoreContextMut<'_, T>),
) {
    let mut memory = std::mem::take(&mut store.view().ctx.preemption.memory);
    step(&mut memory, store);
    store.view().ctx.preemption.memory = memory;
}

/// Asks the thread that runs in a guest with threads to give way, and reports an interrupt that no
/// wait of the guest takes. Call it every few milliseconds while the guest runs, in the callback of
/// [`wasmtime::Store::epoch_deadline_callback`]. It does nothing for a guest without threads.
///
/// It writes into the guest's memory, at the addresses that the guest has given for it
/// (`scheduler.preempt` in the WIT package).
pub fn tick<T: SandsockView + 'static>(mut store: StoreContextMut<'_, T>) {
    let store = &mut store;
    let ctx = store.view().ctx;
    let Some(Words { holder, locked, offset, flag }) = ctx.preemption.words else { return };
    // A wait under way takes the interrupt itself.
    let interrupted = !ctx.pollables.is_waiting() && ctx.waiter.interrupter().take();
    with_memory(store, |memory, store| {
        if memory.word(store, locked) == Some(1) {
            let holder = memory.word(store, holder).filter(|holder| *holder != 0);
            if let Some(request) = holder.and_then(|holder| holder.checked_add(offset)) {
                memory.set_bits(store, request, GIVE_WAY);
            }
            memory.set_bits(store, flag, GIVE_WAY);
        }
        if interrupted {
            memory.set_bits(store, flag, INTERRUPTED);
        }
    });
}
