//! A session whose bytes the guest moves, on a socket for TLS alone: only the bytes that the session
//! has drained pass, in their order, and only records come.

use sandsock::constants::*;
use sandsock::raw::tls::{ClientOptions, Session, State, Trust, Version};
use sandsock::{
    ConnectTimeout, Family, Flags, Result, Socket, create_connection, errno, getaddrinfo,
};
use sandsock_test_programs::{argument, fails_with, needs};

fn client(name: &str, trust: Trust<'_>, check_name: bool) -> Result<Session> {
    Ok(Session::client(ClientOptions {
        server_name: Some(name),
        check_name,
        trust,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
        identity: None,
        resume: false,
    })?)
}

fn connected(name: &str) -> Result<Socket> {
    create_connection((name, argument::<u16>(1)), ConnectTimeout::Default, None, false)
}

/// Moves bytes until the handshake is over, or the session has failed.
fn shake(session: &Session, socket: &Socket) -> Result<()> {
    while session.state() == State::Handshake {
        let bytes = session.drain(1 << 16)?;
        if !bytes.is_empty() {
            socket.sendall(&bytes, 0)?;
        } else {
            let bytes = socket.recv(1 << 14, 0)?;
            let taken = session.feed(&bytes)?;
            assert_eq!(taken as usize, bytes.len());
        }
    }
    let rest = session.drain(1 << 16)?;
    socket.sendall(&rest, 0).map(drop)
}

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    let plain = format!("tcp-connect={name}:{port}");
    let plain = plain.as_str();
    getaddrinfo(&*name, (), Family::INET, SOCK_STREAM, 0, 0)?;

    // Without verification by the guest, and with it: the embedder's roots count in each case.
    for trust in [Trust::None, Trust::Embedder] {
        let socket = connected(&name)?;
        let session = client(&name, trust, false)?;
        let hello = session.drain(1 << 16)?;
        assert!(hello.len() > 43, "{}", hello.len());
        // Other bytes, and a part of the session's that does not begin it.
        needs(socket.send(b"plain", 0), plain);
        needs(socket.send(&hello[1..], 0), plain);
        needs(socket.recv(10, 0), plain);
        // The first part binds the session. Only the rest may follow.
        assert_eq!(socket.send(&hello[..50], 0)?, 50);
        needs(socket.send(&hello, 0), plain);
        needs(socket.send(b"plain", 0), plain);
        needs(socket.sendto(&hello[50..], 0, ("127.0.0.1", port)), plain);
        fails_with(socket.recv(10, Flags::PEEK), "OSError", errno::EOPNOTSUPP);
        socket.sendall(&hello[50..], 0)?;
        shake(&session, &socket)?;
        assert_eq!(session.state(), State::Open);
        let info = session.info()?;
        assert!(info.is_verified);
        assert_eq!(session.write(b"within TLS")?, 10);
        let record = session.drain(1 << 16)?;
        needs(socket.send(&[&record[..], b"more"].concat(), 0), plain);
        socket.sendall(&record, 0)?;
        needs(socket.send(&record, 0), plain);
        let echoed = loop {
            match session.read(100) {
                Ok(bytes) => break bytes,
                Err(_) => session.feed(&socket.recv(1 << 14, 0)?)?,
            };
        };
        assert_eq!(echoed, b"within TLS");
        session.close()?;
        socket.sendall(&session.drain(1 << 16)?, 0)?;
        // The bytes of another session do not pass on this socket.
        let other = client(&name, Trust::Embedder, true)?;
        needs(socket.send(&other.drain(1 << 16)?, 0), plain);
    }

    // A session that proves another name, and one without a name.
    let socket = connected(&name)?;
    let other = client("other.test", Trust::None, false)?;
    let grant = format!("tls-connect=other.test:{port}");
    needs(socket.send(&other.drain(1 << 16)?, 0), grant.as_str());
    let fed = client(&name, Trust::None, false)?;
    let hello = fed.drain(1 << 16)?;
    fed.feed(b"x")?;
    needs(socket.send(&hello, 0), plain);
    Ok(())
}
