//! Accepting in each mode, more than once, on a socket that does not listen, with a backlog of any
//! number.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{fails_with, lasts, listening, port, times_out, would_block};

fn main() -> Result<(), Error> {
    fails_with(Socket::new(AF_INET, SOCK_STREAM, 0)?.accept(), "OSError", 22);
    fails_with(Socket::new(AF_INET, SOCK_DGRAM, 0)?.accept(), "OSError", 95);
    fails_with(Socket::new(AF_INET, SOCK_DGRAM, 0)?.listen(None), "OSError", 95);

    let listener = listening(AF_INET)?;
    listener.setblocking(false)?;
    would_block(listener.accept());
    let time = Duration::from_millis(150);
    listener.settimeout(Some(time))?;
    times_out(lasts(time, || listener.accept()));
    listener.setblocking(true)?;

    for backlog in [None, Some(-1), Some(0), Some(1), Some(i32::MAX)] {
        listener.listen(backlog)?;
        let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        client.connect(("127.0.0.1", port(&listener)))?;
        let (connection, peer) = listener.accept()?;
        assert_eq!(peer, client.getsockname()?);
        assert_eq!(connection.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)?, 0);
        assert!(!connection.get_inheritable()?);
    }

    let clients: Vec<_> = (0..5)
        .map(|at| {
            let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
            client.connect(("127.0.0.1", port(&listener)))?;
            client.sendall(&[at], 0)?;
            Ok(client)
        })
        .collect::<Result<_, Error>>()?;
    for (at, client) in clients.iter().enumerate() {
        let (connection, peer) = listener.accept()?;
        assert_eq!(peer, client.getsockname()?, "the first comes first");
        assert_eq!(connection.recv(1, 0)?, [at as u8]);
    }

    // Without a bind the kernel chooses the port, on every address.
    let unbound = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    unbound.listen(1)?;
    assert_eq!(unbound.getsockname()?.host().as_deref(), Some("0.0.0.0"));
    let client = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    client.connect(("", port(&unbound)))?;
    assert_eq!(unbound.accept()?.1, client.getsockname()?);
    Ok(())
}
