//! A datagram of a sender that no grant names wakes nobody, and is never received.

#[cfg(target_family = "wasm")]
fn main() {
    use wasip2::clocks::monotonic_clock::subscribe_duration;
    use wasip2::io::poll::poll;
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use wasip2::sockets::udp::OutgoingDatagram;
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let at = |address, port| IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address });
    let socket = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
    socket.start_bind(&instance_network(), at((0, 0, 0, 0), 0)).unwrap();
    socket.finish_bind().unwrap();
    let (incoming, outgoing) = socket.stream(None).unwrap();
    let IpSocketAddress::Ipv4(own) = socket.local_address().unwrap() else { unreachable!() };
    println!("{}", own.port);
    let readable = incoming.subscribe();
    // The timer alone is ready.
    let timer = subscribe_duration(300_000_000);
    assert_eq!(poll(&[&readable, &timer]), [1]);
    assert!(!readable.ready());
    assert!(incoming.receive(10).unwrap().is_empty());
    // The reply of the one that is named comes through.
    outgoing.check_send().unwrap();
    let to = at((127, 0, 0, 1), port);
    let ask = OutgoingDatagram { data: b"ask".to_vec(), remote_address: Some(to) };
    assert_eq!(outgoing.send(&[ask]).unwrap(), 1);
    readable.block();
    let got = incoming.receive(10).unwrap();
    assert_eq!((got.len(), &got[0].data[..]), (1, &b"ask"[..]));
    drop(readable);
    drop((incoming, outgoing));
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
