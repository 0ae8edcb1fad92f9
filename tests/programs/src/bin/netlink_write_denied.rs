//! Has `route:read`, `sock-diag:read`, `generic:nlctrl` and `generic:ethtool`, and tries to write:
//! in a message of its own, in a batch, between buffers, in a second message. It tries to end
//! connections, and to reach other families, other groups and other programs.

use std::io::IoSlice;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::errno::{EAFNOSUPPORT, EINVAL, EMSGSIZE, ESOCKTNOSUPPORT};
use sandsock::raw::transfers::{BatchEntry, send_batch};
use sandsock::raw::types::{self, NetlinkAddress, Wait};
use sandsock::raw::{connections, syscalls};
use sandsock::{Address, Error, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
#[allow(dead_code)]
#[path = "../nl.rs"]
mod nl;
use attack::{denied, denied_for, raw, refused};
use nl::request;

const WRITE: &str = "netlink=route:write";

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    let kernel = Address::Netlink(0, 0);
    let read = request(18, 0, &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // RTM_NEWLINK: `lo` down.
    let down = request(16, 0, &[0u32, 1, 0, 1].map(u32::to_ne_bytes).concat());
    let everything: Vec<u16> = (16..=255).filter(|kind| kind % 4 != 2).collect();
    for kind in everything {
        denied_for("every write", socket.send(&request(kind, 0, &[0; 16]), 0), WRITE);
    }
    // Reads without a row in the table, by a later kernel's numbers or of other subsystems, count
    // as writes.
    for kind in [50, 70, 78, 90, 98, 122, 1022, u16::MAX - 1] {
        denied_for("an unknown read", socket.send(&request(kind, 0, &[0; 16]), 0), WRITE);
    }
    let no_request = {
        let mut bytes = down.clone();
        bytes[6] = 0;
        bytes
    };
    for (what, bytes) in [
        ("alone", down.clone()),
        ("the second", [&read[..], &down].concat()),
        ("the third", [&read[..], &read, &down].concat()),
        ("after a message about messages", [&request(1, 0, &[])[..], &down].concat()),
        ("before a read", [&down[..], &read].concat()),
        ("after an odd one", [&request(18, 0, &[0; 17])[..], &down].concat()),
        ("without NLM_F_REQUEST", no_request),
        ("before rubbish", [&down[..], &[0xff; 9]].concat()),
    ] {
        denied_for(what, socket.send(&bytes, 0), WRITE);
        denied_for(what, socket.sendall(&bytes, 0), WRITE);
        denied_for(what, socket.sendto(&bytes, 0, &kernel), WRITE);
        for cut in [1, 4, 15, 16, 17, 31, 32, bytes.len() - 1] {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let parts = [IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b)];
            denied_for(what, socket.sendmsg(&parts, &[], 0, None), WRITE);
            denied_for(what, socket.sendmsg(&parts, &[], 0, Some(&kernel)), WRITE);
        }
        // The second message of a batch: what comes before it is sent, it never.
        let data = [&read[..], &bytes].concat();
        let entry =
            |length: usize| BatchEntry { length: length as u32, address: None, control: &[] };
        let entries = [entry(read.len()), entry(bytes.len())];
        assert_eq!(send_batch(&socket.alias()?, &data, &entries, 0, Wait::Forever), Ok(1));
        denied_for(
            what,
            raw(send_batch(&socket.alias()?, &bytes, &entries[1..], 0, Wait::Forever)),
            WRITE,
        );
        // After a connect.
        let connected = Socket::new(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE)?;
        connected.connect(&kernel)?;
        denied_for(what, connected.send(&bytes, 0), WRITE);
    }
    // A length that can't be ends what the kernel reads: what comes behind is not sent to be
    // guessed at.
    for length in [0u32, 15, 1000] {
        let mut bytes = [&read[..], &down].concat();
        bytes[read.len()..][..4].copy_from_slice(&length.to_ne_bytes());
        refused("a length", socket.send(&bytes, 0), EINVAL);
    }
    // The host does not read messages longer than a transfer.
    let long = read.repeat((2 << 20) / read.len());
    refused("too long", socket.send(&long, 0), EMSGSIZE);
    refused("too long", socket.sendto(&long, 0, &kernel), EMSGSIZE);
    let (a, b) = long.split_at(100);
    refused(
        "too long",
        socket.sendmsg(&[IoSlice::new(a), IoSlice::new(b)], &[], 0, None),
        EMSGSIZE,
    );
    let entry = |length: usize| BatchEntry { length: length as u32, address: None, control: &[] };
    refused(
        "too long",
        raw(send_batch(&socket.alias()?, &long, &[entry(long.len())], 0, Wait::Forever)),
        EMSGSIZE,
    );
    // A batch of them is read in parts.
    let most = send_batch(
        &socket.alias()?,
        &read.repeat(1000),
        &vec![entry(read.len()); 1000],
        0,
        Wait::Forever,
    );
    assert_eq!(most, Ok(64));
    // Another namespace: IFLA_TARGET_NETNSID.
    let elsewhere = request(18, 0, &[&[0; 16][..], &[8, 0, 46, 0, 0, 0, 0, 0]].concat());
    assert_eq!(denied("another namespace", socket.send(&elsewhere, 0)).grant(), None);

    // Other programs.
    for address in
        [Address::Netlink(1, 0), Address::Netlink(0, 1), Address::Netlink(u32::MAX, u32::MAX)]
    {
        assert_eq!(denied("another program", socket.sendto(&read, 0, &address)).grant(), None);
        assert_eq!(denied("another program", socket.connect(&address)).grant(), None);
        assert_eq!(
            denied(
                "another program",
                socket.sendmsg(&[IoSlice::new(&read)], &[], 0, Some(&address))
            )
            .grant(),
            None
        );
    }
    let d = syscalls::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?;
    let other = types::Address::Inet(types::InetAddress { address: (127, 0, 0, 1), port: 1 });
    refused(
        "another family's address",
        raw(connections::connect(&d, &other, Wait::None)),
        EAFNOSUPPORT,
    );
    let bytes =
        types::OtherAddress { family: AF_NETLINK as u16, data: vec![0, 0, 1, 0, 0, 0, 0, 0, 0, 0] };
    refused(
        "as bytes",
        raw(connections::connect(&d, &types::Address::Other(bytes), Wait::None)),
        EAFNOSUPPORT,
    );
    let address = types::Address::Netlink(NetlinkAddress { port_id: 0, groups: 0 });
    raw(connections::connect(&d, &address, Wait::None))?;

    // The guest may list sockets, and end no connection.
    let diag = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)?;
    let list = request(20, nl::DUMP, &[0; 56]);
    let destroy = request(21, 0, &[0; 56]);
    for bytes in [destroy.clone(), [&list[..], &destroy].concat(), request(22, 0, &[0; 56])] {
        assert_eq!(denied("SOCK_DESTROY", diag.send(&bytes, 0)).grant(), None);
    }
    // Generic families but the one; a group of another.
    let generic = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)?;
    let families = nl::dump_of(&generic, &request(16, nl::DUMP, &[3, 1, 0, 0]))?;
    let (mut others, mut ethtool) = (0, None);
    for (_, body) in &families {
        let attributes = &body[4..];
        let number = u16::from_ne_bytes(
            nl::attribute(attributes, 1).expect("a number").try_into().expect("two"),
        );
        let name = nl::attribute(attributes, 2).expect("a name");
        let name = String::from_utf8_lossy(&name[..name.len() - 1]).into_owned();
        if name == "ethtool" {
            ethtool = Some(number);
        } else if name != "nlctrl" {
            let sent = generic.send(&request(number, 0, &[1, 1, 0, 0]), 0);
            denied_for(&name, sent, &format!("netlink=generic:{name}"));
            others += 1;
        }
    }
    assert!(others > 0, "no other generic family");
    // The most messages of one transfer, each of a family whose name must be looked up. One look-up
    // serves them all.
    let many = request(ethtool.expect("every kernel since 5.6 has it"), 0, &[0xff, 1, 0, 0])
        .repeat((1 << 20) / 20);
    let took = (0..3).map(|_| {
        let start = std::time::Instant::now();
        // The kernel's word, which comes after the policy's: it is more than SO_SNDBUF.
        refused("much", generic.send(&many, 0), EMSGSIZE);
        start.elapsed()
    });
    let took = took.min().expect("three");
    assert!(took < Duration::from_secs(1), "to read one datagram took {took:?}");
    assert_eq!(
        denied("no such family", generic.send(&request(0xfff0, 0, &[0; 4]), 0)).grant(),
        None
    );
    assert_eq!(
        denied("no such group", generic.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 0xffff))
            .grant(),
        None
    );
    // Protocols without a grant, and those that no verb has.
    denied("uevent", Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
    for protocol in [NETLINK_AUDIT, NETLINK_NETFILTER, NETLINK_XFRM, NETLINK_USERSOCK, 31, 32] {
        denied("another protocol", Socket::new(AF_NETLINK, SOCK_RAW, protocol));
    }
    for kind in [SOCK_STREAM, SOCK_SEQPACKET, 10] {
        refused(
            "a type that it has not",
            Socket::new(AF_NETLINK, kind, NETLINK_ROUTE),
            ESOCKTNOSUPPORT,
        );
    }
    let all = Socket::new(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?.setsockopt(
        SOL_NETLINK,
        NETLINK_LISTEN_ALL_NSID,
        1,
    );
    denied_for("all namespaces", all, "option=SOL_NETLINK/NETLINK_LISTEN_ALL_NSID");
    Ok(())
}
