//! A session that trusts anything does not get past the embedder's roots on a socket for TLS alone:
//! after the alert the socket moves nothing.

use sandsock::raw::tls::{ClientOptions, FailureKind, Session, State, Trust, Version};
use sandsock::{ConnectTimeout, Result, create_connection};
use sandsock_test_programs::{argument, needs};

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    let plain = format!("tcp-connect={name}:{port}");
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let session = Session::client(ClientOptions {
        server_name: Some(&name),
        check_name: false,
        trust: Trust::None,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
        identity: None,
        resume: false,
    })?;
    socket.sendall(&session.drain(1 << 16)?, 0)?;
    while session.state() == State::Handshake {
        session.feed(&socket.recv(1 << 14, 0)?)?;
        socket.sendall(&session.drain(1 << 16)?, 0)?;
    }
    let failure = session.failure().expect("the handshake failed");
    assert_eq!(failure.kind, FailureKind::UnknownIssuer, "{}", failure.reason);
    assert_eq!(failure.peer_chain.len(), 1);
    needs(socket.send(b"plain", 0), plain.as_str());
    needs(socket.recv(10, 0), plain.as_str());
    Ok(())
}
