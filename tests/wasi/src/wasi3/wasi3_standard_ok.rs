//! `wasi3_standard_ok 4|6 PORT [more]`: what the documentation of `wasi:sockets` 0.3 says, for one
//! family of addresses. At the port is a server that resets each connection after its first byte.
//! `more` is what wasmtime 48 does not do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::zip;
use wasip3::sockets::types::{ErrorCode, IpAddressFamily, TcpSocket, UdpSocket};
use wasip3::wit_bindgen::rt::async_support::{
    FutureReader, StreamReader, StreamResult, StreamWriter,
};

use super::support::*;

const SECOND: u64 = 1_000_000_000;

/// One family of addresses.
#[derive(Clone, Copy)]
struct Net(IpAddressFamily);

impl Net {
    fn choose(self, v4: Ipv4Addr, v6: Ipv6Addr, port: u16) -> SocketAddr {
        let ip: IpAddr = match self.0 {
            IpAddressFamily::Ipv4 => v4.into(),
            IpAddressFamily::Ipv6 => v6.into(),
        };
        SocketAddr::new(ip, port)
    }

    fn loopback(self, port: u16) -> SocketAddr {
        self.choose(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port)
    }

    fn unspecified(self, port: u16) -> SocketAddr {
        self.choose(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port)
    }

    /// An address of documentation, which no host has.
    fn nowhere(self, port: u16) -> SocketAddr {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        self.choose(Ipv4Addr::new(192, 0, 2, 1), v6, port)
    }

    /// Addresses that no socket of this family takes.
    fn strange(self, port: u16) -> Vec<SocketAddr> {
        let texts: &[&str] = match self.0 {
            IpAddressFamily::Ipv4 => &["::1"],
            IpAddressFamily::Ipv6 => &["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1"],
        };
        texts.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), port)).collect()
    }

    /// Addresses of groups.
    fn groups(self, port: u16) -> Vec<SocketAddr> {
        let texts: &[&str] = match self.0 {
            IpAddressFamily::Ipv4 => &["224.0.0.1", "224.254.0.0", "255.255.255.255"],
            IpAddressFamily::Ipv6 => &["ff00::", "ff02::1"],
        };
        texts.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), port)).collect()
    }

    fn tcp(self) -> TcpSocket {
        TcpSocket::create(self.0).expect("a socket")
    }

    fn udp(self) -> UdpSocket {
        UdpSocket::create(self.0).expect("a socket")
    }

    /// A UDP socket on the loopback, and its address.
    fn bound(self) -> (UdpSocket, SocketAddr) {
        let socket = self.udp();
        socket.bind(wit(self.loopback(0))).expect("binds");
        let at = std(socket.get_local_address().expect("an address"));
        (socket, at)
    }

    /// A listener on the loopback, and its address.
    fn listener(self) -> (TcpSocket, StreamReader<TcpSocket>, SocketAddr) {
        let socket = self.tcp();
        socket.bind(wit(self.loopback(0))).expect("binds");
        let clients = socket.listen().expect("listens");
        let at = local(&socket);
        (socket, clients, at)
    }

    async fn pair(self) -> (TcpSocket, TcpSocket) {
        let (_listener, mut clients, at) = self.listener();
        let client = self.tcp();
        let (connected, accepted) = zip(client.connect(wit(at)), clients.next()).await;
        connected.expect("connects");
        (client, accepted.expect("a client"))
    }

    async fn connections(self) -> (Connection, Connection) {
        let (client, server) = self.pair().await;
        (Connection::new(client), Connection::new(server))
    }
}

/// A connection with both of its streams.
struct Connection {
    socket: TcpSocket,
    input: StreamReader<u8>,
    received: FutureReader<Result<(), ErrorCode>>,
    output: StreamWriter<u8>,
    sent: FutureReader<Result<(), ErrorCode>>,
}

impl Connection {
    fn new(socket: TcpSocket) -> Self {
        let (output, data) = wasip3::wit_stream::new();
        let sent = socket.send(data);
        let (input, received) = socket.receive();
        Self { socket, input, received, output, sent }
    }
}

