//! Receives descriptors of every kind from a native peer.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let received = connection.recv_fds(100, 10)?;
    assert_eq!((received.data.as_slice(), received.flags), (b"four".as_slice(), Flags::NONE));
    assert_eq!(received.warnings, []);
    assert_eq!(received.ancillary.len(), 1);
    let fds = received.ancillary[0].fds();
    let [pipe, file, stream, datagram] = fds[..] else { panic!("{fds:?}") };
    for fd in [pipe, file] {
        let error = Socket::with_fileno(fd, None, None, None).unwrap_err();
        assert_eq!(error.errno(), Some(errno::ENOTSOCK));
        assert!(sandsock::get_inheritable(fd)?, "as the kernel does without MSG_CMSG_CLOEXEC");
    }
    let stream = Socket::with_fileno(stream, None, None, None)?;
    assert_eq!((stream.family().0, stream.kind().0), (AF_UNIX, SOCK_STREAM));
    stream.sendall(b"by the stream", Flags::NONE)?;
    let datagram = Socket::with_fileno(datagram, None, None, None)?;
    assert_eq!((datagram.family().0, datagram.kind().0), (AF_INET, SOCK_DGRAM));
    // The description outlives one of its two numbers.
    let copy = sandsock::dup(pipe)?;
    sandsock::close(pipe)?;
    assert_eq!(sandsock::close(pipe).unwrap_err().errno(), Some(errno::EBADF));
    println!("one number closed");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"1");
    sandsock::close(copy)?;
    println!("both closed");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"2");
    Ok(())
}
