//! The functions of the contract, with one file for each WIT interface. Each function reads its
//! arguments, asks [`crate::authority`] for a permit, and makes the system call with it.

pub(crate) mod async_call;
mod caller;
mod clock;
pub(crate) mod connections;
mod descriptors;
pub(crate) mod files;
mod interrupts;
pub(crate) mod netdb;
pub(crate) mod polling;
pub(crate) mod rights;
pub(crate) mod scheduler;
mod syscalls;
pub(crate) mod tls;
pub(crate) mod transfers;
mod types;
pub(crate) mod waits;
pub(crate) mod wasi;

use wasmtime::component::Resource;

use crate::ctx::SandsockCtxView;

/// Drops a resource that needs nothing else than Rust's drop.
pub(crate) fn delete<R: 'static>(
    view: &mut SandsockCtxView<'_>,
    resource: Resource<R>,
) -> wasmtime::Result<()> {
    view.table.delete(resource)?;
    Ok(())
}
