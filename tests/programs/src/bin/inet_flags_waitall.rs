//! MSG_WAITALL: without a timeout it waits until all bytes are there or the stream ends. A socket
//! with a timeout gets the bytes that are there.

use std::io::IoSliceMut;
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, connected, pattern, would_block};

fn main() -> Result<(), Error> {
    // The peer sends the 9 bytes three times, in three parts each, with pauses; then 3 MiB; then 4
    // bytes and the end.
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(("127.0.0.1", argument::<u16>(0)))?;
    assert_eq!(socket.recv(9, MSG_WAITALL)?, b"onetwosix");
    let mut buffer = [0; 9];
    assert_eq!(socket.recv_into(&mut buffer, MSG_WAITALL)?, 9);
    assert_eq!(&buffer, b"onetwosix");
    let (mut first, mut second) = ([0; 4], [0; 5]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(socket.recvmsg_into(&mut buffers, 0, MSG_WAITALL)?.data, 9);
    assert_eq!((&first, &second), (b"onet", b"wosix"));
    let big = pattern(3 << 20);
    assert!(socket.recv(big.len(), MSG_WAITALL)? == big, "all of it, in one call");
    assert_eq!(socket.recv(100, MSG_WAITALL)?, b"last", "the end ends it");
    assert_eq!(socket.recv(100, MSG_WAITALL)?, b"");

    let (a, b) = connected(AF_INET)?;
    a.sendall(b"part", 0)?;
    b.settimeout(Some(Duration::from_secs(20)))?;
    assert_eq!(b.recv(10, MSG_WAITALL)?, b"part", "with a timeout it is one transfer");
    a.sendall(b"part", 0)?;
    // It may not be there yet, on a machine that is busy.
    b.recv(1, MSG_PEEK)?;
    b.settimeout(Some(Duration::ZERO))?;
    assert_eq!(b.recv(10, MSG_WAITALL)?, b"part");
    would_block(b.recv(10, MSG_WAITALL));

    // A blocking one ends with what it has when SO_RCVTIMEO is over.
    b.setblocking(true)?;
    let time = [0i64.to_le_bytes(), 200_000i64.to_le_bytes()].concat();
    b.setsockopt(SOL_SOCKET, SO_RCVTIMEO, time.as_slice())?;
    a.sendall(b"part", 0)?;
    let part =
        sandsock_test_programs::lasts(Duration::from_millis(200), || b.recv(10, MSG_WAITALL))?;
    assert_eq!(part, b"part");
    Ok(())
}
