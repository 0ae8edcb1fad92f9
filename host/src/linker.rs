//! Adds this host's functions to a wasmtime linker.
//!
//! The list at the end has one line for each function of the contract: its name, the names of its
//! parameters, and the Rust function. A `wait` function may wait. Where components are called
//! without async, its future is ready at once, because the context waits on the thread. A `now`
//! function never waits. `bindgen!`'s traits check the types of the functions of `descriptors`,
//! `syscalls`, `clock` and `interrupts` against the contract.
//!
//! A function can be registered by the list alone, and each registration reports the calls to the
//! observers ([`crate::observe`]). The observers have all names from here.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, Resource, ResourceType};

use crate::bindings::sandsock::socket as contract;
use crate::bindings::sandsock::socket::clock::Host as _;
use crate::bindings::sandsock::socket::descriptors::{Host as _, HostDescriptor};
use crate::bindings::sandsock::socket::interrupts::Host as _;
use crate::bindings::sandsock::socket::syscalls::Host as _;
use crate::bindings::sandsock::socket::types::{Error, NameError};
use crate::calls::files::File;
use crate::calls::netdb::LookupError;
use crate::calls::polling::poller::{self, Poller};
use crate::calls::{connections, delete, files, netdb, polling, transfers};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Descriptor;
use crate::error::{CallResult, answer};
use crate::observe::{self, Function};

/// Ties the context's view to `bindgen!`'s traits.
struct HasSandsock;

impl HasData for HasSandsock {
    type Data<'a> = SandsockCtxView<'a>;
}

/// Adds sandsock's raw layer to a linker whose components are called without async. The context
/// must wait on the thread ([`crate::SandsockCtxBuilder::wait_on_thread`]).
///
/// # Errors
/// The linker has an interface of that name already.
pub fn add_to_linker_sync<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add(linker, Calls::Sync)
}

/// Adds sandsock's raw layer to a linker whose components are called by async functions. The
/// context may wait either way.
///
/// # Errors
/// The linker has an interface of that name already.
pub fn add_to_linker_async<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add(linker, Calls::Async)
}

/// How the components of a linker are called.
#[derive(Clone, Copy)]
enum Calls {
    Sync,
    Async,
}

/// Runs a future that must be ready: its context waits on the thread.
fn ready<R>(future: impl Future<Output = wasmtime::Result<R>>) -> wasmtime::Result<R> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg(
            "a context that waits on the fiber was given to a component that is called without async; \
             build it with wait_on_thread, or use add_to_linker_async",
        )),
    }
}

/// Converts what a function returns to the contract's results, or a trap.
trait Answer {
    type Results;

    fn into_results(self) -> wasmtime::Result<Self::Results>;
}

impl<R> Answer for CallResult<R> {
    type Results = (Result<R, Error>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        answer(self)
    }
}

impl<R> Answer for Result<R, LookupError> {
    type Results = (Result<R, NameError>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        netdb::answer(self)
    }
}

/// A function without a result.
impl Answer for wasmtime::Result<()> {
    type Results = ();

    fn into_results(self) -> wasmtime::Result<()> {
        self
    }
}

/// Functions that can't fail.
macro_rules! plain_results {
    ($($type:ty),*) => {$(
        impl Answer for wasmtime::Result<$type> {
            type Results = ($type,);

            fn into_results(self) -> wasmtime::Result<Self::Results> {
                self.map(|value| (value,))
            }
        }
    )*};
}

plain_results! { bool, u64, Option<i32>, Option<u32>, Vec<i32>, String }

/// A name as WIT's tools write it.
macro_rules! name {
    ($([$kind:ident] $resource:ident.)? $head:ident $(-$tail:ident)*) => {
        concat!(
            $("[", stringify!($kind), "]", stringify!($resource), ".",)?
            stringify!($head) $(, "-", stringify!($tail))*
        )
    };
}

/// The names of a function and its parameters, for the observers.
macro_rules! function {
    ($interface:ident, $name:expr, ($($head:ident $(-$tail:ident)*),*)) => {
        Function {
            interface: stringify!($interface),
            name: $name,
            parameters: &[$(name!($head $(-$tail)*)),*],
        }
    };
}

