//! Has no grant.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::errno::{EBADF, EMFILE, EOPNOTSUPP, EPERM};
use sandsock::raw::types::{Address, OptionValue, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, netdb, syscalls, transfers};
use sandsock::{Epoll, ErrorKind, Family, Poll, Result, Socket, getaddrinfo, select, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for, raw, refused};

/// A stream or a datagram socket reaches nothing: its first act is checked, and the denial names
/// the exact grant.
fn first_acts() -> Result<()> {
    for (family, host, shown, any) in
        [(AF_INET, "127.0.0.1", "127.0.0.1", "0.0.0.0"), (AF_INET6, "::1", "[::1]", "[::]")]
    {
        for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC] {
            for protocol in [0, IPPROTO_TCP] {
                let new = || Socket::new(family, SOCK_STREAM | flags, protocol);
                let socket = new()?;
                denied_for("bind", socket.bind((host, 4711)), &format!("tcp-listen={shown}:4711"));
                denied_for(
                    "bind to any port",
                    socket.bind((host, 0)),
                    &format!("tcp-listen={shown}:0"),
                );
                denied_for("listen", socket.listen(None), &format!("tcp-listen={any}:0"));
                denied_for(
                    "connect",
                    socket.connect((host, 4711)),
                    &format!("tcp-connect={shown}:4711"),
                );
                assert_eq!(socket.connect_ex((host, 4711))?, 13);
                let fast = socket.sendto(b"x", MSG_FASTOPEN, (host, 4711));
                denied_for("sendto with MSG_FASTOPEN", fast, &format!("tcp-connect={shown}:4711"));
                assert_eq!(socket.getsockname()?.port(), Some(0), "it is bound");
                // This socket has the ordinary options and no others.
                socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)?;
                denied_for(
                    "option",
                    socket.setsockopt(SOL_SOCKET, SO_MARK, 1),
                    "option=SOL_SOCKET/SO_MARK",
                );
            }
            for protocol in [0, IPPROTO_UDP] {
                let socket = Socket::new(family, SOCK_DGRAM | flags, protocol)?;
                datagrams(&socket, host, shown, any)?;
                // A duplicate is the same socket.
                datagrams(&socket.dup()?, host, shown, any)?;
            }
        }
    }
    for protocol in [0, AF_UNIX] {
        let socket = Socket::new(AF_UNIX, SOCK_STREAM, protocol)?;
        denied_for("bind", socket.bind("/tmp/sandsock-nothing"), "unix-bind=/tmp/sandsock-nothing");
        denied_for("bind", socket.bind("\0sandsock-nothing"), "unix-bind=@sandsock-nothing");
        denied_for("bind to any name", socket.bind(""), "unix-bind=@*");
        denied_for("connect", socket.connect("/dev/log"), "unix-connect=/dev/log");
        denied_for(
            "connect",
            socket.connect("\0sandsock-nothing"),
            "unix-connect=@sandsock-nothing",
        );
        let socket = Socket::new(AF_UNIX, SOCK_DGRAM, protocol)?;
        denied_for("bind", socket.bind("/tmp/sandsock-nothing"), "unix-bind=/tmp/sandsock-nothing");
        denied_for("connect", socket.connect("/dev/log"), "unix-connect=/dev/log");
        let path: &dyn sandsock::ToAddress = &"/dev/log";
        denied_for("sendto", socket.sendto(b"x", 0, path), "unix-connect=/dev/log");
        inputs(&socket, "unix-bind=@*")?;
        assert_eq!(socket.getsockname()?.to_string(), "''");
    }
    Ok(())
}

