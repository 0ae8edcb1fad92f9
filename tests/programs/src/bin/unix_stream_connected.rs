//! Connects a stream to a path, unnamed and with a name of its own.

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (server, own) =
        (args.next().expect("the server's path"), args.next().expect("a path of our own"));
    for name in [None, Some(own)] {
        let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        if let Some(name) = &name {
            client.bind(name)?;
        }
        client.connect(&server)?;
        assert_eq!(client.getpeername()?.path(), Some(server.as_bytes()));
        assert_eq!(client.getsockname()?, Address::Unix(name.unwrap_or_default().into_bytes()));
        client.sendall(b"hello", Flags::NONE)?;
        assert_eq!(client.recv(100, Flags::NONE)?, b"world");
        assert_eq!(client.recv(100, Flags::NONE)?, b"", "the peer has closed");
        assert_eq!(client.connect_ex(&server)?, sandsock::errno::EISCONN);
    }
    Ok(())
}
