//! What the programs have in common.

use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_lite::future::or;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::sockets::types::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
    UdpSocket,
};
use wasip3::wit_bindgen::rt::async_support::StreamReader;

/// 127.0.0.1.
pub(super) const fn loopback(port: u16) -> IpSocketAddress {
    v4([127, 0, 0, 1], port)
}

pub(super) const fn v4([a, b, c, d]: [u8; 4], port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) })
}

pub(super) const fn v6(address: [u16; 8], port: u16) -> IpSocketAddress {
    let [a, b, c, d, e, f, g, h] = address;
    IpSocketAddress::Ipv6(Ipv6SocketAddress {
        port,
        flow_info: 0,
        address: (a, b, c, d, e, f, g, h),
        scope_id: 0,
    })
}

pub(super) fn wit(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(at) => v4(at.ip().octets(), at.port()),
        SocketAddr::V6(at) => {
            let IpSocketAddress::Ipv6(address) = v6(at.ip().segments(), at.port()) else {
                unreachable!("it is IPv6")
            };
            IpSocketAddress::Ipv6(Ipv6SocketAddress { scope_id: at.scope_id(), ..address })
        }
    }
}

pub(super) fn std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(v4) => {
            let (a, b, c, d) = v4.address;
            SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), v4.port)
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            SocketAddr::new(Ipv6Addr::new(a, b, c, d, e, f, g, h).into(), v6.port)
        }
    }
}

pub(super) fn port_of(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(v4) => v4.port,
        IpSocketAddress::Ipv6(v6) => v6.port,
    }
}

pub(super) fn port(args: &[String]) -> u16 {
    args[0].parse().expect("a port")
}

pub(super) fn tcp() -> TcpSocket {
    TcpSocket::create(IpAddressFamily::Ipv4).expect("a socket")
}

pub(super) fn udp() -> UdpSocket {
    UdpSocket::create(IpAddressFamily::Ipv4).expect("a socket")
}

/// A listener on 127.0.0.1, and its port.
pub(super) fn listener() -> (TcpSocket, StreamReader<TcpSocket>, u16) {
    let socket = tcp();
    socket.bind(loopback(0)).expect("binds");
    let clients = socket.listen().expect("listens");
    let port = port_of(socket.get_local_address().expect("an address"));
    (socket, clients, port)
}

/// Sends back what comes, after its end.
pub(super) async fn echo(socket: TcpSocket) {
    let (input, received) = socket.receive();
    let data = input.collect().await;
    received.await.expect("receives");
    send(&socket, data).await.expect("sends");
}

/// Sends all of it, and then the end.
pub(super) async fn send(socket: &TcpSocket, data: Vec<u8>) -> Result<(), ErrorCode> {
    let (mut output, stream) = wasip3::wit_stream::new();
    let sent = socket.send(stream);
    let rest = output.write_all(data).await;
    drop(output);
    let result = sent.await;
    assert!(rest.is_empty() || result.is_err());
    result
}

/// Waits for a future for this time. None if it is not ready by then, and was dropped.
pub(super) async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    or(async { Some(future.await) }, async {
        wait_for(time.as_nanos() as u64).await;
        None
    })
    .await
}

/// Tells the test something.
pub(super) fn say(line: impl std::fmt::Display) {
    println!("{line}");
    std::io::stdout().flush().expect("is written");
}

/// Asserts that a result is this error.
macro_rules! fails {
    ($result:expr, $code:ident) => {{
        let result = $result;
        assert!(
            matches!(result, Err(wasip3::sockets::types::ErrorCode::$code)),
            "{} should be {}: {:?}",
            stringify!($result),
            stringify!($code),
            result.map(drop)
        );
    }};
}

pub(super) use fails;
