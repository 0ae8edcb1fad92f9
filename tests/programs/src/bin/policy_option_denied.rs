//! Sets options that bind, lead elsewhere, attach programs or raise privileges. It has every
//! ordinary grant of its sockets, and none for an option.

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for};

/// `struct sock_fprog`: a length and a pointer into whatever process it is read in.
fn program() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = 1;
    bytes[8..].copy_from_slice(&0x7fff_0000_1000_u64.to_ne_bytes());
    bytes
}

fn main() -> sandsock::Result<()> {
    let integer = OptionValue::Integer(1);
    let program = program();
    let bytes = OptionValue::Bytes(&program);
    let streams = [Socket::new(AF_INET, SOCK_STREAM, 0)?, Socket::new(AF_INET6, SOCK_STREAM, 0)?];
    let datagrams = [Socket::new(AF_INET, SOCK_DGRAM, 0)?, Socket::new(AF_INET6, SOCK_DGRAM, 0)?];
    let unix = [Socket::new(AF_UNIX, SOCK_STREAM, 0)?, Socket::new(AF_UNIX, SOCK_DGRAM, 0)?];
    let every = || streams.iter().chain(&datagrams).chain(&unix);

    for socket in every() {
        for (name, value, text) in [
            (SO_BINDTODEVICE, OptionValue::Bytes(b"lo\0"), "SO_BINDTODEVICE"),
            (62, integer, "SO_BINDTOIFINDEX"),
            (SO_MARK, integer, "SO_MARK"),
            (SO_REUSEPORT, integer, "SO_REUSEPORT"),
            (SO_PRIORITY, OptionValue::Integer(6), "SO_PRIORITY"),
            (1, integer, "SO_DEBUG"),
            (32, OptionValue::Integer(1 << 30), "SO_SNDBUFFORCE"),
            (33, OptionValue::Integer(1 << 30), "SO_RCVBUFFORCE"),
            (46, integer, "SO_BUSY_POLL"),
            (61, bytes, "SO_TXTIME"),
            (SO_PASSSEC, integer, "SO_PASSSEC"),
        ] {
            let grant = format!("option=SOL_SOCKET/{text}");
            denied_for(text, socket.setsockopt(SOL_SOCKET, name, value), &grant);
            denied_for(text, socket.setsockopt(SOL_SOCKET, name, OptionValue::Null(4)), &grant);
            denied_for(text, socket.setsockopt(SOL_SOCKET, name, OptionValue::Bytes(&[])), &grant);
        }
        // A descriptor of the host's, by its number.
        for name in [50, 52] {
            let error =
                denied("SO_ATTACH_BPF and its kin", socket.setsockopt(SOL_SOCKET, name, integer));
            assert_eq!(error.grant(), None, "no grant may allow it: {error}");
        }
        // A program behind a pointer of the guest's making is never looked at: not even as to
        // whether it was granted.
        for name in [26, 51] {
            for value in [bytes, integer, OptionValue::Null(16), OptionValue::Null(u32::MAX)] {
                let error = socket.setsockopt(SOL_SOCKET, name, value).expect_err("a pointer");
                assert!(matches!(error.errno(), Some(13 | 38)), "{error:?}");
            }
            let error = socket
                .getsockopt_bytes(SOL_SOCKET, name, 16)
                .expect_err("the kernel would write beyond it");
            assert!(matches!(error.errno(), Some(13 | 38 | 92)), "{error:?}");
        }
        // Options without a row in the table: netfilter's own numbers at any level, Bluetooth's
        // levels, arp tables, NETLINK's.
        for level in [
            -1,
            0,
            1,
            2,
            6,
            17,
            41,
            58,
            132,
            136,
            255,
            262,
            263,
            264,
            270,
            272,
            274,
            281,
            284,
            i32::MAX,
        ] {
            for name in
                [-1, 0, 64, 65, 66, 67, 80, 96, 97, 128, 129, 200, 255, 0x4000, i32::MIN, i32::MAX]
            {
                let known = [
                    (41, 66),
                    (41, 67),
                    (1, 66),
                    (1, 67),
                    (1, 64),
                    (1, 65),
                    (1, 80),
                    (41, 64),
                    (41, 65),
                ];
                if known.contains(&(level, name)) {
                    continue;
                }
                let what = format!("option {level}/{name}");
                let error = denied(&what, socket.setsockopt(level, name, bytes));
                assert_eq!(error.grant(), None, "{what}");
                denied(&what, socket.setsockopt(level, name, integer));
                denied(&what, socket.getsockopt_bytes(level, name, 1024));
            }
        }
        assert_eq!(socket.getsockopt(SOL_SOCKET, SO_MARK)?, 0);
        assert_eq!(socket.getsockopt(SOL_SOCKET, SO_REUSEPORT)?, 0);
    }
    for socket in &datagrams {
        let shared = socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
        denied_for("SO_REUSEADDR on datagrams", shared, "option=SOL_SOCKET/SO_REUSEADDR");
        assert_eq!(socket.getsockopt(SOL_SOCKET, SO_REUSEADDR)?, 0);
    }
    for socket in streams.iter().chain(&datagrams) {
        for (level, name, text) in [
            (IPPROTO_IP, 19, "IPPROTO_IP/IP_TRANSPARENT"),
            (IPPROTO_IP, 15, "IPPROTO_IP/IP_FREEBIND"),
            (IPPROTO_IP, IP_OPTIONS, "IPPROTO_IP/IP_OPTIONS"),
            (IPPROTO_IP, 51, "IPPROTO_IP/IP_LOCAL_PORT_RANGE"),
            (IPPROTO_IP, 50, "IPPROTO_IP/IP_UNICAST_IF"),
            (IPPROTO_IP, 16, "IPPROTO_IP/IP_IPSEC_POLICY"),
            (IPPROTO_IP, 17, "IPPROTO_IP/IP_XFRM_POLICY"),
            (IPPROTO_IPV6, 75, "IPPROTO_IPV6/IPV6_TRANSPARENT"),
            (IPPROTO_IPV6, 78, "IPPROTO_IPV6/IPV6_FREEBIND"),
            (IPPROTO_IPV6, IPV6_RTHDR, "IPPROTO_IPV6/IPV6_RTHDR"),
            (IPPROTO_IPV6, IPV6_HOPOPTS, "IPPROTO_IPV6/IPV6_HOPOPTS"),
            (IPPROTO_IPV6, IPV6_PKTINFO, "IPPROTO_IPV6/IPV6_PKTINFO"),
            (IPPROTO_TCP, TCP_REPAIR, "IPPROTO_TCP/TCP_REPAIR"),
            (IPPROTO_TCP, TCP_ULP, "IPPROTO_TCP/TCP_ULP"),
            (IPPROTO_TCP, TCP_MD5SIG, "IPPROTO_TCP/TCP_MD5SIG"),
            (IPPROTO_TCP, 30, "IPPROTO_TCP/TCP_FASTOPEN_CONNECT"),
            (IPPROTO_TCP, TCP_CONGESTION, "IPPROTO_TCP/TCP_CONGESTION"),
            (IPPROTO_UDP, 100, "IPPROTO_UDP/UDP_ENCAP"),
        ] {
            denied_for(text, socket.setsockopt(level, name, integer), &format!("option={text}"));
            denied_for(text, socket.setsockopt(level, name, bytes), &format!("option={text}"));
        }
        // The socket's family is not the one that was checked.
        assert_eq!(
            denied("IPV6_ADDRFORM", socket.setsockopt(IPPROTO_IPV6, 1, AF_INET)).grant(),
            None
        );
    }
    // Ordinary ones are not in the way, so that the others were not denied by chance.
    streams[0].setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    streams[0].setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)?;
    streams[1].setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)?;
    datagrams[0].setsockopt(IPPROTO_IP, IP_PKTINFO, 1)?;
    let unserved: Result<i32, Error> = unix[0].getsockopt(IPPROTO_TCP, TCP_NODELAY);
    attack::refused("another family's option", unserved, sandsock::errno::EOPNOTSUPP);
    Ok(())
}