fn local(socket: &TcpSocket) -> SocketAddr {
    std(socket.get_local_address().expect("an address"))
}

pub(super) async fn run(args: &[String]) {
    let net = Net(match args[0].as_str() {
        "4" => IpAddressFamily::Ipv4,
        "6" => IpAddressFamily::Ipv6,
        other => panic!("{other} is no family"),
    });
    tcp_binds(net).await;
    tcp_listens(net).await;
    tcp_connects(net).await;
    tcp_states(net).await;
    tcp_option_ranges(net);
    tcp_options_of_accepted(net).await;
    stream_ends(net).await;
    streams_once(net).await;
    stream_lifetimes(net).await;
    reads_cancelled(net).await;
    busy_polls(net).await;
    udp_binds(net);
    udp_states(net).await;
    udp_reconnects(net);
    udp_sends(net).await;
    udp_closed_receiver(net).await;
    resets(net, args[1].parse().expect("a port")).await;
    if args.get(2).is_some_and(|more| more == "more") {
        udp_only_the_peer(net).await;
    }
}

async fn resets(net: Net, port: u16) {
    let socket = net.tcp();
    socket.connect(wit(net.loopback(port))).await.expect("connects");
    let mut client = Connection::new(socket);
    assert!(client.output.write_all(b"x".to_vec()).await.is_empty());
    let (result, data) = client.input.read(Vec::with_capacity(10)).await;
    assert!(matches!(result, StreamResult::Dropped) && data.is_empty(), "{result:?}");
    fails!(client.received.await, ConnectionReset);
}

async fn tcp_binds(net: Net) {
    for address in [net.loopback(0), net.unspecified(0)] {
        let socket = net.tcp();
        socket.bind(wit(address)).expect("binds");
        let bound = local(&socket);
        assert_eq!(bound.ip(), address.ip());
        assert_ne!(bound.port(), 0);
        drop(socket);
        let again = net.tcp();
        again.bind(wit(bound)).expect("binds again");
        assert_eq!(local(&again), bound);
        let _clients = again.listen().expect("listens");
        fails!(net.tcp().bind(wit(bound)), AddressInUse);
    }
    let socket = net.tcp();
    for address in net.strange(0).into_iter().chain(net.groups(0)) {
        fails!(socket.bind(wit(address)), InvalidArgument);
    }
    fails!(socket.bind(wit(net.nowhere(0))), AddressNotBindable);
    fails!(socket.get_local_address(), InvalidState);
    socket.bind(wit(net.loopback(0))).expect("binds after all");
    fails!(socket.bind(wit(net.loopback(0))), InvalidState);

    // A connection in TIME_WAIT does not prevent a bind.
    let (listener, mut clients, at) = net.listener();
    let client = net.tcp();
    let (connected, served) = zip(client.connect(wit(at)), clients.next()).await;
    connected.expect("connects");
    let served = served.expect("a client");
    send(&served, vec![0; 10]).await.expect("sends");
    // The server closes first.
    drop(served);
    drop(clients);
    drop(listener);
    let listener = net.tcp();
    listener.bind(wit(at)).expect("binds again");
    let _clients = listener.listen().expect("listens again");
}

async fn tcp_listens(net: Net) {
    // A listen binds.
    let socket = net.tcp();
    let mut clients = socket.listen().expect("listens");
    let at = local(&socket);
    assert_eq!(at.ip(), net.unspecified(0).ip());
    assert!(socket.get_is_listening());
    let client = net.tcp();
    client.connect(wit(net.loopback(at.port()))).await.expect("connects");
    clients.next().await.expect("a client");
    // A bind stays.
    let socket = net.tcp();
    socket.bind(wit(net.unspecified(0))).expect("binds");
    let at = local(&socket);
    let mut clients = socket.listen().expect("listens");
    assert_eq!(local(&socket), at);
    // The stream keeps the listener alive.
    drop(socket);
    let client = net.tcp();
    client.connect(wit(net.loopback(at.port()))).await.expect("connects");
    let accepted = clients.next().await.expect("a client");
    drop(clients);
    // A connection does not.
    let other = net.tcp();
    fails!(other.connect(wit(net.loopback(at.port()))).await, ConnectionRefused);
    assert_eq!(local(&accepted).port(), at.port());
}

