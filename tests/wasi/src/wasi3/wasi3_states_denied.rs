//! `wasi3_states_denied 4|6`: the states of sockets whose operations the policy denies. Nothing is
//! granted.

use std::net::SocketAddr;

use wasip3::sockets::ip_name_lookup::{self, resolve_addresses};
use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};

use super::support::*;

pub(super) async fn run(args: &[String]) {
    let (family, loopback, any, mapped) = match args[0].as_str() {
        "4" => (IpAddressFamily::Ipv4, "127.0.0.1", "0.0.0.0", "::1"),
        _ => (IpAddressFamily::Ipv6, "::1", "::", "::ffff:127.0.0.1"),
    };
    let at = |host: &str, port| wit(SocketAddr::new(host.parse().expect("an address"), port));
    let socket = TcpSocket::create(family).expect("a socket");
    // A denied bind leaves the socket unbound, and so does a denied listen.
    for address in [at(loopback, 0), at(any, 0), at(loopback, 80)] {
        fails!(socket.bind(address), AccessDenied);
        fails!(socket.get_local_address(), InvalidState);
    }
    fails!(socket.listen(), AccessDenied);
    assert!(!socket.get_is_listening());
    fails!(socket.get_local_address(), InvalidState);
    // The checks of the package come first.
    fails!(socket.bind(at(mapped, 0)), InvalidArgument);
    fails!(socket.connect(at(mapped, 80)).await, InvalidArgument);
    fails!(socket.connect(at(any, 80)).await, InvalidArgument);
    fails!(socket.connect(at(loopback, 0)).await, InvalidArgument);
    // The options are the guest's own.
    socket.set_keep_alive_enabled(true).expect("is set");
    socket.set_hop_limit(7).expect("is set");
    socket.set_receive_buffer_size(10_000).expect("is set");
    socket.set_listen_backlog_size(7).expect("is set");
    // A denied connect has failed, and closes the socket as any failure does.
    fails!(socket.connect(at(loopback, 80)).await, AccessDenied);
    fails!(socket.connect(at(loopback, 80)).await, InvalidState);
    fails!(socket.bind(at(loopback, 0)), InvalidState);
    fails!(socket.listen(), InvalidState);
    fails!(socket.get_local_address(), InvalidState);
    fails!(socket.get_keep_alive_enabled(), InvalidState);
    fails!(send(&socket, vec![1]).await, InvalidState);
    let (input, received) = socket.receive();
    assert!(input.collect().await.is_empty());
    fails!(received.await, InvalidState);

    let socket = UdpSocket::create(family).expect("a socket");
    for address in [at(loopback, 0), at(any, 0), at(loopback, 53)] {
        fails!(socket.bind(address), AccessDenied);
        fails!(socket.get_local_address(), InvalidState);
    }
    fails!(socket.bind(at(mapped, 0)), InvalidArgument);
    fails!(socket.connect(at(mapped, 53)), InvalidArgument);
    fails!(socket.connect(at(loopback, 53)), AccessDenied);
    fails!(socket.get_remote_address(), InvalidState);
    fails!(socket.disconnect(), InvalidState);
    fails!(socket.receive().await, InvalidState);
    // Any number of sends is denied, whatever their size is.
    for size in [0, 1, 65_000] {
        fails!(socket.send(vec![7; size], Some(at(loopback, 53))).await, AccessDenied);
    }
    fails!(socket.send(vec![7], None).await, InvalidArgument);
    // Nothing was bound by the way.
    fails!(socket.get_local_address(), InvalidState);
    socket.set_unicast_hop_limit(7).expect("is set");

    let name = |name: &str| resolve_addresses(name.to_owned());
    for denied in ["a.example", "localhost"] {
        let result = name(denied).await;
        assert!(matches!(result, Err(ip_name_lookup::ErrorCode::AccessDenied)), "{result:?}");
    }
    let result = name("a b").await;
    assert!(matches!(result, Err(ip_name_lookup::ErrorCode::InvalidArgument)), "{result:?}");
    assert_eq!(name("192.0.2.1").await.expect("a number").len(), 1);
}
