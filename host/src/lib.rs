//! sandsock's host: the BSD socket API for wasmtime components, each call behind a capability check.
//!
//! A guest reaches the kernel through the interfaces of the WIT package `sandsock:socket`, which this crate puts into a
//! [`wasmtime::component::Linker`], and only as far as a [`policy::Policy`] allows; without grants it gets nothing.
//!
//! Every operation goes one way: the descriptor table (`descriptor`), the family (`family`), the policy (`permit`, [`policy`]),
//! the system call (`sys`, the only file with `unsafe`).

mod address;
mod bindings;
mod connections;
mod control;
mod ctx;
mod descriptor;
mod error;
mod family;
mod files;
mod linker;
mod netdb;
mod patience;
mod permit;
pub mod policy;
mod poller;
mod polling;
mod pool;
mod sys;
mod syscalls;
mod transfers;
mod wait;

pub use ctx::{SandsockCtx, SandsockCtxBuilder, SandsockCtxView, SandsockView};
pub use descriptor::Descriptor;
pub use error::{Error, Fault};
pub use linker::{add_to_linker_async, add_to_linker_sync};
pub use wait::Interrupter;
