//! Addresses as Python gives them: pairs for AF_INET, four for AF_INET6, before and after bind, on
//! both ends of a connection.

use sandsock::constants::*;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::{argument, fails_with, listening};

fn main() -> Result<(), Error> {
    for (place, family, wildcard) in
        [(0, AF_INET, "('0.0.0.0', 0)"), (1, AF_INET6, "('::', 0, 0, 0)")]
    {
        let fresh = Socket::new(family, SOCK_STREAM, 0)?;
        assert_eq!(fresh.getsockname()?.to_string(), wildcard);
        fails_with(fresh.getpeername(), "OSError", 107);

        let listener = listening(family)?;
        let own = listener.getsockname()?;
        let port = own.port().expect("a port");
        assert_ne!(port, 0);
        assert_eq!(own.to_string(), shown(family, port));
        fails_with(listener.getpeername(), "OSError", 107);
        println!("{port}");
        let (connection, peer) = listener.accept()?;
        assert_eq!(connection.getpeername()?, peer);
        assert_eq!(connection.getsockname()?, own);
        assert_eq!(
            (connection.family().0, connection.kind().0, connection.proto()),
            (family, SOCK_STREAM, 0)
        );
        println!("{peer}");
        // The client keeps its end until it has seen the address.
        assert_eq!(connection.recv(1, 0)?, b"");

        let server: u16 = argument(place);
        let client = Socket::new(family, SOCK_STREAM, 0)?;
        client.connect((sandsock_test_programs::loopback(family), server))?;
        assert_eq!(client.getpeername()?.to_string(), shown(family, server));
        let own = client.getsockname()?;
        assert_eq!(own.to_string(), shown(family, own.port().expect("a port")));
        println!("{own}");
        let text = format!("{client:?}");
        let tail = format!("type=1, proto=0, laddr={own}, raddr={}>", shown(family, server));
        assert!(text.starts_with("<socket.socket fd=") && text.ends_with(&tail), "{text}");
        // The peer sends its own address, and then nothing until the end.
        assert_eq!(client.recv(1, 0)?, b"");
    }
    assert_eq!(Address::None.to_string(), "None");
    Ok(())
}

fn shown(family: i32, port: u16) -> String {
    if family == AF_INET {
        format!("('127.0.0.1', {port})")
    } else {
        format!("('::1', {port}, 0, 0)")
    }
}