async fn tcp_connects(net: Net) {
    let (_listener, mut clients, at) = net.listener();
    for remote in net
        .strange(at.port())
        .into_iter()
        .chain(net.groups(at.port()))
        .chain([net.unspecified(at.port()), net.loopback(0)])
    {
        let socket = net.tcp();
        fails!(socket.connect(wit(remote)).await, InvalidArgument);
        // The socket is as it was.
        socket.bind(wit(net.loopback(0))).expect("binds");
    }
    let socket = net.tcp();
    socket.bind(wit(net.loopback(0))).expect("binds");
    let own = local(&socket);
    socket.connect(wit(at)).await.expect("connects");
    assert_eq!(local(&socket), own);
    assert_eq!(std(socket.get_remote_address().expect("a peer")), at);
    let served = clients.next().await.expect("a client");
    assert_eq!(std(served.get_remote_address().expect("a peer")), own);
    assert_eq!(local(&served), at);
    drop((clients, _listener));
    let socket = net.tcp();
    fails!(socket.connect(wit(at)).await, ConnectionRefused);
    // After a failure only a drop is left.
    closed(socket.connect(wit(at)).await);
    closed(socket.bind(wit(net.loopback(0))));
    closed(socket.listen());
    closed(socket.get_local_address());
    closed(socket.get_remote_address());
    closed(socket.set_listen_backlog_size(1));
    closed(socket.get_hop_limit());
    closed(send(&socket, vec![1]).await);
    assert!(!socket.get_is_listening());
    assert_eq!(socket.get_address_family(), net.0);
}

/// Demands an error of a socket whose connect was refused. WIT: in this state methods may return
/// `invalid-state`. wasmtime's own repeat the error.
#[track_caller]
fn closed<T>(result: Result<T, ErrorCode>) {
    let code = result.err();
    assert!(matches!(code, Some(ErrorCode::InvalidState | ErrorCode::ConnectionRefused)), "{code:?}");
}

/// What every state allows.
fn common(net: Net, socket: &TcpSocket) {
    assert_eq!(socket.get_address_family(), net.0);
    socket.get_keep_alive_enabled().expect("is known");
    socket.set_keep_alive_enabled(false).expect("is set");
    socket.set_keep_alive_idle_time(1).expect("is set");
    socket.set_keep_alive_interval(1).expect("is set");
    socket.set_keep_alive_count(1).expect("is set");
    socket.set_hop_limit(255).expect("is set");
    socket.set_receive_buffer_size(16_000).expect("is set");
    socket.set_send_buffer_size(16_000).expect("is set");
}

/// What only a connected socket has.
async fn unconnected(socket: &TcpSocket) {
    fails!(socket.get_remote_address(), InvalidState);
    for _ in 0..2 {
        fails!(send(socket, vec![1]).await, InvalidState);
        let (input, received) = socket.receive();
        assert!(input.collect().await.is_empty());
        fails!(received.await, InvalidState);
    }
}

