//! A pair of sockets without socketpair(2), and the errors for wrong arguments.

use sandsock::constants::*;
use sandsock::{Result, fallback_socketpair};
use sandsock_test_programs::fails;

fn main() -> Result<()> {
    for family in [AF_INET, AF_INET6] {
        let (one, two) = fallback_socketpair(family, SOCK_STREAM, 0)?;
        assert_eq!((one.gettimeout(), two.gettimeout()), (None, None));
        assert_eq!(one.getpeername()?, two.getsockname()?);
        one.sendall(b"to and", 0)?;
        assert_eq!(two.recv(10, 0)?, b"to and");
        two.sendall(b"fro", 0)?;
        assert_eq!(one.recv(10, 0)?, b"fro");
    }
    let refused = |family, kind, protocol, text| {
        fails(fallback_socketpair(family, kind, protocol), "ValueError", text)
    };
    refused(
        AF_UNIX,
        SOCK_STREAM,
        0,
        "Only AF_INET and AF_INET6 socket address families are supported",
    );
    refused(AF_INET, SOCK_DGRAM, 0, "Only SOCK_STREAM socket type is supported");
    refused(AF_INET6, SOCK_STREAM, 6, "Only protocol zero is supported");
    Ok(())
}
