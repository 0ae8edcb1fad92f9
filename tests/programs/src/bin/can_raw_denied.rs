//! Tries other interfaces and protocols than the one that is granted: `can=vcan0:raw`.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::can::{channel, frame, interface, node, raw};
use sandsock_test_programs::{argument, needs};

fn main() -> Result<(), Error> {
    let (granted, other): (u32, u32) = (argument(0), argument(1));
    let socket = raw(granted)?;
    needs(raw(other), "can=vcan1:raw");
    needs(raw(0), "can=*:raw");
    // For an interface that does not exist, the denial is the same.
    needs(raw(9999), None);
    needs(raw(u32::MAX), None);
    for address in [interface(other), channel(other, 1, 2), node(other, 0, 0, 1)] {
        needs(socket.sendto(&frame(1, b""), 0, &address), "can=vcan1:raw");
        needs(socket.connect(&address), "can=vcan1:raw");
    }
    for protocol in [CAN_BCM, CAN_ISOTP, CAN_J1939] {
        needs(Socket::new(AF_CAN, SOCK_DGRAM, protocol), None);
    }
    // No verb names these protocols.
    needs(Socket::new(AF_CAN, SOCK_RAW, 0), None);
    needs(Socket::new(AF_CAN, SOCK_DGRAM, 3), None);
    // Nothing of all that came through, and the socket is as it was.
    socket.send(&frame(1, b"last"), 0)?;
    Ok(())
}