/// Every first act of a UDP socket. None of them binds it.
fn datagrams(socket: &Socket, host: &str, shown: &str, any: &str) -> Result<()> {
    let (send, nowhere) = (format!("udp-send={shown}:4711"), format!("udp-bind={any}:0"));
    denied_for("bind", socket.bind((host, 4711)), &format!("udp-bind={shown}:4711"));
    denied_for("bind to any port", socket.bind((host, 0)), &format!("udp-bind={shown}:0"));
    denied_for("connect", socket.connect((host, 4711)), &send);
    denied_for("sendto", socket.sendto(b"x", 0, (host, 4711)), &send);
    denied_for(
        "sendmsg",
        socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, Some(&(host, 4711))),
        &send,
    );
    // Without an address the kernel says EDESTADDRREQ, but gives the socket a port first.
    denied_for("send", socket.send(b"x", 0), &nowhere);
    denied_for("sendmsg", socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, None), &nowhere);
    inputs(socket, &nowhere)?;
    assert_eq!(socket.getsockname()?.port(), Some(0), "it is bound");
    Ok(())
}

/// Every way to receive, and to wait until there is something.
fn inputs(socket: &Socket, grant: &str) -> Result<()> {
    let mut buffer = [0; 10];
    denied_for("recv", socket.recv(10, 0), grant);
    denied_for("recv with MSG_PEEK", socket.recv(10, MSG_PEEK), grant);
    denied_for("recv with MSG_DONTWAIT", socket.recv(10, MSG_DONTWAIT), grant);
    denied_for("recvfrom", socket.recvfrom(10, 0), grant);
    denied_for("recvmsg", socket.recvmsg(10, 100, 0), grant);
    denied_for("recvmsg with MSG_ERRQUEUE", socket.recvmsg(10, 100, MSG_ERRQUEUE), grant);
    denied_for("recv_into", socket.recv_into(&mut buffer, 0), grant);
    denied_for("select", select(&[socket.fileno()], &[], &[], Some(Duration::ZERO)), grant);
    let (mut poll, epoll) = (Poll::new(), Epoll::new()?);
    poll.register(socket, POLLIN | POLLOUT)?;
    denied_for("poll", poll.poll(Some(Duration::from_secs(5))), grant);
    denied_for("epoll", epoll.register(socket, EPOLLIN), grant);
    // That it could send is no secret.
    epoll.register(socket, EPOLLOUT)?;
    denied_for("epoll", epoll.modify(socket, EPOLLOUT | EPOLLRDNORM), grant);
    assert_eq!(epoll.poll(Some(Duration::from_secs(5)), None)?.len(), 1);
    epoll.unregister(socket)
}

/// They count as all descriptors do.
fn many() {
    let mut sockets = Vec::new();
    let error = loop {
        let kind = [SOCK_STREAM, SOCK_DGRAM][sockets.len() % 2];
        match Socket::new([AF_INET, AF_INET6, AF_UNIX][sockets.len() % 3], kind, 0) {
            Ok(socket) => sockets.push(socket),
            Err(error) => break error,
        }
        assert!(sockets.len() <= 1024);
    };
    assert_eq!(error.errno(), Some(EMFILE), "{error:?}");
}

