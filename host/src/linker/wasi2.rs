//! The functions of the package `wasi:sockets` 0.2.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::register::{Calls, Wasi2, finish, ready};
use crate::calls::delete;
use crate::calls::wasi::p2::names::{self, ResolveAddressStream};
use crate::calls::wasi::p2::network::{self, Network};
use crate::calls::wasi::p2::tcp::{self, TcpSocket};
use crate::calls::wasi::p2::udp::{
    self, IncomingDatagramStream, OutgoingDatagramStream, UdpSocket,
};
use crate::ctx::{SandsockView, StoreView as _};
use crate::observe::{self, Function};

functions! {
    package Wasi2 "wasi:sockets" "0.2.12";
    interface "network" {
        resource network: Network, drop = delete;
        now network-error-code(err) = network::network_error_code;
    }
    interface "instance-network" {
        now instance-network() = network::instance_network;
    }
    interface "tcp" {
        resource tcp-socket: TcpSocket, drop = tcp::drop_socket;
        wait [method]tcp-socket.start-connect(self, network, remote-address) = tcp::start_connect;
        now [method]tcp-socket.start-bind(self, network, local-address) = tcp::start_bind;
        now [method]tcp-socket.finish-bind(self) = tcp::finish_bind;
        now [method]tcp-socket.finish-connect(self) = tcp::finish_connect;
        now [method]tcp-socket.start-listen(self) = tcp::start_listen;
        now [method]tcp-socket.finish-listen(self) = tcp::finish_listen;
        now [method]tcp-socket.accept(self) = tcp::accept;
        now [method]tcp-socket.local-address(self) = tcp::local_address;
        now [method]tcp-socket.remote-address(self) = tcp::remote_address;
        now [method]tcp-socket.is-listening(self) = tcp::is_listening;
        now [method]tcp-socket.address-family(self) = tcp::address_family;
        now [method]tcp-socket.set-listen-backlog-size(self, value) = tcp::set_listen_backlog_size;
        now [method]tcp-socket.keep-alive-enabled(self) = tcp::keep_alive_enabled;
        now [method]tcp-socket.set-keep-alive-enabled(self, value) = tcp::set_keep_alive_enabled;
        now [method]tcp-socket.keep-alive-idle-time(self) = tcp::keep_alive_idle_time;
        now [method]tcp-socket.set-keep-alive-idle-time(self, value) = tcp::set_keep_alive_idle_time;
        now [method]tcp-socket.keep-alive-interval(self) = tcp::keep_alive_interval;
        now [method]tcp-socket.set-keep-alive-interval(self, value) = tcp::set_keep_alive_interval;
        now [method]tcp-socket.keep-alive-count(self) = tcp::keep_alive_count;
        now [method]tcp-socket.set-keep-alive-count(self, value) = tcp::set_keep_alive_count;
        now [method]tcp-socket.hop-limit(self) = tcp::hop_limit;
        now [method]tcp-socket.set-hop-limit(self, value) = tcp::set_hop_limit;
        now [method]tcp-socket.receive-buffer-size(self) = tcp::receive_buffer_size;
        now [method]tcp-socket.set-receive-buffer-size(self, value) = tcp::set_receive_buffer_size;
        now [method]tcp-socket.send-buffer-size(self) = tcp::send_buffer_size;
        now [method]tcp-socket.set-send-buffer-size(self, value) = tcp::set_send_buffer_size;
        now [method]tcp-socket.subscribe(self) = tcp::subscribe;
        now [method]tcp-socket.shutdown(self, shutdown-type) = tcp::shutdown;
    }
    interface "tcp-create-socket" {
        now create-tcp-socket(address-family) = tcp::create;
    }
    interface "udp" {
        resource udp-socket: UdpSocket, drop = udp::drop_socket;
        resource incoming-datagram-stream: IncomingDatagramStream, drop = delete;
        resource outgoing-datagram-stream: OutgoingDatagramStream, drop = delete;
        wait [method]udp-socket.stream(self, remote-address) = udp::stream;
        wait [method]outgoing-datagram-stream.send(self, datagrams) = udp::send;
        now [method]udp-socket.start-bind(self, network, local-address) = udp::start_bind;
        now [method]udp-socket.finish-bind(self) = udp::finish_bind;
        now [method]udp-socket.local-address(self) = udp::local_address;
        now [method]udp-socket.remote-address(self) = udp::remote_address;
        now [method]udp-socket.address-family(self) = udp::address_family;
        now [method]udp-socket.unicast-hop-limit(self) = udp::unicast_hop_limit;
        now [method]udp-socket.set-unicast-hop-limit(self, value) = udp::set_unicast_hop_limit;
        now [method]udp-socket.receive-buffer-size(self) = udp::receive_buffer_size;
        now [method]udp-socket.set-receive-buffer-size(self, value) = udp::set_receive_buffer_size;
        now [method]udp-socket.send-buffer-size(self) = udp::send_buffer_size;
        now [method]udp-socket.set-send-buffer-size(self, value) = udp::set_send_buffer_size;
        now [method]udp-socket.subscribe(self) = udp::subscribe::<UdpSocket>;
        now [method]incoming-datagram-stream.receive(self, max-results) = udp::receive;
        now [method]incoming-datagram-stream.subscribe(self) = udp::subscribe::<IncomingDatagramStream>;
        now [method]outgoing-datagram-stream.check-send(self) = udp::check_send;
        now [method]outgoing-datagram-stream.subscribe(self) = udp::subscribe::<OutgoingDatagramStream>;
    }
    interface "udp-create-socket" {
        now create-udp-socket(address-family) = udp::create;
    }
    interface "ip-name-lookup" {
        resource resolve-address-stream: ResolveAddressStream, drop = delete;
        now resolve-addresses(network, name) = names::resolve_addresses;
        now [method]resolve-address-stream.resolve-next-address(self) = names::resolve_next_address;
        now [method]resolve-address-stream.subscribe(self) = names::subscribe;
    }
}
