//! Sends descriptors of its own to a native peer.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, Error, Flags, Socket, socketpair};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let (kept, sent) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (_other, unready) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    unready.setblocking(false)?;
    assert_eq!(
        connection.send_fds(
            &[IoSlice::new(b"tw"), IoSlice::new(b"o")],
            &[sent.fileno(), unready.fileno()]
        )?,
        3
    );
    sent.close()?;
    assert_eq!(kept.recv(100, Flags::NONE)?, b"by the other end");
    assert_eq!(kept.recv(100, Flags::NONE)?, b"", "the peer held the last one");
    // One message of each kind in one call.
    let (kept, sent) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let messages = [Ancillary::rights(&[sent.fileno()]), Ancillary::rights(&[sent.fileno()])];
    assert_eq!(connection.sendmsg(&[IoSlice::new(b"two")], &messages, Flags::NONE, None)?, 3);
    drop(sent);
    assert_eq!(kept.recv(100, Flags::NONE)?, b"again");
    Ok(())
}
