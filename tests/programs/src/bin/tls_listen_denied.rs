//! A grant of `tls-listen` allows no plain byte, by any call, and lends its identity to nothing but the
//! server's sessions on what was accepted there.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::raw::tls::{
    ClientCertificate, ClientOptions, Identity, OwnIdentity, ServerOptions, Trust, Version,
};
use sandsock::raw::transfers;
use sandsock::raw::types::Wait;
use sandsock::{Address, Error, File, Flags, Result, Socket, TlsSession, errno, socketpair};
use sandsock_test_programs::{argument, fails_with, needs};

/// What plain bytes on a connection need.
const PLAIN: &str = "tcp-listen=127.0.0.1:0";

/// What another use of the identity needs.
const ELSEWHERE: &str = "tls-identity=web";

fn choose(session: &TlsSession, identity: Identity<'_>) -> Result<()> {
    Ok(session.choose(ServerOptions {
        identity,
        trust: Trust::None,
        client_certificate: ClientCertificate::None,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
    })?)
}

fn client(identity: Option<Identity<'_>>) -> Result<TlsSession> {
    TlsSession::client(ClientOptions {
        server_name: Some("server.test"),
        check_name: false,
        trust: Trust::None,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
        identity,
        resume: false,
    })
}

/// Returns a server's session with the client's hello, and the socket that the session is attached to.
fn attached(socket: &Socket) -> Result<TlsSession> {
    let session = TlsSession::server()?;
    session.attach(socket)?;
    let hello = session.handshake(socket).unwrap_err();
    assert_eq!(hello.errno(), Some(errno::EINPROGRESS), "{hello}");
    Ok(session)
}

/// Every way to move plain bytes, and to let others move them.
fn tries(socket: &Socket) -> Result<()> {
    let alias = socket.alias()?;
    for socket in [socket, &socket.dup()?] {
        needs(socket.send(b"plain", 0), PLAIN);
        needs(socket.sendall(b"plain", 0), PLAIN);
        needs(socket.send(b"plain", Flags::OOB), PLAIN);
        needs(socket.sendmsg(&[IoSlice::new(b"plain")], &[], 0, None), PLAIN);
        needs(socket.recv(10, Flags::PEEK), PLAIN);
        needs(socket.recvfrom(10, 0), PLAIN);
        needs(socket.recvmsg(10, 0, 0), PLAIN);
        needs(socket.sendfile(&File::open("data/Cargo.toml")?, 0, None), PLAIN);
    }
    let raw = |error: sandsock::raw::types::Error| Error::from(error);
    needs(transfers::send(&alias, b"plain", 0, Wait::None).map_err(raw), PLAIN);
    let batch = transfers::receive_batch(&alias, 1, 10, 0, 0, Wait::None);
    needs(batch.map_err(raw).map(drop), PLAIN);
    passed(socket)
}

/// Passing a socket, or a listener, to another process.
fn passed(socket: &Socket) -> Result<()> {
    let (here, _there) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    needs(here.send_fds(&[IoSlice::new(b"x")], &[socket.fileno()]), PLAIN);
    Ok(())
}

