//! sandsock's host: the BSD socket API for wasmtime components, each call behind a capability
//! check.
//!
//! A guest reaches the kernel through the interfaces of the WIT package `sandsock:socket`, which
//! this crate puts into a [`wasmtime::component::Linker`], and only as far as a [`policy::Policy`]
//! allows; without grants it gets nothing.
//!
//! # Embedding
//!
//! The store's data implements [`SandsockView`], one of [`add_to_linker_sync`] and
//! [`add_to_linker_async`] goes beside WASI's, and each instance has a context of its own:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
//! use sandsock_host::{SandsockCtx, SandsockCtxView, SandsockView};
//! use wasmtime::component::{Component, Linker, ResourceTable};
//! use wasmtime::{Config, Engine, Store};
//! use wasmtime_wasi::p2::bindings::sync::Command;
//! use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
//!
//! struct State {
//!     wasi: WasiCtx,
//!     sandsock: SandsockCtx,
//!     table: ResourceTable,
//! }
//!
//! impl WasiView for State {
//!     fn ctx(&mut self) -> WasiCtxView<'_> {
//!         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
//!     }
//! }
//!
//! impl SandsockView for State {
//!     fn sandsock(&mut self) -> SandsockCtxView<'_> {
//!         SandsockCtxView { ctx: &mut self.sandsock, table: &mut self.table }
//!     }
//! }
//!
//! fn main() -> wasmtime::Result<()> {
//!     let mut policy = Policy::builder();
//!     policy.allow("tcp-listen=127.0.0.1:7777")?;
//!     policy.limit("descriptors=64")?;
//!     let sandsock = SandsockCtx::builder(Arc::new(policy.build())).build()?;
//!     // It ends the guest's waits, from any thread.
//!     let _interrupter = sandsock.interrupter();
//!
//!     let mut config = Config::new();
//!     // Only components of WASI 0.3 need it, and it makes every call slower.
//!     config.concurrency_support(false);
//!     let engine = Engine::new(&config)?;
//!     let mut linker = Linker::new(&engine);
//!     wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
//!     sandsock_host::add_to_linker_sync(&mut linker)?;
//!
//!     let component = Component::from_file(&engine, "target/guests/echo_server.wasm")?;
//!     let wasi = WasiCtx::builder().inherit_stdio().args(&["echo_server", "127.0.0.1", "7777"]).build();
//!     let mut store = Store::new(&engine, State { wasi, sandsock, table: ResourceTable::new() });
//!     let command = Command::instantiate(&mut store, &component, &linker)?;
//!     let ended = command.wasi_cli_run().call_run(&mut store)?;
//!     println!("the guest {}", if ended.is_ok() { "succeeded" } else { "failed" });
//!     Ok(())
//! }
//! ```
//!
//! [`add_to_linker_sync`] serves `wasi:sockets` 0.2 too, in place of wasmtime's own, by the same
//! context, and 0.3 if the linker's engine has concurrency support. The streams and pollables of 0.2
//! are in the table, so both views must return the same table. An embedder who wants
//! `sandsock:socket` alone says so in [`LinkOptions`]. The error codes of `wasi:sockets` have no text:
//! [`SandsockCtxBuilder::on_missing_grant`] reports which grant a guest lacks.
//!
//! The context enforces the policy's limits, except for `memory-bytes`. For that limit, set a
//! [`wasmtime::ResourceLimiter`] with [`wasmtime::Store::limiter`], which bounds what a guest's
//! memories and tables may take ([`policy::Limits::memory_bytes`]). The command does so.
//!
//! Rules about UNIX paths are about names, and the folders of WASI are the embedder's. A writable
//! folder must not be, hold, or lie beneath a folder of [`policy::Policy::unix_folders`], where the
//! guest could give one socket the name of another, and must not hold a file that the program
//! trusts. The command refuses such folders.
//!
//! For many guests on few threads, use [`SandsockCtxBuilder::wait_on_fiber`],
//! [`add_to_linker_async`] and tokio.
//!
//! [`SandsockCtx::policy_handle`] replaces the policy of a context while its guest runs.
//! [`OpenActs`] says what becomes of the connections and listeners that the new policy does not
//! allow.
//!
//! To observe a guest's calls, give the builder an [`observe::Observer`]
//! ([`SandsockCtxBuilder::observe`]).
//!
//! # How it is made
//!
//! Every operation goes one way: `calls` finds the descriptor (`descriptor`), `authority` asks the
//! [`policy`] and makes a permit, and `sys`, the only folder with `unsafe`, makes the system call.
//! On EAGAIN `wait` waits, and the system call is made again.

mod authority;
mod bindings;
mod calls;
mod ctx;
mod descriptor;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod linker;
pub mod netns;
pub mod observe;
mod own_networks;
pub mod policy;
mod sys;
pub mod tls;
mod wait;

pub use authority::budgets::Budgets;
pub use authority::gate::Granted;
pub use ctx::preemption::tick;
pub use ctx::replacement::{OpenActs, PolicyHandle};
pub use ctx::{SandsockCtx, SandsockCtxBuilder, SandsockCtxView, SandsockView};
pub use descriptor::Descriptor;
pub use descriptor::acceptor::Acceptor;
pub use descriptor::account::BudgetUse;
pub use descriptor::inherited::Inherited;
pub use descriptor::terminator::{TlsTerminator, TlsTerminatorError};
pub use error::{Error, Fault};
pub use linker::{
    LinkOptions, add_no_threads_to_linker, add_threads_to_linker, add_to_linker_async,
    add_to_linker_sync, add_to_linker_with_options_async, add_to_linker_with_options_sync,
};
pub use own_networks::own_networks;
pub use sys::netdb::LookUpProcess;
pub use wait::{Interrupter, finish_sends};
