//! A socket that was connected for TLS alone moves no plain byte, by any call, and no byte of a
//! session that proves another name.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::transfers;
use sandsock::raw::types::Wait;
use sandsock::{
    ErrorKind, Family, File, Flags, Result, Socket, TlsIdentity, TlsOptions, TlsStream, errno,
    getaddrinfo, socketpair,
};
use sandsock_test_programs::{argument, fails_with, needs};

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    // A denial names the address by its name.
    let plain = format!("tcp-connect={name}:{port}");
    let plain = plain.as_str();
    getaddrinfo(&*name, (), Family::INET, SOCK_STREAM, 0, 0)?;

    // A description that others may have can't be connected for TLS.
    let (here, there) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let travelled = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    here.send_fds(&[IoSlice::new(b"x")], &[travelled.fileno()])?;
    needs(travelled.connect(("127.0.0.1", port)), None);
    drop((travelled, there));
    // Nor can a send connect it.
    let opening = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    needs(opening.sendto(b"plain", Flags::FASTOPEN, ("127.0.0.1", port)), plain);
    drop(opening);

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", port))?;
    let copy = socket.dup()?;
    let alias = socket.alias()?;
    let tries = || -> Result<()> {
        for socket in [&socket, &copy] {
            needs(socket.send(b"plain", 0), plain);
            needs(socket.sendall(b"plain", 0), plain);
            needs(socket.send(b"plain", Flags::OOB), plain);
            needs(socket.sendto(b"plain", 0, ("127.0.0.1", port)), plain);
            needs(socket.sendmsg(&[IoSlice::new(b"plain")], &[], 0, None), plain);
            needs(socket.recv(10, 0), plain);
            needs(socket.recv(10, Flags::PEEK), plain);
            needs(socket.recvfrom(10, 0), plain);
            needs(socket.recvmsg(10, 0, 0), plain);
            needs(socket.sendfile(&File::open("data/Cargo.toml")?, 0, None), plain);
        }
        let raw = |error: sandsock::raw::types::Error| sandsock::Error::from(error);
        needs(transfers::send(&alias, b"plain", 0, Wait::None).map_err(raw), plain);
        needs(transfers::receive(&alias, 10, 0, Wait::None).map_err(raw), plain);
        needs(
            transfers::receive_batch(&alias, 1, 10, 0, 0, Wait::None).map_err(raw).map(drop),
            plain,
        );
        let (here, _there) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
        needs(here.send_fds(&[IoSlice::new(b"x")], &[socket.fileno()]), plain);
        needs(here.send_fds(&[IoSlice::new(b"x")], &[copy.fileno()]), plain);
        Ok(())
    };
    tries()?;
    // It stays a socket for TLS after it was dissolved, and for this address.
    needs(socket.connect(("127.0.0.1", 1)), None);
    tries()?;

    // Sessions that do not prove the granted name, or that have no name to prove.
    let options = TlsOptions::default();
    for (asked, grant) in [
        ("other.test", Some(format!("tls-connect=other.test:{port}"))),
        ("127.0.0.1", Some(format!("tls-connect=127.0.0.1:{port}"))),
        ("127.0.0.2", None),
    ] {
        needs(TlsStream::connect(socket.dup()?, asked, &options), grant.as_deref());
    }
    let web = TlsIdentity::Lent("web".to_owned());
    needs(TlsStream::accept(socket.dup()?, &web, &options), None);
    tries()?;

    let stream = TlsStream::connect(copy, &name, &options)?;
    stream.sendall(b"within TLS")?;
    assert_eq!(stream.recv(100)?, b"within TLS");
    // The other ways are no ways around the session.
    let socket = stream.socket();
    fails_with(socket.send(b"x", Flags::OOB), "OSError", errno::EOPNOTSUPP);
    fails_with(socket.sendmsg(&[IoSlice::new(b"x")], &[], 0, None), "OSError", errno::EOPNOTSUPP);
    fails_with(socket.recvfrom(10, 0), "OSError", errno::EOPNOTSUPP);
    fails_with(socket.recv(10, Flags::PEEK), "OSError", errno::EOPNOTSUPP);
    fails_with(
        here.send_fds(&[IoSlice::new(b"x")], &[socket.fileno()]),
        "OSError",
        errno::EOPNOTSUPP,
    );
    let again = TlsStream::connect(socket.dup()?, &name, &options);
    assert_eq!(again.map(drop).unwrap_err().errno(), Some(errno::EISCONN));
    let away = socket.connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!((away.kind(), away.errno()), (ErrorKind::Os, Some(errno::EISCONN)));
    stream.shutdown()?;
    Ok(())
}
