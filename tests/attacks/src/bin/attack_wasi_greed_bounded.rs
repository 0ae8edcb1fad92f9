//! `attack_wasi_greed_bounded WHAT PORT`: takes as much as `wasi:sockets` 0.2 gives, says what it
//! got, and waits for the end of standard input with all of it.

#[cfg(target_family = "wasm")]
mod guest {
    use std::mem::forget;

    use wasip2::io::poll::poll;
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::ip_name_lookup::resolve_addresses;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Network,
    };
    use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    use wasip2::sockets::udp::OutgoingDatagram;
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    fn at(port: u16) -> IpSocketAddress {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
    }

    fn tcp() -> Result<TcpSocket, ErrorCode> {
        create_tcp_socket(IpAddressFamily::Ipv4)
    }

    fn wait<T>(
        socket: &TcpSocket,
        call: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        loop {
            match call(socket) {
                Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
                result => return result,
            }
        }
    }

    /// Connects to the port, and counts what it is allowed: at most so many connections.
    fn connect(network: &Network, port: u16, most: usize) -> usize {
        let mut count = 0;
        while count < most {
            let Ok(socket) = tcp() else { break };
            socket.start_connect(network, at(port)).unwrap();
            let Ok(streams) = wait(&socket, TcpSocket::finish_connect) else { break };
            forget((streams, socket));
            count += 1;
        }
        count
    }

    /// Connects that never end.
    fn pending(network: &Network, port: u16) -> usize {
        let mut sockets = Vec::new();
        for _ in 0..1000 {
            let socket = tcp().unwrap();
            socket.start_connect(network, at(port)).unwrap();
            sockets.push(socket);
        }
        let pollables: Vec<_> = sockets.iter().map(TcpSocket::subscribe).collect();
        let mut all: Vec<_> = pollables.iter().collect();
        let soon = wasip2::clocks::monotonic_clock::subscribe_duration(50_000_000);
        all.push(&soon);
        let ready = poll(&all);
        let failed = ready.iter().filter(|&&at| at < 1000).count();
        // They are dropped while they are under way.
        drop(all);
        drop(pollables);
        drop(sockets);
        1000 - failed
    }

    /// Bytes that nobody reads.
    fn writes(network: &Network, port: u16) -> usize {
        let mut total = 0;
        while let Ok(socket) = tcp() {
            socket.start_connect(network, at(port)).unwrap();
            let Ok((input, output)) = wait(&socket, TcpSocket::finish_connect) else { break };
            let data = vec![7; 65_536];
            for _ in 0..1000 {
                let Ok(room @ 1..) = output.check_write() else { break };
                let now = data.len().min(room as usize);
                if output.write(&data[..now]).is_err() {
                    break;
                }
                total += now;
            }
            forget((input, output, socket));
        }
        total
    }

    /// A listener whose queue is never taken, then a flood of accepts.
    fn accepts(network: &Network) -> usize {
        let listener = tcp().unwrap();
        if listener.start_bind(network, at(0)).is_err() {
            return 0;
        }
        listener.finish_bind().unwrap();
        listener.set_listen_backlog_size(u64::MAX).unwrap();
        listener.start_listen().unwrap();
        listener.finish_listen().unwrap();
        let IpSocketAddress::Ipv4(own) = listener.local_address().unwrap() else {
            unreachable!("it is IPv4")
        };
        let mut queued = 0;
        while queued < 300 {
            let socket = tcp().unwrap();
            socket.start_connect(network, at(own.port)).unwrap();
            // It does not end if the queue is full.
            let soon = wasip2::clocks::monotonic_clock::subscribe_duration(50_000_000);
            poll(&[&socket.subscribe(), &soon]);
            if socket.finish_connect().map(forget).is_err() {
                break;
            }
            forget(socket);
            queued += 1;
        }
        let mut accepted = 0;
        while let Ok(client) = listener.accept() {
            forget(client);
            accepted += 1;
        }
        accepted
    }

    fn lookups(network: &Network) -> usize {
        let mut answers = 0;
        for at in 0..20_000 {
            match resolve_addresses(network, &format!("name{at}.invalid")) {
                // Half of them are kept.
                Ok(stream) => {
                    let answer = stream.resolve_next_address();
                    if !matches!(answer, Err(ErrorCode::TemporaryResolverFailure)) {
                        answers += 1;
                    }
                    if at % 2 == 0 {
                        forget(stream);
                    }
                }
                Err(ErrorCode::TemporaryResolverFailure | ErrorCode::AccessDenied) => {}
                Err(code) => panic!("{code:?}"),
            }
        }
        answers
    }

    fn reads(network: &Network, port: u16) -> usize {
        let socket = tcp().unwrap();
        socket.start_connect(network, at(port)).unwrap();
        let Ok((input, output)) = wait(&socket, TcpSocket::finish_connect) else { return 0 };
        let _ = output.blocking_write_and_flush(b"x");
        socket.shutdown(ShutdownType::Send).unwrap();
        let mut total = 0;
        for size in [4 << 30, u64::MAX, u64::MAX] {
            total += input.read(size).map_or(0, |data| data.len());
            total += input.blocking_read(size).map_or(0, |data| data.len());
            total += input.blocking_skip(size).unwrap_or(0) as usize;
        }
        total
    }

    /// 10,000 subscriptions, polled again and again.
    fn subscriptions(network: &Network, port: u16) -> usize {
        let socket = tcp().unwrap();
        socket.start_connect(network, at(port)).unwrap();
        let Ok((input, output)) = wait(&socket, TcpSocket::finish_connect) else { return 0 };
        let pollables: Vec<_> = (0..10_000).map(|_| input.subscribe()).collect();
        let mut all: Vec<_> = pollables.iter().collect();
        let now = wasip2::clocks::monotonic_clock::subscribe_duration(0);
        all.push(&now);
        for _ in 0..10 {
            assert_eq!(poll(&all), [10_000]);
        }
        drop(output);
        pollables.len()
    }

    /// Datagrams to itself, which it reads at once.
    fn datagrams(network: &Network) -> usize {
        let socket = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
        if socket.start_bind(network, at(0)).is_err() {
            return 0;
        }
        socket.finish_bind().unwrap();
        let own = socket.local_address().unwrap();
        let (incoming, outgoing) = socket.stream(None).unwrap();
        let (mut received, data) = (0, vec![7; 60_000]);
        for _ in 0..2000 {
            outgoing.check_send().unwrap();
            let datagram = OutgoingDatagram { data: data.clone(), remote_address: Some(own) };
            let _ = outgoing.send(&[datagram]);
            received += incoming.receive(u64::MAX).unwrap().len();
        }
        received
    }

    pub(crate) fn run() {
        let args: Vec<String> = std::env::args().collect();
        let port = args[2].parse().unwrap();
        let network = instance_network();
        let got = match args[1].as_str() {
            "nothing" => 0,
            "handles" => {
                println!("takes handles");
                loop {
                    forget(instance_network());
                }
            }
            "connections" => connect(&network, port, 2000),
            "pending" => pending(&network, port),
            "writes" => writes(&network, port),
            "accepts" => accepts(&network),
            "lookups" => lookups(&network),
            "reads" => reads(&network, port),
            "subscriptions" => subscriptions(&network, port),
            "datagrams" => datagrams(&network),
            other => panic!("{other}"),
        };
        println!("got {got}");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

fn main() {
    #[cfg(target_family = "wasm")]
    guest::run();
}
