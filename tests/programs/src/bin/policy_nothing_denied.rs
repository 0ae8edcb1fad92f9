//! Was granted nothing at all.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::errno::{EBADF, EOPNOTSUPP, EPERM};
use sandsock::raw::types::{Address, OptionValue, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, netdb, syscalls, transfers};
use sandsock::{ErrorKind, Family, Socket, getaddrinfo, socketpair};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{denied, denied_for, raw, refused};

fn main() -> sandsock::Result<()> {
    for family in [AF_INET, AF_INET6, AF_UNIX] {
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC] {
                let error = denied("socket", Socket::new(family, kind | flags, 0));
                assert!(error.to_string().contains("not granted") || kind == SOCK_SEQPACKET, "{error}");
            }
        }
    }
    for family in [AF_INET, AF_INET6] {
        denied("socketpair", socketpair(family, SOCK_STREAM, 0).map(|_| ()));
    }
    for name in ["localhost", "example.com", "a"] {
        let grant = format!("resolve={name}");
        denied_for(name, getaddrinfo(name, 80, Family::UNSPEC, 0, 0, 0), &grant);
        denied_for(name, getaddrinfo(name, "http", Family::INET6, SOCK_STREAM, 0, AI_CANONNAME), &grant);
    }
    // A number is no name.
    assert_eq!(getaddrinfo("127.0.0.1", 80, Family::INET, SOCK_STREAM, 0, 0)?.len(), 1);
    // Nothing was handed over, and nothing can be taken.
    assert_eq!(descriptors::inherited(), [0_i32; 0]);
    for number in (0..200).chain([-1, i32::MIN, i32::MAX]) {
        refused("inherit", raw(descriptors::inherit(number)), EBADF);
        refused("adopt", raw(descriptors::adopt(number)), EBADF);
    }
    assert_eq!(netdb::get_host_name(), "sandbox");
    let renamed = raw(netdb::set_host_name(b"another"));
    assert!(renamed.is_err_and(|error| error.kind() == ErrorKind::Denied || error.errno() == Some(38)));

    // What needs no grant: a pair for an event loop. It leads nowhere.
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = socketpair(AF_UNIX, kind, 0)?;
        a.send(b"x", 0)?;
        assert_eq!(b.recv(10, 0)?, b"x");
        denied_for("bind", a.bind("/tmp/sandsock-nothing"), "unix-bind=/tmp/sandsock-nothing");
        denied_for("bind", a.bind("\0sandsock-nothing"), "unix-bind=@sandsock-nothing");
        denied_for("bind to any name", a.bind(""), "unix-bind=@*");
        denied_for("connect", a.connect("/dev/log"), "unix-connect=/dev/log");
        denied_for("connect", a.connect("\0sandsock-nothing"), "unix-connect=@sandsock-nothing");
        let path: &dyn sandsock::ToAddress = &"/dev/log";
        if kind == SOCK_DGRAM {
            denied_for("sendto", a.sendto(b"x", 0, path), "unix-connect=/dev/log");
            denied_for("sendmsg", a.sendmsg(&[IoSlice::new(b"x")], &[], 0, Some(path)), "unix-connect=/dev/log");
        }
        denied_for("rights", a.send_fds(&[IoSlice::new(b"x")], &[b.fileno()]), "ancillary=rights:send");
        assert_eq!(a.getsockname()?.to_string(), "''");
    }
    // Nor does the kernel give a name by the way: a sender that asks for credentials gets one, which others could send to.
    for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
        let (a, b) = raw(syscalls::socketpair(AF_UNIX, kind, 0))?;
        raw(syscalls::set_option(&a, SOL_SOCKET, SO_PASSCRED, OptionValue::Integer(1)))?;
        // Who only receives gets none.
        raw(transfers::send(&b, b"x", 0, Wait::None))?;
        assert_eq!(raw(transfers::receive(&a, 10, 0, Wait::None))?, b"x");
        denied_for("send", raw(transfers::send(&a, b"x", 0, Wait::None)), "unix-bind=@*");
        let message = transfers::send_message(&a, &[b"x"], &[], 0, None, Wait::None);
        denied_for("sendmsg", raw(message), "unix-bind=@*");
        assert_eq!(raw(syscalls::local_address(&a))?, Some(Address::Unix(UnixAddress::Unnamed)), "type {kind}: a name");
        drop(b);
        // It may be without its peer, but that makes it nobody else's either.
        if kind == SOCK_DGRAM {
            raw(connections::connect(&a, &Address::Unspec, Wait::None))?;
            let other = Address::Unix(UnixAddress::Abstract(b"other".to_vec()));
            denied("connect", raw(connections::connect(&a, &other, Wait::None)));
            raw(syscalls::set_option(&a, SOL_SOCKET, SO_PASSCRED, OptionValue::Integer(0)))?;
            let result = raw(connections::connect(&a, &other, Wait::None));
            denied_for("connect", result, "unix-connect=@other");
        }
    }
    for protocol in [2, 6, -1] {
        let error = socketpair(AF_UNIX, SOCK_STREAM, protocol).map(|_| ()).expect_err("no protocol");
        assert!(!matches!(error.errno(), Some(EPERM | EOPNOTSUPP)), "{error:?}");
    }
    Ok(())
}
