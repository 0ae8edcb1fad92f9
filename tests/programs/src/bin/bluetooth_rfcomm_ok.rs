//! RFCOMM between two controllers: arguments are their device addresses.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};
use sandsock_test_programs::{argument, fails_with, pattern, receive_all};

const CHANNEL: i32 = 5;

fn main() -> Result<(), Error> {
    let (one, two): (String, String) = (argument(0), argument(1));
    let socket = || -> Result<Socket, Error> {
        let socket = Socket::new(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM)?;
        socket.settimeout(Some(Duration::from_secs(20)))?;
        Ok(socket)
    };
    let listener = socket()?;
    listener.bind((&*one, CHANNEL))?;
    assert_eq!(listener.getsockname()?.to_string(), format!("('{one}', {CHANNEL})"));
    listener.listen(None)?;
    let client = socket()?;
    client.bind((&*two, 0))?;
    client.connect((&*one, CHANNEL))?;
    assert_eq!(client.getpeername()?.to_string(), format!("('{one}', {CHANNEL})"));
    let (server, peer) = listener.accept()?;
    assert!(peer.to_string().starts_with(&format!("('{two}', ")), "{peer}");
    server.settimeout(Some(Duration::from_secs(20)))?;
    for length in [1, 100, 10_000] {
        client.sendall(&pattern(length), Flags::NONE)?;
        assert!(receive_all(&server, length)? == pattern(length));
        server.sendall(&pattern(length), Flags::NONE)?;
        assert!(receive_all(&client, length)? == pattern(length));
    }
    client.close()?;
    // The kernel reports the orderly end of a peer like any other end.
    fails_with(server.recv(100, 0), "ConnectionResetError", sandsock::errno::ECONNRESET);
    Ok(())
}
