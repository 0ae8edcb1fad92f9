//! The states and the error codes of the package's own documentation, for TCP and UDP.

#[cfg(target_family = "wasm")]
mod guest {
    use wasip2::io::streams::{InputStream, OutputStream, StreamError};
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{
        ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
    };
    use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    use wasip2::sockets::udp::{OutgoingDatagram, UdpSocket};
    use wasip2::sockets::udp_create_socket::create_udp_socket;

    const LOOPBACK: (u8, u8, u8, u8) = (127, 0, 0, 1);
    const SECOND: u64 = 1_000_000_000;

    fn v4(address: (u8, u8, u8, u8), port: u16) -> IpSocketAddress {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
    }

    fn v6(address: (u16, u16, u16, u16, u16, u16, u16, u16), port: u16) -> IpSocketAddress {
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
    }

    fn port_of(address: IpSocketAddress) -> u16 {
        match address {
            IpSocketAddress::Ipv4(v4) => v4.port,
            IpSocketAddress::Ipv6(v6) => v6.port,
        }
    }

    /// Demands an error code.
    #[track_caller]
    fn fails<T>(result: Result<T, ErrorCode>, code: ErrorCode) {
        match result {
            Ok(_) => panic!("{code:?} was expected"),
            Err(error) => assert_eq!(error, code),
        }
    }

