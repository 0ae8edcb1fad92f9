//! What the programs on version 0.2 have in common.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::{OutgoingDatagram, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// The network, and one family of addresses.
pub(crate) struct Net {
    pub(crate) network: Network,
    pub(crate) family: IpAddressFamily,
}

/// A connection: its socket and streams.
pub(crate) struct Connection {
    pub(crate) input: InputStream,
    pub(crate) output: OutputStream,
    /// Dropped after its streams.
    pub(crate) socket: TcpSocket,
}

impl Net {
    /// The family 4 or 6.
    pub(crate) fn new(family: &str) -> Self {
        let family = match family {
            "4" => IpAddressFamily::Ipv4,
            "6" => IpAddressFamily::Ipv6,
            other => panic!("{other} is no family"),
        };
        Self { network: instance_network(), family }
    }

    pub(crate) fn is_6(&self) -> bool {
        self.family == IpAddressFamily::Ipv6
    }

    fn choose(&self, v4: impl Into<IpAddr>, v6: impl Into<IpAddr>) -> IpAddr {
        if self.is_6() { v6.into() } else { v4.into() }
    }

    pub(crate) fn loopback(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.choose(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST), port)
    }

    pub(crate) fn unspecified(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.choose(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED), port)
    }

    /// An address of documentation, which no host has.
    pub(crate) fn nowhere(&self, port: u16) -> SocketAddr {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        SocketAddr::new(self.choose(Ipv4Addr::new(192, 0, 2, 1), v6), port)
    }

    /// Addresses that no socket of this family takes.
    pub(crate) fn strange(&self, port: u16) -> Vec<SocketAddr> {
        match self.family {
            IpAddressFamily::Ipv4 => vec![SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)],
            IpAddressFamily::Ipv6 => ["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1"]
                .map(|text| SocketAddr::new(text.parse().unwrap(), port))
                .to_vec(),
        }
    }

    /// Addresses of groups.
    pub(crate) fn groups(&self, port: u16) -> Vec<SocketAddr> {
        let texts: &[&str] = match self.family {
            IpAddressFamily::Ipv4 => &["224.0.0.1", "224.254.0.0", "255.255.255.255"],
            IpAddressFamily::Ipv6 => &["ff00::", "ff02::1"],
        };
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), port)).collect()
    }

    pub(crate) fn tcp(&self) -> TcpSocket {
        create_tcp_socket(self.family).unwrap()
    }

    pub(crate) fn udp(&self) -> UdpSocket {
        create_udp_socket(self.family).unwrap()
    }

    pub(crate) fn bind_tcp(&self, socket: &TcpSocket, at: SocketAddr) -> Result<(), ErrorCode> {
        socket.start_bind(&self.network, wit(at))?;
        wait(socket, TcpSocket::finish_bind)
    }

    pub(crate) fn bind_udp(&self, socket: &UdpSocket, at: SocketAddr) -> Result<(), ErrorCode> {
        socket.start_bind(&self.network, wit(at))?;
        socket.finish_bind()
    }

    /// Connects a socket, which its streams keep.
    pub(crate) fn connect(
        &self,
        socket: TcpSocket,
        to: SocketAddr,
    ) -> Result<Connection, (TcpSocket, ErrorCode)> {
        let connected = socket
            .start_connect(&self.network, wit(to))
            .and_then(|()| wait(&socket, TcpSocket::finish_connect));
        match connected {
            Ok((input, output)) => Ok(Connection { input, output, socket }),
            Err(code) => Err((socket, code)),
        }
    }

    /// The error code of a connect.
    pub(crate) fn connect_code(&self, to: SocketAddr) -> Option<ErrorCode> {
        self.connect(self.tcp(), to).err().map(|(_, code)| code)
    }

    /// A listener on the loopback, and its address.
    pub(crate) fn listener(&self) -> (TcpSocket, SocketAddr) {
        let socket = self.tcp();
        self.bind_tcp(&socket, self.loopback(0)).unwrap();
        listen(&socket).unwrap();
        let at = local(&socket);
        (socket, at)
    }

    /// Both ends of a connection.
    pub(crate) fn pair(&self) -> (Connection, Connection) {
        let (listener, at) = self.listener();
        let client = self.connect(self.tcp(), at).map_err(|(_, code)| code).unwrap();
        (client, accept(&listener))
    }

    /// A UDP socket on the loopback, and its address.
    pub(crate) fn bound(&self) -> (UdpSocket, SocketAddr) {
        let socket = self.udp();
        self.bind_udp(&socket, self.loopback(0)).unwrap();
        let at = std(socket.local_address().unwrap());
        (socket, at)
    }
}

pub(crate) fn listen(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_listen()?;
    wait(socket, TcpSocket::finish_listen)
}

pub(crate) fn accept(listener: &TcpSocket) -> Connection {
    let (socket, input, output) = wait(listener, TcpSocket::accept).unwrap();
    Connection { input, output, socket }
}

pub(crate) fn local(socket: &TcpSocket) -> SocketAddr {
    std(socket.local_address().unwrap())
}

/// Calls a function until it would not block. The pollable is the same for all operations.
pub(crate) fn wait<T>(
    socket: &TcpSocket,
    call: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    let pollable = socket.subscribe();
    loop {
        match call(socket) {
            Err(ErrorCode::WouldBlock) => within(&pollable).expect("it is ready in time"),
            result => return result,
        }
    }
}

/// Waits for a pollable for some seconds. None if it is not ready by then.
pub(crate) fn within(pollable: &Pollable) -> Option<()> {
    let time = subscribe_duration(10_000_000_000);
    poll(&[pollable, &time]).contains(&0).then_some(())
}

pub(crate) fn datagram(data: &[u8], to: Option<SocketAddr>) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: to.map(wit) }
}

pub(crate) fn wit(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

pub(crate) fn std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(v4) => {
            let (a, b, c, d) = v4.address;
            SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), v4.port).into()
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            SocketAddrV6::new(ip, v6.port, v6.flow_info, v6.scope_id).into()
        }
    }
}

/// Demands an error code.
#[track_caller]
pub(crate) fn fails<T>(result: Result<T, ErrorCode>, code: ErrorCode) {
    match result {
        Ok(_) => panic!("{code:?} was expected"),
        Err(error) => assert_eq!(error, code),
    }
}
