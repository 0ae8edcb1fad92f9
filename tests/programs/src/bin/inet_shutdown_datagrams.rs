//! After the shutdown of a datagram socket, a receive that blocks returns the end, before and
//! during its wait.

use sandsock::constants::*;
use sandsock::{Address, Error, socketpair};
use sandsock_test_programs::{datagrams, lasts, times_out, would_block};
use std::time::Duration;

fn main() -> Result<(), Error> {
    let udp = datagrams(AF_INET)?;
    udp.connect(("127.0.0.1", sandsock_test_programs::port(&udp)))?;
    let (unix, _peer) = socketpair(AF_UNIX, SOCK_DGRAM, 0)?;
    for socket in [&udp, &unix] {
        socket.shutdown(SHUT_RD)?;
        assert_eq!(socket.recv(10, 0)?, b"");
        assert_eq!(socket.recvfrom(10, 0)?, (Vec::new(), Address::None));
        let message = socket.recvmsg(10, 100, 0)?;
        assert_eq!((message.data.len(), message.flags.0, message.address), (0, 0, Address::None));
        would_block(socket.recv(10, MSG_DONTWAIT));
        socket.setblocking(false)?;
        would_block(socket.recv(10, 0));
        let time = Duration::from_millis(100);
        socket.settimeout(Some(time))?;
        times_out(lasts(time, || socket.recv(10, 0)));
    }
    // A datagram that came before the shutdown is still there.
    let (a, b) = socketpair(AF_UNIX, SOCK_DGRAM, 0)?;
    b.send(b"before", 0)?;
    a.shutdown(SHUT_RD)?;
    assert_eq!(a.recv(10, 0)?, b"before");
    assert_eq!(a.recv(10, 0)?, b"");
    Ok(())
}
