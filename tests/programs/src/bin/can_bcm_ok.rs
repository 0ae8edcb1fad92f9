//! CAN_BCM: frames sent in a cycle, changes of content, time-outs, and the end of each.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::can::{bcm, bcm_parts, frame, interface, raw, silent};
use sandsock_test_programs::{argument, lasts};
use std::time::Duration;

fn manager(index: u32) -> Result<Socket, Error> {
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_BCM)?;
    socket.settimeout(Some(Duration::from_secs(5)))?;
    socket.connect(interface(index))?;
    Ok(socket)
}

fn main() -> Result<(), Error> {
    let index = argument(0);
    let wire = raw(index)?;
    let (sender, receiver) = (manager(index)?, manager(index)?);

    // One frame every 20 ms, until it is deleted.
    let cycle = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER;
    sender.send(&bcm(CAN_BCM_TX_SETUP, cycle, 0, 0, 20_000, 0x10, &[frame(0x10, b"tick")]), 0)?;
    let ten = || {
        (0..10)
            .try_for_each(|_| wire.recv(16, 0).map(|data| assert_eq!(data, frame(0x10, b"tick"))))
    };
    wire.recv(16, 0)?;
    lasts(Duration::from_millis(100), ten)?;
    sender.send(&bcm(CAN_BCM_TX_DELETE, 0, 0, 0, 0, 0x10, &[]), 0)?;
    wire.settimeout(Some(Duration::ZERO))?;
    while wire.recv(16, 0).is_ok() {}
    wire.settimeout(Some(Duration::from_secs(5)))?;
    silent(&wire);

    // Send three times, and report the end.
    let three = cycle | CAN_BCM_TX_COUNTEVT;
    sender.send(&bcm(CAN_BCM_TX_SETUP, three, 3, 10_000, 0, 0x11, &[frame(0x11, b"thrice")]), 0)?;
    let expired = sender.recv(100, 0)?;
    assert_eq!(bcm_parts(&expired), (CAN_BCM_TX_EXPIRED, 0x11, &[][..]));
    for _ in 0..3 {
        assert_eq!(wire.recv(16, 0)?, frame(0x11, b"thrice"));
    }
    silent(&wire);

    // Once, at once.
    sender.send(&bcm(CAN_BCM_TX_SEND, 0, 0, 0, 0, 0x12, &[frame(0x12, b"once")]), 0)?;
    assert_eq!(wire.recv(16, 0)?, frame(0x12, b"once"));

    // Reported only if the first byte changes.
    let mask = frame(0, b"\xff");
    receiver.send(&bcm(CAN_BCM_RX_SETUP, 0, 0, 0, 0, 0x20, &[mask]), 0)?;
    for data in [b"aa", b"ab", b"ba", b"bb", b"ca"] {
        wire.send(&frame(0x20, data), 0)?;
    }
    for data in [b"aa", b"ba", b"ca"] {
        let (changed, from) = receiver.recvfrom(100, 0)?;
        assert_eq!(from, interface(index));
        assert_eq!(bcm_parts(&changed), (CAN_BCM_RX_CHANGED, 0x20, &frame(0x20, data)[..]));
    }
    silent(&receiver);
    receiver.send(&bcm(CAN_BCM_RX_DELETE, 0, 0, 0, 0, 0x20, &[]), 0)?;

    // A frame that comes no more within 50 ms.
    let watch = CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER | CAN_BCM_RX_FILTER_ID;
    receiver.send(&bcm(CAN_BCM_RX_SETUP, watch, 0, 50_000, 0, 0x21, &[]), 0)?;
    wire.send(&frame(0x21, b"here"), 0)?;
    let arrived = receiver.recv(100, 0)?;
    assert_eq!(bcm_parts(&arrived).0, CAN_BCM_RX_CHANGED);
    let gone = receiver.recv(100, 0)?;
    assert_eq!(bcm_parts(&gone), (CAN_BCM_RX_TIMEOUT, 0x21, &[][..]));
    Ok(())
}
