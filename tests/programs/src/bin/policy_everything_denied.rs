//! May do everything, except for one TCP port, one UDP port, names, an option and a UNIX name.
//! Arguments: the TCP port, the UDP port.

use sandsock::constants::*;
use sandsock::raw::types::Wait;
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Family, Socket, getaddrinfo, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{all_denied, denied_by_rule, inet, ports, raw, tcp_ways, udp_ways};

fn main() -> sandsock::Result<()> {
    let [tcp, udp] = ports()[..] else { panic!("two ports") };
    all_denied(tcp_ways("127.0.0.1", tcp)?, None);
    all_denied(udp_ways("127.0.0.1", udp)?, None);
    // The same by the protocols that everything includes.
    for protocol in [IPPROTO_MPTCP, IPPROTO_SCTP, 256] {
        for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
            let Ok(socket) = raw(syscalls::socket(AF_INET, kind, protocol)) else { continue };
            println!("made {protocol}");
            denied_by_rule(
                "connect",
                raw(connections::connect(&socket, &inet([127, 0, 0, 1], tcp), Wait::Forever)),
            );
            let sent = transfers::send_to(
                &socket,
                b"x",
                MSG_FASTOPEN,
                &inet([127, 0, 0, 1], tcp),
                Wait::Forever,
            );
            denied_by_rule("MSG_FASTOPEN", raw(sent));
            denied_by_rule("bind", raw(syscalls::bind(&socket, &inet([127, 0, 0, 1], tcp))));
        }
    }
    for protocol in [136, 1] {
        let Ok(socket) = raw(syscalls::socket(AF_INET, SOCK_DGRAM, protocol)) else { continue };
        println!("made {protocol}");
        denied_by_rule(
            "send",
            raw(transfers::send_to(&socket, b"x", 0, &inet([127, 0, 0, 1], udp), Wait::Forever)),
        );
        denied_by_rule(
            "connect",
            raw(connections::connect(&socket, &inet([127, 0, 0, 1], udp), Wait::Forever)),
        );
    }
    let new = |kind| Socket::new(AF_INET, kind, 0);
    denied_by_rule("bind", new(SOCK_STREAM)?.bind(("127.0.0.1", tcp)));
    // A wildcard holds the address that is denied.
    denied_by_rule("bind", new(SOCK_STREAM)?.bind(("0.0.0.0", tcp)));
    denied_by_rule("bind", Socket::new(AF_INET6, SOCK_STREAM, 0)?.bind(("::", tcp)));
    denied_by_rule("bind", new(SOCK_DGRAM)?.bind(("0.0.0.0", udp)));
    for name in ["denied.example", "a.denied.example", "A.DENIED.Example."] {
        denied_by_rule(name, getaddrinfo(name, 80, Family::UNSPEC, SOCK_STREAM, 0, 0));
    }
    denied_by_rule("option", new(SOCK_STREAM)?.setsockopt(SOL_SOCKET, SO_MARK, 1));
    let message =
        [sandsock::Ancillary { level: SOL_SOCKET, kind: SO_MARK, data: vec![1, 0, 0, 0] }];
    let sent = new(SOCK_DGRAM)?.sendmsg(&[], &message, 0, Some(&("127.0.0.1", 9)));
    denied_by_rule("control message", sent);
    let unix = || Socket::new(AF_UNIX, SOCK_STREAM, 0);
    denied_by_rule("connect", unix()?.connect("\0sandsock-denied"));
    denied_by_rule("bind", unix()?.bind("\0sandsock-denied"));
    // The kernel may choose any name, that one as well.
    denied_by_rule("bind to a name of the kernel's", unix()?.bind(""));
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    denied_by_rule("descriptors", a.send_fds(&[std::io::IoSlice::new(b"x")], &[b.fileno()]));
    Ok(())
}
