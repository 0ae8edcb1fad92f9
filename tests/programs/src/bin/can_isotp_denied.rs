//! CAN_ISOTP on another interface than the granted one, `can=vcan0:isotp`, and a send that would
//! hold up the host.

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};
use sandsock_test_programs::can::channel;
use sandsock_test_programs::{argument, needs};

fn main() -> Result<(), Error> {
    let (granted, other): (u32, u32) = (argument(0), argument(1));
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_ISOTP)?;
    let waiting = [&CAN_ISOTP_WAIT_TX_DONE.to_ne_bytes()[..], &[0; 8]].concat();
    needs(socket.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, OptionValue::Bytes(&waiting)), None);
    needs(socket.bind(channel(other, 1, 2)), "can=vcan1:isotp");
    needs(socket.bind(channel(0, 1, 2)), "can=*:isotp");
    socket.bind(channel(granted, 1, 2))
}