fn main() -> Result<()> {
    let peer: u16 = argument(0);
    // A description that others may have, and a socket of wasi:sockets, can't listen for TLS.
    let (here, there) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let travelled = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    here.send_fds(&[IoSlice::new(b"x")], &[travelled.fileno()])?;
    needs(travelled.bind(("127.0.0.1", 0)), PLAIN);
    drop((travelled, there));
    let of_wasi = std::net::TcpListener::bind("127.0.0.1:0").map(drop).unwrap_err();
    assert_eq!(of_wasi.kind(), std::io::ErrorKind::PermissionDenied, "{of_wasi}");

    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    passed(&listener)?;
    listener.listen(None)?;
    passed(&listener)?;
    let other = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    other.bind(("127.0.0.2", 0))?;
    other.listen(None)?;
    for listener in [&listener, &other] {
        println!("{}", listener.getsockname()?.port().unwrap_or(0));
    }

    // A client that speaks no TLS.
    let (socket, _) = listener.accept()?;
    tries(&socket)?;
    needs(socket.recv(100, 0), PLAIN);
    tries(&socket)?;
    // Nothing changes what the connection is.
    assert!(socket.bind(("127.0.0.2", 0)).is_err());
    let dissolved = socket.connect(Address::Other(sandsock::raw::types::Address::Unspec));
    fails_with(dissolved, "OSError", errno::EISCONN);
    tries(&socket)?;

    // Sessions that are none of a server's, or that show another identity.
    let (socket, _) = listener.accept()?;
    needs(client(None)?.attach(&socket), None);
    needs(socket.send(&client(None)?.drain(1 << 16)?, 0), None);
    let session = attached(&socket)?;
    needs(choose(&session, Identity::Lent("other")), None);
    needs(choose(&session, Identity::Own(OwnIdentity { chain: &[], key: &[] })), None);
    choose(&session, Identity::Lent("web"))?;
    session.handshake(&socket)?;
    assert_eq!(socket.send(b"within TLS", 0)?, 10);
    fails_with(socket.send(b"x", Flags::OOB), "OSError", errno::EOPNOTSUPP);
    fails_with(socket.recv(10, Flags::PEEK), "OSError", errno::EOPNOTSUPP);
    fails_with(socket.recvfrom(10, 0), "OSError", errno::EOPNOTSUPP);
    session.close_notify(&socket)?;
    assert_eq!(socket.recv(10, 0)?, b"");
    // The end of the session gives no plain bytes back.
    needs(session.detach(&socket), PLAIN);

    // Sessions whose bytes the guest moves.
    let (first, second) = (listener.accept()?.0, listener.accept()?.0);
    let session = TlsSession::server()?;
    session.feed(&first.recv(1 << 14, 0)?)?;
    needs(choose(&session, Identity::Lent("other")), None);
    choose(&session, Identity::Lent("web"))?;
    let bytes = session.drain(1 << 16)?;
    let mut changed = bytes.clone();
    changed[10] ^= 1;
    for bytes in [&changed, &bytes[1..].to_vec(), &[&bytes[..], b"plain"].concat()] {
        needs(first.send(bytes, 0), PLAIN);
    }
    tries(&second)?;
    needs(second.send(&bytes, 0), PLAIN);
    first.sendall(&bytes, 0)?;
    needs(first.send(&bytes, 0), PLAIN);
    needs(first.send(b"plain", 0), PLAIN);
    passed(&first)?;
    // The hello of a connection that has a session, of one that is closed, and of none.
    let hello = second.recv(1 << 14, 0)?;
    let session = TlsSession::server()?;
    session.feed(&hello)?;
    let again = TlsSession::server()?;
    again.feed(&hello)?;
    needs(choose(&again, Identity::Lent("web")), ELSEWHERE);
    second.close()?;
    let late = TlsSession::server()?;
    late.feed(&hello)?;
    needs(choose(&late, Identity::Lent("web")), ELSEWHERE);
    let own = TlsSession::server()?;
    own.feed(&client(None)?.drain(1 << 16)?)?;
    needs(choose(&own, Identity::Lent("web")), ELSEWHERE);

    // On other sockets, and by a client.
    needs(client(Some(Identity::Lent("web"))), ELSEWHERE);
    let away = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    away.connect(("127.0.0.1", peer))?;
    for socket in [&away, &other.accept()?.0] {
        needs(choose(&attached(socket)?, Identity::Lent("web")), ELSEWHERE);
    }
    // A socket that is bound there and not accepted there.
    let bound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    bound.bind(("127.0.0.1", 0))?;
    bound.connect(("127.0.0.1", peer))?;
    needs(choose(&attached(&bound)?, Identity::Lent("web")), ELSEWHERE);
    Ok(())
}
