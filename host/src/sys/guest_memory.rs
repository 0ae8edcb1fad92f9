//! The guest's memory between two of its instructions, when it has made no call.
#![allow(
    unsafe_code,
    reason = "wasmtime has no safe way to write into the memory of a stopped component"
)]

use std::ptr;

use wasmtime::component::WasmList;
use wasmtime::{AsContext as _, StoreContextMut};

/// The most bytes of a part. wasmtime bounds the lists of one call.
const PART: usize = 64 << 20;

/// The most parts: a memory has at most 4 GiB.
const PARTS: usize = 64;

/// A word of the guest's memory has 32 bits.
const WORD: usize = 4;

/// The memory that a guest has shown, in parts that follow each other from address 0.
#[derive(Default)]
pub(crate) struct GuestMemory {
    /// Each part with its start and its length.
    parts: Vec<(usize, usize, WasmList<u8>)>,
}

impl GuestMemory {
    /// Adds a part, or replaces those from its start on. A part that does not fit is ignored.
    pub(crate) fn show<T: 'static>(&mut self, store: &StoreContextMut<'_, T>, part: WasmList<u8>) {
        let bytes = part.as_le_slice(store);
        let (address, length) = (bytes.as_ptr().addr(), bytes.len());
        // The first part begins at address 0 of the memory, so the others' places follow from it.
        // Nothing else says where a list is.
        let start = match self.parts.first() {
            Some((_, _, first)) => address.wrapping_sub(first.as_le_slice(store).as_ptr().addr()),
            None => 0,
        };
        let kept = self.parts.iter().take_while(|(known, ..)| *known < start).count();
        let end = self.parts[..kept].last().map_or(0, |(start, length, _)| start + length);
        if start == end && (WORD..=PART).contains(&length) && kept < PARTS {
            self.parts.truncate(kept);
            self.parts.push((start, length, part));
        }
    }

    /// Returns the word at an address. None outside of the memory that was shown.
    pub(crate) fn word<T: 'static>(
        &self,
        store: &StoreContextMut<'_, T>,
        address: u32,
    ) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes(store, address)?))
    }

    /// Sets bits in the word at an address. It does nothing outside of the memory that was shown.
    pub(crate) fn set_bits<T: 'static>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        address: u32,
        bits: u32,
    ) {
        let Some(word) = self.bytes(store, address) else { return };
        let new = u32::from_le_bytes(*word) | bits;
        let place: usize = ptr::from_ref(word).expose_provenance();
        // SAFETY: wasmtime has just checked that the word is within the guest's memory. The store
        // is borrowed mutably, so the guest does not run, its memory does not move, and no slice of
        // it exists. The memory is mapped for writing, because the guest's own code writes there,
        // and any bytes are valid in it. wasmtime offers no safe way to write into a component's
        // memory except in a call of the guest.
        unsafe { ptr::with_exposed_provenance_mut::<[u8; WORD]>(place).write(new.to_le_bytes()) };
    }

    /// Returns the bytes of a word. A word may not cross the end of a part, unless the parts meet
    /// there, which no aligned word does.
    fn bytes<'a, T: 'static>(
        &self,
        store: &'a StoreContextMut<'_, T>,
        address: u32,
    ) -> Option<&'a [u8; WORD]> {
        let address = usize::try_from(address).ok()?;
        let (start, _, part) = self.parts.iter().rev().find(|(start, ..)| *start <= address)?;
        part.as_le_slice(store.as_context()).get(address - start..)?.first_chunk()
    }
}
