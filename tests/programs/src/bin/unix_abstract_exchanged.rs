//! Abstract names, of any bytes, for streams and datagrams.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let tag = std::env::args().nth(1).expect("a tag");
    let name = |suffix: &str| format!("\0sandsock-{tag}{suffix}").into_bytes();
    let server = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    server.bind(name("-stream"))?;
    assert_eq!(server.getsockname()?.to_string(), format!("b'\\x00sandsock-{tag}-stream'"));
    assert_eq!(server.getsockname()?.path(), None);
    server.listen(None)?;
    println!("listening");
    let (connection, peer) = server.accept()?;
    assert_eq!(peer, sandsock::Address::Unix(name("-client")));
    connection.sendall(b"hello", Flags::NONE)?;

    let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    client.connect(name("-peer"))?;
    assert_eq!(client.getpeername()?, sandsock::Address::Unix(name("-peer")));
    client.sendall(b"hello", Flags::NONE)?;

    // The same name twice, and a name that no socket has.
    let second = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    assert_eq!(
        second.bind(name("-stream")).unwrap_err().errno(),
        Some(sandsock::errno::EADDRINUSE)
    );
    assert_eq!(second.connect_ex(name("-nobody"))?, sandsock::errno::ECONNREFUSED);

    // NULs, and what is no text.
    let odd = [&name("\0\0")[..], b"\xff\x80"].concat();
    let receiver = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    receiver.bind(&odd[..])?;
    let sender = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    sender.bind(name("-sender"))?;
    sender.sendto(b"x", Flags::NONE, &odd[..])?;
    assert_eq!(
        receiver.recvfrom(9, Flags::NONE)?,
        (b"x".to_vec(), sandsock::Address::Unix(name("-sender")))
    );
    Ok(())
}
