//! MSG_PEEK leaves the bytes where they are, on streams and datagrams, in every form of receive.

use std::io::IoSliceMut;

use sandsock::constants::*;
use sandsock::{Error, Flags};
use sandsock_test_programs::{connected, datagrams, port};

fn main() -> Result<(), Error> {
    let (a, b) = connected(AF_INET)?;
    a.sendall(b"abcdef", 0)?;
    assert_eq!(b.recv(6, MSG_PEEK | MSG_WAITALL)?, b"abcdef");
    assert_eq!(b.recv(3, MSG_PEEK)?, b"abc");
    let mut buffer = [0; 4];
    assert_eq!(b.recv_into(&mut buffer, MSG_PEEK)?, 4);
    assert_eq!(&buffer, b"abcd");
    let (mut one, mut two) = ([0; 2], [0; 3]);
    let message =
        b.recvmsg_into(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)], 0, MSG_PEEK)?;
    assert_eq!((message.data, &one, &two), (5, b"ab", b"cde"));
    assert_eq!(b.recv(4, 0)?, b"abcd");
    assert_eq!(b.recv(10, Flags::NONE)?, b"ef");

    let (one, two) = (datagrams(AF_INET)?, datagrams(AF_INET)?);
    one.sendto(b"datagram", 0, ("127.0.0.1", port(&two)))?;
    assert_eq!(two.recvfrom(4, MSG_PEEK)?, (b"data".to_vec(), one.getsockname()?));
    let message = two.recvmsg(100, 0, MSG_PEEK)?;
    assert_eq!(
        (message.data.as_slice(), message.address),
        (b"datagram".as_slice(), one.getsockname()?)
    );
    assert_eq!(two.recv(100, 0)?, b"datagram");
    two.setblocking(false)?;
    sandsock_test_programs::would_block(two.recv(100, MSG_PEEK));
    Ok(())
}