/// Makes a call, and reports it to the observers.
macro_rules! observed {
    ($store:ident, $function:expr, $params:ident, $result:expr) => {{
        observe::begin(&mut $store, &$function, &$params);
        let result = $result.into_results();
        observe::end(&mut $store, &result);
        result
    }};
}

/// Calls a function with the values of a tuple. The names count them.
macro_rules! call {
    ($path:path, $view:expr, $params:ident, ()) => {{
        let () = $params;
        $path($view)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident)) => {{
        let (a,) = $params;
        $path($view, a)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident)) => {{
        let (a, b) = $params;
        $path($view, a, b)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident, $c:ident)) => {{
        let (a, b, c) = $params;
        $path($view, a, b, c)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident, $c:ident, $d:ident)) => {{
        let (a, b, c, d) = $params;
        $path($view, a, b, c, d)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident)) => {{
        let (a, b, c, d, e) = $params;
        $path($view, a, b, c, d, e)
    }};
}

/// Makes `add`, which registers the functions of the list, and the list of their names.
macro_rules! functions {
    ($(interface $interface:ident {
        $(resource $resource:ident: $type:ty, drop = $drop_path:path;)*
        $(wait $([$wait_kind:ident] $wait_resource:ident.)? $wait:ident $(-$wait_:ident)* ($($wait_params:tt)*)
            = $wait_path:path;)*
        $(now $([$now_kind:ident] $now_resource:ident.)? $now:ident $(-$now_:ident)* ($($now_params:tt)*)
            = $now_path:path;)*
    })*) => {
        /// The functions of the list, without the drops.
        #[cfg(test)]
        const FUNCTIONS: &[Function] = &[$(
            $(function!(
                $interface,
                name!($([$wait_kind] $wait_resource.)? $wait $(-$wait_)*),
                ($($wait_params)*)
            ),)*
            $(function!(
                $interface,
                name!($([$now_kind] $now_resource.)? $now $(-$now_)*),
                ($($now_params)*)
            ),)*
        )*];

        fn add<T: SandsockView + 'static>(linker: &mut Linker<T>, calls: Calls) -> wasmtime::Result<()> {
            // This interface has no function.
            contract::types::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
            $(
                let mut instance =
                    linker.instance(concat!("sandsock:socket/", stringify!($interface), "@0.1.0"))?;
                $({
                    const DROP: Function = function!(
                        $interface,
                        concat!("[resource-drop]", stringify!($resource)),
                        (self)
                    );
                    let host = ResourceType::host::<$type>();
                    instance.resource(stringify!($resource), host, |mut store, rep| {
                        let params = (Resource::<$type>::new_own(rep),);
                        observed!(store, DROP, params, call!($drop_path, &mut store.view(), params, (resource)))
                    })?;
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$wait_kind] $wait_resource.)? $wait $(-$wait_)*),
                        ($($wait_params)*)
                    );
                    match calls {
                        Calls::Sync => {
                            instance.func_wrap(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                                ready(async {
                                    observed!(store, FUNCTION, params, $wait_path(&mut store, params).await)
                                })
                            })?;
                        }
                        Calls::Async => {
                            instance.func_wrap_async(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                                Box::new(async move {
                                    observed!(store, FUNCTION, params, $wait_path(&mut store, params).await)
                                })
                            })?;
                        }
                    }
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$now_kind] $now_resource.)? $now $(-$now_)*),
                        ($($now_params)*)
                    );
                    instance.func_wrap(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                        observed!(store, FUNCTION, params, call!($now_path, &mut store.view(), params, ($($now_params)*)))
                    })?;
                })*
            )*
            Ok(())
        }
    };
}

