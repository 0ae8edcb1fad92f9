//! May connect below one folder and bind below another, and to one abstract name. Arguments: the
//! first folder, the second, a folder beside them.

use sandsock::constants::*;
use sandsock::raw::types::{Address, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls};
use sandsock::{Error, ErrorKind, Result, Socket};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;
use attack::{args, denied, denied_for, raw};

fn main() -> Result<()> {
    let [connect, bind, beside] = &args()[..] else { panic!("three folders") };
    let stream = || Socket::new(AF_UNIX, SOCK_STREAM, 0);
    let connect_to = |path: &str| stream()?.connect(path);
    let bind_to = |path: &str| stream()?.bind(path);
    // The granted path.
    connect_to(&format!("{connect}/peer"))?;
    bind_to(&format!("{bind}/mine"))?;

    // The wrong verb, the folder itself, the one beside it, the one above.
    denied("connect", connect_to(&format!("{bind}/mine")));
    denied("bind", bind_to(&format!("{connect}/mine")));
    denied_for(
        "connect",
        connect_to(&format!("{beside}/peer")),
        &format!("unix-connect={beside}/peer"),
    );
    for way in [
        "/../beside/peer",
        "/./../beside/peer",
        "/sub/../../beside/peer",
        "//..//beside/peer",
        "/..",
    ] {
        denied(way, connect_to(&format!("{connect}{way}")));
        denied(way, bind_to(&format!("{bind}{way}/../new")));
    }
    // Links within the folder that lead out of it: of the socket, of a folder, by an absolute and a
    // relative path.
    for link in ["out", "out-relative", "folder/peer", "folder-relative/peer", "chain"] {
        denied(link, connect_to(&format!("{connect}/{link}")));
    }
    for link in ["folder/new", "folder-relative/new"] {
        denied(link, bind_to(&format!("{bind}/{link}")));
    }
    // The kernel's own road to every file that the host has open.
    for path in
        ["/proc/self/fd/3", "/proc/self/cwd/peer", "/proc/self/root/etc/passwd", "/dev/fd/3"]
    {
        denied(path, connect_to(path));
        denied(path, bind_to(path));
    }
    // A name ends at a NUL for the kernel; for the policy it must not end elsewhere.
    let cut = format!("{connect}/peer\0/../../x").into_bytes();
    connect_raw(&cut).expect_err("a NUL");
    let hidden = format!("{beside}/peer\0{connect}/peer").into_bytes();
    let error = connect_raw(&hidden).expect_err("a NUL");
    assert!(matches!(error.errno(), Some(13 | 22)), "{error:?}");

    // bind replaces nothing: not a socket, a file, a link to nowhere, nor a link to another folder.
    for name in ["mine", "file", "nowhere", "socket-link"] {
        let error = bind_to(&format!("{bind}/{name}")).expect_err(name);
        let known =
            error.kind() == ErrorKind::Denied || error.errno() == Some(sandsock::errno::EADDRINUSE);
        assert!(known, "{name}: {error:?}");
    }

    // Abstract names: no prefix, no part, no case, no trailing NUL.
    connect_abstract(b"sandsock-policy-unix")?;
    for name in [
        &b"sandsock-policy-uni"[..],
        b"sandsock-policy-unix\0",
        b"sandsock-policy-unixx",
        b"Sandsock-policy-unix",
        b"",
        b"\0",
    ] {
        denied("abstract", connect_abstract(name));
    }
    denied("a path is no abstract name", connect_raw(b"@sandsock-policy-unix"));
    denied_for("bind", stream()?.bind("\0sandsock-policy-unix"), "unix-bind=@sandsock-policy-unix");
    Ok(())
}

fn connect_address(address: UnixAddress) -> Result<(), Error> {
    let socket = raw(syscalls::socket(AF_UNIX, SOCK_STREAM, 0))?;
    raw(connections::connect(&socket, &Address::Unix(address), Wait::None))
}

fn connect_raw(path: &[u8]) -> Result<(), Error> {
    connect_address(UnixAddress::Path(path.to_vec()))
}

fn connect_abstract(name: &[u8]) -> Result<(), Error> {
    connect_address(UnixAddress::Abstract(name.to_vec()))
}
