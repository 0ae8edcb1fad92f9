//! What the host may see of the memory, so that it can make a thread give way.

use std::cell::Cell;

use crate::host;

/// The bytes of a part. `scheduler.show-memory` takes no more.
const PART: usize = 64 << 20;

/// The bytes of a page of memory.
const PAGE: usize = 64 << 10;

struct Shown(Cell<usize>);

// SAFETY: one thread of a component runs at a time.
unsafe impl Sync for Shown {}

/// The pages that the host has seen.
static SHOWN: Shown = Shown(Cell::new(0));

/// Shows the host the memory that there is by now.
pub(crate) fn show() {
    let pages = core::arch::wasm32::memory_size(0);
    let shown = SHOWN.0.replace(pages);
    if shown == pages {
        return;
    }
    // The last part is shown again, because it has grown.
    let mut first = shown - shown % (PART / PAGE);
    while first < pages {
        let count = (pages - first).min(PART / PAGE);
        host::show_memory(first * PAGE, count * PAGE);
        first += count;
    }
}
