//! Adds this host's functions to a wasmtime linker: one list for each package.

#[macro_use]
mod register;
mod raw;
mod threads;
mod wasi2;
mod wasi3;

use wasmtime::component::{HasData, Linker};

use crate::bindings::sandsock::socket::types;
use crate::ctx::{SandsockCtxView, SandsockView};
use register::Calls;

pub use threads::{add_no_threads_to_linker, add_threads_to_linker};

/// Ties the context's view to `bindgen!`'s traits.
struct HasSandsock;

impl HasData for HasSandsock {
    type Data<'a> = SandsockCtxView<'a>;
}

/// Which packages are added to a linker.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    wasi_sockets: bool,
}

impl Default for LinkOptions {
    /// Both packages.
    fn default() -> Self {
        Self { wasi_sockets: true }
    }
}

impl LinkOptions {
    /// Whether `wasi:sockets` is added beside `sandsock:socket`. It is by default.
    pub fn wasi_sockets(&mut self, serve: bool) -> &mut Self {
        self.wasi_sockets = serve;
        self
    }
}

/// Adds the packages `sandsock:socket` and `wasi:sockets` to a linker whose components are called
/// without async. The context must wait on the thread
/// ([`crate::SandsockCtxBuilder::wait_on_thread`]).
///
/// Version 0.3 of `wasi:sockets` is added if the engine has concurrency support
/// ([`wasmtime::Config::concurrency_support`]).
///
/// Call it after the functions that add WASI's other packages: it takes the place of a
/// `wasi:sockets` that they added, and leaves the linker's shadowing off. The table of
/// [`SandsockView`] must be the one of WASI's own view, because streams and pollables are in it.
///
/// # Errors
/// The linker has an interface of `sandsock:socket` already.
pub fn add_to_linker_sync<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add_to_linker_with_options_sync(linker, &LinkOptions::default())
}

/// Adds the packages to a linker whose components are called by async functions. The context may
/// wait either way. All else is as for [`add_to_linker_sync`].
///
/// # Errors
/// The linker has an interface of `sandsock:socket` already.
pub fn add_to_linker_async<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add_to_linker_with_options_async(linker, &LinkOptions::default())
}

/// As [`add_to_linker_sync`], with a choice of the packages.
///
/// # Errors
/// The linker has an interface of `sandsock:socket` already.
pub fn add_to_linker_with_options_sync<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
    options: &LinkOptions,
) -> wasmtime::Result<()> {
    add(linker, options, Calls::Sync)
}

/// As [`add_to_linker_async`], with a choice of the packages.
///
/// # Errors
/// The linker has an interface of `sandsock:socket` already.
pub fn add_to_linker_with_options_async<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
    options: &LinkOptions,
) -> wasmtime::Result<()> {
    add(linker, options, Calls::Async)
}

fn add<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
    options: &LinkOptions,
    calls: Calls,
) -> wasmtime::Result<()> {
    // This interface has no function.
    types::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
    raw::add(linker, calls)?;
    if options.wasi_sockets {
        linker.allow_shadowing(true);
        let mut added = wasi2::add(linker, calls);
        // wasmtime refuses async functions without it.
        if linker.engine().get_concurrency_support() {
            added = added.and_then(|()| wasi3::add(linker, calls));
        }
        linker.allow_shadowing(false);
        added?;
    }
    Ok(())
}

/// The functions of `wasi:sockets` 0.2, for tests.
#[cfg(test)]
pub(crate) fn wasi2_functions() -> crate::observe::Functions {
    register::by_name(wasi2::FUNCTIONS)
}

/// The functions of `wasi:sockets` 0.3, for tests.
#[cfg(test)]
pub(crate) fn wasi3_functions() -> crate::observe::Functions {
    register::by_name(wasi3::FUNCTIONS)
}
