//! The options that need a grant, with their grants. Each is tested by its effect.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Ancillary, Error, OptionValue, Socket, socketpair};
use sandsock_test_programs::{connected, datagrams, port};

fn main() -> Result<(), Error> {
    let wait = Some(Duration::from_secs(10));
    // Two sockets on one port.
    for family in [AF_INET, AF_INET6] {
        for kind in [SOCK_STREAM, SOCK_DGRAM] {
            let host = sandsock_test_programs::loopback(family);
            let one = Socket::new(family, kind, 0)?;
            one.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)?;
            one.bind((host, 0))?;
            let two = Socket::new(family, kind, 0)?;
            two.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)?;
            // The port is the guest's choice here.
            two.bind((host, port(&one)))?;
            assert_eq!(port(&one), port(&two));
        }
    }
    let socket = datagrams(AF_INET)?;
    socket.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, OptionValue::Bytes(b"lo\0"))?;
    assert!(socket.getsockopt_bytes(SOL_SOCKET, SO_BINDTODEVICE, 16)?.starts_with(b"lo"));
    socket.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, OptionValue::Bytes(b""))?;
    socket.setsockopt(SOL_SOCKET, SO_MARK, 42)?;
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_MARK)?, 42);
    socket.setsockopt(SOL_SOCKET, SO_PRIORITY, 5)?;
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_PRIORITY)?, 5);
    socket.setsockopt(SOL_SOCKET, 33, 1 << 16)?;
    assert_eq!(
        socket.getsockopt(SOL_SOCKET, SO_RCVBUF)?,
        1 << 17,
        "SO_RCVBUFFORCE, doubled (man 7 socket)"
    );
    socket.setsockopt(SOL_SOCKET, 46, 50)?;
    assert_eq!(socket.getsockopt(SOL_SOCKET, 46)?, 50, "SO_BUSY_POLL");
    socket.setsockopt(IPPROTO_IP, IP_TRANSPARENT, 1)?;
    socket.setsockopt(IPPROTO_IP, 15, 1)?;
    // A filter: nothing passes; then it is taken off.
    let nothing = [0x06, 0, 0, 0, 0, 0, 0, 0];
    socket.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, OptionValue::Bytes(&nothing))?;
    socket.settimeout(Some(Duration::from_millis(200)))?;
    socket.sendto(b"filtered", 0, socket.getsockname()?)?;
    assert_eq!(socket.recv(10, 0).expect_err("the filter drops it").class(), "TimeoutError");
    socket.setsockopt(SOL_SOCKET, SO_DETACH_FILTER, 0)?;
    socket.settimeout(wait)?;
    socket.sendto(b"passes", 0, socket.getsockname()?)?;
    assert_eq!(socket.recv(10, 0)?, b"passes");
    // The source address and the interface of one datagram: struct in_pktinfo is interface, source,
    // destination.
    let info = Ancillary {
        level: IPPROTO_IP,
        kind: IP_PKTINFO,
        data: [[0; 4], [127, 0, 0, 9], [0; 4]].concat(),
    };
    let mark = Ancillary { level: SOL_SOCKET, kind: SO_MARK, data: 7i32.to_ne_bytes().to_vec() };
    let any = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    any.sendmsg(&[IoSlice::new(b"from nine")], &[info, mark], 0, Some(&socket.getsockname()?))?;
    assert_eq!(socket.recvfrom(20, 0)?.1.host().as_deref(), Some("127.0.0.9"));
    // And of IPv6: struct in6_pktinfo is the source, then the interface.
    let six = datagrams(AF_INET6)?;
    six.settimeout(wait)?;
    let info = Ancillary {
        level: IPPROTO_IPV6,
        kind: IPV6_PKTINFO,
        data: [[0, 0, 0, 1], [0; 4]].concat(),
    };
    let mut info = info;
    info.data = [&[0; 15][..], &[1], &[0; 4]].concat();
    Socket::new(AF_INET6, SOCK_DGRAM, 0)?.sendmsg(
        &[IoSlice::new(b"x")],
        &[info],
        0,
        Some(&six.getsockname()?),
    )?;
    assert_eq!(six.recv(10, 0)?, b"x");

    let (client, server) = connected(AF_INET)?;
    client.setsockopt(IPPROTO_TCP, TCP_CONGESTION, OptionValue::Bytes(b"reno"))?;
    assert!(client.getsockopt_bytes(IPPROTO_TCP, TCP_CONGESTION, 16)?.starts_with(b"reno"));
    client.sendall(b"by reno", 0)?;
    assert_eq!(server.recv(20, 0)?, b"by reno");
    // Security labels: the kernel may have none.
    let (a, _b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    if let Err(error) = a.getsockopt_bytes(SOL_SOCKET, SO_PEERSEC, 256) {
        assert_eq!((error.errno(), error.grant()), (Some(sandsock::errno::ENOPROTOOPT), None));
    }
    Ok(())
}
