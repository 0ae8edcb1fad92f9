//! UDP sockets.

use wasip2::sockets::network::ErrorCode;
use wasip2::sockets::udp::UdpSocket;

use super::support::*;

pub(crate) fn run(net: &Net) {
    binds(net);
    states(net);
    options(net);
    reconnects(net);
    sends(net);
    many_at_once(net);
    only_the_peer(net);
    closed_receiver(net);
    for _ in 0..64 {
        ready_to_send(net);
    }
}

fn binds(net: &Net) {
    for address in [net.loopback(0), net.unspecified(0)] {
        let socket = net.udp();
        net.bind_udp(&socket, address).unwrap();
        let bound = std(socket.local_address().unwrap());
        assert_eq!(bound.ip(), address.ip());
        assert_ne!(bound.port(), 0);
        let other = net.udp();
        fails(net.bind_udp(&other, bound), ErrorCode::AddressInUse);
        drop(socket);
        net.bind_udp(&other, bound).unwrap();
    }
    let socket = net.udp();
    for address in net.strange(0) {
        fails(net.bind_udp(&socket, address), ErrorCode::InvalidArgument);
    }
    fails(net.bind_udp(&socket, net.nowhere(0)), ErrorCode::AddressNotBindable);
    fails(socket.local_address(), ErrorCode::InvalidState);
    net.bind_udp(&socket, net.loopback(0)).unwrap();
}

fn common(net: &Net, socket: &UdpSocket) {
    assert_eq!(socket.address_family(), net.family);
    fails(socket.finish_bind(), ErrorCode::NotInProgress);
    socket.unicast_hop_limit().unwrap();
    socket.set_unicast_hop_limit(255).unwrap();
    socket.set_receive_buffer_size(16_000).unwrap();
    socket.set_send_buffer_size(16_000).unwrap();
    within(&socket.subscribe()).expect("nothing is in progress");
}

fn states(net: &Net) {
    let socket = net.udp();
    common(net, &socket);
    fails(socket.stream(None), ErrorCode::InvalidState);
    fails(socket.stream(Some(wit(net.loopback(47)))), ErrorCode::InvalidState);
    fails(socket.local_address(), ErrorCode::InvalidState);
    fails(socket.remote_address(), ErrorCode::InvalidState);
    // A bind that is in progress.
    socket.start_bind(&net.network, wit(net.loopback(0))).unwrap();
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::ConcurrencyConflict);
    socket.finish_bind().unwrap();
    common(net, &socket);
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    fails(socket.remote_address(), ErrorCode::InvalidState);
    socket.local_address().unwrap();
    let (_incoming, _outgoing) = socket.stream(Some(wit(net.loopback(54_321)))).unwrap();
    common(net, &socket);
    fails(socket.start_bind(&net.network, wit(net.loopback(0))), ErrorCode::InvalidState);
    assert_eq!(std(socket.remote_address().unwrap()), net.loopback(54_321));
    socket.local_address().unwrap();
}