async fn tcp_states(net: Net) {
    let socket = net.tcp();
    common(net, &socket);
    unconnected(&socket).await;
    fails!(socket.get_local_address(), InvalidState);
    assert!(!socket.get_is_listening());
    socket.set_listen_backlog_size(32).expect("is set");
    socket.bind(wit(net.loopback(0))).expect("binds");
    common(net, &socket);
    unconnected(&socket).await;
    assert!(!socket.get_is_listening());
    socket.set_listen_backlog_size(32).expect("is set");
    let mut clients = socket.listen().expect("listens");
    common(net, &socket);
    unconnected(&socket).await;
    assert!(socket.get_is_listening());
    socket.set_listen_backlog_size(32).expect("is set");
    fails!(socket.bind(wit(net.loopback(0))), InvalidState);
    fails!(socket.listen(), InvalidState);
    // The state comes before the address.
    fails!(socket.connect(wit(net.loopback(0))).await, InvalidState);
    let at = local(&socket);
    let client = net.tcp();
    let (connected, accepted) = zip(client.connect(wit(at)), clients.next()).await;
    connected.expect("connects");
    for socket in [client, accepted.expect("a client")] {
        common(net, &socket);
        assert!(!socket.get_is_listening());
        socket.get_local_address().expect("an address");
        socket.get_remote_address().expect("a peer");
        fails!(socket.bind(wit(net.loopback(0))), InvalidState);
        fails!(socket.listen(), InvalidState);
        fails!(socket.connect(wit(at)).await, InvalidState);
        fails!(socket.set_listen_backlog_size(32), InvalidState);
    }
}

fn tcp_option_ranges(net: Net) {
    let socket = net.tcp();
    for positive in [
        socket.get_keep_alive_idle_time(),
        socket.get_keep_alive_interval(),
        socket.get_keep_alive_count().map(u64::from),
        socket.get_hop_limit().map(u64::from),
        socket.get_receive_buffer_size(),
        socket.get_send_buffer_size(),
    ] {
        assert!(positive.expect("is known") > 0);
    }
    for value in [u64::MAX, 1] {
        socket.set_listen_backlog_size(value).expect("is set");
        socket.set_keep_alive_idle_time(value).expect("is set");
        socket.set_keep_alive_interval(value).expect("is set");
    }
    // A nanosecond is rounded to the least that the kernel has, and not to 0.
    for time in [socket.get_keep_alive_idle_time(), socket.get_keep_alive_interval()] {
        assert_eq!(time.expect("is known"), SECOND);
    }
    for value in [1, u8::MAX, 42] {
        socket.set_hop_limit(value).expect("is set");
        assert_eq!(socket.get_hop_limit().expect("is known"), value);
    }
}

/// The options that an accepted socket inherits.
fn set_options(socket: &TcpSocket, of: u64) {
    socket.set_keep_alive_enabled(of == 42).expect("is set");
    socket.set_keep_alive_idle_time(of * SECOND).expect("is set");
    socket.set_keep_alive_interval(of * SECOND).expect("is set");
    socket.set_keep_alive_count(of as u32).expect("is set");
    socket.set_hop_limit(of as u8).expect("is set");
    socket.set_receive_buffer_size(of * 0x400).expect("is set");
    socket.set_send_buffer_size(of * 0x400).expect("is set");
}

fn has_options(socket: &TcpSocket, of: u64) {
    assert_eq!(socket.get_keep_alive_enabled().expect("is known"), of == 42);
    assert_eq!(socket.get_keep_alive_idle_time().expect("is known"), of * SECOND);
    assert_eq!(socket.get_keep_alive_interval().expect("is known"), of * SECOND);
    assert_eq!(u64::from(socket.get_keep_alive_count().expect("is known")), of);
    assert_eq!(u64::from(socket.get_hop_limit().expect("is known")), of);
    assert_eq!(socket.get_receive_buffer_size().expect("is known"), of * 0x400);
    assert_eq!(socket.get_send_buffer_size().expect("is known"), of * 0x400);
}

async fn tcp_options_of_accepted(net: Net) {
    for before_listen in [true, false] {
        let listener = net.tcp();
        if before_listen {
            set_options(&listener, 42);
        }
        listener.bind(wit(net.loopback(0))).expect("binds");
        let mut clients = listener.listen().expect("listens");
        set_options(&listener, 42);
        let client = net.tcp();
        client.connect(wit(local(&listener))).await.expect("connects");
        let served = clients.next().await.expect("a client");
        has_options(&served, 42);
        // Later changes of the listener are its own.
        set_options(&listener, 43);
        has_options(&served, 42);
        has_options(&listener, 43);
    }
}

