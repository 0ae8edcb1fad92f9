//! CAN_J1939 with a grant of its interface only. The grant covers neither other nodes' messages nor
//! the highest priorities.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::can::node;
use sandsock_test_programs::{argument, needs};

fn main() -> Result<(), Error> {
    let (granted, other): (u32, u32) = (argument(0), argument(1));
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_J1939)?;
    let none = J1939_NO_PGN as u32;
    needs(socket.bind(node(other, 0, none, 0x20)), "can=vcan1:j1939");
    socket.bind(node(granted, 0, none, 0x20))?;
    needs(socket.connect(node(other, 0, none, 0x20)), "can=vcan1:j1939");
    needs(socket.sendto(b"x", 0, node(other, 0, 0x12300, 0x30)), "can=vcan1:j1939");
    needs(
        socket.setsockopt(SOL_CAN_J1939, SO_J1939_PROMISC, 1),
        "option=SOL_CAN_J1939/SO_J1939_PROMISC",
    );
    needs(
        socket.setsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO, 0),
        "option=SOL_CAN_J1939/SO_J1939_SEND_PRIO",
    );
    assert_eq!(socket.getsockopt(SOL_CAN_J1939, SO_J1939_PROMISC)?, 0);
    assert_eq!(socket.getsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO)?, 6);
    Ok(())
}
