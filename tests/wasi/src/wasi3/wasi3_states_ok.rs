//! `wasi3_states_ok`: the states of sockets, the checks of addresses, and the ranges of options.

use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};

use super::support::*;

const MAPPED: [u16; 8] = [0, 0, 0, 0, 0, 0xffff, 0x7f00, 1];
const LOOPBACK_6: [u16; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

pub(super) async fn run(_: &[String]) {
    tcp_states().await;
    udp_states().await;
    addresses().await;
    options();
}

async fn tcp_states() {
    let socket = tcp();
    fails!(socket.get_local_address(), InvalidState);
    fails!(socket.get_remote_address(), InvalidState);
    fails!(send(&socket, vec![1]).await, InvalidState);
    let (input, received) = socket.receive();
    assert!(input.collect().await.is_empty());
    fails!(received.await, InvalidState);
    socket.bind(loopback(0)).expect("binds");
    fails!(socket.bind(loopback(0)), InvalidState);
    let own = socket.get_local_address().expect("an address");
    fails!(socket.get_remote_address(), InvalidState);
    let other = tcp();
    fails!(other.bind(v4([192, 0, 2, 1], 0)), AddressNotBindable);
    other.bind(loopback(0)).expect("binds after all");
    // Nothing listens there.
    fails!(other.connect(own).await, ConnectionRefused);
    fails!(other.connect(own).await, InvalidState);

    let mut clients = socket.listen().expect("listens");
    fails!(tcp().bind(own), AddressInUse);
    fails!(socket.listen(), InvalidState);
    fails!(socket.connect(own).await, InvalidState);
    fails!(send(&socket, vec![1]).await, InvalidState);
    let client = tcp();
    client.connect(own).await.expect("connects");
    fails!(client.connect(own).await, InvalidState);
    fails!(client.listen(), InvalidState);
    fails!(client.bind(loopback(0)), InvalidState);
    fails!(client.set_listen_backlog_size(1), InvalidState);
    let accepted = clients.next().await.expect("a client");
    fails!(accepted.connect(own).await, InvalidState);
    fails!(accepted.listen(), InvalidState);
}

async fn udp_states() {
    let socket = udp();
    fails!(socket.get_local_address(), InvalidState);
    fails!(socket.get_remote_address(), InvalidState);
    fails!(socket.disconnect(), InvalidState);
    fails!(socket.receive().await, InvalidState);
    let peer = udp();
    peer.bind(loopback(0)).expect("binds");
    fails!(peer.bind(loopback(0)), InvalidState);
    let to = peer.get_local_address().expect("an address");
    fails!(socket.send(vec![1], None).await, InvalidArgument);
    // It is bound by the send.
    socket.send(vec![1], Some(to)).await.expect("sends");
    let own = socket.get_local_address().expect("an address");
    assert_ne!(port_of(own), 0);
    fails!(socket.bind(loopback(0)), InvalidState);
    fails!(socket.send(vec![0; 65_536], Some(to)).await, DatagramTooLarge);
    let (data, from) = peer.receive().await.expect("receives");
    assert_eq!((data, port_of(from)), (vec![1], port_of(own)));

    socket.connect(to).expect("connects");
    assert_eq!(port_of(socket.get_remote_address().expect("a peer")), port_of(to));
    socket.send(vec![2], None).await.expect("sends");
    socket.send(vec![3], Some(to)).await.expect("sends");
    fails!(socket.send(vec![4], Some(own)).await, InvalidArgument);
    for byte in [2, 3] {
        assert_eq!(peer.receive().await.expect("receives").0, [byte]);
    }
    // Only the peer's datagrams arrive.
    let stranger = udp();
    stranger.bind(loopback(0)).expect("binds");
    stranger.send(vec![5], Some(loopback(port_of(own)))).await.expect("sends");
    peer.send(vec![6], Some(loopback(port_of(own)))).await.expect("sends");
    assert_eq!(socket.receive().await.expect("receives").0, [6]);
    let elsewhere = stranger.get_local_address().expect("an address");
    socket.connect(elsewhere).expect("connects to another peer");
    socket.send(vec![7], None).await.expect("sends");
    assert_eq!(stranger.receive().await.expect("receives").0, [7]);
    socket.disconnect().expect("disconnects");
    fails!(socket.get_remote_address(), InvalidState);
    fails!(socket.disconnect(), InvalidState);
    fails!(socket.send(vec![8], None).await, InvalidArgument);
    assert_eq!(port_of(socket.get_local_address().expect("still bound")), port_of(own));

    // A connect binds too.
    let socket = udp();
    socket.connect(to).expect("connects");
    assert_ne!(port_of(socket.get_local_address().expect("an address")), 0);
}

async fn addresses() {
    let six = || TcpSocket::create(IpAddressFamily::Ipv6).expect("a socket");
    let bad_remotes = [
        (IpAddressFamily::Ipv4, v6(LOOPBACK_6, 1)),
        (IpAddressFamily::Ipv4, v4([0; 4], 1)),
        (IpAddressFamily::Ipv4, loopback(0)),
        (IpAddressFamily::Ipv6, loopback(1)),
        (IpAddressFamily::Ipv6, v6(MAPPED, 1)),
        (IpAddressFamily::Ipv6, v6([0; 8], 1)),
        (IpAddressFamily::Ipv6, v6(LOOPBACK_6, 0)),
    ];
    for (family, remote) in bad_remotes {
        let socket = TcpSocket::create(family).expect("a socket");
        fails!(socket.connect(remote).await, InvalidArgument);
        let socket = UdpSocket::create(family).expect("a socket");
        fails!(socket.connect(remote), InvalidArgument);
        fails!(socket.send(vec![1], Some(remote)).await, InvalidArgument);
        // Nothing was bound by the way.
        fails!(socket.get_local_address(), InvalidState);
    }
    for remote in [v4([224, 0, 0, 1], 1), v4([255; 4], 1)] {
        let socket = tcp();
        fails!(socket.connect(remote).await, InvalidArgument);
        fails!(socket.bind(remote), InvalidArgument);
        // The check is before the state changes.
        socket.bind(loopback(0)).expect("binds");
    }
    fails!(six().bind(v6(MAPPED, 0)), InvalidArgument);
    fails!(six().bind(loopback(0)), InvalidArgument);
    fails!(tcp().bind(v6(LOOPBACK_6, 0)), InvalidArgument);
    let socket = UdpSocket::create(IpAddressFamily::Ipv6).expect("a socket");
    fails!(socket.bind(v6(MAPPED, 0)), InvalidArgument);
    fails!(socket.bind(loopback(0)), InvalidArgument);
}

/// The functions that set an option refuse 0 and take every other value.
fn options() {
    let socket = tcp();
    fails!(socket.set_listen_backlog_size(0), InvalidArgument);
    fails!(socket.set_keep_alive_idle_time(0), InvalidArgument);
    fails!(socket.set_keep_alive_interval(0), InvalidArgument);
    fails!(socket.set_keep_alive_count(0), InvalidArgument);
    fails!(socket.set_hop_limit(0), InvalidArgument);
    fails!(socket.set_receive_buffer_size(0), InvalidArgument);
    fails!(socket.set_send_buffer_size(0), InvalidArgument);
    for value in [1, u64::MAX] {
        socket.set_listen_backlog_size(value).expect("is set");
        socket.set_keep_alive_idle_time(value).expect("is set");
        socket.set_keep_alive_interval(value).expect("is set");
        socket.set_receive_buffer_size(value).expect("is set");
        socket.set_send_buffer_size(value).expect("is set");
    }
    socket.set_keep_alive_count(u32::MAX).expect("is set");
    socket.set_hop_limit(u8::MAX).expect("is set");
    assert_eq!(socket.get_hop_limit().expect("is known"), u8::MAX);
    socket.set_keep_alive_enabled(true).expect("is set");
    assert!(socket.get_keep_alive_enabled().expect("is known"));
    socket.set_keep_alive_idle_time(5_000_000_000).expect("is set");
    assert_eq!(socket.get_keep_alive_idle_time().expect("is known"), 5_000_000_000);
    socket.set_keep_alive_interval(6_000_000_000).expect("is set");
    assert_eq!(socket.get_keep_alive_interval().expect("is known"), 6_000_000_000);
    socket.set_keep_alive_count(7).expect("is set");
    assert_eq!(socket.get_keep_alive_count().expect("is known"), 7);

    let socket = udp();
    fails!(socket.set_unicast_hop_limit(0), InvalidArgument);
    fails!(socket.set_receive_buffer_size(0), InvalidArgument);
    fails!(socket.set_send_buffer_size(0), InvalidArgument);
    socket.set_unicast_hop_limit(9).expect("is set");
    assert_eq!(socket.get_unicast_hop_limit().expect("is known"), 9);
    for value in [1, 10_000, u64::MAX] {
        socket.set_receive_buffer_size(value).expect("is set");
        socket.set_send_buffer_size(value).expect("is set");
    }
    assert!(socket.get_receive_buffer_size().expect("is known") > 0);
    assert!(socket.get_send_buffer_size().expect("is known") > 0);
}
