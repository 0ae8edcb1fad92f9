//! Families that the kernel may lack: what is granted is the kernel's to refuse, in its own words.

use sandsock_tests::{Guest, both_ways, programs};
use socket2::{Domain, Protocol, Socket, Type};

/// Family, type and protocol, and the grant.
const SOCKETS: &[(i32, i32, i32, &str)] = &[
    (libc::AF_CAN, libc::SOCK_RAW, 1, "can=*"),
    (libc::AF_CAN, libc::SOCK_DGRAM, 2, "can=*:bcm"),
    (libc::AF_CAN, libc::SOCK_DGRAM, 6, "can=vcan0:isotp"),
    (libc::AF_CAN, libc::SOCK_DGRAM, 7, "can=vcan0"),
    (libc::AF_ALG, libc::SOCK_SEQPACKET, 0, "family=alg:hash:sha256"),
    (libc::AF_TIPC, libc::SOCK_RDM, 0, "family=tipc"),
    (libc::AF_VSOCK, libc::SOCK_STREAM, 0, "family=vsock:connect:local:1024"),
    (libc::AF_BLUETOOTH, libc::SOCK_SEQPACKET, 0, "family=bluetooth:l2cap"),
    (libc::AF_BLUETOOTH, libc::SOCK_RAW, 1, "family=bluetooth:hci"),
    (21, libc::SOCK_SEQPACKET, 0, "family=rds"),
    (42, libc::SOCK_DGRAM, 0, "family=qipcrtr"),
];

/// Asks this machine's kernel for a socket, and returns 0 or an errno.
fn natively(family: i32, kind: i32, protocol: i32) -> i32 {
    let protocol = (protocol != 0).then(|| Protocol::from(protocol));
    Socket::new(Domain::from(family), Type::from(kind), protocol)
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(0)
}

#[test]
pub(crate) fn family_lacking_refused() {
    both_ways(|way| {
        let mut guest = Guest::new(programs::family_lacking_refused, way);
        for &(family, kind, protocol, grant) in SOCKETS {
            guest = guest
                .allow(grant)
                .arg(format!("{family}:{kind}:{protocol}:{}", natively(family, kind, protocol)));
        }
        guest.run().success();
    });
}

#[test]
pub(crate) fn family_lacking_denied() {
    both_ways(|way| {
        // A grant of each is none of another.
        for (at, (.., grant)) in SOCKETS.iter().enumerate() {
            let mut guest = Guest::new(programs::family_lacking_denied, way).allow(grant);
            for &(family, kind, protocol, other) in SOCKETS {
                let same = other == *grant
                    || (family == libc::AF_CAN && matches!(*grant, "can=*" | "can=vcan0"));
                if !same {
                    guest = guest.arg(format!("{family}:{kind}:{protocol}"));
                }
            }
            guest.arg(at).run().success();
        }
    });
}
