//! Asks for granted services by other numbers, and for families that are not served. The argument
//! says whether everything is allowed.

use sandsock::constants::*;
use sandsock::errno::{EAFNOSUPPORT, ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT};
use sandsock::raw::syscalls;
use sandsock::{Error, ErrorKind, Result};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, raw};

/// Checks that no such socket is made, in any way to ask for it.
#[track_caller]
fn not_made(family: i32, kind: i32, protocol: i32, everything: bool) {
    let what = format!("family {family}, type {kind:#x}, protocol {protocol}");
    let error: Error = match raw(syscalls::socket(family, kind, protocol)) {
        Ok(_) => panic!("{what}: it was made"),
        Err(error) => error,
    };
    let number = error.errno().expect("a number");
    // The error is not one of chance (EMFILE, the kernel's EACCES). It is no denial if everything
    // is allowed, because then the socket is not served.
    assert!(
        matches!(
            number,
            EAFNOSUPPORT
                | ESOCKTNOSUPPORT
                | EPROTONOSUPPORT
                | ENOPROTOOPT
                | sandsock::errno::EINVAL
        ) || (!everything && error.kind() == ErrorKind::Denied),
        "{what}: {error:?}"
    );
}

fn main() -> Result<()> {
    let everything = args()[0] == "everything";
    // Every family but the three, of every type. Where everything is allowed, some are served.
    for family in (-3..80).chain([256, 65535, 65536 + AF_INET, i32::MIN, i32::MAX]) {
        let others = [
            AF_PACKET,
            AF_NETLINK,
            AF_CAN,
            AF_ALG,
            AF_TIPC,
            AF_VSOCK,
            AF_BLUETOOTH,
            AF_RDS,
            AF_QIPCRTR,
        ];
        let served = everything && others.contains(&family);
        if !served && ![AF_INET, AF_INET6, AF_UNIX].contains(&family) {
            for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_RDM, 6, 10] {
                not_made(family, kind, 0, everything);
            }
        }
    }
    for family in [AF_INET, AF_INET6, AF_UNIX] {
        // Raw, reliable, DCCP, packet, no type, and a type with other bits.
        for kind in [
            SOCK_RAW,
            SOCK_RDM,
            6,
            10,
            0,
            7,
            11,
            15,
            16,
            -1,
            0x101,
            0x10000 | SOCK_STREAM,
            i32::MIN,
        ] {
            for protocol in [0, 1, 6, 17, 33, 255, 0x300] {
                if everything && kind == SOCK_RAW && family != AF_UNIX {
                    continue;
                }
                not_made(family, kind, protocol, everything);
                not_made(family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol, everything);
            }
        }
    }
    if everything {
        return Ok(());
    }
    // The same service by another protocol: MPTCP, SCTP, SMC, UDP-Lite, DCCP, ICMP, L2TP and
    // whatever else there is.
    for family in [AF_INET, AF_INET6] {
        for protocol in (-2..300).chain([i32::MIN, i32::MAX, 0x10006, 0x10011]) {
            for (kind, own) in
                [(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP), (SOCK_SEQPACKET, -1000)]
            {
                let plain = protocol == own || (protocol == 0 && own > 0);
                if plain {
                    drop(raw(syscalls::socket(family, kind, protocol))?);
                } else {
                    not_made(family, kind, protocol, false);
                }
            }
        }
    }
    Ok(())
}
