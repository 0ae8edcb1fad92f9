//! Options and control messages: every row that needs a grant, and what the options do.

use sandsock_abi::option::{Access, OPTIONS};
use sandsock_tests::netns::Namespace;
use sandsock_tests::{Guest, Way, both_ways, programs, skip};

/// Every use of an option that needs a grant of its own: `LEVEL:NUMBER:USE:NAME`, with the row's
/// name.
fn granted() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for row in OPTIONS {
        for (what, access) in
            [("get", Some(row.get)), ("set", Some(row.set)), ("control", row.control)]
        {
            // The guest's sockets are datagram sockets.
            if matches!(access, Some(Access::Granted | Access::GrantedOnDatagrams)) {
                all.push((row.to_string(), format!("{}:{}:{what}:{row}", row.level, row.number)));
            }
        }
    }
    assert!(all.len() > 50);
    all
}

#[test]
pub(crate) fn option_table_denied() {
    both_ways(|way| {
        let guest = Guest::new(programs::option_table_denied, way).allow("udp-bind=127.0.0.1:0");
        granted().iter().fold(guest, |guest, (_, argument)| guest.arg(argument)).run().success();
    });
}

#[test]
pub(crate) fn option_table_ok() {
    // Where nothing that they do can be of harm.
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => return skip("option_table_ok", &reason),
    };
    both_ways(|way| {
        let guest = Guest::new(programs::option_table_ok, way).allow("udp-bind=127.0.0.1:0");
        let allowed = |guest: Guest, (name, argument): &(String, String)| {
            guest.allow(format!("option={name}")).arg(argument)
        };
        namespace.run(|| granted().iter().fold(guest, allowed).run().success());
    });
}

fn loopback(guest: Guest) -> Guest {
    ["127.0.0.0/8", "[::1]"].iter().fold(guest, |guest, host| {
        guest
            .allow(format!("udp-bind={host}:*"))
            .allow(format!("udp-send={host}:*"))
            .allow(format!("udp-receive={host}:*"))
            .allow(format!("tcp-listen={host}:*"))
            .allow(format!("tcp-connect={host}:*"))
    })
}

/// In a namespace of its own, as root: a few of them the kernel lets no other user set.
fn privileged(way: Way) -> Guest {
    let options = [
        "SOL_SOCKET/SO_REUSEPORT",
        "SOL_SOCKET/SO_BINDTODEVICE",
        "SOL_SOCKET/SO_MARK",
        "SOL_SOCKET/SO_PRIORITY",
        "SOL_SOCKET/SO_RCVBUFFORCE",
        "SOL_SOCKET/SO_BUSY_POLL",
        "SOL_SOCKET/SO_ATTACH_FILTER",
        "SOL_SOCKET/SO_DETACH_FILTER",
        "SOL_SOCKET/SO_PEERSEC",
        "IPPROTO_IP/IP_TRANSPARENT",
        "IPPROTO_IP/IP_FREEBIND",
        "IPPROTO_IP/IP_PKTINFO",
        "IPPROTO_IPV6/IPV6_PKTINFO",
        "IPPROTO_TCP/TCP_CONGESTION",
    ];
    let guest = loopback(Guest::new(programs::option_privileged_ok, way));
    options.iter().fold(guest, |guest, name| guest.allow(format!("option={name}")))
}

#[test]
pub(crate) fn option_privileged_ok() {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => return skip("option_privileged_ok", &reason),
    };
    both_ways(|way| drop(namespace.run(|| privileged(way).run().success())));
}

#[test]
pub(crate) fn option_messages_ok() {
    both_ways(|way| {
        drop(
            loopback(Guest::new(programs::option_messages_ok, way))
                .allow("option=SOL_SOCKET/SO_PEERCRED")
                .run()
                .success(),
        )
    });
}