fn options(net: &Net) {
    let socket = net.udp();
    assert!(socket.unicast_hop_limit().unwrap() > 0);
    assert!(socket.receive_buffer_size().unwrap() > 0);
    assert!(socket.send_buffer_size().unwrap() > 0);
    fails(socket.set_unicast_hop_limit(0), ErrorCode::InvalidArgument);
    fails(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
    fails(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
    for value in [1, u8::MAX, 42] {
        socket.set_unicast_hop_limit(value).unwrap();
        assert_eq!(socket.unicast_hop_limit().unwrap(), value);
    }
    for value in [u64::MAX, 1, 0x1_0000] {
        socket.set_receive_buffer_size(value).unwrap();
        socket.set_send_buffer_size(value).unwrap();
    }
    assert_eq!(socket.receive_buffer_size().unwrap(), 0x1_0000);
    assert_eq!(socket.send_buffer_size().unwrap(), 0x1_0000);
}

fn reconnects(net: &Net) {
    let socket = net.udp();
    net.bind_udp(&socket, net.unspecified(0)).unwrap();
    let (first, second) = (net.loopback(4321), net.loopback(4320));
    for peer in
        [None, None, Some(first), Some(first), Some(second), None, Some(first), None, Some(second)]
    {
        let _streams = socket.stream(peer.map(wit)).unwrap();
        match peer {
            Some(peer) => assert_eq!(std(socket.remote_address().unwrap()), peer),
            None => fails(socket.remote_address(), ErrorCode::InvalidState),
        }
        socket.local_address().unwrap();
    }
    for remote in net.strange(47).into_iter().chain([net.unspecified(47), net.loopback(0)]) {
        fails(socket.stream(Some(wit(remote))), ErrorCode::InvalidArgument);
        // The association is as it was.
        assert_eq!(std(socket.remote_address().unwrap()), second);
    }
}

fn sends(net: &Net) {
    let (socket, _) = net.bound();
    let (peer, to) = net.bound();
    let (_incoming, outgoing) = socket.stream(None).unwrap();
    assert_eq!(outgoing.send(&[]).unwrap(), 0);
    let send = |data: &[u8], to| {
        assert!(outgoing.check_send().unwrap() > 0);
        outgoing.send(&[datagram(data, to)])
    };
    fails(send(b"", None), ErrorCode::InvalidArgument);
    for remote in net.strange(47).into_iter().chain([net.unspecified(47), net.loopback(0)]) {
        fails(send(b"x", Some(remote)), ErrorCode::InvalidArgument);
    }
    fails(send(&[0; 65_536], Some(to)), ErrorCode::DatagramTooLarge);
    fails(send(&[0; 65_530], Some(to)), ErrorCode::DatagramTooLarge);
    assert_eq!(send(b"", Some(to)).unwrap(), 1);
    let (incoming, _) = peer.stream(None).unwrap();
    assert!(incoming.receive(0).unwrap().is_empty());
    within(&incoming.subscribe()).expect("it arrives");
    let got = incoming.receive(u64::MAX).unwrap();
    assert!(got.len() == 1 && got[0].data.is_empty());
    assert!(incoming.receive(1).unwrap().is_empty());
}

fn many_at_once(net: &Net) {
    let (receiver, to) = net.bound();
    let (sender, from) = net.bound();
    let (_incoming, outgoing) = sender.stream(Some(wit(to))).unwrap();
    assert!(outgoing.check_send().unwrap() >= 3);
    let all = [datagram(b"1", None), datagram(b"2", Some(to)), datagram(b"3", None)];
    assert_eq!(outgoing.send(&all).unwrap(), 3);
    let (incoming, _outgoing) = receiver.stream(Some(wit(from))).unwrap();
    within(&incoming.subscribe()).expect("they arrive");
    let got = incoming.receive(2).unwrap();
    assert_eq!([&got[0].data[..], &got[1].data[..]], [b"1", b"2"]);
    assert_eq!(incoming.receive(2).unwrap().len(), 1);
    outgoing.check_send().unwrap();
    let other = net.loopback(to.port().wrapping_add(1).max(1));
    // The first error ends the call, and is told if it is the first datagram's.
    let mixed = [datagram(b"4", None), datagram(b"5", Some(other)), datagram(b"6", None)];
    assert_eq!(outgoing.send(&mixed).unwrap(), 1);
    outgoing.check_send().unwrap();
    fails(outgoing.send(&mixed[1..]), ErrorCode::InvalidArgument);
    within(&incoming.subscribe()).expect("it arrives");
    let got = incoming.receive(10).unwrap();
    assert!(got.len() == 1 && got[0].data == b"4");
}

/// Datagrams of others that came before the association do not reach the guest.
fn only_the_peer(net: &Net) {
    let (receiver, to) = net.bound();
    let ((stranger, _), (peer, from)) = (net.bound(), net.bound());
    let ((_, strange), (_, outgoing)) =
        (stranger.stream(Some(wit(to))).unwrap(), peer.stream(Some(wit(to))).unwrap());
    for (stream, data) in [(&strange, b"A"), (&outgoing, b"B"), (&strange, b"A")] {
        stream.check_send().unwrap();
        assert_eq!(stream.send(&[datagram(data, None)]).unwrap(), 1);
    }
    let (incoming, _outgoing) = receiver.stream(Some(wit(from))).unwrap();
    within(&incoming.subscribe()).expect("it arrives");
    let got = incoming.receive(100).unwrap();
    assert!(got.len() == 1 && got[0].data == b"B");
    assert_eq!(std(got[0].remote_address), from);
    assert!(incoming.receive(100).unwrap().is_empty());
}

fn closed_receiver(net: &Net) {
    let (sender, _) = net.bound();
    let (receiver, to) = net.bound();
    drop(receiver);
    let (incoming, outgoing) = sender.stream(Some(wit(to))).unwrap();
    outgoing.check_send().unwrap();
    assert_eq!(outgoing.send(&[datagram(b"hello", None)]).unwrap(), 1);
    within(&incoming.subscribe()).expect("the error arrives");
    fails(incoming.receive(1), ErrorCode::ConnectionRefused);
    // It is told once.
    assert!(incoming.receive(1).unwrap().is_empty());
}

fn ready_to_send(net: &Net) {
    let (socket, _) = net.bound();
    let (_incoming, outgoing) = socket.stream(Some(wit(net.loopback(4320)))).unwrap();
    within(&outgoing.subscribe()).expect("it has room");
    assert!(outgoing.check_send().unwrap() > 0);
    assert_eq!(outgoing.send(&[datagram(b"hello", None)]).unwrap(), 1);
}
