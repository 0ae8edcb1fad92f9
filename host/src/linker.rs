//! Puts this host's functions into a wasmtime linker, for both ways to embed.
//!
//! The interfaces whose functions never wait come from `bindgen!`. The others are registered here by hand, by one list that is
//! expanded twice: as plain functions, whose futures are ready at once because they wait on the thread, and as async functions.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, LinkerInstance, Resource, ResourceType};

use crate::bindings::sandsock::socket as contract;
use crate::bindings::sandsock::socket::types::{NetworkInterface, Trigger};
use crate::ctx::{SandsockCtxView, SandsockView};
use crate::descriptor::Descriptor;
use crate::error::answer;
use crate::files::File;
use crate::poller::Poller;
use crate::{connections, control, files, netdb, poller, polling, transfers};

/// Ties the context's view to `bindgen!`'s traits.
struct HasSandsock;

impl HasData for HasSandsock {
    type Data<'a> = SandsockCtxView<'a>;
}

/// Adds sandsock's raw layer to a linker whose components are called without async. The context must wait on the thread
/// ([`crate::SandsockCtxBuilder::wait_on_thread`]).
///
/// # Errors
/// An interface of that name is in the linker already.
pub fn add_to_linker_sync<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    add_ready(linker)?;
    sync::add(linker)
}

/// Adds sandsock's raw layer to a linker whose components are called by async functions. The context may wait either way.
///
/// # Errors
/// An interface of that name is in the linker already.
pub fn add_to_linker_async<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    add_ready(linker)?;
    fiber::add(linker)
}

/// The interfaces that never wait.
fn add_ready<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    contract::types::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
    contract::descriptors::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
    contract::syscalls::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
    contract::clock::add_to_linker::<T, HasSandsock>(linker, T::sandsock)?;
    contract::interrupts::add_to_linker::<T, HasSandsock>(linker, T::sandsock)
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

macro_rules! both_ways {
    ($(
        interface $interface:literal {
            $(resource $resource:literal: $type:ty;)*
            $(wait $wait:literal = $function:path;)*
            $(wait_raw $wait_raw:literal = $raw_function:path;)*
            $(now $now:literal = |$view:ident: _, $params:tt: $params_type:ty| -> $result:ty $body:block)*
        }
    )*) => {
        /// The interfaces as plain functions.
        mod sync {
            use super::*;

            pub(super) fn add<T: SandsockView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
                $(
                    let mut instance = linker.instance(&name($interface))?;
                    add_now::<T>($interface, &mut instance)?;
                    $(instance.func_wrap($wait, |mut store: StoreContextMut<'_, T>, params| {
                        ready(async { answer($function(&mut store, params).await) })
                    })?;)*
                    $(instance.func_wrap($wait_raw, |mut store: StoreContextMut<'_, T>, params| {
                        ready($raw_function(&mut store, params))
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
                        Box::new(async move { answer($function(&mut store, params).await) })
                    })?;)*
                    $(instance.func_wrap_async($wait_raw, |mut store: StoreContextMut<'_, T>, params| {
                        Box::new(async move { $raw_function(&mut store, params).await })
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
                        store.data_mut().sandsock().table.delete(Resource::<$type>::new_own(rep))?;
                        Ok(())
                    })?;)*
                    $(instance.func_wrap($now, |mut store: StoreContextMut<'_, T>, $params: $params_type| {
                        #[allow(unused_mut)]
                        let mut $view = store.data_mut().sandsock();
                        let result: wasmtime::Result<$result> = $body;
                        result
                    })?;)*
                })*
                _ => {}
            }
            Ok(())
        }
    };
}

both_ways! {
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
        resource "poller": Poller;
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
        resource "file": File;
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
