//! CAN_BCM on another interface than the one that is granted: `can=vcan0:bcm`.

use sandsock::constants::*;
use sandsock::raw::types;
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::can::{bcm, frame, interface};
use sandsock_test_programs::{argument, fails_with, needs};

fn main() -> Result<(), Error> {
    let (granted, other): (u32, u32) = (argument(0), argument(1));
    let message = bcm(CAN_BCM_TX_SEND, 0, 0, 0, 0, 1, &[frame(1, b"x")]);
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_BCM)?;
    needs(socket.connect(interface(other)), "can=vcan1:bcm");
    needs(socket.connect(interface(0)), "can=*:bcm");
    // The kernel would read this as every interface.
    let unspec = Address::Other(types::Address::Unspec);
    fails_with(socket.connect(unspec), "OSError", sandsock::errno::EAFNOSUPPORT);
    // The kernel's own refusal looks otherwise: it is not connected.
    fails_with(socket.send(&message, 0), "OSError", sandsock::errno::ENOTCONN);
    socket.connect(interface(granted))?;
    needs(socket.sendto(&message, 0, interface(other)), "can=vcan1:bcm");
    needs(Socket::new(AF_CAN, SOCK_RAW, CAN_RAW), None);
    Ok(())
}