async fn stream_ends(net: Net) {
    // Messages in both directions.
    let (mut client, mut server) = net.connections().await;
    for (from, to) in [(&mut client, &mut server)] {
        for text in [&b"ping"[..], b"pong"] {
            assert!(from.output.write_all(text.to_vec()).await.is_empty());
            let (status, data) = to.input.read(Vec::with_capacity(4)).await;
            assert_eq!((status, &data[..]), (StreamResult::Complete(4), text));
        }
    }
    // The peer is gone.
    drop(server);
    let (status, data) = client.input.read(Vec::with_capacity(1)).await;
    assert!(status == StreamResult::Dropped && data.is_empty());
    client.received.await.expect("ends well");
    // What is sent now can't be delivered.
    while client.output.write(b"undeliverable".to_vec()).await.0 != StreamResult::Dropped {}
    fails!(client.sent.await, ConnectionBroken);

    // The end of a stream resolves its future, also if data is left.
    let (mut client, server) = net.connections().await;
    assert!(client.output.write_all(vec![7; 100]).await.is_empty());
    let mut input = server.input;
    input.next().await.expect("a byte");
    drop(input);
    server.received.await.expect("ends well");
    drop(client.output);
    client.sent.await.expect("ends well");
    // The other direction goes on.
    let mut output = server.output;
    assert!(output.write_all(b"back".to_vec()).await.is_empty());
    drop(output);
    assert_eq!(client.input.collect().await, b"back");
    client.received.await.expect("ends well");
}

async fn streams_once(net: Net) {
    let (client, mut server) = net.connections().await;
    assert!(server.output.write_all(b"never read".to_vec()).await.is_empty());
    for _ in 0..3 {
        let (mut input, received) = client.socket.receive();
        let (status, data) = input.read(Vec::with_capacity(10)).await;
        assert!(status == StreamResult::Dropped && data.is_empty());
        fails!(received.await, InvalidState);
        let (mut output, data) = wasip3::wit_stream::new();
        let sent = client.socket.send(data);
        let (status, rest) = output.write(b"undeliverable".to_vec()).await;
        assert!(status == StreamResult::Dropped && rest.into_vec() == b"undeliverable");
        fails!(sent.await, InvalidState);
    }
}

/// Streams and futures work without their socket.
async fn stream_lifetimes(net: Net) {
    let (client, server) = net.connections().await;
    drop((client.socket, server.socket));
    let mut output = server.output;
    assert!(output.write_all(b"ping".to_vec()).await.is_empty());
    drop(output);
    server.sent.await.expect("ends well");
    assert_eq!(client.input.collect().await, b"ping");
    client.received.await.expect("ends well");
    let mut output = client.output;
    assert!(output.write_all(b"pong".to_vec()).await.is_empty());
    drop(output);
    client.sent.await.expect("ends well");
    assert_eq!(server.input.collect().await, b"pong");
    server.received.await.expect("ends well");
}

/// Reads that are cancelled lose no byte.
async fn reads_cancelled(net: Net) {
    const CHUNKS: usize = 2048;
    let chunk: Vec<u8> = (0..=255).collect();
    let (client, server) = net.connections().await;
    client.socket.set_send_buffer_size(1024).expect("is set");
    let (mut output, mut input) = (client.output, server.input);
    let sending = async {
        for _ in 0..CHUNKS {
            assert!(output.write_all(chunk.clone()).await.is_empty());
        }
        drop(output);
    };
    let receiving = async {
        let (mut buffer, mut total) = (Vec::with_capacity(1024), 0);
        loop {
            let (status, data) = {
                let mut read = pin!(input.read(buffer));
                match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => result,
                    Poll::Pending => read.cancel(),
                }
            };
            buffer = data;
            match status {
                StreamResult::Complete(_) => {
                    for byte in buffer.drain(..) {
                        assert_eq!(byte, total as u8);
                        total += 1;
                    }
                }
                StreamResult::Dropped => break,
                // A read of nothing waits for something.
                StreamResult::Cancelled => drop(input.read(Vec::new()).await),
            }
        }
        assert_eq!(total, CHUNKS * 256);
        server.received.await.expect("ends well");
    };
    zip(sending, receiving).await;
    client.sent.await.expect("ends well");
}

