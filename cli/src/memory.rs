//! The limit `memory-bytes`: the memory that one instance of a component may have, and the stacks of
//! its threads.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use wasmtime::ResourceLimiter;

/// The bytes of one element of a table.
const ELEMENT: usize = size_of::<usize>();

/// The bytes that a guest's threads and the host for them may take beside the guest's memory.
const BESIDE: usize = 256 << 20;

/// Of how many looks at the stacks one asks the kernel: each 50 ms.
const LOOKS: u32 = 10;

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

/// The stacks of a guest's threads. A thread that recurses deeply in C takes up to 32 MiB of its
/// stack, which are not the guest's memory. Its pages stay until the thread ends.
pub(crate) struct Stacks {
    limit: usize,
    /// man 5 proc: `/proc/[pid]/status`. It is opened before the process loses rights.
    status: Option<File>,
    looks: u32,
}

impl Stacks {
    /// `memory_bytes` is the limit of the guest's memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let limit = usize::try_from(memory_bytes).unwrap_or(usize::MAX).saturating_add(BESIDE);
        Self { limit, status: File::open("/proc/self/status").ok(), looks: 0 }
    }

    /// Checks that the process of this guest does not hold too much. Call it every few milliseconds
    /// while the guest runs.
    ///
    /// # Errors
    /// The process holds more than the guest's memory and [`BESIDE`].
    pub(crate) fn check(&mut self) -> wasmtime::Result<()> {
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(LOOKS) || self.own().is_none_or(|own| own <= self.limit) {
            return Ok(());
        }
        Err(wasmtime::Error::msg(format!(
            "the stacks of its threads take more than {} MiB beside the limit memory-bytes; start fewer threads, as with --limit threads=100",
            BESIDE >> 20
        )))
    }

    /// Returns the resident bytes of this process that are no file's.
    fn own(&self) -> Option<usize> {
        let mut text = [0; 4096];
        let length = self.status.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        // man 5 proc: the unit is 1,024 bytes.
        line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
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
    fn stacks_count_what_is_no_files() {
        let mut stacks = Stacks::new(u64::MAX);
        let before = stacks.own().expect("Linux has /proc");
        assert!((0..LOOKS).all(|_| stacks.check().is_ok()));
        let taken = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = stacks.own().expect("Linux has /proc");
        assert!(after >= before + taken.len() / 2, "{before} {after}");
        stacks.limit = 0;
        let errors = (0..LOOKS).filter_map(|_| stacks.check().err());
        let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("--limit threads=100"), "{errors:?}");
    }

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
