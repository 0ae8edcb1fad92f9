//! STARTTLS with a grant for it alone: some plain bytes, then a session that proves the name, and no
//! plain byte any more.

use sandsock::{ConnectTimeout, Flags, Result, TlsOptions, TlsStream, create_connection, errno};
use sandsock_test_programs::{argument, fails_with, needs};

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    let plain = format!("tcp-connect={name}:{port}");
    let plain = plain.as_str();
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    socket.sendall(b"STARTTLS\n", 0)?;
    assert_eq!(socket.recv(100, 0)?, b"GO\n");
    needs(socket.sendto(b"other", 0, ("127.0.0.1", port)), plain);
    let stream = TlsStream::connect(socket, &name, &TlsOptions::default())?;
    assert!(stream.info()?.is_verified);
    stream.sendall(b"within TLS")?;
    assert_eq!(stream.recv(100)?, b"within TLS");
    fails_with(stream.socket().send(b"x", Flags::OOB), "OSError", errno::EOPNOTSUPP);
    stream.shutdown()?;
    assert_eq!(stream.recv(100)?, b"");
    needs(stream.detach(), plain);

    // At most 64 KiB before the session.
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    for _ in 0..64 {
        socket.sendall(&line, 0)?;
    }
    needs(socket.send(b"x", 0), plain);
    Ok(())
}
