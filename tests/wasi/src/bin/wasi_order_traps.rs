//! What the package says that an implementation traps on: the argument names one of them.

#[cfg(target_family = "wasm")]
fn main() {
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    use wasip2::sockets::udp::OutgoingDatagram;
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    let any = |port| IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    let mut arguments = std::env::args().skip(1);
    let (what, port) = (arguments.next().unwrap(), arguments.next().unwrap().parse().unwrap());
    let network = instance_network();
    match what.as_str() {
        "socket" => {
            let socket = create_tcp_socket(IpAddressFamily::Ipv4).unwrap();
            socket.start_connect(&network, any(port)).unwrap();
            socket.subscribe().block();
            let _streams = socket.finish_connect().unwrap();
            drop(socket);
        }
        "write" => {
            let socket = create_tcp_socket(IpAddressFamily::Ipv4).unwrap();
            socket.start_connect(&network, any(port)).unwrap();
            socket.subscribe().block();
            let (_input, output) = socket.finish_connect().unwrap();
            let _ = output.write(b"unpermitted");
        }
        "send" | "streams" => {
            let socket = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
            socket.start_bind(&network, any(0)).unwrap();
            socket.finish_bind().unwrap();
            let (_incoming, outgoing) = socket.stream(None).unwrap();
            if what == "send" {
                let datagram = OutgoingDatagram { data: vec![1], remote_address: Some(any(port)) };
                let _ = outgoing.send(&[datagram]);
            } else {
                let _ = socket.stream(None);
            }
        }
        _ => unreachable!("{what}"),
    }
    println!("it did not trap");
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
