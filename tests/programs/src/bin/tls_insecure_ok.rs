//! A server that proves nothing, with a grant for that: a session that verifies nothing moves bytes,
//! and plain bytes still do not move. The third argument is the name that the session asks for, if it
//! is another one.

use sandsock::{ConnectTimeout, Result, TlsOptions, TlsStream, TlsTrust, create_connection};
use sandsock_test_programs::{argument, needs};

fn main() -> Result<()> {
    let (name, port): (String, u16) = (argument(0), argument(1));
    let asked = std::env::args().nth(3).unwrap_or_else(|| name.clone());
    let plain = format!("tcp-connect={name}:{port}");
    let socket = create_connection((&*name, port), ConnectTimeout::Default, None, false)?;
    needs(socket.send(b"plain", 0), plain.as_str());
    let options = TlsOptions { trust: TlsTrust::None, ..TlsOptions::default() };
    let stream = TlsStream::connect(socket, &asked, &options)?;
    assert!(!stream.info()?.is_verified);
    stream.sendall(b"to anyone")?;
    assert_eq!(stream.recv(100)?, b"to anyone");
    stream.shutdown()
}
