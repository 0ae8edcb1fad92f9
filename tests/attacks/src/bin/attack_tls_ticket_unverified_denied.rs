//! Gets a ticket from a server that proves nothing, and offers it to a server that has to prove its name,
//! on a socket that was connected for TLS alone: by an attached session, and by the bytes of one.
//! Arguments, after `twin` or not: the server's name, the port for any bytes, and the port for TLS alone.
//!
//! The twin is granted servers that need not prove anything.

use sandsock::raw::tls::{ClientOptions, Session, Trust, Version};
use sandsock::{
    ConnectTimeout, ErrorKind, Flags, Result, Socket, TlsOptions, TlsStream, TlsTrust,
    create_connection,
};
use sandsock_attacks::is_twin;

/// Begins the session of [`options`] without I/O.
fn session(name: &str) -> Result<Session> {
    Ok(Session::client(ClientOptions {
        server_name: Some(name),
        check_name: false,
        trust: Trust::None,
        alpn: &[],
        lowest: Version::Tls12,
        highest: Version::Tls13,
        ciphers: &[],
        groups: &[],
        identity: None,
        resume: true,
    })?)
}

fn options(resume: bool) -> TlsOptions {
    TlsOptions { trust: TlsTrust::None, check_name: false, resume, ..TlsOptions::default() }
}

fn connected(name: &str, port: u16) -> Result<Socket> {
    create_connection((name, port), ConnectTimeout::Default, None, false)
}

/// Tells the secret, and hears it again. The ticket comes before that.
fn told(socket: Socket, name: &str, resume: bool) -> Result<TlsStream> {
    let stream = TlsStream::connect(socket, name, &options(resume))?;
    stream.sendall(b"the secret")?;
    assert_eq!(stream.recv(100)?, b"the secret");
    Ok(stream)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1 + usize::from(is_twin())).collect();
    let port = |at: usize| args[at].parse::<u16>().expect("a port");
    let (name, any, only) = (args[0].as_str(), port(1), port(2));

    for by_bytes in [false, true] {
        told(connected(name, any)?, name, true)?.shutdown()?;
        let socket = connected(name, only)?;
        let result = match by_bytes {
            false => told(socket, name, true).map(Some),
            true => socket.sendall(&session(name)?.drain(1 << 16)?, Flags::NONE).map(|()| None),
        };
        if is_twin() {
            if let Some(stream) = result? {
                assert!(stream.info()?.resumed);
            }
            continue;
        }
        let error = result.map(drop).expect_err("a ticket proves no name");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("resumes a session that was not verified"), "{error}");
        // Without the ticket, the server has to prove its name, and can't.
        let error = told(connected(name, only)?, name, false).map(drop).expect_err("no proof");
        assert!(error.to_string().contains("the peer's certificate is refused"), "{error}");
    }
    Ok(())
}
