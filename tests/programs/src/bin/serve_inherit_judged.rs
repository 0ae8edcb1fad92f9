//! Uses the descriptors that were handed over: 3 is a TCP socket that listens, 4 a bound UDP
//! socket, 5 a connected UNIX socket, 6 no socket, 7 not granted. There is no 8. The argument is
//! the port of a UDP peer.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

use attack::{denied_for, refused};
use sandsock::constants::*;
use sandsock::raw::types::{Address, Wait};
use sandsock::raw::{connections, descriptors, syscalls};
use sandsock::{Flags, Result, Socket, close, errno, fromfd};

fn main() -> Result<()> {
    let peer: u16 = sandsock_test_programs::argument(0);
    assert_eq!(descriptors::inherited(), [3, 4, 5, 6, 7]);

    // It keeps its number, and it blocks, as it did before it was handed over.
    let listener = Socket::with_fileno(3, None, None, None)?;
    assert_eq!((listener.fileno(), listener.family()), (3, AF_INET.into()));
    assert!(listener.getblocking());
    // No grant speaks of its address, and it may listen there all the same.
    listener.listen(7)?;
    let (connection, _) = listener.accept()?;
    connection.sendall(b"first", Flags::NONE)?;
    drop(connection);

    // The policy checks a datagram socket as always.
    let udp = fromfd(4, AF_INET, SOCK_DGRAM, 0)?;
    denied_for(
        "send",
        udp.sendto(b"x", Flags::NONE, ("127.0.0.1", peer)),
        &format!("udp-send=127.0.0.1:{peer}"),
    );
    udp.settimeout_f64(Some(0.3))?;
    assert_eq!(udp.recv(10, Flags::NONE).expect_err("from a stranger").class(), "TimeoutError");
    denied_for("connect", udp.connect(("127.0.0.1", peer)), &format!("udp-send=127.0.0.1:{peer}"));

    // Closed is closed: the other end sees it at once, and the number is gone.
    let pair = fromfd(5, AF_UNIX, SOCK_STREAM, 0)?;
    pair.sendall(b"second", Flags::NONE)?;
    drop(pair);
    close(5)?;
    refused("closed", fromfd(5, AF_UNIX, SOCK_STREAM, 0), errno::EBADF);
    assert!(
        matches!(descriptors::inherit(5), Err(error) if sandsock::Error::from(error.clone()).errno() == Some(errno::EBADF))
    );

    refused("no socket", Socket::with_fileno(6, None, None, None), errno::ENOTSOCK);
    close(6)?;
    denied_for("not granted", Socket::with_fileno(7, None, None, None), "inherit=fd:7");
    refused("not there", Socket::with_fileno(8, None, None, None), errno::EBADF);

    // Once it has let go of its port, which the kernel had chosen, it may not listen on another.
    let (next, _) = listener.accept()?;
    next.sendall(b"third", Flags::NONE)?;
    let raw = descriptors::inherit(3)?;
    attack::raw(connections::connect(&raw, &Address::Unspec, Wait::None))?;
    denied_for("listen", attack::raw(syscalls::listen(&raw, 1)), "tcp-listen=127.0.0.1:0");
    Ok(())
}
