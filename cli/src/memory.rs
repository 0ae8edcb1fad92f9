//! The limit `memory-bytes`: the memory that one instance of a component may have.

use wasmtime::ResourceLimiter;

/// The bytes of one element of a table.
const ELEMENT: usize = size_of::<usize>();

/// Counts all memories and tables of a store together. Growth beyond the limit fails as it does on a
/// machine without more memory. Most guests then end with a trap.
pub(crate) struct Memory {
    limit: usize,
    used: usize,
    /// The bytes of the last growth, which may still fail for another reason.
    last: usize,
    refused: bool,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            used: 0,
            last: 0,
            refused: false,
        }
    }

    /// Returns what to add to the message about a guest's end, if the limit may be the reason.
    pub(crate) fn advice(&self) -> String {
        if !self.refused {
            return String::new();
        }
        let mebibytes = self.limit >> 20;
        format!(
            " (it was refused more memory than the limit memory-bytes={}, {mebibytes} MiB, allows)",
            self.limit
        )
    }

    fn grow(&mut self, by: usize) -> bool {
        let total = self.used.saturating_add(by);
        let allowed = total <= self.limit;
        if allowed {
            (self.used, self.last) = (total, by);
        }
        self.refused |= !allowed;
        allowed
    }

    fn take_back(&mut self) {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_counted_together() {
        let mut memory = Memory::new(1 << 20);
        assert!(memory.memory_growing(0, 512 << 10, None).unwrap());
        assert!(memory.table_growing(0, 32 << 10, None).unwrap());
        assert!(memory.memory_growing(512 << 10, 768 << 10, None).unwrap());
        assert_eq!(memory.advice(), "");
        assert!(!memory.memory_growing(0, 64 << 10, None).unwrap());
        assert!(!memory.table_growing(0, usize::MAX, None).unwrap());
        assert!(memory.advice().contains("memory-bytes=1048576, 1 MiB"), "{}", memory.advice());
        // A growth that failed otherwise is none.
        memory.memory_grow_failed(wasmtime::Error::msg("no room")).unwrap();
        assert!(memory.memory_growing(0, 256 << 10, None).unwrap());
        memory.take_back();
        memory.take_back();
        assert!(memory.memory_growing(0, 256 << 10, None).unwrap());
        assert!(!memory.memory_growing(0, 1, None).unwrap());
    }
}