fn main() -> Result<()> {
    first_acts()?;
    many();
    // All others are checked when they are created.
    for (family, kind, protocol) in [
        (AF_INET, SOCK_SEQPACKET, 0),
        (AF_INET6, SOCK_SEQPACKET, 0),
        (AF_UNIX, SOCK_SEQPACKET, 0),
        (AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
        (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
        (AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE),
        (AF_INET, SOCK_RAW, IPPROTO_ICMP),
        (AF_PACKET, SOCK_RAW, 0),
        (AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
    ] {
        for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC] {
            denied("socket", Socket::new(family, kind | flags, protocol));
        }
    }
    for family in [AF_INET, AF_INET6] {
        refused("socketpair", socketpair(family, SOCK_STREAM, 0).map(|_| ()), EOPNOTSUPP);
        denied("socketpair", socketpair(family, SOCK_RAW, IPPROTO_ICMP).map(|_| ()));
    }
    for name in ["localhost", "example.com", "a"] {
        let grant = format!("resolve={name}");
        denied_for(name, getaddrinfo(name, 80, Family::UNSPEC, 0, 0, 0), &grant);
        denied_for(
            name,
            getaddrinfo(name, "http", Family::INET6, SOCK_STREAM, 0, AI_CANONNAME),
            &grant,
        );
    }
    // A number is no name.
    assert_eq!(getaddrinfo("127.0.0.1", 80, Family::INET, SOCK_STREAM, 0, 0)?.len(), 1);
    // Nothing was handed over, so there is nothing to take.
    assert_eq!(descriptors::inherited(), [0_i32; 0]);
    for number in (0..200).chain([-1, i32::MIN, i32::MAX]) {
        refused("inherit", raw(descriptors::inherit(number)), EBADF);
        refused("adopt", raw(descriptors::adopt(number)), EBADF);
    }
    assert_eq!(netdb::get_host_name(), "sandbox");
    let renamed = raw(netdb::set_host_name(b"another"));
    assert!(
        renamed.is_err_and(|error| error.kind() == ErrorKind::Denied || error.errno() == Some(38))
    );

    // A pair for an event loop needs no grant, because it leads nowhere.
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = socketpair(AF_UNIX, kind, 0)?;
        a.send(b"x", 0)?;
        assert_eq!(b.recv(10, 0)?, b"x");
        denied_for("bind", a.bind("/tmp/sandsock-nothing"), "unix-bind=/tmp/sandsock-nothing");
        denied_for("bind", a.bind("\0sandsock-nothing"), "unix-bind=@sandsock-nothing");
        denied_for("bind to any name", a.bind(""), "unix-bind=@*");
        denied_for("connect", a.connect("/dev/log"), "unix-connect=/dev/log");
        denied_for("connect", a.connect("\0sandsock-nothing"), "unix-connect=@sandsock-nothing");
        let path: &dyn sandsock::ToAddress = &"/dev/log";
        if kind == SOCK_DGRAM {
            denied_for("sendto", a.sendto(b"x", 0, path), "unix-connect=/dev/log");
            denied_for(
                "sendmsg",
                a.sendmsg(&[IoSlice::new(b"x")], &[], 0, Some(path)),
                "unix-connect=/dev/log",
            );
        }
        denied_for(
            "rights",
            a.send_fds(&[IoSlice::new(b"x")], &[b.fileno()]),
            "ancillary=rights:send",
        );
        assert_eq!(a.getsockname()?.to_string(), "''");
    }
    // Nor does the kernel give a name by the way: a sender that asks for credentials gets one,
    // which others could send to.
    for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = raw(syscalls::socketpair(AF_UNIX, kind, 0))?;
        raw(syscalls::set_option(&a, SOL_SOCKET, SO_PASSCRED, OptionValue::Integer(1)))?;
        // The end that only receives gets no name.
        raw(transfers::send(&b, b"x", 0, Wait::None))?;
        assert_eq!(raw(transfers::receive(&a, 10, 0, Wait::None))?, b"x");
        denied_for("send", raw(transfers::send(&a, b"x", 0, Wait::None)), "unix-bind=@*");
        let message = transfers::send_message(&a, &[b"x"], &[], 0, None, Wait::None);
        denied_for("sendmsg", raw(message), "unix-bind=@*");
        assert_eq!(
            raw(syscalls::local_address(&a))?,
            Some(Address::Unix(UnixAddress::Unnamed)),
            "type {kind}: a name"
        );
        drop(b);
        // The socket may dissolve its association, but that connects it to no other peer.
        if kind == SOCK_DGRAM {
            raw(connections::connect(&a, &Address::Unspec, Wait::None))?;
            let other = Address::Unix(UnixAddress::Abstract(b"other".to_vec()));
            denied("connect", raw(connections::connect(&a, &other, Wait::None)));
            raw(syscalls::set_option(&a, SOL_SOCKET, SO_PASSCRED, OptionValue::Integer(0)))?;
            let result = raw(connections::connect(&a, &other, Wait::None));
            denied_for("connect", result, "unix-connect=@other");
        }
    }
    for protocol in [2, 6, -1] {
        let error =
            socketpair(AF_UNIX, SOCK_STREAM, protocol).map(|_| ()).expect_err("no protocol");
        assert!(!matches!(error.errno(), Some(EPERM | EOPNOTSUPP)), "{error:?}");
    }
    Ok(())
}
