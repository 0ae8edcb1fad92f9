//! CAN_ISOTP: messages in one frame and in many, in both directions, and the errors if there is no
//! peer.

use sandsock::constants::*;
use sandsock::{Error, OptionValue, Socket};
use sandsock_test_programs::can::channel;
use sandsock_test_programs::{argument, pattern};
use std::time::Duration;

fn end(index: u32, receive: u32, transmit: u32) -> Result<Socket, Error> {
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_ISOTP)?;
    socket.settimeout(Some(Duration::from_secs(5)))?;
    socket.bind(channel(index, receive, transmit))?;
    Ok(socket)
}

fn main() -> Result<(), Error> {
    let index = argument(0);
    let (a, b) = (end(index, 0x700, 0x701)?, end(index, 0x701, 0x700)?);
    assert_eq!(a.getsockname()?, channel(index, 0x700, 0x701));
    for length in [1, 7, 8, 300, 4095] {
        let sent = pattern(length);
        assert_eq!(a.send(&sent, 0)?, length);
        let (data, from) = b.recvfrom(5000, 0)?;
        assert_eq!(data, sent);
        // The kernel returns the interface alone.
        assert_eq!(from, channel(index, 0, 0));
        b.send(&sent, 0)?;
        assert_eq!(a.recv(5000, 0)?, sent);
    }
    // One after the other: the second waits until the first is through.
    a.send(&pattern(200), 0)?;
    a.send(&pattern(100), 0)?;
    assert_eq!((b.recv(500, 0)?, b.recv(500, 0)?), (pattern(200), pattern(100)));

    // Extended addresses: `struct can_isotp_options`, of a socket that is not bound yet.
    let options =
        |own: u8| [&2u32.to_ne_bytes()[..], &0u32.to_ne_bytes(), &[own, 0, 0, 0]].concat();
    let pair = [(0x710u32, 0x711u32), (0x711, 0x710)].map(
        |(receive, transmit)| -> Result<Socket, Error> {
            let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_ISOTP)?;
            socket.settimeout(Some(Duration::from_secs(5)))?;
            socket.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, OptionValue::Bytes(&options(0x55)))?;
            // The last byte is the address to receive for, which is the same unless an option says
            // otherwise.
            assert_eq!(
                socket.getsockopt_bytes(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, 12)?[..11],
                options(0x55)[..11]
            );
            socket.bind(channel(index, receive, transmit))?;
            Ok(socket)
        },
    );
    let [c, d] = pair;
    let (c, d) = (c?, d?);
    c.send(&pattern(50), 0)?;
    assert_eq!(d.recv(100, 0)?, pattern(50));

    // The peer does not take the rest. Closing waits for its timeout of a few seconds.
    let alone = end(index, 0x720, 0x721)?;
    alone.send(&pattern(100), 0)?;
    alone.close()
}
