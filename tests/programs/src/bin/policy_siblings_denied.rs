//! May reach one peer of each kind, and tries to reach another one from there. Arguments: granted
//! and other TCP port, granted and other UDP port.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::types::{Address, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Error, Socket, dup, fromfd};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for, inet, ports, raw, refused};

const HERE: &str = "127.0.0.1";

fn main() -> sandsock::Result<()> {
    let [tcp, other_tcp, udp, other_udp] = ports()[..] else { panic!("four ports") };
    let (tcp_grant, udp_grant) =
        (format!("tcp-connect={HERE}:{other_tcp}"), format!("udp-send={HERE}:{other_udp}"));
    attack::all_denied(attack::tcp_ways(HERE, other_tcp)?, Some(&tcp_grant));
    attack::all_denied(attack::udp_ways(HERE, other_udp)?, Some(&udp_grant));

    // A connection that is there does not lead on.
    let stream = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    stream.connect((HERE, tcp))?;
    denied_for("connect again", stream.connect((HERE, other_tcp)), &tcp_grant);
    denied_for("sendto on a connection", stream.sendto(b"x", 0, (HERE, other_tcp)), &tcp_grant);
    let copy = fromfd(dup(stream.fileno())?, AF_INET, SOCK_STREAM, 0)?;
    denied_for("connect of a duplicate", copy.connect((HERE, other_tcp)), &tcp_grant);
    // Nor does one that failed, or was dissolved.
    let failed = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    denied("connect to port 0", failed.connect((HERE, 0)));
    denied_for("connect after a failure", failed.connect((HERE, other_tcp)), &tcp_grant);
    let descriptor = raw(syscalls::socket(AF_INET, SOCK_STREAM, 0))?;
    raw(connections::connect(&descriptor, &inet([127, 0, 0, 1], tcp), Wait::Forever))?;
    raw(connections::connect(&descriptor, &Address::Unspec, Wait::Forever))?;
    let forbidden = inet([127, 0, 0, 1], other_tcp);
    denied_for(
        "after AF_UNSPEC",
        raw(connections::connect(&descriptor, &forbidden, Wait::Forever)),
        &tcp_grant,
    );
    // The family and type that the socket says it has are the guest's own idea.
    let disguised = |family| {
        let (kind, protocol) = (sandsock::SocketType::DGRAM, Some(IPPROTO_UDP));
        Socket::with_fileno(dup(failed.fileno())?, family, kind, protocol)
    };
    let six = disguised(sandsock::Family::INET6)?;
    refused("another family's address", six.connect(("::1", udp)), sandsock::errno::EAFNOSUPPORT);
    let four = disguised(sandsock::Family::INET)?;
    denied_for("a stream in disguise", four.connect((HERE, other_tcp)), &tcp_grant);

    // A weak handle is for transfers: nothing that takes an address but a send.
    let alias = failed.alias()?;
    let ebadf = sandsock::errno::EBADF;
    refused(
        "connect of an alias",
        raw(connections::connect(&alias, &inet([127, 0, 0, 1], tcp), Wait::None)),
        ebadf,
    );
    refused("bind of an alias", raw(syscalls::bind(&alias, &inet([127, 0, 0, 1], 0))), ebadf);
    let fast = raw(transfers::send_to(&alias, b"x", MSG_FASTOPEN, &forbidden, Wait::Forever));
    denied_for("MSG_FASTOPEN by an alias", fast, &tcp_grant);

    // Datagrams: a peer that is allowed does not lead to one that is not.
    let datagrams = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    datagrams.connect((HERE, udp))?;
    datagrams.send(b"to the granted peer", 0)?;
    denied_for("sendto elsewhere", datagrams.sendto(b"x", 0, (HERE, other_udp)), &udp_grant);
    let message = [IoSlice::new(b"x")];
    denied_for(
        "sendmsg elsewhere",
        datagrams.sendmsg(&message, &[], 0, Some(&(HERE, other_udp))),
        &udp_grant,
    );
    denied_for("connect elsewhere", datagrams.connect((HERE, other_udp)), &udp_grant);
    datagrams.send(b"still the granted peer", 0)?;
    denied_for("MSG_DONTWAIT", datagrams.sendto(b"x", MSG_DONTWAIT, (HERE, other_udp)), &udp_grant);
    denied_for("MSG_MORE", datagrams.sendto(b"x", MSG_MORE, (HERE, other_udp)), &udp_grant);

    // A batch is a send as any other.
    let descriptor = raw(syscalls::socket(AF_INET, SOCK_DGRAM, 0))?;
    let address = inet([127, 0, 0, 1], other_udp);
    let entry = transfers::BatchEntry { length: 1, address: Some(&address), control: &[] };
    match transfers::send_batch(&descriptor, b"x", &[entry], 0, Wait::Forever).map_err(Error::from)
    {
        // This host has no batches yet.
        Err(error) if error.errno() == Some(sandsock::errno::ENOSYS) => {}
        other => denied_for("a batch", other, &udp_grant),
    }
    Ok(())
}
