//! Asking for more bytes than there can be is no error, and costs no memory.

use sandsock::Error;
use sandsock::constants::*;
use sandsock_test_programs::{connected, datagrams, memory_pages, port};

fn main() -> Result<(), Error> {
    let before = memory_pages();
    let (a, b) = connected(AF_INET)?;
    let (one, two) = (datagrams(AF_INET)?, datagrams(AF_INET)?);
    for most in [usize::MAX, usize::MAX - 1, 1 << 31, 1 << 30] {
        a.sendall(b"stream", 0)?;
        assert_eq!(b.recv(most, 0)?, b"stream");
        a.sendall(b"stream", 0)?;
        assert_eq!(b.recvfrom(most, 0)?.0, b"stream");
        a.sendall(b"stream", 0)?;
        assert_eq!(b.recvmsg(most, 0, 0)?.data, b"stream");
        a.sendall(b"stream", 0)?;
        assert_eq!(b.recv(most, MSG_PEEK)?, b"stream");
        assert_eq!(b.recv(6, 0)?, b"stream");
        for data in [b"datagram".as_slice(), b""] {
            one.sendto(data, 0, ("127.0.0.1", port(&two)))?;
            assert_eq!(two.recv(most, 0)?, data);
            one.sendto(data, 0, ("127.0.0.1", port(&two)))?;
            assert_eq!(two.recvfrom(most, 0)?, (data.to_vec(), one.getsockname()?));
            one.sendto(data, 0, ("127.0.0.1", port(&two)))?;
            let message = two.recvmsg(most, 0x7fff_ffff, 0)?;
            assert_eq!((message.data.as_slice(), message.flags.0), (data, 0));
        }
    }
    let grown = memory_pages() - before;
    assert!(grown < 64, "{grown} pages of 64 KiB");
    Ok(())
}