functions! {
    interface descriptors {
        resource descriptor: Descriptor, drop = HostDescriptor::drop;
        now kind(d) = SandsockCtxView::kind;
        now number(d) = SandsockCtxView::number;
        now duplicate(d) = SandsockCtxView::duplicate;
        now alias(d) = SandsockCtxView::alias;
        now revoke-aliases(d) = SandsockCtxView::revoke_aliases;
        now inherited() = SandsockCtxView::inherited;
        now inherit(number) = SandsockCtxView::inherit;
        now adopt(number) = SandsockCtxView::adopt;
        now set-nonblocking(d, nonblocking) = SandsockCtxView::set_nonblocking;
        now get-nonblocking(d) = SandsockCtxView::get_nonblocking;
    }
    interface syscalls {
        now socket(family, type, protocol) = SandsockCtxView::socket;
        now socketpair(family, type, protocol) = SandsockCtxView::socketpair;
        now bind(d, address) = SandsockCtxView::bind;
        now listen(d, backlog) = SandsockCtxView::listen;
        now shutdown(d, how) = SandsockCtxView::shutdown;
        now local-address(d) = SandsockCtxView::local_address;
        now peer-address(d) = SandsockCtxView::peer_address;
        now get-option(d, level, name) = SandsockCtxView::get_option;
        now get-option-bytes(d, level, name, length) = SandsockCtxView::get_option_bytes;
        now set-option(d, level, name, value) = SandsockCtxView::set_option;
        now ioctl(d, request, argument) = SandsockCtxView::ioctl;
    }
    interface clock {
        now now() = SandsockCtxView::now;
    }
    interface interrupts {
        now take() = SandsockCtxView::take;
    }
    interface connections {
        wait connect(d, address, wait) = connections::connect;
        wait finish-connect(d, wait) = connections::finish_connect;
        wait accept(d, wait) = connections::accept;
        wait close(d) = connections::close;
    }
    interface transfers {
        wait send(d, data, flags, wait) = transfers::send;
        wait send-to(d, data, flags, address, wait) = transfers::send_to;
        wait send-message(d, buffers, control, flags, address, wait) = transfers::send_message;
        wait send-batch(d, data, messages, flags, wait) = transfers::send_batch;
        wait receive(d, length, flags, wait) = transfers::receive;
        wait receive-from(d, length, flags, wait) = transfers::receive_from;
        wait receive-message(d, length, control-length, flags, wait) = transfers::receive_message;
        wait receive-batch(d, count, length, control-length, flags, wait) = transfers::receive_batch;
        now control-space(length) = transfers::control_space;
        now control-length(length) = transfers::control_length;
    }
    interface polling {
        resource poller: Poller, drop = delete;
        wait poll(entries, wait) = polling::poll;
        wait [method]poller.wait(self, maximum, wait) = poller::wait;
        now create-poller() = poller::create;
        now [method]poller.add(self, d, key, events, trigger) = poller::add;
        now [method]poller.modify(self, key, events, trigger) = poller::modify;
        now [method]poller.remove(self, key) = poller::remove;
        now [method]poller.set-timer(self, key, at, interval) = poller::set_timer;
    }
    interface netdb {
        wait get-service-by-name(name, protocol) = netdb::get_service_by_name;
        wait get-service-by-port(port, protocol) = netdb::get_service_by_port;
        wait get-protocol-by-name(name) = netdb::get_protocol_by_name;
        wait get-address-info(host, service, hints, wait) = netdb::get_address_info;
        wait get-name-info(address, flags, wait) = netdb::get_name_info;
        wait get-host-by-name(name, family, wait) = netdb::get_host_by_name;
        wait get-host-by-address(address, wait) = netdb::get_host_by_address;
        now interfaces() = netdb::interfaces;
        now interface-index(name) = netdb::interface_index;
        now interface-name(index) = netdb::interface_name;
        now get-host-name() = netdb::get_host_name;
        now set-host-name(name) = netdb::set_host_name;
    }
    interface files {
        resource file: File, drop = delete;
        wait send-file(d, source, offset, count, wait) = files::send_file;
        now open(path) = files::open;
        now [method]file.read(self, length) = files::read;
        now [method]file.seek(self, position) = files::seek;
        now [method]file.position(self) = files::position;
        now [method]file.size(self) = files::size;
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::{Functions, raw_layer};

    #[test]
    fn the_list_has_the_functions_and_parameters_of_the_contract() {
        let listed: Functions = super::FUNCTIONS
            .iter()
            .map(|function| {
                let parameters = function.parameters.iter().map(|&name| name.to_owned()).collect();
                ((function.interface.to_owned(), function.name.to_owned()), parameters)
            })
            .collect();
        let contract = raw_layer();
        assert!(contract.len() > 50, "{}", contract.len());
        assert_eq!(listed, contract);
        assert_eq!(super::FUNCTIONS.len(), contract.len(), "a function is listed twice");
    }
}
