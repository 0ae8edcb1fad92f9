//! Puts this host's functions into a wasmtime linker, for both ways to embed.
//!
//! Every function of the raw layer is registered by the one list here, which is expanded twice: as
//! plain functions, whose futures are ready at once because they wait on the thread, and as async
//! functions. `bindgen!`'s traits hold the types of those that never wait against the contract.
//! Each registration tells the observers of the call ([`crate::observe`]).

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, LinkerInstance, Resource, ResourceType};

use crate::bindings::sandsock::socket as contract;
use crate::bindings::sandsock::socket::clock::Host as _;
use crate::bindings::sandsock::socket::descriptors::{Host as _, HostDescriptor as _};
use crate::bindings::sandsock::socket::interrupts::Host as _;
use crate::bindings::sandsock::socket::syscalls::Host as _;
use crate::bindings::sandsock::socket::types::{
    Address, DescriptorKind, IoctlResult, NetworkInterface, OptionValue, Trigger,
};
use crate::calls::files::File;
use crate::calls::polling::poller;
use crate::calls::polling::poller::Poller;
use crate::calls::{connections, files, netdb, polling, transfers};
use crate::ctx::{SandsockCtxView, SandsockView};
use crate::descriptor::Descriptor;
use crate::error::answer;
use crate::observe;
use crate::sys::control;

/// Ties the context's view to `bindgen!`'s traits.
struct HasSandsock;

impl HasData for HasSandsock {
    type Data<'a> = SandsockCtxView<'a>;
}

/// Adds sandsock's raw layer to a linker whose components are called without async. The context
/// must wait on the thread ([`crate::SandsockCtxBuilder::wait_on_thread`]).
///
/// # Errors
/// An interface of that name is in the linker already.
pub fn add_to_linker_sync<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add_types(linker)?;
    sync::add(linker)
}

/// Adds sandsock's raw layer to a linker whose components are called by async functions. The
/// context may wait either way.
///
/// # Errors
/// An interface of that name is in the linker already.
pub fn add_to_linker_async<T: SandsockView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    add_types(linker)?;
    fiber::add(linker)
}

/// The interface that has no function.
fn add_types<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    contract::types::add_to_linker::<T, HasSandsock>(linker, T::sandsock)
}

fn name(interface: &str) -> String {
    format!("sandsock:socket/{interface}@0.1.0")
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

/// Makes a call, and tells the observers.
macro_rules! observed {
    ($store:ident, $interface:expr, $function:expr, $params:ident, $call:expr) => {{
        observe::begin(&mut $store, $interface, $function, &$params);
        let result = $call;
        observe::end(&mut $store, &result);
        result
    }};
}

macro_rules! both_ways {
    ($(
        interface $interface:literal {
            $(resource $resource:literal: $type:ty = |$dropping:ident: _, $dropped:ident: _| $drop:expr;)*
            $(wait $wait:literal = $function:path;)*
            $(wait_raw $wait_raw:literal = $raw_function:path;)*
            $(now $now:literal = |$view:ident: _, $params:tt: $params_type:ty| -> $result:ty $body:block)*
        }
    )*) => {
        /// Every function of the list, with its interface.
        #[cfg(test)]
        pub(crate) const FUNCTIONS: &[(&str, &str)] =
            &[$($(($interface, $wait),)* $(($interface, $wait_raw),)* $(($interface, $now),)*)*];

        /// The interfaces as plain functions.
        mod sync {
            use super::*;

            pub(super) fn add<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
                $(
                    let mut instance = linker.instance(&name($interface))?;
                    add_now::<T>($interface, &mut instance)?;
                    $(instance.func_wrap($wait, |mut store: StoreContextMut<'_, T>, params| {
                        ready(async {
                            observed!(store, $interface, $wait, params, answer($function(&mut store, params).await))
                        })
                    })?;)*
                    $(instance.func_wrap($wait_raw, |mut store: StoreContextMut<'_, T>, params| {
                        ready(async {
                            observed!(store, $interface, $wait_raw, params, $raw_function(&mut store, params).await)
                        })
                    })?;)*
                )*
                Ok(())
            }
        }

        /// The interfaces as async functions.
        mod fiber {
            use super::*;

            pub(super) fn add<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
                $(
                    let mut instance = linker.instance(&name($interface))?;
                    add_now::<T>($interface, &mut instance)?;
                    $(instance.func_wrap_async($wait, |mut store: StoreContextMut<'_, T>, params| {
                        Box::new(async move {
                            observed!(store, $interface, $wait, params, answer($function(&mut store, params).await))
                        })
                    })?;)*
                    $(instance.func_wrap_async($wait_raw, |mut store: StoreContextMut<'_, T>, params| {
                        Box::new(async move {
                            observed!(store, $interface, $wait_raw, params, $raw_function(&mut store, params).await)
                        })
                    })?;)*
                )*
                Ok(())
            }
        }

        /// The functions of these interfaces that never wait, and their resources.
        fn add_now<T: SandsockView + 'static>(
            interface: &str,
            instance: &mut LinkerInstance<'_, T>,
        ) -> wasmtime::Result<()> {
            match interface {
                $($interface => {
                    $(instance.resource($resource, ResourceType::host::<$type>(), |mut store, rep| {
                        let params = (Resource::<$type>::new_own(rep),);
                        observed!(store, $interface, concat!("[resource-drop]", $resource), params, {
                            #[allow(unused_mut)]
                            let (mut $dropping, ($dropped,)) = (store.data_mut().sandsock(), params);
                            $drop
                        })
                    })?;)*
                    $(instance.func_wrap($now, |mut store: StoreContextMut<'_, T>, params: $params_type| {
                        observed!(store, $interface, $now, params, {
                            #[allow(unused_mut)]
                            let mut $view = store.data_mut().sandsock();
                            #[allow(clippy::let_unit_value)]
                            let $params = params;
                            let result: wasmtime::Result<$result> = $body;
                            result
                        })
                    })?;)*
                })*
                _ => {}
            }
            Ok(())
        }
    };
}

