//! The functions of the package `sandsock:socket`.
//!
//! `bindgen!`'s traits check the types of the functions of `descriptors`, `syscalls`, `clock` and
//! `interrupts` against the contract.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::register::{Calls, Raw, finish, ready};
use crate::bindings::sandsock::socket::clock::Host as _;
use crate::bindings::sandsock::socket::descriptors::{Host as _, HostDescriptor};
use crate::bindings::sandsock::socket::interrupts::Host as _;
use crate::bindings::sandsock::socket::syscalls::Host as _;
use crate::calls::files::File;
use crate::calls::polling::poller::{self, Poller};
use crate::calls::{connections, delete, files, netdb, polling, rights, tls, transfers};
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::Descriptor;
use crate::observe::{self, Function};

functions! {
    package Raw "sandsock:socket" "0.1.0";
    interface "descriptors" {
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
    interface "syscalls" {
        now socket(family, type, protocol) = SandsockCtxView::socket;
        now socketpair(family, type, protocol) = SandsockCtxView::socketpair;
        now bind(d, address) = SandsockCtxView::bind;
        now unbind(path) = SandsockCtxView::unbind;
        now listen(d, backlog) = SandsockCtxView::listen;
        now shutdown(d, how) = SandsockCtxView::shutdown;
        now local-address(d) = SandsockCtxView::local_address;
        now peer-address(d) = SandsockCtxView::peer_address;
        now get-option(d, level, name) = SandsockCtxView::get_option;
        now get-option-bytes(d, level, name, length) = SandsockCtxView::get_option_bytes;
        now set-option(d, level, name, value) = SandsockCtxView::set_option;
        now ioctl(d, request, argument) = SandsockCtxView::ioctl;
    }
    interface "clock" {
        now now() = SandsockCtxView::now;
    }
    interface "interrupts" {
        now take() = SandsockCtxView::take;
    }
    interface "connections" {
        wait connect(d, address, wait) = connections::connect;
        wait finish-connect(d, wait) = connections::finish_connect;
        wait accept(d, wait) = connections::accept;
        wait close(d) = connections::close;
    }
    interface "transfers" {
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
    interface "polling" {
        resource poller: Poller, drop = delete;
        wait poll(entries, wait) = polling::poll;
        wait [method]poller.wait(self, maximum, wait) = poller::wait;
        now create-poller() = poller::create;
        now [method]poller.add(self, d, key, events, trigger) = poller::add;
        now [method]poller.add-poller(self, poller, key, events, trigger) = poller::add_poller;
        now [method]poller.modify(self, key, events, trigger) = poller::modify;
        now [method]poller.remove(self, key) = poller::remove;
        now [method]poller.set-timer(self, key, at, interval) = poller::set_timer;
    }
    interface "netdb" {
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
    interface "files" {
        resource file: File, drop = delete;
        wait send-file(d, source, offset, count, wait) = files::send_file;
        now open(path) = files::open;
        now [method]file.read(self, length) = files::read;
        now [method]file.seek(self, position) = files::seek;
        now [method]file.position(self) = files::position;
        now [method]file.size(self) = files::size;
    }
    interface "rights" {
        store restrict(keep) = rights::restrict;
    }
    interface "tls" {
        resource session: tls::Session, drop = delete;
        wait handshake(d, wait) = tls::handshake;
        wait close-notify(d, wait) = tls::close_notify;
        store [static]session.client(options) = tls::client;
        store [method]session.choose(self, options) = tls::choose;
        store [method]session.feed(self, bytes) = tls::feed;
        store [method]session.write(self, bytes) = tls::write;
        store [method]session.keying-material(self, label, context, length) = tls::keying_material;
        now [static]session.server() = tls::server;
        now [method]session.hello(self) = tls::hello;
        now [method]session.refuse(self, alert) = tls::refuse;
        now [method]session.attach(self, d) = tls::attach;
        now [method]session.detach(self, d) = tls::detach;
        now [method]session.state(self) = tls::state;
        now [method]session.feed-end(self) = tls::feed_end;
        now [method]session.drain(self, most) = tls::drain;
        now [method]session.read(self, most) = tls::read;
        now [method]session.close(self) = tls::close;
        now [method]session.pending(self) = tls::pending;
        now [method]session.info(self) = tls::info;
        now [method]session.failure(self) = tls::failure;
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::raw_layer;

    #[test]
    fn the_list_has_the_functions_and_parameters_of_the_contract() {
        let listed = super::super::register::by_name(super::FUNCTIONS);
        let contract = raw_layer();
        assert!(contract.len() > 50, "{}", contract.len());
        assert_eq!(listed, contract);
        assert_eq!(super::FUNCTIONS.len(), contract.len(), "a function is listed twice");
    }
}
