//! AF_VSOCK, in the booted kernel: its loopback transport is there, and no other.

use std::io::{Read, Write};
use std::time::Duration;

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, programs};
use socket2::{Domain, SockAddr, Socket, Type};

/// VMADDR_CID_LOCAL.
const LOCAL: u32 = 1;

#[test]
pub(crate) fn vsock_stream_ok() {
    booted(|way| {
        Guest::new(programs::vsock_stream_ok, way)
            .allow("family=vsock:connect:local")
            .allow("family=vsock:listen:any:1234")
            .allow("family=vsock:listen:any:any")
            .allow("option=AF_VSOCK/SO_VM_SOCKETS_BUFFER_MAX_SIZE")
            .allow("option=AF_VSOCK/SO_VM_SOCKETS_BUFFER_MIN_SIZE")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn vsock_messages_ok() {
    booted(|way| {
        Guest::new(programs::vsock_messages_ok, way).allow("family=vsock").run().success();
    });
}

#[test]
pub(crate) fn vsock_native_ok() {
    booted(|way| {
        let listener = Socket::new(Domain::VSOCK, Type::STREAM, None).expect("a socket");
        listener.bind(&SockAddr::vsock(LOCAL, 3000)).expect("binds");
        listener.listen(1).expect("listens");
        let guest = Guest::new(programs::vsock_native_ok, way)
            .allow("family=vsock:connect:1:3000")
            .arg(3000)
            .start();
        let (mut peer, _) = listener.accept().expect("accepts");
        peer.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
        let data = crate::inet::pattern(50_000);
        peer.write_all(&data).expect("sends");
        let mut back = vec![0; data.len()];
        peer.read_exact(&mut back).expect("receives");
        assert!(back.iter().zip(&data).all(|(back, sent)| *back == !*sent));
        peer.shutdown(std::net::Shutdown::Write).expect("it is up");
        guest.join().success();
    });
}

#[test]
pub(crate) fn vsock_stream_denied() {
    booted(|way| {
        Guest::new(programs::vsock_stream_denied, way)
            .allow("family=vsock:listen:local:1234")
            .allow("family=vsock:connect:local:1234-1235")
            .deny("family=vsock:connect:host:1235")
            .run()
            .success();
    });
}
