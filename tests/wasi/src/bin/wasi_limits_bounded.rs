//! Greed: more sockets than the limit, 10,000 subscriptions, reads of 4 GiB, look-ups in a loop.

#[cfg(target_family = "wasm")]
fn main() {
    use wasip2::io::poll::poll;
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
    };
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;

    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let network = instance_network();
    let mut sockets = Vec::new();
    let error = loop {
        match create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(socket) => sockets.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!((sockets.len(), error), (10, ErrorCode::NewSocketLimit));
    sockets.truncate(1);
    let socket = sockets.pop().unwrap();
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    socket.start_connect(&network, to).unwrap();
    socket.subscribe().block();
    let (input, output) = socket.finish_connect().unwrap();
    output.blocking_write_and_flush(&[1; 4096]).unwrap();
    let pollables: Vec<_> = (0..10_000).map(|_| input.subscribe()).collect();
    let all: Vec<_> = pollables.iter().collect();
    assert_eq!(poll(&all).len(), 10_000);
    drop(all);
    drop(pollables);
    let data = input.read(4 << 30).unwrap();
    assert!(!data.is_empty() && data.len() <= 4096, "{}", data.len());
    let data = input.blocking_read(u64::MAX).map_or(0, |data| data.len());
    assert!(data <= 4096, "{data}");
    // Look-ups that are never taken.
    let (mut streams, mut refused) = (Vec::new(), 0);
    for at in 0..1000 {
        match resolve_addresses(&network, &format!("name{at}.invalid")) {
            Ok(stream) => {
                if matches!(stream.resolve_next_address(), Err(ErrorCode::TemporaryResolverFailure))
                {
                    refused += 1;
                }
                streams.push(stream);
            }
            Err(error) => assert_eq!(error, ErrorCode::TemporaryResolverFailure),
        }
    }
    println!("{refused}");
    drop((streams, input, output));
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