/// A task that never rests lets the readiness of a socket arrive.
async fn busy_polls(net: Net) {
    let (_listener, mut clients, at) = net.listener();
    for _ in 0..20 {
        let client = net.tcp();
        client.connect(wit(at)).await.expect("connects");
        let served = clients.next().await.expect("a client");
        let (mut input, _received) = served.receive();
        let mut read = pin!(input.read(Vec::with_capacity(5)));
        let sending = send(&client, b"Hello".to_vec());
        let reading = async {
            for _ in 0..1_000_000 {
                let mut cx = Context::from_waker(Waker::noop());
                if let Poll::Ready((_, data)) = read.as_mut().poll(&mut cx) {
                    return data;
                }
                wasip3::clocks::monotonic_clock::wait_for(0).await;
            }
            panic!("it is not ready")
        };
        let (sent, data) = zip(sending, reading).await;
        sent.expect("sends");
        assert_eq!(data, b"Hello");
    }
}

fn udp_binds(net: Net) {
    for address in [net.loopback(0), net.unspecified(0)] {
        let socket = net.udp();
        socket.bind(wit(address)).expect("binds");
        let bound = std(socket.get_local_address().expect("an address"));
        assert_eq!(bound.ip(), address.ip());
        assert_ne!(bound.port(), 0);
        let other = net.udp();
        fails!(other.bind(wit(bound)), AddressInUse);
        drop(socket);
        other.bind(wit(bound)).expect("binds again");
    }
    let socket = net.udp();
    for address in net.strange(0) {
        fails!(socket.bind(wit(address)), InvalidArgument);
    }
    fails!(socket.bind(wit(net.nowhere(0))), AddressNotBindable);
    fails!(socket.get_local_address(), InvalidState);
    socket.bind(wit(net.loopback(0))).expect("binds after all");
}

fn udp_common(net: Net, socket: &UdpSocket) {
    assert_eq!(socket.get_address_family(), net.0);
    fails!(socket.set_unicast_hop_limit(0), InvalidArgument);
    socket.set_unicast_hop_limit(255).expect("is set");
    socket.set_receive_buffer_size(16_000).expect("is set");
    assert_eq!(socket.get_receive_buffer_size().expect("is known"), 16_000);
    socket.set_send_buffer_size(16_000).expect("is set");
    assert_eq!(socket.get_send_buffer_size().expect("is known"), 16_000);
}

async fn udp_states(net: Net) {
    let socket = net.udp();
    udp_common(net, &socket);
    fails!(socket.send(b"x".to_vec(), None).await, InvalidArgument);
    fails!(socket.receive().await, InvalidState);
    fails!(socket.disconnect(), InvalidState);
    fails!(socket.get_local_address(), InvalidState);
    fails!(socket.get_remote_address(), InvalidState);
    let (socket, _) = net.bound();
    udp_common(net, &socket);
    fails!(socket.bind(wit(net.loopback(0))), InvalidState);
    fails!(socket.get_remote_address(), InvalidState);
    fails!(socket.disconnect(), InvalidState);
    fails!(socket.send(b"x".to_vec(), None).await, InvalidArgument);
    // A connect binds, and so does a send.
    let socket = net.udp();
    socket.connect(wit(net.loopback(54_321))).expect("connects");
    udp_common(net, &socket);
    fails!(socket.bind(wit(net.loopback(0))), InvalidState);
    assert_ne!(std(socket.get_local_address().expect("an address")).port(), 0);
    assert_eq!(std(socket.get_remote_address().expect("a peer")), net.loopback(54_321));
    let socket = net.udp();
    socket.send(b"x".to_vec(), Some(wit(net.loopback(54_321)))).await.expect("sends");
    assert_ne!(std(socket.get_local_address().expect("an address")).port(), 0);
    fails!(socket.get_remote_address(), InvalidState);
    fails!(socket.bind(wit(net.loopback(0))), InvalidState);
}