    fn tcp() -> TcpSocket {
        create_tcp_socket(IpAddressFamily::Ipv4).unwrap()
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

    fn listener(network: &Network) -> (TcpSocket, u16) {
        let socket = tcp();
        socket.start_bind(network, v4(LOOPBACK, 0)).unwrap();
        socket.finish_bind().unwrap();
        socket.start_listen().unwrap();
        socket.finish_listen().unwrap();
        let port = port_of(socket.local_address().unwrap());
        (socket, port)
    }

    type Connected = (InputStream, OutputStream, TcpSocket);

    fn pair(network: &Network) -> (Connected, Connected) {
        let (listener, port) = listener(network);
        let client = tcp();
        client.start_connect(network, v4(LOOPBACK, port)).unwrap();
        let (input, output) = wait(&client, TcpSocket::finish_connect).unwrap();
        let (accepted, other_input, other_output) = wait(&listener, TcpSocket::accept).unwrap();
        ((input, output, client), (other_input, other_output, accepted))
    }

    fn tcp_states(network: &Network) {
        let socket = tcp();
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
        fails(socket.finish_connect(), ErrorCode::NotInProgress);
        fails(socket.finish_listen(), ErrorCode::NotInProgress);
        fails(socket.local_address(), ErrorCode::InvalidState);
        fails(socket.remote_address(), ErrorCode::InvalidState);
        fails(socket.accept(), ErrorCode::InvalidState);
        fails(socket.start_listen(), ErrorCode::InvalidState);
        fails(socket.shutdown(ShutdownType::Both), ErrorCode::InvalidState);
        assert!(!socket.is_listening());
        assert_eq!(socket.address_family(), IpAddressFamily::Ipv4);
        // A bind that fails leaves the socket as it was.
        fails(
            socket.start_bind(network, v6((0, 0, 0, 0, 0, 0, 0, 1), 0)),
            ErrorCode::InvalidArgument,
        );
        fails(socket.start_bind(network, v4((224, 0, 0, 1), 0)), ErrorCode::InvalidArgument);
        fails(socket.start_bind(network, v4((255, 255, 255, 255), 0)), ErrorCode::InvalidArgument);
        fails(socket.start_bind(network, v4((192, 0, 2, 1), 0)), ErrorCode::AddressNotBindable);
        socket.start_bind(network, v4(LOOPBACK, 0)).unwrap();
        fails(socket.start_bind(network, v4(LOOPBACK, 0)), ErrorCode::ConcurrencyConflict);
        fails(socket.start_listen(), ErrorCode::ConcurrencyConflict);
        fails(socket.start_connect(network, v4(LOOPBACK, 1)), ErrorCode::ConcurrencyConflict);
        fails(socket.finish_listen(), ErrorCode::NotInProgress);
        socket.finish_bind().unwrap();
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
        fails(socket.start_bind(network, v4(LOOPBACK, 0)), ErrorCode::InvalidState);
        let port = port_of(socket.local_address().unwrap());
        assert_ne!(port, 0);
        let other = tcp();
        fails(other.set_listen_backlog_size(0), ErrorCode::InvalidArgument);
        other.set_listen_backlog_size(u64::MAX).unwrap();
        socket.start_listen().unwrap();
        assert!(!socket.is_listening());
        fails(socket.accept(), ErrorCode::InvalidState);
        socket.finish_listen().unwrap();
        assert!(socket.is_listening());
        fails(socket.start_listen(), ErrorCode::InvalidState);
        fails(socket.start_connect(network, v4(LOOPBACK, 1)), ErrorCode::InvalidState);
        fails(socket.accept(), ErrorCode::WouldBlock);
        socket.set_listen_backlog_size(7).unwrap();
        // The port is taken.
        fails(other.start_bind(network, v4(LOOPBACK, port)), ErrorCode::AddressInUse);
        for remote in [
            v4((0, 0, 0, 0), port),
            v4(LOOPBACK, 0),
            v4((224, 0, 0, 1), port),
            v4((255, 255, 255, 255), port),
            v6((0, 0, 0, 0, 0, 0, 0, 1), port),
        ] {
            fails(other.start_connect(network, remote), ErrorCode::InvalidArgument);
        }
        let third = create_tcp_socket(IpAddressFamily::Ipv6).unwrap();
        let mapped = v6((0, 0, 0, 0, 0, 0xffff, 0x7f00, 1), port);
        fails(third.start_connect(network, mapped), ErrorCode::InvalidArgument);
        fails(third.start_bind(network, mapped), ErrorCode::InvalidArgument);
        // A connect that fails closes the socket.
        drop(socket);
        other.start_connect(network, v4(LOOPBACK, port)).unwrap();
        fails(wait(&other, TcpSocket::finish_connect), ErrorCode::ConnectionRefused);
        fails(other.finish_connect(), ErrorCode::NotInProgress);
        fails(other.start_connect(network, v4(LOOPBACK, port)), ErrorCode::InvalidState);
        fails(other.start_bind(network, v4(LOOPBACK, 0)), ErrorCode::InvalidState);
        fails(other.keep_alive_enabled(), ErrorCode::InvalidState);
    }

    fn tcp_options(network: &Network) {
        let (socket, port) = listener(network);
        fails(socket.set_keep_alive_idle_time(0), ErrorCode::InvalidArgument);
        fails(socket.set_keep_alive_interval(0), ErrorCode::InvalidArgument);
        fails(socket.set_keep_alive_count(0), ErrorCode::InvalidArgument);
        fails(socket.set_hop_limit(0), ErrorCode::InvalidArgument);
        fails(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
        fails(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
        // Any other value is taken, as near as may be.
        for value in [1, u64::MAX] {
            socket.set_keep_alive_idle_time(value).unwrap();
            socket.set_keep_alive_interval(value).unwrap();
            socket.set_receive_buffer_size(value).unwrap();
            socket.set_send_buffer_size(value).unwrap();
        }
        assert_eq!(socket.keep_alive_idle_time().unwrap(), 32_767 * SECOND);
        for value in [1, u32::MAX] {
            socket.set_keep_alive_count(value).unwrap();
        }
        assert!(!socket.keep_alive_enabled().unwrap());
        socket.set_keep_alive_enabled(true).unwrap();
        socket.set_keep_alive_idle_time(42 * SECOND).unwrap();
        socket.set_keep_alive_interval(5 * SECOND).unwrap();
        socket.set_keep_alive_count(9).unwrap();
        socket.set_hop_limit(42).unwrap();
        socket.set_receive_buffer_size(0x1_0000).unwrap();
        socket.set_send_buffer_size(0x1_0000).unwrap();
        // An accepted socket inherits them.
        let client = tcp();
        client.start_connect(network, v4(LOOPBACK, port)).unwrap();
        let _streams = wait(&client, TcpSocket::finish_connect).unwrap();
        let (accepted, _input, _output) = wait(&socket, TcpSocket::accept).unwrap();
        assert!(accepted.keep_alive_enabled().unwrap());
        assert_eq!(accepted.keep_alive_idle_time().unwrap(), 42 * SECOND);
        assert_eq!(accepted.keep_alive_interval().unwrap(), 5 * SECOND);
        assert_eq!(accepted.keep_alive_count().unwrap(), 9);
        assert_eq!(accepted.hop_limit().unwrap(), 42);
        assert_eq!(accepted.receive_buffer_size().unwrap(), 0x1_0000);
        assert_eq!(accepted.send_buffer_size().unwrap(), 0x1_0000);
        assert_eq!(accepted.address_family(), IpAddressFamily::Ipv4);
        fails(accepted.set_listen_backlog_size(1), ErrorCode::InvalidState);
        drop((_input, _output));
    }

    fn closed<T>(result: Result<T, StreamError>) {
        assert!(matches!(result, Err(StreamError::Closed)));
    }

    fn tcp_streams(network: &Network) {
        let ((input, output, client), (other_input, other_output, other)) = pair(network);
        assert_eq!(
            port_of(client.remote_address().unwrap()),
            port_of(other.local_address().unwrap())
        );
        fails(client.start_connect(network, v4(LOOPBACK, 1)), ErrorCode::InvalidState);
        fails(client.start_listen(), ErrorCode::InvalidState);
        assert!(input.read(10).unwrap().is_empty());
        assert!(input.read(0).unwrap().is_empty());
        let room = output.check_write().unwrap();
        assert!(room > 0);
        output.write(b"hello").unwrap();
        output.flush().unwrap();
        assert_eq!(other_input.blocking_read(u64::MAX).unwrap(), b"hello");
        // The room is there at every look, and small writes need no wait between them.
        for _ in 0..1000 {
            assert!(output.check_write().unwrap() > 0);
        }
        for _ in 0..300 {
            assert!(output.check_write().unwrap() > 0);
            output.write(b"x").unwrap();
        }
        let mut small = 0;
        while small < 300 {
            small += other_input.blocking_read(300).unwrap().len();
        }
        // A direction ends alone, and a second time too.
        client.shutdown(ShutdownType::Send).unwrap();
        client.shutdown(ShutdownType::Send).unwrap();
        closed(output.check_write());
        closed(other_input.blocking_read(1));
        other_output.blocking_write_and_flush(b"still").unwrap();
        assert_eq!(input.blocking_read(100).unwrap(), b"still");
        client.shutdown(ShutdownType::Receive).unwrap();
        closed(input.read(1));
        client.shutdown(ShutdownType::Both).unwrap();
        drop((input, output, other_input, other_output));
        drop((client, other));
        // The drop of an output stream ends its direction, and loses nothing.
        let ((input, output, _client), (other_input, other_output, _other)) = pair(network);
        let data = vec![7; 60_000];
        let mut sent = 0;
        while sent < 1 << 20 {
            let room = output.check_write().unwrap() as usize;
            if room == 0 {
                break;
            }
            let now = room.min(data.len());
            output.write(&data[..now]).unwrap();
            sent += now;
        }
        let mut got = 0;
        while got < sent {
            got += other_input.blocking_read(100_000).unwrap().len();
        }
        drop(output);
        closed(other_input.blocking_read(1));
        assert_eq!(got, sent);
        drop((input, other_input, other_output));
    }

    fn udp_states(network: &Network) {
        let socket = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
        fails(socket.finish_bind(), ErrorCode::NotInProgress);
        fails(socket.stream(None), ErrorCode::InvalidState);
        fails(socket.local_address(), ErrorCode::InvalidState);
        fails(socket.remote_address(), ErrorCode::InvalidState);
        fails(socket.set_unicast_hop_limit(0), ErrorCode::InvalidArgument);
        fails(socket.set_receive_buffer_size(0), ErrorCode::InvalidArgument);
        fails(socket.set_send_buffer_size(0), ErrorCode::InvalidArgument);
        socket.set_receive_buffer_size(u64::MAX).unwrap();
        socket.set_unicast_hop_limit(12).unwrap();
        assert_eq!(socket.unicast_hop_limit().unwrap(), 12);
        fails(
            socket.start_bind(network, v6((0, 0, 0, 0, 0, 0, 0, 1), 0)),
            ErrorCode::InvalidArgument,
        );
        socket.start_bind(network, v4(LOOPBACK, 0)).unwrap();
        fails(socket.start_bind(network, v4(LOOPBACK, 0)), ErrorCode::ConcurrencyConflict);
        socket.finish_bind().unwrap();
        fails(socket.start_bind(network, v4(LOOPBACK, 0)), ErrorCode::InvalidState);
        let port = port_of(socket.local_address().unwrap());
        for remote in [v4((0, 0, 0, 0), port), v4(LOOPBACK, 0), v6((0, 0, 0, 0, 0, 0, 0, 1), port)]
        {
            fails(socket.stream(Some(remote)), ErrorCode::InvalidArgument);
        }
        let six = create_udp_socket(IpAddressFamily::Ipv6).unwrap();
        let mapped = v6((0, 0, 0, 0, 0, 0xffff, 0x7f00, 1), 0);
        fails(six.start_bind(network, mapped), ErrorCode::InvalidArgument);
        udp_streams(network, &socket, port);
    }

    fn datagram(data: &[u8], to: Option<IpSocketAddress>) -> OutgoingDatagram {
        OutgoingDatagram { data: data.to_vec(), remote_address: to }
    }

    fn udp_streams(network: &Network, socket: &UdpSocket, port: u16) {
        let peer = create_udp_socket(IpAddressFamily::Ipv4).unwrap();
        peer.start_bind(network, v4(LOOPBACK, 0)).unwrap();
        peer.finish_bind().unwrap();
        let peer_port = port_of(peer.local_address().unwrap());
        let (peer_in, peer_out) = peer.stream(None).unwrap();
        let (incoming, outgoing) = socket.stream(None).unwrap();
        fails(socket.remote_address(), ErrorCode::InvalidState);
        assert!(incoming.receive(10).unwrap().is_empty());
        assert!(incoming.receive(0).unwrap().is_empty());
        assert_eq!(outgoing.send(&[]).unwrap(), 0);
        assert!(outgoing.check_send().unwrap() > 0);
        fails(outgoing.send(&[datagram(b"nowhere", None)]), ErrorCode::InvalidArgument);
        for to in [v4((0, 0, 0, 0), port), v4(LOOPBACK, 0), v6((0, 0, 0, 0, 0, 0, 0, 1), port)] {
            outgoing.check_send().unwrap();
            fails(outgoing.send(&[datagram(b"no", Some(to))]), ErrorCode::InvalidArgument);
        }
        outgoing.check_send().unwrap();
        let to = v4(LOOPBACK, peer_port);
        fails(outgoing.send(&[datagram(&[0; 66_000], Some(to))]), ErrorCode::DatagramTooLarge);
        // An error after the first datagram is not told.
        outgoing.check_send().unwrap();
        let sent = outgoing.send(&[datagram(b"a", Some(to)), datagram(b"b", None)]).unwrap();
        assert_eq!(sent, 1);
        peer_in.subscribe().block();
        let got = peer_in.receive(10).unwrap();
        assert_eq!((got.len(), &got[0].data[..]), (1, &b"a"[..]));
        assert_eq!(port_of(got[0].remote_address), port);
        // Connected: only that peer.
        drop((incoming, outgoing));
        let (incoming, outgoing) = socket.stream(Some(to)).unwrap();
        assert_eq!(port_of(socket.remote_address().unwrap()), peer_port);
        assert_eq!(port_of(socket.local_address().unwrap()), port);
        outgoing.check_send().unwrap();
        let other = v4(LOOPBACK, peer_port.wrapping_add(1).max(1));
        fails(outgoing.send(&[datagram(b"no", Some(other))]), ErrorCode::InvalidArgument);
        outgoing.check_send().unwrap();
        assert_eq!(outgoing.send(&[datagram(b"1", None), datagram(b"2", Some(to))]).unwrap(), 2);
        peer_out.check_send().unwrap();
        peer_out.send(&[datagram(b"back", Some(v4(LOOPBACK, port)))]).unwrap();
        incoming.subscribe().block();
        assert_eq!(incoming.receive(1).unwrap()[0].data, b"back");
        // And again without a peer: the socket keeps its port.
        drop((incoming, outgoing));
        let (incoming, outgoing) = socket.stream(None).unwrap();
        fails(socket.remote_address(), ErrorCode::InvalidState);
        assert_eq!(port_of(socket.local_address().unwrap()), port);
        drop((incoming, outgoing, peer_in, peer_out));
        // A receive that found nothing is no obstacle.
        for _ in 0..50 {
            for peer in [None, Some(to)] {
                let (incoming, _outgoing) = socket.stream(peer).unwrap();
                assert!(incoming.receive(1).unwrap().is_empty());
            }
        }
    }

    pub(crate) fn run() {
        let network = instance_network();
        tcp_states(&network);
        tcp_options(&network);
        tcp_streams(&network);
        udp_states(&network);
    }
}

fn main() {
    #[cfg(target_family = "wasm")]
    guest::run();
}
