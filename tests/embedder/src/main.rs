//! Runs a component under a policy, as the documentation of the host shows it.
//!
//! Arguments: the component, a grant, and the component's own arguments.

use std::sync::Arc;

use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_host::{SandsockCtx, SandsockCtxView, SandsockView};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

struct State {
    wasi: WasiCtx,
    sandsock: SandsockCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl SandsockView for State {
    fn sandsock(&mut self) -> SandsockCtxView<'_> {
        SandsockCtxView { ctx: &mut self.sandsock, table: &mut self.table }
    }
}

fn main() -> wasmtime::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(grant)) = (args.next(), args.next()) else {
        wasmtime::bail!("arguments: the component, a grant, and the component's own arguments");
    };
    let mut policy = Policy::builder();
    policy.allow(&grant)?;
    policy.limit("descriptors=64")?;
    let sandsock = SandsockCtx::builder(Arc::new(policy.build())).build()?;
    // It ends the guest's waits, from any thread.
    let _interrupter = sandsock.interrupter();

    let mut config = Config::new();
    // Only components of WASI 0.3 need it, and it makes every call dearer.
    config.concurrency_support(false);
    let engine = Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    sandsock_host::add_to_linker_sync(&mut linker)?;

    let component = Component::from_file(&engine, &path)?;
    let wasi =
        WasiCtx::builder().inherit_stdio().arg(&path).args(&args.collect::<Vec<_>>()).build();
    let mut store = Store::new(&engine, State { wasi, sandsock, table: ResourceTable::new() });
    let command = Command::instantiate(&mut store, &component, &linker)?;
    let ended = command.wasi_cli_run().call_run(&mut store)?;
    println!("the guest {}", if ended.is_ok() { "succeeded" } else { "failed" });
    Ok(())
}
