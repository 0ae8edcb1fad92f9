//! The functions for guests with threads.
//!
//! Those that the guest calls at each switch of its threads are not reported to the observers.

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, WasmList};

use super::register::{Calls, Raw, finish_async};
use crate::bindings::sandsock::socket::types::Wait;
use crate::calls::async_call::AsyncCall;
use crate::calls::{scheduler, waits};
use crate::ctx::{SandsockView, StoreView as _};
use crate::observe::{self, Function};

/// The name of an interface.
macro_rules! interface {
    ($name:literal) => {
        concat!("sandsock:socket/", $name, "@0.1.0")
    };
}

functions! {
    package Raw "sandsock:socket" "0.1.0";
    interface "waits" {
        concurrent ready(d, events, wait, interruptible) = waits::ready;
        concurrent poll(entries, wait, interruptible) = waits::poll;
        concurrent poller-ready(poller, wait, interruptible) = waits::poller_ready;
        concurrent stdin-ready(interruptible) = waits::stdin_ready;
        concurrent close(d, interruptible) = waits::close;
        concurrent get-address-info(host, service, hints, wait, interruptible) = waits::get_address_info;
        concurrent get-name-info(address, flags, wait, interruptible) = waits::get_name_info;
        concurrent get-host-by-name(name, family, wait, interruptible) = waits::get_host_by_name;
        concurrent get-host-by-address(address, wait, interruptible) = waits::get_host_by_address;
    }
}

/// Adds the functions for guests with threads to a linker that has the raw layer. The context must
/// wait on the fiber. The engine needs [`wasmtime::Config::wasm_component_model_async`] and
/// [`wasmtime::Config::wasm_component_model_threading`], and the guest must be called with
/// [`wasmtime::Store::run_concurrent`].
///
/// # Errors
///
/// The linker has one of the interfaces already, or its engine lacks concurrency support.
pub fn add_threads_to_linker<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add(linker, Calls::Async)?;
    let mut instance = linker.instance(interface!("waits"))?;
    instance.func_wrap_concurrent("park", |accessor, params: (u32, Wait, bool)| {
        Box::pin(async move {
            let mut call = AsyncCall::new(accessor);
            waits::park(&mut call, params).await.map(|parked| (parked,))
        })
    })?;
    let mut instance = linker.instance(interface!("scheduler"))?;
    instance.func_wrap("limit", |mut store: StoreContextMut<'_, T>, (): ()| {
        store.view().thread_limit().map(|limit| (limit,))
    })?;
    instance.func_wrap("unpark", |mut store: StoreContextMut<'_, T>, (token,): (u32,)| {
        store.view().unpark(token)
    })?;
    instance.func_wrap(
        "show-memory",
        |mut store: StoreContextMut<'_, T>, (part,): (WasmList<u8>,)| {
            scheduler::show_memory(&mut store, part)
        },
    )?;
    instance.func_wrap(
        "preempt",
        |mut store: StoreContextMut<'_, T>,
         (holder, locked, offset, flag): (u32, u32, u32, u32)| {
            store.view().preempt(holder, locked, offset, flag)
        },
    )?;
    // A component with threads has the canonical functions in their place, but still names them.
    let mut builtins = linker.instance(interface!("thread-builtins"))?;
    builtins.func_wrap("new-indirect", |_: StoreContextMut<'_, T>, (_, _): (u32, u32)| {
        no_threads::<(u32,)>()
    })?;
    builtins.func_wrap("index", |_: StoreContextMut<'_, T>, (): ()| no_threads::<(u32,)>())?;
    builtins
        .func_wrap("resume-later", |_: StoreContextMut<'_, T>, (_,): (u32,)| no_threads::<()>())?;
    builtins.func_wrap("yield", |_: StoreContextMut<'_, T>, (): ()| no_threads::<(u32,)>())
}

/// Tells a component that was made for threads, and whose thread functions were not replaced, that it has
/// none. Such a component calls no other function for threads. A call of one traps.
///
/// # Errors
///
/// The linker has one of the interfaces already.
pub fn add_no_threads_to_linker<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
    component: &Component,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(interface!("scheduler"))?;
    instance.func_wrap("limit", |_: StoreContextMut<'_, T>, (): ()| Ok((0u32,)))?;
    let engine = component.engine();
    for (interface, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(functions) = item.ty else { continue };
        if !INTERFACES.contains(&interface) {
            continue;
        }
        let mut instance = linker.instance(interface)?;
        for (function, item) in functions.exports(engine) {
            let is_limit = interface == interface!("scheduler") && function == "limit";
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) && !is_limit {
                instance.func_new(function, |_, _, _, _| no_threads())?;
            }
        }
    }
    Ok(())
}

/// The interfaces for guests with threads.
const INTERFACES: [&str; 3] =
    [interface!("waits"), interface!("scheduler"), interface!("thread-builtins")];

fn no_threads<R>() -> wasmtime::Result<R> {
    Err(wasmtime::Error::msg(
        "the component was linked for threads, but its thread functions were not replaced",
    ))
}

#[cfg(test)]
mod tests {
    use crate::observe::threads;

    #[test]
    fn the_list_has_the_functions_and_parameters_of_the_contract() {
        let listed = super::super::register::by_name(super::FUNCTIONS);
        let mut contract = threads();
        contract.retain(|(interface, name), _| interface == "waits" && name != "park");
        assert!(contract.len() > 5, "{}", contract.len());
        assert_eq!(listed, contract);
    }
}
