//! A client of TLS with a grant for nothing else: by name and by address, with many bytes, without
//! waiting, and with a poller.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{
    ConnectTimeout, Epoll, Poll, Result, TlsOptions, TlsStream, Version, create_connection,
};
use sandsock_test_programs::{argument, would_block};

fn connected(host: &str, name: &str, options: &TlsOptions) -> Result<TlsStream> {
    let port: u16 = argument(1);
    let socket = create_connection((host, port), ConnectTimeout::Default, None, false)?;
    TlsStream::connect(socket, name, options)
}

fn main() -> Result<()> {
    let name: String = argument(0);
    let options = TlsOptions { alpn: vec!["echo".to_owned()], ..TlsOptions::default() };

    let mut stream = connected(&name, &name, &options)?;
    let info = stream.info()?;
    assert_eq!((info.version, info.alpn.as_deref()), (Version::Tls13, Some(&b"echo"[..])));
    assert_eq!((info.peer_chain.len(), info.resumed), (1, false));
    assert_eq!(stream.keying_material(b"label", None, 32)?.len(), 32);
    stream.sendall(b"hello")?;
    // A receive of one byte leaves the others in the session, which poll reports.
    assert_eq!(stream.recv(1)?, b"h");
    let mut poll = Poll::new();
    poll.register(stream.socket(), POLLIN)?;
    let ready = poll.poll(Some(Duration::ZERO))?;
    assert_eq!(ready.len(), 1, "{ready:?}");
    assert_eq!(stream.recv(100)?, b"ello");
    assert!(poll.poll(Some(Duration::ZERO))?.is_empty());
    // More bytes than any buffer takes.
    let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let mut received = vec![0; bytes.len()];
    for (part, back) in bytes.chunks(100_000).zip(received.chunks_mut(100_000)) {
        stream.sendall(part)?;
        stream.read_exact(back).expect("the bytes come back");
    }
    assert!(bytes == received);
    stream.shutdown()?;
    assert_eq!(stream.recv(100)?, b"", "the server ends too");
    drop(stream);

    // The ticket of the first session.
    let stream = connected(&name, &name, &options)?;
    assert!(stream.info()?.resumed);
    // Without waiting.
    stream.socket().setblocking(false)?;
    would_block(stream.recv(100));
    assert_eq!(stream.send(b"abc")?, 3);
    stream.socket().setblocking(true)?;
    assert_eq!(stream.recv(1)?, b"a");
    let copy = stream.socket().dup()?;
    let epoll = Epoll::new()?;
    epoll.register(&copy, EPOLLIN)?;
    assert_eq!(copy.recv(1, 0)?, b"b", "a duplicate has the same session");
    assert_eq!(epoll.poll(Some(Duration::ZERO), None)?, [(copy.fileno(), EPOLLIN)]);
    let outer = Epoll::new()?;
    outer.register_epoll(&epoll, 1 << 20, EPOLLIN)?;
    assert_eq!(outer.poll(Some(Duration::ZERO), None)?, [(1 << 20, EPOLLIN)]);
    drop((epoll, copy));
    assert_eq!(outer.poll(Some(Duration::ZERO), None)?, []);
    assert_eq!(stream.recv(10)?, b"c");
    stream.shutdown()?;
    drop(stream);

    // TLS 1.2, and the server's address in place of its name.
    let options = TlsOptions { highest: Version::Tls12, ..options };
    let mut stream = connected("127.0.0.1", "127.0.0.1", &options)?;
    assert_eq!(stream.info()?.version, Version::Tls12);
    stream.write_all(b"x").expect("sends");
    assert_eq!(stream.recv(1)?, b"x");
    stream.shutdown()?;
    drop(stream);
    let stream = connected(&name, &name, &options)?;
    stream.shutdown()?;
    Ok(())
}
