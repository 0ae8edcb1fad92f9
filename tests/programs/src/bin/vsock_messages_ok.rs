//! AF_VSOCK sequenced packets to this machine itself: a send is a message. No transport of this
//! machine has datagrams.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};
use sandsock_test_programs::{fails_with, pattern};

fn main() -> Result<(), Error> {
    let listener = Socket::new(AF_VSOCK, SOCK_SEQPACKET, 0)?;
    listener.settimeout(Some(Duration::from_secs(20)))?;
    listener.bind(Address::Vsock(VMADDR_CID_LOCAL, 2000))?;
    listener.listen(None)?;
    let client = Socket::new(AF_VSOCK, SOCK_SEQPACKET, 0)?;
    client.settimeout(Some(Duration::from_secs(20)))?;
    client.connect(Address::Vsock(VMADDR_CID_LOCAL, 2000))?;
    let (server, _) = listener.accept()?;
    server.settimeout(Some(Duration::from_secs(20)))?;
    for length in [1, 1000, 100_000] {
        assert_eq!(client.send(&pattern(length), 0)?, length);
        client.send(b"next", 0)?;
        assert!(server.recv(200_000, 0)? == pattern(length));
        assert_eq!(server.recv(200_000, 0)?, b"next");
    }
    // Bytes that do not fit are lost, and MSG_TRUNC reports it.
    client.send(b"0123456789", 0)?;
    client.send(b"next", 0)?;
    let cut = server.recvmsg(4, 0, Flags::NONE)?;
    assert_eq!(cut.data, b"0123");
    assert!(cut.flags.contains(Flags::TRUNC), "{:?}", cut.flags);
    assert_eq!(server.recv(100, 0)?, b"next");
    fails_with(Socket::new(AF_VSOCK, SOCK_DGRAM, 0), "OSError", sandsock::errno::ENODEV);
    Ok(())
}
