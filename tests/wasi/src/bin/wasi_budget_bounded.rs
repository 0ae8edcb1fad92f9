//! Budgets of `wasi:sockets` 0.2, by its own streams: what is above them waits without a spin, or
//! fails with `access-denied`. Arguments: the role, the port of a peer, and for the role `accept` the
//! port to listen at.

#[cfg(target_family = "wasm")]
fn main() {
    use std::time::{Duration, Instant};

    use wasip2::io::streams::{InputStream, OutputStream, StreamError};
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
    };
    use wasip2::sockets::tcp::TcpSocket;
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    use wasip2::sockets::udp::OutgoingDatagram;
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    fn denied(error: StreamError) {
        let StreamError::LastOperationFailed(error) = error else { panic!("closed") };
        let text = error.to_debug_string();
        assert!(text.contains("AccessDenied"), "{text}");
    }

    let args: Vec<String> = std::env::args().skip(1).collect();
    let port = args[1].parse().unwrap();
    let network = instance_network();
    let to = |port| IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    let connect = || -> Result<(TcpSocket, InputStream, OutputStream), ErrorCode> {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
        socket.start_connect(&network, to(port))?;
        socket.subscribe().block();
        let (input, output) = socket.finish_connect()?;
        Ok((socket, input, output))
    };
    match args[0].as_str() {
        // 100 bytes.
        "send" => {
            let (_socket, _input, output) = connect().unwrap();
            output.blocking_write_and_flush(&[7; 64]).unwrap();
            let error = output.blocking_write_and_flush(&[7; 64]).unwrap_err();
            denied(error);
        }
        "receive" => {
            let (_socket, input, _output) = connect().unwrap();
            let mut total = 0;
            let error = loop {
                match input.blocking_read(64) {
                    Ok(data) => total += data.len(),
                    Err(error) => break error,
                }
            };
            assert_eq!(total, 100);
            denied(error);
        }
        // 100 bytes, of which each one that comes goes back.
        "splice" => {
            let (_socket, input, output) = connect().unwrap();
            let mut total = 0;
            let error = loop {
                match output.blocking_splice(&input, 30) {
                    Ok(count) => total += count,
                    Err(error) => break error,
                }
            };
            // The second one takes 30 more and can send only 10 of them.
            assert_eq!(total, 30);
            denied(error);
        }
        // 20,000 bytes a second.
        "send-rate" => {
            let (_socket, _input, output) = connect().unwrap();
            let start = Instant::now();
            for _ in 0..10 {
                output.blocking_write_and_flush(&[7; 4000]).unwrap();
            }
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
        }
        "receive-rate" => {
            let (_socket, input, _output) = connect().unwrap();
            let (start, mut total, mut rounds) = (Instant::now(), 0, 0);
            while total < 40_000 {
                // The pollable says when there is something, and no earlier.
                input.subscribe().block();
                let data = input.read(100_000).unwrap();
                assert!(!data.is_empty() || rounds < 10);
                total += data.len();
                rounds += 1;
            }
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
            assert!(rounds < 100, "{rounds}");
            // A blocking read waits as well.
            while total < 60_000 {
                total += input.blocking_read(100_000).unwrap().len();
            }
            assert!(start.elapsed() >= Duration::from_millis(1600), "{:?}", start.elapsed());
        }
        "connections" => {
            let first = connect().unwrap();
            assert_eq!(connect().err(), Some(ErrorCode::AccessDenied));
            let (socket, input, output) = first;
            drop((input, output));
            drop(socket);
            // The streams are dropped before their socket.
            let (_socket, _input, _output) = connect().unwrap();
        }
        "accept" => {
            let listener = create_tcp_socket(IpAddressFamily::Ipv4).unwrap();
            listener.start_bind(&network, to(args[2].parse().unwrap())).unwrap();
            listener.finish_bind().unwrap();
            listener.start_listen().unwrap();
            listener.finish_listen().unwrap();
            println!("listening");
            listener.subscribe().block();
            let (socket, input, output) = listener.accept().unwrap();
            // The second client waits in the queue, and tells nobody.
            std::thread::sleep(Duration::from_millis(300));
            assert!(!listener.subscribe().ready());
            assert_eq!(listener.accept().err(), Some(ErrorCode::WouldBlock));
            drop((input, output));
            drop(socket);
            listener.subscribe().block();
            let (_socket, _input, _output) = listener.accept().unwrap();
        }
        // 1,000 bytes a second.
        "datagrams" => {
            let socket = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
            let any = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (0, 0, 0, 0) });
            socket.start_bind(&network, any).unwrap();
            socket.finish_bind().unwrap();
            let (incoming, outgoing) = socket.stream(None).unwrap();
            let start = Instant::now();
            let (mut sent, mut got, mut rounds) = (0, 0, 0);
            while sent < 10 {
                outgoing.subscribe().block();
                if outgoing.check_send().unwrap() > 0 {
                    let datagram =
                        OutgoingDatagram { data: vec![7; 100], remote_address: Some(to(port)) };
                    sent += outgoing.send(&[datagram]).unwrap();
                }
                rounds += 1;
            }
            while got < 10 {
                incoming.subscribe().block();
                got += incoming.receive(16).unwrap().len();
                rounds += 1;
            }
            assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
            assert!(rounds < 100, "{rounds}");
        }
        role => panic!("no role {role}"),
    }
}

#[cfg(not(target_family = "wasm"))]
fn main() {}
