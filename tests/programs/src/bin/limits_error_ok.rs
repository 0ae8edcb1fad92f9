//! Makes every kind of error, thousands of times. Arguments: a TCP port without a listener.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::types::{Address, OtherAddress, Wait};
use sandsock::raw::{connections, descriptors, syscalls, transfers};
use sandsock::{Error, Family, Socket, getaddrinfo, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{inet, ports, raw};

fn main() -> sandsock::Result<()> {
    let port = ports()[0];
    let kept = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let alias = a.alias()?;
    for round in 0..3000 {
        let failed = |what: &str, result: Result<(), Error>| {
            let error = result.err().unwrap_or_else(|| panic!("{what}: no error"));
            assert_ne!(
                error.errno(),
                Some(sandsock::errno::EMFILE),
                "round {round}, {what}: something is never closed"
            );
        };
        failed("socket", Socket::new(AF_INET, SOCK_RAW, 0).map(|_| ()));
        failed("socket", Socket::new(AF_UNIX, SOCK_SEQPACKET, 0).map(|_| ()));
        failed(
            "receive without a grant",
            Socket::new(AF_INET, SOCK_DGRAM, 0)?.recv(1, 0).map(|_| ()),
        );
        failed(
            "bind without a grant",
            Socket::new(AF_UNIX, SOCK_STREAM, 0)?.bind("/tmp/sandsock-nothing"),
        );
        failed("socketpair", socketpair(AF_INET, SOCK_STREAM, 0).map(|_| ()));
        failed("connect", Socket::new(AF_INET, SOCK_STREAM, 0)?.connect(("127.0.0.1", port)));
        failed("connect", kept.connect(("127.0.0.2", port)));
        failed("bind", kept.bind(("127.0.0.1", 0)));
        failed("accept", Socket::new(AF_INET, SOCK_STREAM, 0)?.accept().map(|_| ()));
        failed("getpeername", kept.getpeername().map(|_| ()));
        failed("option", kept.setsockopt(SOL_SOCKET, SO_MARK, 1));
        failed("name", getaddrinfo("denied.example", 80, Family::UNSPEC, 0, 0, 0).map(|_| ()));
        failed("rights", b.send_fds(&[IoSlice::new(b"x")], &[a.fileno()]).map(|_| ()));
        failed("a bad number", b.send_fds(&[IoSlice::new(b"x")], &[12345]).map(|_| ()));
        failed("alias of an alias", raw(descriptors::alias(&alias)).map(|_| ()));
        failed("duplicate of an alias", raw(descriptors::duplicate(&alias)).map(|_| ()));
        failed("inherit", raw(descriptors::inherit(round)).map(|_| ()));
        let made = raw(syscalls::socket(AF_INET, SOCK_STREAM, 0))?;
        let other = Address::Other(OtherAddress { family: 2, data: vec![0; 300] });
        failed("address", raw(connections::connect(&made, &other, Wait::Forever)));
        failed(
            "in progress",
            raw(connections::connect(&made, &inet([127, 0, 0, 1], port), Wait::None)),
        );
        failed("receive", raw(transfers::receive(&made, 1 << 40, 0, Wait::None)).map(|_| ()));
        failed("receive", a.recvmsg(10, 1000, MSG_DONTWAIT).map(|_| ()));
        let copy = descriptors::duplicate(&made).expect("a duplicate");
        drop(made);
        failed("send", raw(transfers::send(&copy, b"x", 0, Wait::None)).map(|_| ()));
    }
    Ok(())
}
