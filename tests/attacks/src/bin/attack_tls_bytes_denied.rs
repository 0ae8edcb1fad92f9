//! Sends bytes of sessions whose I/O it makes itself on sockets that were connected for TLS alone: plain
//! ones, changed ones, again, out of order, on another socket, and those of sessions that prove another
//! name or none. Arguments, after `twin` or not: the server's name and its port.
//!
//! The twin's server reads anything, and its socket was connected with `tcp-connect`.

use sandsock::constants::MSG_PEEK;
use sandsock::raw::tls::{ClientOptions, Session, State, Trust, Version};
use sandsock::{ConnectTimeout, ErrorKind, Flags, Result, Socket, create_connection};
use sandsock_attacks::is_twin;

/// The twin does it. The attack is denied.
#[track_caller]
fn act<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    if is_twin() {
        result.unwrap_or_else(|error| panic!("{what}: {error}"));
    } else {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Denied, "{what}: {error}");
    }
}

fn session(name: Option<&str>, trust: Trust<'_>) -> Result<Session> {
    Ok(Session::client(ClientOptions {
        server_name: name,
        check_name: name.is_some(),
        trust,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
        identity: None,
        resume: true,
    })?)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1 + usize::from(is_twin())).collect();
    let (name, port) = (args[0].as_str(), args[1].parse::<u16>().expect("a port"));
    let connected = || create_connection((name, port), ConnectTimeout::Default, None, false);
    let send = |socket: &Socket, bytes: &[u8]| socket.send(bytes, Flags::NONE);
    let begun = || -> Result<(Session, Vec<u8>)> {
        let session = session(Some(name), Trust::Embedder)?;
        let hello = session.drain(1 << 16)?;
        Ok((session, hello))
    };

    // First bytes that are no session's, or those of a session that does not prove the name.
    let (kept, first) = begun()?;
    let hello = &first;
    let mut changed = hello.clone();
    changed[20] ^= 1;
    act("plain bytes", send(&connected()?, b"plain"));
    act("a changed hello", send(&connected()?, &changed));
    act("the header alone", send(&connected()?, &hello[..5]));
    act("the hello from its middle", send(&connected()?, &hello[5..]));
    act("plain bytes behind", send(&connected()?, &[&hello[..], b"plain"].concat()));
    for (what, other) in
        [("another name", Some("other.test")), ("an address", Some("127.0.0.1")), ("no name", None)]
    {
        let trust = if other.is_none() { Trust::None } else { Trust::Embedder };
        let other = session(other, trust)?;
        act(what, send(&connected()?, &other.drain(1 << 16)?));
    }
    let server = Session::server()?;
    server.feed(hello)?;
    act("a server's bytes", send(&connected()?, &[22; 100]));
    let fed = begun()?;
    fed.0.feed(&[22, 3, 3, 0, 100])?;
    act("a session that was fed before", send(&connected()?, &fed.1));

    // A bound socket takes the session's bytes alone, once and in order.
    let bound = || -> Result<(Socket, Session, Vec<u8>)> {
        let (session, hello) = begun()?;
        let socket = connected()?;
        assert_eq!(send(&socket, &hello[..60])?, 60);
        Ok((socket, session, hello))
    };
    for (what, bytes) in [
        ("again", Box::new(|hello: &[u8]| hello[..60].to_vec()) as Box<dyn Fn(&[u8]) -> Vec<u8>>),
        ("later bytes first", Box::new(|hello| hello[61..].to_vec())),
        ("a changed byte", Box::new(|hello| [&[!hello[60]][..], &hello[61..]].concat())),
        ("plain bytes instead", Box::new(|_| b"plain".to_vec())),
    ] {
        let (socket, _session, hello) = bound()?;
        act(what, send(&socket, &bytes(&hello)));
        act(what, send(&socket.dup()?, &bytes(&hello)));
    }
    let (socket, _session, hello) = bound()?;
    act("another session's bytes", send(&socket, &begun()?.1));
    act("its bytes on another socket", send(&connected()?, &hello));
    assert_eq!(send(&socket.dup()?, &hello[60..])?, hello.len() - 60, "a duplicate is the same");
    if is_twin() {
        return Ok(());
    }

    // The whole handshake, and then the same.
    let (session, socket) = (kept, connected()?);
    socket.sendall(&first, Flags::NONE)?;
    while session.state() == State::Handshake {
        let look = socket.recv(10, MSG_PEEK).expect_err("it hands out less than a record");
        assert_eq!(look.errno(), Some(sandsock::errno::EOPNOTSUPP), "{look}");
        act("plain bytes within the handshake", send(&socket, b"plain"));
        session.feed(&socket.recv(1 << 15, Flags::NONE)?)?;
        socket.sendall(&session.drain(1 << 16)?, Flags::NONE)?;
    }
    assert_eq!(session.state(), State::Open);
    session.write(b"the secret")?;
    let record = session.drain(1 << 16)?;
    session.write(b"another")?;
    let next = session.drain(1 << 16)?;
    act("the next record first", send(&socket, &next));
    socket.sendall(&record, Flags::NONE)?;
    act("the record again", send(&socket, &record));
    act("plain bytes after the handshake", send(&socket, b"plain"));
    socket.sendall(&next, Flags::NONE)?;
    Ok(())
}
