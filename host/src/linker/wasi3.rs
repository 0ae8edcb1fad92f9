//! The functions of the package `wasi:sockets` 0.3.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::register::{Calls, Wasi3, finish, finish_async, ready};
use crate::calls::async_call::AsyncCall;
use crate::calls::wasi::p3::names;
use crate::calls::wasi::p3::tcp::{self, TcpSocket};
use crate::calls::wasi::p3::udp::{self, UdpSocket};
use crate::ctx::{SandsockView, StoreView as _};
use crate::observe::{self, Function};

functions! {
    package Wasi3 "wasi:sockets" "0.3.0";
    interface "types" {
        resource tcp-socket: TcpSocket, drop = tcp::drop_socket;
        resource udp-socket: UdpSocket, drop = udp::drop_socket;
        wait [method]udp-socket.connect(self, remote-address) = udp::connect;
        wait [method]udp-socket.disconnect(self) = udp::disconnect;
        concurrent [method]tcp-socket.connect(self, remote-address) = tcp::connect;
        concurrent [method]udp-socket.send(self, data, remote-address) = udp::send;
        concurrent [method]udp-socket.receive(self) = udp::receive;
        store [method]tcp-socket.listen(self) = tcp::listen;
        store [method]tcp-socket.send(self, data) = tcp::send;
        store [method]tcp-socket.receive(self) = tcp::receive;
        now [static]tcp-socket.create(address-family) = tcp::create;
        now [method]tcp-socket.bind(self, local-address) = tcp::bind;
        now [method]tcp-socket.get-local-address(self) = tcp::get_local_address;
        now [method]tcp-socket.get-remote-address(self) = tcp::get_remote_address;
        now [method]tcp-socket.get-is-listening(self) = tcp::get_is_listening;
        now [method]tcp-socket.get-address-family(self) = tcp::get_address_family;
        now [method]tcp-socket.set-listen-backlog-size(self, value) = tcp::set_listen_backlog_size;
        now [method]tcp-socket.get-keep-alive-enabled(self) = tcp::get_keep_alive_enabled;
        now [method]tcp-socket.set-keep-alive-enabled(self, value) = tcp::set_keep_alive_enabled;
        now [method]tcp-socket.get-keep-alive-idle-time(self) = tcp::get_keep_alive_idle_time;
        now [method]tcp-socket.set-keep-alive-idle-time(self, value) = tcp::set_keep_alive_idle_time;
        now [method]tcp-socket.get-keep-alive-interval(self) = tcp::get_keep_alive_interval;
        now [method]tcp-socket.set-keep-alive-interval(self, value) = tcp::set_keep_alive_interval;
        now [method]tcp-socket.get-keep-alive-count(self) = tcp::get_keep_alive_count;
        now [method]tcp-socket.set-keep-alive-count(self, value) = tcp::set_keep_alive_count;
        now [method]tcp-socket.get-hop-limit(self) = tcp::get_hop_limit;
        now [method]tcp-socket.set-hop-limit(self, value) = tcp::set_hop_limit;
        now [method]tcp-socket.get-receive-buffer-size(self) = tcp::get_receive_buffer_size;
        now [method]tcp-socket.set-receive-buffer-size(self, value) = tcp::set_receive_buffer_size;
        now [method]tcp-socket.get-send-buffer-size(self) = tcp::get_send_buffer_size;
        now [method]tcp-socket.set-send-buffer-size(self, value) = tcp::set_send_buffer_size;
        now [static]udp-socket.create(address-family) = udp::create;
        now [method]udp-socket.bind(self, local-address) = udp::bind;
        now [method]udp-socket.get-local-address(self) = udp::get_local_address;
        now [method]udp-socket.get-remote-address(self) = udp::get_remote_address;
        now [method]udp-socket.get-address-family(self) = udp::get_address_family;
        now [method]udp-socket.get-unicast-hop-limit(self) = udp::get_unicast_hop_limit;
        now [method]udp-socket.set-unicast-hop-limit(self, value) = udp::set_unicast_hop_limit;
        now [method]udp-socket.get-receive-buffer-size(self) = udp::get_receive_buffer_size;
        now [method]udp-socket.set-receive-buffer-size(self, value) = udp::set_receive_buffer_size;
        now [method]udp-socket.get-send-buffer-size(self) = udp::get_send_buffer_size;
        now [method]udp-socket.set-send-buffer-size(self, value) = udp::set_send_buffer_size;
    }
    interface "ip-name-lookup" {
        concurrent resolve-addresses(name) = names::resolve_addresses;
    }
}
