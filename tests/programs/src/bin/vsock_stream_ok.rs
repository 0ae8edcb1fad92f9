//! AF_VSOCK streams to this machine itself, by the local context id: connect, accept, data in both
//! directions, options, the local cid.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};
use sandsock_test_programs::{fails_with, pattern, receive_all, times_out};

/// Two bounds of the buffer.
const SIZES: [(i32, u64); 3] = [
    (SO_VM_SOCKETS_BUFFER_MAX_SIZE, 0x2_0000_0000),
    (SO_VM_SOCKETS_BUFFER_SIZE, 600_000),
    (SO_VM_SOCKETS_BUFFER_MIN_SIZE, 4096),
];

fn main() -> Result<(), Error> {
    let listener = Socket::new(AF_VSOCK, SOCK_STREAM, 0)?;
    listener.settimeout(Some(Duration::from_secs(20)))?;
    listener.bind(Address::Vsock(VMADDR_CID_ANY, 1234))?;
    assert_eq!(listener.getsockname()?, Address::Vsock(VMADDR_CID_ANY, 1234));
    listener.listen(None)?;

    let client = Socket::new(AF_VSOCK, SOCK_STREAM, 0)?;
    client.settimeout(Some(Duration::from_secs(20)))?;
    for (name, size) in SIZES {
        client.setsockopt(AF_VSOCK, name, size as i64)?;
        assert_eq!(client.getsockopt_u64(AF_VSOCK, name)?, size);
    }
    // CPython has no buffers here.
    let failed = client
        .setsockopt(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &[0; 8])
        .expect_err("an int is asked for");
    assert_eq!(failed.class(), "TypeError");
    assert!(client.getsockopt_bytes(AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, 8).is_err());
    // An int of 8 bytes is no timeval of 16.
    fails_with(
        client.setsockopt(AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, 5),
        "OSError",
        sandsock::errno::EINVAL,
    );

    client.connect(Address::Vsock(VMADDR_CID_LOCAL, 1234))?;
    let (server, peer) = listener.accept()?;
    server.settimeout(Some(Duration::from_secs(20)))?;
    // A socket that the kernel bound at connect has the wildcard as its own cid. Its peer sees its
    // real address.
    let Address::Vsock(_, port) = client.getsockname()? else { panic!("another family") };
    assert_eq!(peer, Address::Vsock(VMADDR_CID_LOCAL, port));
    assert_eq!(client.getpeername()?.to_string(), "(1, 1234)");
    assert!(
        matches!(server.getsockname()?, Address::Vsock(VMADDR_CID_LOCAL, 1234)),
        "{}",
        server.getsockname()?
    );

    for length in [1, 1000, 200_000] {
        let data = pattern(length);
        client.sendall(&data, Flags::NONE)?;
        assert!(receive_all(&server, length)? == data);
        server.sendall(&data, Flags::NONE)?;
        assert!(receive_all(&client, length)? == data);
    }
    server.settimeout(Some(Duration::from_millis(50)))?;
    times_out(server.recv(1, 0));
    client.shutdown(SHUT_WR)?;
    assert_eq!(server.recv(1, 0)?, b"");
    drop((client, server));

    // There is no listener.
    let lost = Socket::new(AF_VSOCK, SOCK_STREAM, 0)?;
    lost.settimeout(Some(Duration::from_secs(20)))?;
    fails_with(
        lost.connect(Address::Vsock(VMADDR_CID_LOCAL, 4321)),
        "ConnectionResetError",
        sandsock::errno::ECONNRESET,
    );

    // A port of the kernel's choice, and the machine's own cid: of the loopback alone it is its
    // own, in older kernels none.
    let chosen = Socket::new(AF_VSOCK, SOCK_STREAM, 0)?;
    chosen.bind(Address::Vsock(VMADDR_CID_ANY, VMADDR_PORT_ANY))?;
    chosen.listen(None)?;
    assert!(matches!(chosen.getsockname()?, Address::Vsock(VMADDR_CID_ANY, 1024..=0xffff_fffe)));
    let (value, cid) = chosen.ioctl(IOCTL_VM_SOCKETS_GET_LOCAL_CID as u32, &[0; 4])?;
    assert_eq!(value, 0);
    assert!(
        [VMADDR_CID_LOCAL, VMADDR_CID_ANY].map(u32::to_ne_bytes).iter().any(|own| own[..] == cid),
        "{cid:?}"
    );
    Ok(())
}
