//! CAN_J1939 with the grants of its options: receives messages for other nodes, and sends before
//! them.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};
use sandsock_test_programs::argument;
use sandsock_test_programs::can::node;
use std::time::Duration;

fn main() -> Result<(), Error> {
    let index = argument(0);
    let ecu = |address| -> Result<Socket, Error> {
        let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_J1939)?;
        socket.settimeout(Some(Duration::from_secs(5)))?;
        socket.bind(node(index, 0, J1939_NO_PGN as u32, address))?;
        Ok(socket)
    };
    let (a, eavesdropper) = (ecu(0x20)?, ecu(0x50)?);
    eavesdropper.setsockopt(SOL_CAN_J1939, SO_J1939_PROMISC, 1)?;
    a.setsockopt(SOL_CAN_J1939, SO_J1939_SEND_PRIO, 1)?;
    a.sendto(b"for 0x30", 0, node(index, 0, 0x12300, 0x30))?;
    let got = eavesdropper.recvmsg(100, 200, Flags::NONE)?;
    assert_eq!(got.data, b"for 0x30");
    let priority = got
        .ancillary
        .iter()
        .find(|item| (item.level, item.kind) == (SOL_CAN_J1939, SCM_J1939_PRIO));
    assert_eq!(priority.map(|item| &item.data[..]), Some(&[1][..]));
    Ok(())
}
