//! A file that is sent on a socket with a session goes through it: without waiting, with a timeout
//! and whole, between other bytes, and not after the end.

use std::time::Duration;

use sandsock::raw::files;
use sandsock::raw::types::{self, Wait};
use sandsock::{
    ConnectTimeout, Error, ErrorKind, File, Result, TlsOptions, TlsStream, create_connection, errno,
};
use sandsock_test_programs::{argument, fails_with};

fn main() -> Result<()> {
    let (name, port, size): (String, u16, u64) = (argument(0), argument(1), argument(2));
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let stream = TlsStream::connect(socket, &name, &TlsOptions::default())?;
    let socket = stream.socket();

    // The server does not read yet.
    let (file, alias) = (files::open("data/large")?, socket.alias()?);
    let send = |offset, count, wait| files::send_file(&alias, &file, offset, count, wait);
    let mut sent = 0;
    let full = loop {
        match send(sent, u64::MAX, Wait::None) {
            Ok(count) => {
                assert!((1..=1 << 20).contains(&count), "{count}");
                sent += count;
            }
            Err(error) => break error,
        }
    };
    if full != types::Error::Os(errno::EAGAIN) {
        return Err(full.into());
    }
    assert!((1..size).contains(&sent), "{sent}");
    assert_eq!(send(sent, 1, Wait::Within(1_000_000)), Err(types::Error::Os(errno::EAGAIN)));
    println!("full");

    // The rest, with a timeout that holds for each piece.
    socket.settimeout(Some(Duration::from_secs(60)))?;
    assert_eq!(socket.sendfile_raw(&file, sent, None)?, size - sent);
    assert_eq!(file.position()?, size);
    // Without one, as Linux blocks.
    socket.settimeout(None)?;
    let file = File::open("data/large")?;
    assert_eq!(socket.sendfile(&file, 1_000_003, Some(3_000_000))?, 3_000_000);
    assert_eq!(file.tell()?, 4_000_003);
    stream.sendall(b"between")?;
    assert_eq!(socket.sendfile(&file, size - 10, Some(1 << 40))?, 10);
    assert_eq!(socket.sendfile(&file, size, None)?, 0, "the end of the file");
    assert_eq!(send(0, 0, Wait::None), Ok(0));
    assert_eq!(send(1 << 63, 1, Wait::None), Err(types::Error::Os(errno::EINVAL)));
    stream.shutdown()?;
    fails_with(socket.sendfile(&file, 0, None), "BrokenPipeError", errno::EPIPE);
    // The server's tickets are unread, and a close would reset the connection before all has arrived.
    socket.settimeout(Some(Duration::from_millis(100)))?;
    assert_eq!(stream.recv(1).map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    // Before the handshake nothing is sent.
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let options = TlsOptions::default();
    socket.setblocking(false)?;
    let copy = socket.dup()?;
    let pending = TlsStream::connect(socket, &name, &options).map(drop);
    assert_eq!(pending.as_ref().map_err(Error::errno), Err(Some(errno::EAGAIN)), "{pending:?}");
    copy.setblocking(true)?;
    fails_with(copy.sendfile(&file, 0, None), "OSError", errno::ENOTCONN);
    Ok(())
}
