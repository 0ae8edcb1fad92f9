//! The ordinary options whose answers are control messages, and those that describe a connection.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Ancillary, Error, OptionValue, Received, Socket, socketpair};
use sandsock_test_programs::{connected, datagrams, pattern};

fn find(got: &Received<Vec<u8>>, level: i32, kind: i32) -> &[u8] {
    let item = got.ancillary.iter().find(|item| (item.level, item.kind) == (level, kind));
    &item.unwrap_or_else(|| panic!("no {level}/{kind} in {:?}", got.ancillary)).data
}

fn number(data: &[u8]) -> i32 {
    i32::from_ne_bytes(data[..4].try_into().expect("four bytes"))
}

fn main() -> Result<(), Error> {
    let wait = Some(Duration::from_secs(10));
    for family in [AF_INET, AF_INET6] {
        let socket = datagrams(family)?;
        socket.settimeout(wait)?;
        let own = socket.getsockname()?;
        let (level, names): (i32, &[i32]) = match family {
            AF_INET => (IPPROTO_IP, &[IP_PKTINFO, IP_RECVTTL, IP_RECVTOS]),
            // RFC 3542's.
            _ => (
                IPPROTO_IPV6,
                &[
                    IPV6_RECVPKTINFO,
                    IPV6_RECVHOPLIMIT,
                    IPV6_RECVTCLASS,
                    IPV6_RECVDSTOPTS,
                    IPV6_RECVHOPOPTS,
                    IPV6_RECVRTHDR,
                ],
            ),
        };
        for name in names {
            socket.setsockopt(level, *name, 1)?;
            assert_eq!(socket.getsockopt(level, *name)?, 1);
        }
        socket.setsockopt(SOL_SOCKET, 35, 1)?;
        let (hops, class) = match family {
            AF_INET => (IP_TTL, IP_TOS),
            _ => (IPV6_HOPLIMIT, IPV6_TCLASS),
        };
        // Sent, they hold for one datagram.
        let item = |kind, value: i32| Ancillary { level, kind, data: value.to_ne_bytes().to_vec() };
        socket.sendmsg(
            &[IoSlice::new(b"marked")],
            &[item(hops, 33), item(class, 16)],
            0,
            Some(&own),
        )?;
        let got = socket.recvmsg(100, 1000, 0)?;
        assert_eq!(got.data, b"marked");
        assert_eq!(number(find(&got, level, hops)), 33);
        let class = find(&got, level, class);
        assert_eq!(i32::from(class[0]), 16);
        let info = find(&got, level, if family == AF_INET { IP_PKTINFO } else { IPV6_PKTINFO });
        assert_eq!(info.len(), if family == AF_INET { 12 } else { 20 });
        // SCM_TIMESTAMPNS: seconds since 1970, nanoseconds.
        let stamp = find(&got, SOL_SOCKET, 35);
        assert!(i64::from_ne_bytes(stamp[..8].try_into().expect("eight")) > 1_700_000_000);

        // SCM_TIMESTAMPING: software stamps of what comes in, reported (bits 3 and 4).
        socket.setsockopt(SOL_SOCKET, 35, 0)?;
        socket.setsockopt(SOL_SOCKET, 37, 1 << 3 | 1 << 4)?;
        // The kernel begins to stamp a moment after it is asked to, in a worker of its own: up to a
        // second is no fault.
        let mut tries = 0;
        let got = loop {
            socket.sendto(b"stamped", 0, &own)?;
            let got = socket.recvmsg(100, 1000, 0)?;
            tries += 1;
            if tries == 100 || got.ancillary.iter().any(|item| item.kind == 37) {
                break got;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert_eq!(find(&got, SOL_SOCKET, 37).len(), 48, "three times");

        // The error queue: the network's report of a datagram that reached no socket.
        let nobody = {
            let gone = datagrams(family)?;
            gone.getsockname()?
        };
        let (level, errors) = if family == AF_INET { (IPPROTO_IP, 11) } else { (IPPROTO_IPV6, 25) };
        let sender = datagrams(family)?;
        sender.setsockopt(level, errors, 1)?;
        sender.sendto(b"anybody?", 0, &nobody)?;
        let mut got = Err(Error::from_errno(11));
        for _ in 0..100 {
            got = sender.recvmsg(100, 1000, MSG_ERRQUEUE);
            if got.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let got = got?;
        assert_eq!(
            (got.data.as_slice(), got.flags.0 & MSG_ERRQUEUE),
            (&b"anybody?"[..], MSG_ERRQUEUE)
        );
        assert_eq!(got.address, nobody, "to whom it was sent");
        // struct sock_extended_err: errno, then the origin: 2 is ICMP, 3 ICMPv6.
        let error = find(&got, level, errors);
        assert_eq!((number(error), error[4]), (111, if family == AF_INET { 2 } else { 3 }));

        // Segmentation: one send, many datagrams; and the other way.
        let to = datagrams(family)?;
        to.settimeout(wait)?;
        let data = pattern(4000);
        let segment = Ancillary {
            level: IPPROTO_UDP,
            kind: UDP_SEGMENT,
            data: 1000u16.to_ne_bytes().to_vec(),
        };
        sender.sendmsg(&[IoSlice::new(&data)], &[segment], 0, Some(&to.getsockname()?))?;
        for part in data.chunks(1000) {
            assert_eq!(to.recv(5000, 0)?, part);
        }
        to.setsockopt(IPPROTO_UDP, UDP_GRO, 1)?;
        sender.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 1000)?;
        sender.sendto(&data, 0, to.getsockname()?)?;
        let mut all = Vec::new();
        while all.len() < data.len() {
            let got = to.recvmsg(70_000, 100, 0)?;
            if got.data.len() > 1000 {
                assert_eq!(number(find(&got, IPPROTO_UDP, UDP_GRO)), 1000);
            }
            all.extend(got.data);
        }
        assert_eq!(all, data);
    }

    let (client, server) = connected(AF_INET)?;
    client.sendall(b"hello", 0)?;
    assert_eq!(server.recv(10, 0)?, b"hello");
    // struct tcp_info: the state first, 1 is ESTABLISHED.
    let info = client.getsockopt_bytes(IPPROTO_TCP, TCP_INFO, 256)?;
    assert!(info.len() >= 104 && info[0] == 1, "{info:?}");
    assert!(!client.getsockopt_bytes(IPPROTO_TCP, TCP_CONGESTION, 16)?.is_empty());
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 5)?;
    assert_eq!(listener.getsockopt(IPPROTO_TCP, TCP_FASTOPEN)?, 5);
    // The guest's memory can't stay in place, so the host never promises that to the kernel.
    let refused = client.setsockopt(SOL_SOCKET, SO_ZEROCOPY, 1).expect_err("no zero copy");
    assert_eq!(refused.grant(), None);

    // The peer's process, user and group. The kernel fills them in.
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let peer = a.getsockopt_bytes(SOL_SOCKET, SO_PEERCRED, 12)?;
    b.setsockopt(SOL_SOCKET, SO_PASSCRED, 1)?;
    a.sendall(b"it is me", 0)?;
    let got = b.recvmsg(100, 100, 0)?;
    assert_eq!(find(&got, SOL_SOCKET, SCM_CREDENTIALS), peer);
    b.setsockopt(SOL_SOCKET, SO_PASSCRED, OptionValue::Integer(0))?;
    Ok(())
}
