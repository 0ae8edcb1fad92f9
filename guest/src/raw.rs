//! The raw layer: the host's functions, one for each system call (`wit/`).
//!
//! The rest of this crate is built on it. It is public for features that Python's API does not
//! have: pollers, batches of datagrams, files that the kernel sends. In unit tests a script stands
//! in for the host.

#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod bindings {
    #[cfg(not(feature = "threads"))]
    wit_bindgen::generate!({
        path: "../wit",
        world: "sandsock:socket/raw",
        ownership: Borrowing { duplicate_if_necessary: false },
        additional_derives: [PartialEq],
        additional_derives_ignore: [
            "accepted", "batch", "batch-entry", "batch-message", "control-in", "control-out", "datagram",
            "poll-entry", "received",
        ],
    });
    #[cfg(feature = "threads")]
    wit_bindgen::generate!({
        path: "../wit",
        world: "sandsock:socket/threaded",
        ownership: Borrowing { duplicate_if_necessary: false },
        additional_derives: [PartialEq],
        additional_derives_ignore: [
            "accepted", "batch", "batch-entry", "batch-message", "control-in", "control-out", "datagram",
            "poll-entry", "received",
        ],
    });
}

#[cfg(all(target_family = "wasm", not(test)))]
pub(crate) mod receive_into;

pub use bindings::sandsock::socket::types;
#[cfg(not(test))]
pub use bindings::sandsock::socket::{
    clock, connections, descriptors, files, interrupts, netdb, polling, rights, syscalls, tls,
    transfers,
};

#[cfg(all(feature = "threads", not(test)))]
pub use bindings::sandsock::socket::{scheduler, thread_builtins, waits};

#[cfg(test)]
pub(crate) use crate::fake::{
    clock, connections, descriptors, netdb, polling, syscalls, transfers,
};
