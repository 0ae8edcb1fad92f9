//! May bind to ports of 127.0.0.1 that the kernel chooses, and tries to do more. Arguments: a port
//! that no program has, for TCP and for UDP; a TCP port to connect to, a UDP port to send to.

use sandsock::Socket;
use sandsock::constants::*;
use sandsock::raw::types::{Address, Wait};
use sandsock::raw::{connections, descriptors::Descriptor, syscalls};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_for, inet, inet6, ports, raw};

const HERE: &str = "127.0.0.1";
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn dissolve(descriptor: &Descriptor) -> sandsock::Result<()> {
    raw(connections::connect(descriptor, &Address::Unspec, Wait::None))
}

fn main() -> sandsock::Result<()> {
    let [free_tcp, free_udp, connect, send] = ports()[..] else { panic!("four ports") };
    let (tcp_grant, udp_grant) =
        (format!("tcp-listen={HERE}:{free_tcp}"), format!("udp-bind={HERE}:{free_udp}"));

    // listen binds a socket that is not bound: to the wildcard.
    let unbound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    denied_for("listen unbound", unbound.listen(1), "tcp-listen=0.0.0.0:0");
    assert_eq!(unbound.getsockname()?.port(), Some(0));
    let unbound = Socket::new(AF_INET6, SOCK_STREAM, 0)?;
    denied_for("listen unbound", unbound.listen(1), "tcp-listen=[::]:0");
    unbound.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)?;
    denied_for("listen unbound, IPv6 alone", unbound.listen(1), "tcp-listen=[::]:0");
    // A connection's own end is bound by the kernel; dissolved, the socket is no listener's either.
    let once = raw(syscalls::socket(AF_INET, SOCK_STREAM, 0))?;
    raw(connections::connect(&once, &inet(LOOPBACK, connect), Wait::Forever))?;
    dissolve(&once)?;
    // (Linux may leave it the connection's port.)
    let error = attack::denied("listen after a connection", raw(syscalls::listen(&once, 1)));
    assert!(error.grant().is_some_and(|grant| grant.starts_with("tcp-listen=0.0.0.0:")), "{error}");

    // The grant is for a port that the kernel chooses. A socket that has had one does not keep the
    // right to choose itself.
    let stream = raw(syscalls::socket(AF_INET, SOCK_STREAM, 0))?;
    raw(syscalls::bind(&stream, &inet(LOOPBACK, 0)))?;
    raw(syscalls::listen(&stream, 1))?;
    dissolve(&stream)?;
    denied_for(
        "bind after a listener",
        raw(syscalls::bind(&stream, &inet(LOOPBACK, free_tcp))),
        &tcp_grant,
    );
    let datagrams = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    raw(syscalls::bind(&datagrams, &inet(LOOPBACK, 0)))?;
    dissolve(&datagrams)?;
    denied_for(
        "bind after a bind",
        raw(syscalls::bind(&datagrams, &inet(LOOPBACK, free_udp))),
        &udp_grant,
    );
    let datagrams = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    raw(connections::connect(&datagrams, &inet(LOOPBACK, send), Wait::None))?;
    dissolve(&datagrams)?;
    denied_for(
        "bind after a connect",
        raw(syscalls::bind(&datagrams, &inet(LOOPBACK, free_udp))),
        &udp_grant,
    );
    raw(syscalls::bind(&datagrams, &inet(LOOPBACK, 0)))?;
    let bound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    bound.bind((HERE, 0))?;
    denied_for("a second bind", bound.bind((HERE, free_tcp)), &tcp_grant);
    bound.listen(1)?;

    // Wildcards, in every spelling.
    for (kind, verb) in [(SOCK_STREAM, "tcp-listen"), (SOCK_DGRAM, "udp-bind")] {
        let v4 = || Socket::new(AF_INET, kind, 0);
        let v6 = || Socket::new(AF_INET6, kind, 0);
        let grant = |address: &str| format!("{verb}={address}:0");
        denied_for("wildcard", v4()?.bind(("0.0.0.0", 0)), &grant("0.0.0.0"));
        denied_for("wildcard", v4()?.bind(("", 0)), &grant("0.0.0.0"));
        denied_for("wildcard", v4()?.bind(("0", 0)), &grant("0.0.0.0"));
        denied_for("wildcard", v6()?.bind(("::", 0)), &grant("[::]"));
        denied_for("wildcard", v6()?.bind(("", 0)), &grant("[::]"));
        denied_for("mapped wildcard", v6()?.bind(("::ffff:0.0.0.0", 0)), &grant("0.0.0.0"));
        denied_for("another address", v4()?.bind(("127.0.0.2", 0)), &grant("127.0.0.2"));
        denied_for("another address", v6()?.bind(("::1", 0)), &grant("[::1]"));
        denied_for("broadcast", v4()?.bind(("<broadcast>", 0)), &grant("255.255.255.255"));
        let v4_compatible: std::net::Ipv6Addr = "::127.0.0.1".parse().expect("an address");
        let raw_socket = raw(syscalls::socket(AF_INET6, kind, 0))?;
        // No socket may have the address, and the policy says so before the kernel does.
        attack::denied(
            "v4-compatible",
            raw(syscalls::bind(&raw_socket, &inet6(v4_compatible, 0, 0))),
        );
        // The same address by its other form is what was granted.
        v6()?.bind(("::ffff:127.0.0.1", 0))?;
    }
    Ok(())
}
