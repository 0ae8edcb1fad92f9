//! The handshake with a server that does not prove its name fails with the reason, and no byte moves
//! on the connection.

use sandsock::{ConnectTimeout, Result, TlsOptions, TlsStream, create_connection, errno};
use sandsock_test_programs::{argument, fails_with};

fn main() -> Result<()> {
    let (name, port, reason): (String, u16, String) = (argument(0), argument(1), argument(2));
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    let kept = socket.dup()?;
    let error = TlsStream::connect(socket, &name, &TlsOptions::default()).map(drop).unwrap_err();
    assert_eq!(error.class(), "ssl.SSLError", "{error}");
    if !reason.is_empty() {
        assert_eq!(error.to_string(), reason);
    }
    fails_with(kept.send(b"secret", 0), "OSError", errno::ENOTCONN);
    Ok(())
}
