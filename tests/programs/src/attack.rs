//! Code that the hostile guests share: the check that an act is denied, and all the ways to do one
//! act.

use std::fmt::Debug;
use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::types::{self, Inet6Address, InetAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{
    ConnectTimeout, Error, ErrorKind, Family, Flags, OptionValue, Result, Socket, TlsIdentity,
    TlsOptions, TlsStream, create_connection,
};

/// The program's arguments.
pub(crate) fn args() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// The program's arguments, all of them ports.
pub(crate) fn ports() -> Vec<u16> {
    args().iter().map(|text| text.parse().expect("a port")).collect()
}

/// Checks that the policy denied the act, with the error that Python's programs see.
#[track_caller]
pub(crate) fn denied<T: Debug>(what: &str, result: Result<T>) -> Error {
    let error = match result {
        Ok(value) => panic!("{what}: it was not denied: {value:?}"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{what}: {error:?}");
    assert_eq!((error.class(), error.errno()), ("PermissionError", Some(13)), "{what}");
    let text = error.to_string();
    assert!(text.starts_with("[Errno 13] Permission denied: "), "{what}: {text}");
    if let Some(grant) = error.grant() {
        assert!(text.contains(grant), "{what}: {text} does not name {grant}");
    }
    error
}

/// Checks that the act is denied, and that this grant would allow it.
#[track_caller]
pub(crate) fn denied_for<T: Debug>(what: &str, result: Result<T>, grant: &str) {
    let error = denied(what, result);
    assert_eq!(error.grant(), Some(grant), "{what}: {error}");
}

/// Checks that a rule denies the act, so that no grant would help.
#[track_caller]
pub(crate) fn denied_by_rule<T: Debug>(what: &str, result: Result<T>) {
    let error = denied(what, result);
    assert!(
        error.grant().is_none() && error.to_string().contains("denied by the rule"),
        "{what}: {error}"
    );
}

/// Checks that the kernel refused the act, or the host in its place. This is not a denial.
#[track_caller]
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T>, errno: i32) {
    match result {
        Err(error) if error.kind() != ErrorKind::Denied => {
            assert_eq!(error.errno(), Some(errno), "{what}: {error:?}");
            assert_eq!(error.grant(), None, "{what}");
        }
        other => panic!("{what}: {other:?} instead of errno {errno}"),
    }
}

/// A result of the raw layer as Python's.
pub(crate) fn raw<T>(result: Result<T, types::Error>) -> Result<T> {
    Ok(result?)
}

pub(crate) fn inet(address: [u8; 4], port: u16) -> types::Address {
    let [a, b, c, d] = address;
    types::Address::Inet(InetAddress { address: (a, b, c, d), port })
}

pub(crate) fn inet6(address: std::net::Ipv6Addr, port: u16, scope_id: u32) -> types::Address {
    let [a, b, c, d, e, f, g, h] = address.segments();
    types::Address::Inet6(Inet6Address {
        address: (a, b, c, d, e, f, g, h),
        port,
        flow_info: 0,
        scope_id,
    })
}

/// The family that a host's text is tried with.
pub(crate) fn family_of(host: &str) -> i32 {
    if host.contains(':') { AF_INET6 } else { AF_INET }
}

/// A host as the raw layer takes it; none for what is only a name.
fn raw_address(host: &str, port: u16) -> Option<types::Address> {
    let (host, scope) = host.split_once('%').unwrap_or((host, "0"));
    match host.parse().ok()? {
        std::net::IpAddr::V4(v4) => Some(inet(v4.octets(), port)),
        std::net::IpAddr::V6(v6) => Some(inet6(v6, port, scope.parse().ok()?)),
    }
}

/// connect_ex gives the number alone: 13 is the denial.
fn from_number(number: Result<i32>) -> Result<Option<i32>> {
    number.map(Some)
}

/// One try, and what came of it. `Ok(Some(13))` is connect_ex's denial.
pub(crate) type Try = (String, Result<Option<i32>>);

/// Every way to begin a TCP connection.
pub(crate) fn tcp_ways(host: &str, port: u16) -> Result<Vec<Try>> {
    let family = family_of(host);
    let new = || Socket::new(family, SOCK_STREAM, 0);
    let mut tries: Vec<Try> = Vec::new();
    let mut add = |what: &str, result| tries.push((format!("{what} {host} {port}"), result));
    let plain = host.split('%').next().unwrap_or_default();
    let scope: i64 = host.split('%').nth(1).and_then(|scope| scope.parse().ok()).unwrap_or(0);
    let connect = |socket: &Socket| match family {
        AF_INET6 => socket.connect((plain, port, 0, scope)),
        _ => socket.connect((host, port)),
    };
    add("connect", connect(&new()?).map(|()| None));
    add("connect_ex", from_number(new()?.connect_ex((plain, port))));
    let timeout = ConnectTimeout::After(std::time::Duration::from_secs(2));
    add("create_connection", create_connection((host, port), timeout, None, false).map(|_| None));
    let nonblocking = new()?;
    nonblocking.setblocking(false)?;
    add("connect without waiting", connect(&nonblocking).map(|()| None));
    add("connect_ex without waiting", from_number(nonblocking.connect_ex((plain, port))));
    add("sendto with MSG_FASTOPEN", new()?.sendto(b"x", MSG_FASTOPEN, (plain, port)).map(|_| None));
    let message = [IoSlice::new(b"x")];
    add(
        "sendmsg with MSG_FASTOPEN",
        new()?.sendmsg(&message, &[], MSG_FASTOPEN, Some(&(plain, port))).map(|_| None),
    );
    // A socket that was bound first.
    let bound = new()?;
    if bound.bind((if family == AF_INET6 { "::1" } else { "127.0.0.1" }, 0)).is_ok() {
        add("connect from a bound socket", connect(&bound).map(|()| None));
    }
    if let Some(address) = raw_address(host, port) {
        let made = || raw(syscalls::socket(family, SOCK_STREAM, 0));
        for wait in [Wait::None, Wait::Forever, Wait::Within(1_000_000_000), Wait::Until(0)] {
            add("raw connect", raw(connections::connect(&made()?, &address, wait)).map(|()| None));
        }
        let again = made()?;
        raw(connections::connect(&again, &types::Address::Unspec, Wait::None))?;
        add(
            "raw connect after AF_UNSPEC",
            raw(connections::connect(&again, &address, Wait::Forever)).map(|()| None),
        );
    }
    Ok(tries)
}

/// Every way to send a datagram, connect included.
pub(crate) fn udp_ways(host: &str, port: u16) -> Result<Vec<Try>> {
    let family = family_of(host);
    let new = || Socket::new(family, SOCK_DGRAM, 0);
    let mut tries: Vec<Try> = Vec::new();
    let mut add = |what: &str, result| tries.push((format!("UDP {what} {host} {port}"), result));
    let plain = host.split('%').next().unwrap_or_default();
    add("sendto", new()?.sendto(b"x", 0, (plain, port)).map(|_| None));
    add("empty sendto", new()?.sendto(b"", 0, (plain, port)).map(|_| None));
    add(
        "sendmsg",
        new()?.sendmsg(&[IoSlice::new(b"x")], &[], 0, Some(&(plain, port))).map(|_| None),
    );
    add(
        "sendmsg without a buffer",
        new()?.sendmsg(&[], &[], 0, Some(&(plain, port))).map(|_| None),
    );
    add("connect", new()?.connect((plain, port)).map(|()| None));
    add("connect_ex", from_number(new()?.connect_ex((plain, port))));
    if let Some(address) = raw_address(host, port) {
        let made = || raw(syscalls::socket(family, SOCK_DGRAM, 0));
        for wait in [Wait::None, Wait::Forever, Wait::Within(1_000_000_000)] {
            add(
                "raw send-to",
                raw(transfers::send_to(&made()?, b"x", 0, &address, wait)).map(|_| None),
            );
            add("raw connect", raw(connections::connect(&made()?, &address, wait)).map(|()| None));
            let sent = transfers::send_message(&made()?, &[b"x"], &[], 0, Some(&address), wait);
            add("raw send-message", raw(sent).map(|_| None));
        }
    }
    Ok(tries)
}

/// Checks that each of these tries is denied: with this grant named, or by a rule if there is none.
#[track_caller]
pub(crate) fn all_denied(tries: Vec<Try>, grant: Option<&str>) {
    assert!(tries.len() >= 6);
    for (what, result) in tries {
        match (result, grant) {
            // connect_ex has no more than the number to say.
            (Ok(Some(number)), _) => assert_eq!(number, 13, "{what}"),
            (result, Some(grant)) => denied_for(&what, result, grant),
            (result, None) => denied_by_rule(&what, result),
        }
    }
}

/// setsockopt in a form that fits the option.
pub(crate) fn set(socket: &Socket, level: i32, name: i32, value: OptionValue<'_>) -> Result<()> {
    socket.setsockopt(level, name, value)
}

/// Begins a session of TLS with a peer that does not answer. Only a denial is an error.
fn begun(
    socket: Socket,
    begin: impl FnOnce(Socket, &TlsOptions) -> Result<TlsStream>,
) -> Result<()> {
    socket.settimeout(Some(std::time::Duration::from_millis(50)))?;
    match begin(socket, &TlsOptions::default()) {
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        result => result.map(|_| panic!("nobody answers")),
    }
}

/// Does the act of a verb in the plainest way.
pub(crate) fn act(verb: &str, target: &str) -> Result<()> {
    let port = || target.parse::<u16>().expect("a port");
    match verb {
        "tcp-connect" => Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("127.0.0.1", port())),
        "tcp-listen" => {
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            socket.bind(("127.0.0.1", port()))?;
            socket.listen(None)
        }
        "tls-connect" => {
            let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            socket.connect(("127.0.0.1", port()))?;
            begun(socket, |socket, options| TlsStream::connect(socket, "localhost.test", options))
        }
        "tls-identity" => {
            let (socket, _peer) = sandsock::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            // A client's identity is asked for at once, and a server's after the client's hello.
            let identity = Some(TlsIdentity::Lent(target.to_owned()));
            begun(socket, |socket, options| {
                let options = TlsOptions { identity, ..options.clone() };
                TlsStream::connect(socket, "localhost.test", &options)
            })
        }
        "udp-bind" => Socket::new(AF_INET, SOCK_DGRAM, 0)?.bind(("127.0.0.1", port())),
        "udp-send" => {
            Socket::new(AF_INET, SOCK_DGRAM, 0)?.sendto(b"x", 0, ("127.0.0.1", port())).map(|_| ())
        }
        "udp-receive" => {
            let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
            socket.bind(("127.0.0.1", 0))?;
            println!("{}", socket.getsockname()?.port().unwrap_or(0));
            socket.settimeout(Some(std::time::Duration::from_millis(
                target.parse().expect("milliseconds"),
            )))?;
            assert_eq!(socket.recv(100, Flags::NONE)?, b"from the peer");
            Ok(())
        }
        "unix-connect" => Socket::new(AF_UNIX, SOCK_STREAM, 0)?.connect(target),
        "unix-bind" => Socket::new(AF_UNIX, SOCK_STREAM, 0)?.bind(target),
        "resolve" => sandsock::getaddrinfo(target, (), Family::INET, SOCK_STREAM, 0, 0).map(|_| ()),
        "reverse-resolve" => match sandsock::gethostbyaddr(target) {
            // That it has no name is an answer.
            Err(error) if error.kind() == ErrorKind::Host => Ok(()),
            result => result.map(|_| ()),
        },
        "interfaces" => sandsock::if_nameindex().map(|all| assert!(!all.is_empty())),
        "hostname" => match sandsock::sethostname(sandsock::gethostname()) {
            // The kernel's error, if this process may not do it.
            Err(error) if error.kind() == ErrorKind::Os => {
                assert_eq!(error.errno(), Some(sandsock::errno::EPERM));
                Ok(())
            }
            result => result,
        },
        "option" => Socket::new(AF_INET, SOCK_STREAM, 0)?.setsockopt(SOL_SOCKET, SO_PRIORITY, 1),
        "ancillary" => {
            let (a, _b) = sandsock::socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            a.send_fds(&[IoSlice::new(b"x")], &[a.fileno()]).map(|_| ())
        }
        "inherit" => {
            let number = target.parse().expect("a number");
            sandsock::fromfd(number, AF_UNIX, SOCK_STREAM, 0)?.send(b"taken", Flags::NONE).map(drop)
        }
        "raw" => Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP)?
            .sendto(&[8; 8], 0, (target, 0))
            .map(|_| ()),
        "packet" => Socket::new(AF_PACKET, SOCK_RAW, 0)?.bind((target, 0x0806)),
        "netlink" => {
            // RTM_GETLINK of the first interface: NLM_F_REQUEST, then struct ifinfomsg.
            let mut message = [0; 32];
            (message[0], message[4], message[6], message[20]) = (32, 18, 1, 1);
            Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?.send(&message, 0).map(|_| ())
        }
        "multicast" => {
            let mut request = [127, 0, 0, 1, 127, 0, 0, 1];
            let group: std::net::Ipv4Addr = target.parse().expect("an address");
            request[..4].copy_from_slice(&group.octets());
            let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
            set(&socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, OptionValue::Bytes(&request))
        }
        "ioctl" => {
            let mut request = [0; 40];
            request[..2].copy_from_slice(b"lo");
            let socket = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
            let answer =
                raw(syscalls::ioctl(&socket, target.parse().expect("a number"), &request))?
                    .argument;
            // struct sockaddr_in after the name.
            assert_eq!(answer[20..24], [127, 0, 0, 1]);
            Ok(())
        }
        other => panic!("no verb {other}"),
    }
}