/// The result of a function that can't fail.
fn plain<R>(result: wasmtime::Result<R>) -> wasmtime::Result<(R,)> {
    result.map(|value| (value,))
}

both_ways! {
    interface "descriptors" {
        resource "descriptor": Descriptor = |view: _, d: _| view.drop(d);
        now "kind" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<DescriptorKind, crate::Error>,) { answer(view.kind(d)) }
        now "number" = |view: _, (d,): (Resource<Descriptor>,)| -> (Option<i32>,) { plain(view.number(d)) }
        now "duplicate" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<Resource<Descriptor>, crate::Error>,) {
            answer(view.duplicate(d))
        }
        now "alias" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<Resource<Descriptor>, crate::Error>,) {
            answer(view.alias(d))
        }
        now "revoke-aliases" = |view: _, (d,): (Resource<Descriptor>,)| -> () { view.revoke_aliases(d) }
        now "inherited" = |view: _, (): ()| -> (Vec<i32>,) { plain(view.inherited()) }
        now "inherit" = |view: _, (number,): (i32,)| -> (Result<Resource<Descriptor>, crate::Error>,) {
            answer(view.inherit(number))
        }
        now "adopt" = |view: _, (number,): (i32,)| -> (Result<Resource<Descriptor>, crate::Error>,) {
            answer(view.adopt(number))
        }
        now "set-nonblocking" = |view: _, (d, nonblocking): (Resource<Descriptor>, bool)| -> (Result<(), crate::Error>,) {
            answer(view.set_nonblocking(d, nonblocking))
        }
        now "get-nonblocking" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<bool, crate::Error>,) {
            answer(view.get_nonblocking(d))
        }
    }
    interface "syscalls" {
        now "socket" = |view: _, (family, kind, protocol): (i32, i32, i32)| -> (Result<Resource<Descriptor>, crate::Error>,) {
            answer(view.socket(family, kind, protocol))
        }
        now "socketpair" = |view: _, (family, kind, protocol): (i32, i32, i32)|
            -> (Result<(Resource<Descriptor>, Resource<Descriptor>), crate::Error>,) {
            answer(view.socketpair(family, kind, protocol))
        }
        now "bind" = |view: _, (d, address): (Resource<Descriptor>, Address)| -> (Result<(), crate::Error>,) {
            answer(view.bind(d, address))
        }
        now "listen" = |view: _, (d, backlog): (Resource<Descriptor>, i32)| -> (Result<(), crate::Error>,) {
            answer(view.listen(d, backlog))
        }
        now "shutdown" = |view: _, (d, how): (Resource<Descriptor>, i32)| -> (Result<(), crate::Error>,) {
            answer(view.shutdown(d, how))
        }
        now "local-address" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<Option<Address>, crate::Error>,) {
            answer(view.local_address(d))
        }
        now "peer-address" = |view: _, (d,): (Resource<Descriptor>,)| -> (Result<Option<Address>, crate::Error>,) {
            answer(view.peer_address(d))
        }
        now "get-option" = |view: _, (d, level, name): (Resource<Descriptor>, i32, i32)| -> (Result<i32, crate::Error>,) {
            answer(view.get_option(d, level, name))
        }
        now "get-option-bytes" = |view: _, (d, level, name, length): (Resource<Descriptor>, i32, i32, u32)|
            -> (Result<Vec<u8>, crate::Error>,) { answer(view.get_option_bytes(d, level, name, length)) }
        now "set-option" = |view: _, (d, level, name, value): (Resource<Descriptor>, i32, i32, OptionValue)|
            -> (Result<(), crate::Error>,) { answer(view.set_option(d, level, name, value)) }
        now "ioctl" = |view: _, (d, request, argument): (Resource<Descriptor>, u32, Vec<u8>)|
            -> (Result<IoctlResult, crate::Error>,) { answer(view.ioctl(d, request, argument)) }
    }
    interface "clock" {
        now "now" = |view: _, (): ()| -> (u64,) { plain(view.now()) }
    }
    interface "interrupts" {
        now "take" = |view: _, (): ()| -> (bool,) { plain(view.take()) }
    }
    interface "connections" {
        wait "connect" = connections::connect;
        wait "finish-connect" = connections::finish_connect;
        wait "accept" = connections::accept;
        wait "close" = connections::close;
    }
    interface "transfers" {
        wait "send" = transfers::send;
        wait "send-to" = transfers::send_to;
        wait "send-message" = transfers::send_message;
        wait "send-batch" = transfers::send_batch;
        wait "receive" = transfers::receive;
        wait "receive-from" = transfers::receive_from;
        wait "receive-message" = transfers::receive_message;
        wait "receive-batch" = transfers::receive_batch;
        now "control-space" = |_view: _, (length,): (u32,)| -> (Option<u32>,) { Ok((control::space(length),)) }
        now "control-length" = |_view: _, (length,): (u32,)| -> (Option<u32>,) { Ok((control::length(length),)) }
    }
    interface "polling" {
        resource "poller": Poller = |view: _, poller: _| view.table.delete(poller).map(drop).map_err(Into::into);
        wait "poll" = polling::poll;
        wait "[method]poller.wait" = poller::wait;
        now "create-poller" = |view: _, (): ()| -> (Result<Resource<Poller>, crate::Error>,) {
            answer(poller::create(view))
        }
        now "[method]poller.add" = |view: _, (poller, d, key, events, trigger): (Resource<Poller>, Resource<Descriptor>, u64, u16, Trigger)|
            -> (Result<(), crate::Error>,) { answer(poller::add(view, &poller, &d, key, events, trigger)) }
        now "[method]poller.modify" = |view: _, (poller, key, events, trigger): (Resource<Poller>, u64, u16, Trigger)|
            -> (Result<(), crate::Error>,) { answer(poller::modify(&view, &poller, key, events, trigger)) }
        now "[method]poller.remove" = |view: _, (poller, key): (Resource<Poller>, u64)| -> (Result<(), crate::Error>,) {
            answer(poller::remove(&view, &poller, key))
        }
        now "[method]poller.set-timer" = |view: _, (poller, key, at, interval): (Resource<Poller>, u64, u64, u64)|
            -> (Result<(), crate::Error>,) { answer(poller::set_timer(&view, &poller, key, at, interval)) }
    }
    interface "netdb" {
        wait "get-service-by-name" = netdb::get_service_by_name;
        wait "get-service-by-port" = netdb::get_service_by_port;
        wait "get-protocol-by-name" = netdb::get_protocol_by_name;
        wait_raw "get-address-info" = netdb::get_address_info;
        wait_raw "get-name-info" = netdb::get_name_info;
        wait_raw "get-host-by-name" = netdb::get_host_by_name;
        wait_raw "get-host-by-address" = netdb::get_host_by_address;
        now "interfaces" = |view: _, (): ()| -> (Result<Vec<NetworkInterface>, crate::Error>,) {
            answer(netdb::interfaces(&view))
        }
        now "interface-index" = |view: _, (name,): (String,)| -> (Result<u32, crate::Error>,) {
            answer(netdb::interface_index(&view, &name))
        }
        now "interface-name" = |view: _, (index,): (u32,)| -> (Result<String, crate::Error>,) {
            answer(netdb::interface_name(&view, index))
        }
        now "get-host-name" = |view: _, (): ()| -> (String,) { Ok((netdb::host_name(&view),)) }
        now "set-host-name" = |view: _, (name,): (Vec<u8>,)| -> (Result<(), crate::Error>,) {
            answer(netdb::set_host_name(&view, name))
        }
    }
    interface "files" {
        resource "file": File = |view: _, file: _| view.table.delete(file).map(drop).map_err(Into::into);
        wait "send-file" = files::send_file;
        now "open" = |view: _, (path,): (String,)| -> (Result<Resource<File>, crate::Error>,) {
            answer(files::open(view, &path))
        }
        now "[method]file.read" = |view: _, (file, length): (Resource<File>, u64)| -> (Result<Vec<u8>, crate::Error>,) {
            answer(files::read(&mut view, &file, length))
        }
        now "[method]file.seek" = |view: _, (file, position): (Resource<File>, u64)| -> (Result<(), crate::Error>,) {
            answer(files::seek(&mut view, &file, position))
        }
        now "[method]file.position" = |view: _, (file,): (Resource<File>,)| -> (Result<u64, crate::Error>,) {
            answer(files::position(&view, &file))
        }
        now "[method]file.size" = |view: _, (file,): (Resource<File>,)| -> (Result<u64, crate::Error>,) {
            answer(files::size(&view, &file))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_function_of_the_contract_is_registered_and_observed() {
        let registered: BTreeSet<_> =
            super::FUNCTIONS.iter().map(|&(i, f)| (i.to_owned(), f.to_owned())).collect();
        let contract: BTreeSet<_> = crate::observe::raw_layer().into_keys().collect();
        assert_eq!(registered, contract);
    }
}
