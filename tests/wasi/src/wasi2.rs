//! `bench_wasi2 OPERATION PORT SIZE COUNT`: what the program `bench_transfer_ok` does, by
//! wasi:sockets 0.2. Prints nanoseconds.

#[cfg(target_family = "wasm")]
mod guest {
    use std::time::Instant;

    use wasip2::io::streams::{InputStream, OutputStream};
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Network,
    };
    use wasip2::sockets::tcp::TcpSocket;
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream};
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    /// Datagrams that are on their way at once.
    const BURST: u64 = 64;

    const fn loopback(port: u16) -> IpSocketAddress {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
    }

    /// A connection; its streams go before the socket.
    struct Connection {
        input: InputStream,
        output: OutputStream,
        _socket: TcpSocket,
    }

    fn connect(network: &Network, port: u16) -> Connection {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
        socket.start_connect(network, loopback(port)).expect("connects");
        let (input, output) = wait(&socket, TcpSocket::finish_connect);
        Connection { input, output, _socket: socket }
    }

    fn wait<T>(socket: &TcpSocket, mut call: impl FnMut(&TcpSocket) -> Result<T, ErrorCode>) -> T {
        loop {
            match call(socket) {
                Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
                result => return result.expect("works"),
            }
        }
    }

    impl Connection {
        fn send(&self, mut data: &[u8]) {
            while !data.is_empty() {
                let room = self.output.check_write().expect("writes") as usize;
                if room == 0 {
                    self.output.subscribe().block();
                    continue;
                }
                let (now, rest) = data.split_at(room.min(data.len()));
                self.output.write(now).expect("writes");
                data = rest;
            }
        }

        fn receive(&self, length: usize) -> Vec<u8> {
            self.input.blocking_read(length as u64).expect("reads")
        }
    }

    /// The peer's part.
    fn kind(operation: &str) -> u8 {
        match operation {
            "send" => b's',
            "receive" => b'r',
            _ => b'e',
        }
    }

    fn request(operation: u8, total: u64, size: u64) -> Vec<u8> {
        [&[operation][..], &total.to_le_bytes(), &size.to_le_bytes()].concat()
    }

    pub(super) fn main() {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [operation, port, size, count] = args.as_slice() else {
            panic!("OPERATION PORT SIZE COUNT")
        };
        let (port, size, count): (u16, usize, u64) = (
            port.parse().expect("a port"),
            size.parse().expect("a size"),
            count.parse().expect("a count"),
        );
        let network = instance_network();
        match operation.as_str() {
            "datagram-send" => println!("{}", datagrams(&network, size, count).0),
            "datagram-receive" => println!("{}", datagrams(&network, size, count).1),
            "idle" => {
                let connection = connect(&network, port);
                while let Ok(bytes) = connection.input.blocking_read(1) {
                    connection.send(&bytes);
                }
                println!("0");
            }
            "connect" => {
                let control = connect(&network, port);
                control.send(&request(b'c', count, 0));
                control.receive(1);
                let start = Instant::now();
                for _ in 0..count {
                    drop(connect(&network, port));
                }
                println!("{}", start.elapsed().as_nanos());
            }
            "accept" => {
                let listener = create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
                listener.start_bind(&network, loopback(size as u16)).expect("binds");
                listener.finish_bind().expect("binds");
                listener.start_listen().expect("listens");
                listener.finish_listen().expect("listens");
                let control = connect(&network, port);
                control.send(&request(b'a', count, size as u64));
                control.receive(1);
                let start = Instant::now();
                for _ in 0..count {
                    let (socket, input, output) = wait(&listener, TcpSocket::accept);
                    drop((input, output));
                    drop(socket);
                }
                println!("{}", start.elapsed().as_nanos());
            }
            stream => println!("{}", transfer(&connect(&network, port), stream, size, count)),
        }
    }

    fn transfer(connection: &Connection, operation: &str, size: usize, count: u64) -> u128 {
        let total = count * size as u64;
        connection.send(&request(kind(operation), total, size as u64));
        connection.receive(1);
        let buffer = vec![7; size];
        let start = Instant::now();
        match operation {
            "send" => {
                for _ in 0..count {
                    connection.send(&buffer);
                }
                connection.receive(1);
            }
            "receive" => {
                let mut left = total;
                while left > 0 {
                    left -= connection.receive(size).len() as u64;
                }
            }
            _ => {
                for _ in 0..count {
                    connection.send(&buffer);
                    let mut filled = 0;
                    while filled < size {
                        filled += connection.receive(size - filled).len();
                    }
                }
            }
        }
        start.elapsed().as_nanos()
    }

    /// Bursts from one socket of its own to another: what sending took, and what receiving took.
    fn datagrams(network: &Network, size: usize, count: u64) -> (u128, u128) {
        let socket = || {
            let socket = create_udp_socket(IpAddressFamily::Ipv4).expect("a socket");
            socket.start_bind(network, loopback(0)).expect("binds");
            socket.finish_bind().expect("binds");
            socket
        };
        let (sender, receiver) = (socket(), socket());
        let address = receiver.local_address().expect("an address");
        let (_in, out): (IncomingDatagramStream, OutgoingDatagramStream) =
            sender.stream(None).expect("streams");
        let (input, _out) = receiver.stream(None).expect("streams");
        let (mut sending, mut receiving) = (0, 0);
        for _ in 0..count / BURST {
            let start = Instant::now();
            for _ in 0..BURST {
                while out.check_send().expect("sends") == 0 {
                    out.subscribe().block();
                }
                out.send(&[OutgoingDatagram {
                    data: vec![7; size],
                    remote_address: Some(address),
                }])
                .expect("sends");
            }
            sending += start.elapsed().as_nanos();
            let start = Instant::now();
            let mut got = 0;
            while got < BURST {
                let received = input.receive(1).expect("receives");
                if received.is_empty() {
                    input.subscribe().block();
                }
                got += received.len() as u64;
            }
            receiving += start.elapsed().as_nanos();
        }
        (sending, receiving)
    }
}

fn main() {
    #[cfg(target_family = "wasm")]
    guest::main();
}
