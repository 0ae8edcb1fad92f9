//! A CAN node: `can_node INTERFACE COUNT`.
//!
//! It sends a heartbeat ten times a second by the kernel's broadcast manager. It answers COUNT
//! frames with the identifier 0x123 by frames with 0x124 and the same data in reverse order.

use sandsock::constants::*;
use sandsock::{OptionValue, Socket};

/// Makes a `struct can_frame`: identifier, length, data.
fn frame(id: u32, data: &[u8]) -> Vec<u8> {
    let mut frame = [&id.to_ne_bytes()[..], &[data.len() as u8, 0, 0, 0], data].concat();
    frame.resize(16, 0);
    frame
}

/// Makes a `struct bcm_msg_head` and one frame, to be sent once in `interval` microseconds.
fn cyclic(interval: u64, frame: &[u8]) -> Vec<u8> {
    let [operation, flags] = [CAN_BCM_TX_SETUP, CAN_BCM_SETTIMER | CAN_BCM_STARTTIMER];
    let mut message: Vec<u8> =
        [operation, flags, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    for word in [0, 0, interval / 1_000_000, interval % 1_000_000] {
        message.extend(word.to_ne_bytes());
    }
    message.extend(&frame[..4]);
    message.extend(1u32.to_ne_bytes());
    message.extend(frame);
    message
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = args.as_slice() else {
        eprintln!("usage: can_node INTERFACE COUNT");
        std::process::exit(1);
    };
    let address = (name,);

    let heartbeat = Socket::new(AF_CAN, SOCK_DGRAM, CAN_BCM)?;
    // This needs the grant `can=INTERFACE:bcm`.
    heartbeat.connect(address)?;
    heartbeat.send(&cyclic(100_000, &frame(0x100, b"alive")), 0)?;

    let socket = Socket::new(AF_CAN, SOCK_RAW, CAN_RAW)?;
    let filter = [0x123u32.to_ne_bytes(), CAN_SFF_MASK.to_ne_bytes()].concat();
    socket.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, OptionValue::Bytes(&filter))?;
    // This needs the grant `can=INTERFACE:raw`.
    socket.bind(address)?;
    println!("listening on {name}");
    for _ in 0..count.parse::<u32>()? {
        let mut data = socket.recv(16, 0)?;
        let length = usize::from(data[4]).min(8);
        data[8..8 + length].reverse();
        socket.send(&frame(0x124, &data[8..8 + length]), 0)?;
    }
    Ok(())
}