fn udp_reconnects(net: Net) {
    let (first, second) = (net.loopback(4321), net.loopback(4320));
    for is_bound in [true, false] {
        let socket = net.udp();
        if is_bound {
            socket.bind(wit(net.unspecified(0))).expect("binds");
        }
        for peer in [Some(first), Some(first), Some(second), None, Some(first), None] {
            match peer {
                Some(peer) => {
                    socket.connect(wit(peer)).expect("connects");
                    assert_eq!(std(socket.get_remote_address().expect("a peer")), peer);
                }
                None => {
                    socket.disconnect().expect("disconnects");
                    fails!(socket.get_remote_address(), InvalidState);
                    fails!(socket.disconnect(), InvalidState);
                }
            }
            socket.get_local_address().expect("an address");
        }
        socket.connect(wit(second)).expect("connects");
        for remote in net.strange(47).into_iter().chain([net.unspecified(47), net.loopback(0)]) {
            fails!(socket.connect(wit(remote)), InvalidArgument);
            // The association is as it was.
            assert_eq!(std(socket.get_remote_address().expect("a peer")), second);
        }
    }
}

async fn udp_sends(net: Net) {
    let (peer, to) = net.bound();
    let socket = net.udp();
    for remote in net.strange(47).into_iter().chain([net.unspecified(47), net.loopback(0)]) {
        fails!(socket.send(b"x".to_vec(), Some(wit(remote))).await, InvalidArgument);
    }
    fails!(socket.get_local_address(), InvalidState);
    fails!(socket.send(vec![0; 65_536], Some(wit(to))).await, DatagramTooLarge);
    fails!(socket.send(vec![0; 65_530], Some(wit(to))).await, DatagramTooLarge);
    socket.send(Vec::new(), Some(wit(to))).await.expect("sends");
    let (data, from) = peer.receive().await.expect("receives");
    assert!(data.is_empty());
    assert_eq!(std(from).port(), std(socket.get_local_address().expect("bound")).port());
    socket.connect(wit(to)).expect("connects");
    for to in [None, Some(wit(to))] {
        socket.send(b"x".to_vec(), to).await.expect("sends");
        assert_eq!(peer.receive().await.expect("receives").0, b"x");
    }
    let other = net.loopback(to.port().wrapping_add(1).max(1));
    fails!(socket.send(b"x".to_vec(), Some(wit(other))).await, InvalidArgument);
}

/// Datagrams of others that came before the association do not reach the guest.
async fn udp_only_the_peer(net: Net) {
    let (receiver, to) = net.bound();
    let ((stranger, _), (peer, from)) = (net.bound(), net.bound());
    for (socket, data) in [(&stranger, b"A"), (&peer, b"B"), (&stranger, b"A")] {
        socket.send(data.to_vec(), Some(wit(to))).await.expect("sends");
    }
    receiver.connect(wit(from)).expect("connects");
    let (data, sender) = receiver.receive().await.expect("receives");
    assert_eq!((&data[..], std(sender)), (&b"B"[..], from));
    assert!(within(Duration::from_millis(20), receiver.receive()).await.is_none());
    receiver.disconnect().expect("disconnects");
    stranger.send(b"C".to_vec(), Some(wit(to))).await.expect("sends");
    assert_eq!(receiver.receive().await.expect("receives").0, b"C");
}

async fn udp_closed_receiver(net: Net) {
    let (receiver, to) = net.bound();
    drop(receiver);
    let socket = net.udp();
    socket.connect(wit(to)).expect("connects");
    socket.send(b"x".to_vec(), None).await.expect("sends");
    fails!(socket.receive().await, ConnectionRefused);
}
