//! There is no listener: every mode that waits has the same error, and SO_ERROR reports it if the
//! socket does not.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Error, Socket, create_connection, select};
use sandsock_test_programs::{argument, fails, loopback};

fn main() -> Result<(), Error> {
    for (place, family) in [(0, AF_INET), (1, AF_INET6)] {
        let address = (loopback(family), argument::<u16>(place));
        for timeout in [None, Some(Duration::from_secs(20))] {
            let socket = Socket::new(family, SOCK_STREAM, 0)?;
            socket.settimeout(timeout)?;
            fails(
                socket.connect(address),
                "ConnectionRefusedError",
                "[Errno 111] Connection refused",
            );
            assert_eq!(Socket::new(family, SOCK_STREAM, 0)?.connect_ex(address)?, 111);
            // After a blocking connect, the socket can connect anew. After a connect that was
            // waited for, its error is reported once more.
            let codes = [socket.connect_ex(address)?, socket.connect_ex(address)?];
            assert_eq!(codes, if timeout.is_none() { [111, 111] } else { [103, 111] });
        }
        let socket = Socket::new(family, SOCK_STREAM, 0)?;
        socket.setblocking(false)?;
        fails(socket.connect(address), "BlockingIOError", "[Errno 115] Operation now in progress");
        let (_, writable, _) = select(&[&socket], &[&socket], &[], Some(Duration::from_secs(20)))?;
        assert_eq!(writable.len(), 1);
        assert_eq!(socket.getsockopt(SOL_SOCKET, SO_ERROR)?, 111);
        assert_eq!(socket.getsockopt(SOL_SOCKET, SO_ERROR)?, 0, "it is told once");
        let created = create_connection(address, ConnectTimeout::Default, None, false);
        fails(created, "ConnectionRefusedError", "[Errno 111] Connection refused");
    }
    Ok(())
}
