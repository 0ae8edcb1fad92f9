//! A server by a grant of `tls-listen`, which lends it an identity: the host makes the I/O of a session,
//! then the guest does, and then it refuses a client with an alert.

use sandsock::constants::*;
use sandsock::raw::tls::{ClientCertificate, Identity, ServerOptions, State, Trust, Version};
use sandsock::{Result, Socket, TlsIdentity, TlsOptions, TlsSession, TlsStream, errno};
use sandsock_test_programs::fails_with;

/// RFC 8446: access_denied.
const ACCESS_DENIED: u8 = 49;

/// Gives a session the client's bytes, in pieces, until it has the hello.
fn heard(socket: &Socket) -> Result<TlsSession> {
    let session = TlsSession::server()?;
    while session.hello()?.is_none() {
        let bytes = socket.recv(30, 0)?;
        assert_eq!(session.feed(&bytes)? as usize, bytes.len());
    }
    Ok(session)
}

fn main() -> Result<()> {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    println!("{}", listener.getsockname()?.port().unwrap_or(0));

    let options = TlsOptions { alpn: vec!["echo".to_owned()], ..TlsOptions::default() };
    let web = TlsIdentity::Lent("web".to_owned());
    let stream = TlsStream::accept(listener.accept()?.0, &web, &options)?;
    let mut bytes = stream.recv(100)?;
    bytes.reverse();
    stream.sendall(&bytes)?;
    stream.shutdown()?;

    let (socket, _) = listener.accept()?;
    let session = heard(&socket)?;
    // Only where no plain byte may move, its first bytes have bound it.
    let has_plain = std::env::args().nth(1).is_some();
    let expected = if has_plain { errno::EINVAL } else { errno::EISCONN };
    fails_with(session.attach(&socket), "OSError", expected);
    session.choose(ServerOptions {
        identity: Identity::Lent("web"),
        trust: Trust::None,
        client_certificate: ClientCertificate::None,
        alpn: &[b"echo"],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
    })?;
    socket.sendall(&session.drain(1 << 16)?, 0)?;
    let mut bytes = loop {
        match session.read(100) {
            Ok(bytes) => break bytes,
            Err(_) => session.feed(&socket.recv(1 << 14, 0)?)?,
        };
        socket.sendall(&session.drain(1 << 16)?, 0)?;
    };
    assert_eq!(session.state(), State::Open);
    bytes.reverse();
    session.write(&bytes)?;
    session.close()?;
    socket.sendall(&session.drain(1 << 16)?, 0)?;

    let (socket, _) = listener.accept()?;
    let session = heard(&socket)?;
    session.refuse(ACCESS_DENIED)?;
    socket.sendall(&session.drain(1 << 16)?, 0)?;
    Ok(())
}
