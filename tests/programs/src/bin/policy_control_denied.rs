//! Sends control messages that do what the options may not do. Arguments: a UDP port that it may
//! send to, over IPv4 and IPv6.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::syscalls;
use sandsock::raw::transfers::{self, ControlOut};
use sandsock::raw::types::{ControlMessage, Wait};
use sandsock::{Ancillary, Socket, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for, inet, ports, raw};

fn main() -> sandsock::Result<()> {
    let port = ports()[0];
    let v4 = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let v6 = Socket::new(AF_INET6, SOCK_DGRAM, 0)?;
    let connected = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    connected.connect(("127.0.0.1", port))?;
    let message = |level, kind, length: usize| Ancillary { level, kind, data: vec![1; length] };
    for (level, kind, length, text) in [
        (SOL_SOCKET, SO_MARK, 4, "SOL_SOCKET/SO_MARK"),
        (SOL_SOCKET, SO_PRIORITY, 4, "SOL_SOCKET/SO_PRIORITY"),
        (SOL_SOCKET, 61, 8, "SOL_SOCKET/SO_TXTIME"),
        (IPPROTO_IP, IP_PKTINFO, 12, "IPPROTO_IP/IP_PKTINFO"),
        (IPPROTO_IP, IP_RETOPTS, 8, "IPPROTO_IP/IP_RETOPTS"),
        (IPPROTO_IPV6, IPV6_PKTINFO, 20, "IPPROTO_IPV6/IPV6_PKTINFO"),
        (IPPROTO_IPV6, IPV6_RTHDR, 24, "IPPROTO_IPV6/IPV6_RTHDR"),
        (IPPROTO_IPV6, IPV6_HOPOPTS, 8, "IPPROTO_IPV6/IPV6_HOPOPTS"),
        (IPPROTO_IPV6, IPV6_DSTOPTS, 8, "IPPROTO_IPV6/IPV6_DSTOPTS"),
        (IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, 8, "IPPROTO_IPV6/IPV6_RTHDRDSTOPTS"),
        (IPPROTO_IPV6, 2, 20, "IPPROTO_IPV6/IPV6_2292PKTINFO"),
        (IPPROTO_IPV6, 5, 24, "IPPROTO_IPV6/IPV6_2292RTHDR"),
    ] {
        let bad = message(level, kind, length);
        let good = message(IPPROTO_IP, IP_TTL, 4);
        let grant = format!("option={text}");
        let data = [IoSlice::new(b"x")];
        let to4: &dyn sandsock::ToAddress = &("127.0.0.1", port);
        let to6: &dyn sandsock::ToAddress = &("::1", port);
        let mapped: &dyn sandsock::ToAddress = &("::ffff:127.0.0.1", port);
        denied_for(text, v4.sendmsg(&data, std::slice::from_ref(&bad), 0, Some(to4)), &grant);
        denied_for(text, v6.sendmsg(&data, std::slice::from_ref(&bad), 0, Some(to6)), &grant);
        denied_for(text, v6.sendmsg(&data, std::slice::from_ref(&bad), 0, Some(mapped)), &grant);
        denied_for(text, connected.sendmsg(&data, std::slice::from_ref(&bad), 0, None), &grant);
        // Behind one that is harmless, and without a byte.
        denied_for(text, v4.sendmsg(&[], &[good, bad.clone()], 0, Some(to4)), &grant);
        let raw_socket = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
        let control =
            [ControlOut::Message(&ControlMessage { level, type_: kind, data: bad.data.clone() })];
        let address = inet([127, 0, 0, 1], port);
        let sent =
            transfers::send_message(&raw_socket, &[b"x"], &control, 0, Some(&address), Wait::None);
        denied_for(text, raw(sent), &grant);
    }
    // These have no row in the table, so no grant helps.
    for (level, kind) in [
        (SOL_SOCKET, 3),
        (SOL_SOCKET, 4),
        (SOL_SOCKET, 99),
        (SOL_SOCKET, SO_BINDTODEVICE),
        (255, 1),
        (-1, -1),
    ] {
        let what = format!("control message {level}/{kind}");
        let sent = v4.sendmsg(
            &[IoSlice::new(b"x")],
            &[message(level, kind, 4)],
            0,
            Some(&("127.0.0.1", port)),
        );
        assert_eq!(denied(&what, sent).grant(), None, "{what}");
    }
    // A header within the data is data.
    let mut inner = vec![1, 0, 0, 0, 0, 0, 0, 0];
    inner.extend(20_u64.to_ne_bytes());
    inner.extend(SOL_SOCKET.to_ne_bytes());
    inner.extend(SO_MARK.to_ne_bytes());
    inner.extend([7, 0, 0, 0, 0, 0, 0, 0]);
    let hidden = Ancillary { level: IPPROTO_IP, kind: IP_TTL, data: inner };
    let sent = v4.sendmsg(&[IoSlice::new(b"x")], &[hidden], 0, Some(&("127.0.0.1", port)));
    attack::refused("a message in a message", sent, sandsock::errno::EINVAL);

    // Descriptors: not without a grant, and as bytes never, since the numbers would be the host's.
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    denied_for("rights", a.send_fds(&[IoSlice::new(b"x")], &[b.fileno()]), "ancillary=rights:send");
    let pair = raw(syscalls::socketpair(AF_UNIX, SOCK_STREAM, 0))?;
    for number in [0_i32, 1, 2, 3, 4, 5, 6, 7, 8] {
        let data = number.to_ne_bytes().to_vec();
        let control =
            [ControlOut::Message(&ControlMessage { level: SOL_SOCKET, type_: SCM_RIGHTS, data })];
        let sent = raw(transfers::send_message(&pair.0, &[b"x"], &control, 0, None, Wait::None));
        let error = sent.expect_err("descriptors of the host");
        assert!(matches!(error.errno(), Some(13 | 22)), "{error:?}");
    }
    let nothing = raw(transfers::receive_message(&pair.1, 10, 100, 0, Wait::None));
    assert_eq!(
        nothing.map(|message| message.data).map_err(|error| error.errno()),
        Err(Some(sandsock::errno::EAGAIN))
    );
    println!("done");
    Ok(())
}
