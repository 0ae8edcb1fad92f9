//! Serves stream clients at a path, and prints their names.

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let server = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    assert_eq!(server.getsockname()?, Address::Unix(Vec::new()), "not bound yet");
    server.bind(&path)?;
    assert_eq!(server.getsockname()?.path(), Some(path.as_bytes()));
    assert_eq!(server.getsockname()?.to_string(), format!("'{path}'"));
    server.listen(None)?;
    println!("listening");
    for _ in 0..2 {
        let (connection, peer) = server.accept()?;
        assert_eq!(connection.getsockname()?.path(), Some(path.as_bytes()));
        assert_eq!(connection.getpeername()?, peer);
        let (data, from) = connection.recvfrom(100, Flags::NONE)?;
        // Linux returns a stream's sender too, if it has a name.
        let unnamed = peer == Address::Unix(Vec::new());
        assert_eq!(from, if unnamed { Address::None } else { peer.clone() });
        connection.sendall(&data, Flags::NONE)?;
        println!("{peer}");
    }
    Ok(())
}
