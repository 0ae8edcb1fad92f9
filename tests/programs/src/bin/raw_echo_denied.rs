//! Has `raw=icmp:127.0.0.2` and `raw=icmp6:2001:db8::/32`, and tries to reach the loopback and to
//! receive packets from there.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::transfers;
use sandsock::raw::types::Wait;
use sandsock::{Error, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied_for, inet, inet6, raw, refused};

fn main() -> Result<(), Error> {
    for (family, protocol, kinds, bad, grant) in [
        (AF_INET, IPPROTO_ICMP, [SOCK_RAW, SOCK_DGRAM], "127.0.0.1", "raw=icmp:127.0.0.1"),
        (AF_INET6, IPPROTO_ICMPV6, [SOCK_RAW, SOCK_DGRAM], "::1", "raw=icmp6:::1"),
        // v4-mapped, on a socket of the other family, is IPv4.
        (AF_INET6, IPPROTO_ICMPV6, [SOCK_RAW, SOCK_RAW], "::ffff:127.0.0.1", "raw=icmp6:127.0.0.1"),
        // The unspecified address is the loopback.
        (AF_INET, IPPROTO_ICMP, [SOCK_RAW, SOCK_RAW], "0.0.0.0", "raw=icmp:127.0.0.1"),
    ] {
        for kind in kinds {
            // The kernel refuses ping sockets if no group may have them.
            let socket = match Socket::new(family, kind, protocol) {
                Err(error) if kind == SOCK_DGRAM && error.grant().is_none() => {
                    refused("a ping socket", Err::<(), _>(error), sandsock::errno::EACCES);
                    continue;
                }
                socket => socket?,
            };
            let echo = [8, 0, 0, 0, 0, 0, 0, 0];
            denied_for("sendto", socket.sendto(&echo, 0, (bad, 0)), grant);
            denied_for(
                "sendmsg",
                socket.sendmsg(&[IoSlice::new(&echo)], &[], 0, Some(&(bad, 0))),
                grant,
            );
            denied_for("connect", socket.connect((bad, 0)), grant);
            let address = match bad.parse() {
                Ok(std::net::IpAddr::V4(v4)) => inet(v4.octets(), 0),
                Ok(std::net::IpAddr::V6(v6)) => inet6(v6, 0, 0),
                Err(_) => panic!("{bad}"),
            };
            let entry = transfers::BatchEntry { length: 8, address: Some(&address), control: &[] };
            let sent =
                raw(transfers::send_batch(&socket.alias()?, &echo, &[entry], 0, Wait::Forever));
            denied_for("a batch", sent, grant);
        }
    }
    // There are no sockets of other protocols, and none with the other families' numbers.
    for (family, protocol, grant) in [
        (AF_INET, IPPROTO_UDP, Some("raw=17")),
        (AF_INET, IPPROTO_TCP, Some("raw=6")),
        (AF_INET6, IPPROTO_UDP, Some("raw=17")),
        (AF_INET, IPPROTO_RAW, Some("raw=header")),
        (AF_INET6, IPPROTO_RAW, Some("raw=header")),
        (AF_INET, 256, None),
        (AF_INET, i32::MAX, None),
    ] {
        let error = attack::denied("another protocol", Socket::new(family, SOCK_RAW, protocol));
        assert_eq!(error.grant(), grant, "{error}");
    }
    // SOCK_PACKET would be AF_PACKET by another name.
    for protocol in [0, 3, 0x300, IPPROTO_ICMP] {
        refused(
            "SOCK_PACKET",
            Socket::new(AF_INET, 10, protocol),
            sandsock::errno::ESOCKTNOSUPPORT,
        );
    }
    // The header, and what else leads elsewhere.
    let socket = Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP)?;
    denied_for("IP_HDRINCL", socket.setsockopt(IPPROTO_IP, IP_HDRINCL, 1), "raw=header");
    denied_for(
        "IP_OPTIONS",
        socket.setsockopt(IPPROTO_IP, IP_OPTIONS, 1),
        "option=IPPROTO_IP/IP_OPTIONS",
    );
    let six = Socket::new(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)?;
    denied_for("IPV6_HDRINCL", six.setsockopt(IPPROTO_IPV6, IPV6_HDRINCL, 1), "raw=header");
    let protocol =
        sandsock::Ancillary { level: IPPROTO_IP, kind: 52, data: 17i32.to_ne_bytes().to_vec() };
    let sent = socket.sendmsg(&[IoSlice::new(b"x")], &[protocol], 0, Some(&("127.0.0.2", 0)));
    assert_eq!(attack::denied("IP_PROTOCOL", sent).grant(), None);
    refused("listen", socket.listen(1), sandsock::errno::EOPNOTSUPP);

    // Packets from elsewhere are not seen, not even by a peek.
    println!("listening");
    socket.settimeout(Some(Duration::from_millis(500)))?;
    for flags in [MSG_PEEK, 0] {
        let error = socket.recv(100, flags).expect_err("nothing may come");
        assert_eq!(error.class(), "TimeoutError", "{error}");
    }
    Ok(())
}
