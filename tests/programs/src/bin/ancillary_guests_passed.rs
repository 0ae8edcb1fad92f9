//! One guest passes one end of a pair to another guest. The two share its open file description.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno, socketpair};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (role, path) = (args.next().expect("a role"), args.next().expect("a path"));
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    if role == "take" {
        socket.bind(&path)?;
        socket.listen(None)?;
        println!("listening");
        take(&socket.accept()?.0)
    } else {
        socket.connect(&path)?;
        give(&socket)
    }
}

fn give(connection: &Socket) -> Result<(), Error> {
    let (own, given) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    connection.send_fds(&[IoSlice::new(b"x")], &[given.fileno()])?;
    assert_eq!(own.recv(100, Flags::NONE)?, b"from the taker");
    // The taker has made the description non-blocking: this guest's own socket knows nothing of it,
    // and does not wait.
    assert_eq!(given.gettimeout(), None);
    assert_eq!(given.recv(1, Flags::NONE).unwrap_err().errno(), Some(errno::EAGAIN));
    println!("shared");
    // And the other way.
    given.setblocking(true)?;
    connection.sendall(b"1", Flags::NONE)?;
    assert_eq!(own.recv(100, Flags::NONE)?, b"still there");
    given.close()?;
    assert_eq!(own.recv(100, Flags::NONE)?, b"", "both guests have closed it");
    Ok(())
}

fn take(connection: &Socket) -> Result<(), Error> {
    let received = connection.recv_fds(1, 1)?;
    let [fd] = received.ancillary[0].fds()[..] else { panic!("{received:?}") };
    let taken = Socket::with_fileno(fd, None, None, None)?;
    taken.setblocking(false)?;
    taken.sendall(b"from the taker", Flags::NONE)?;
    assert_eq!(connection.recv(1, Flags::NONE)?, b"1");
    let copy = taken.dup()?;
    copy.sendall(b"still there", Flags::NONE)?;
    Ok(())
}
