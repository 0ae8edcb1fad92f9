//! Code that the guests of the suite `can` share: frames and addresses in the kernel's layout.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::types::{self, CanAddress, CanDetail, CanIsotp, CanJ1939};
use sandsock::{Address, Flags, Result, Socket, if_indextoname};

/// MSG_CONFIRM: on receive, the frame is this socket's own.
pub const OWN: Flags = Flags(0x800);

/// `struct can_frame`: identifier, length, data.
///
/// # Panics
/// For more than 8 bytes.
pub fn frame(id: u32, data: &[u8]) -> Vec<u8> {
    assert!(data.len() <= 8);
    let mut frame = [&id.to_ne_bytes()[..], &[data.len() as u8, 0, 0, 0], data].concat();
    frame.resize(16, 0);
    frame
}

/// `struct canfd_frame`.
///
/// # Panics
/// For more than 64 bytes.
pub fn fd_frame(id: u32, data: &[u8]) -> Vec<u8> {
    assert!(data.len() <= 64);
    let mut frame = [&id.to_ne_bytes()[..], &[data.len() as u8, 0, 0, 0], data].concat();
    frame.resize(72, 0);
    frame
}

/// The address of CAN_RAW and CAN_BCM; 0 is every interface.
pub fn interface(index: u32) -> Address {
    address(index, CanDetail::Plain)
}

/// The address of CAN_ISOTP.
pub fn channel(index: u32, receive_id: u32, transmit_id: u32) -> Address {
    address(index, CanDetail::Isotp(CanIsotp { receive_id, transmit_id }))
}

/// The address of CAN_J1939.
pub fn node(index: u32, name: u64, pgn: u32, node: u8) -> Address {
    address(index, CanDetail::J1939(CanJ1939 { name, pgn, address: node }))
}

/// Returns the address as Python shows it, with the interface's name. If the guest may not look the
/// name up, it has the interface's number.
fn address(index: u32, detail: CanDetail) -> Address {
    match if_indextoname(index) {
        Ok(name) => Address::Can(name, detail),
        Err(_) if index == 0 => Address::Can(String::new(), detail),
        Err(_) => Address::Other(types::Address::Can(CanAddress { interface: index, detail })),
    }
}

/// A CAN_RAW socket that is bound to an interface, and waits no longer than a second for what must
/// come.
///
/// # Errors
/// What the steps say.
pub fn raw(index: u32) -> Result<Socket> {
    let socket = Socket::new(AF_CAN, SOCK_RAW, CAN_RAW)?;
    socket.settimeout(Some(Duration::from_secs(5)))?;
    socket.bind(interface(index))?;
    Ok(socket)
}

/// Checks that nothing arrives.
///
/// # Panics
/// If something does.
#[track_caller]
pub fn silent(socket: &Socket) {
    let timeout = socket.gettimeout();
    socket.settimeout(Some(Duration::from_millis(100))).expect("it is open");
    crate::times_out(socket.recv(100, 0));
    socket.settimeout(timeout).expect("it is open");
}

/// `struct bcm_msg_head` and its frames: operation, flags, count, two intervals in microseconds,
/// identifier.
pub fn bcm(
    operation: i32,
    flags: i32,
    count: u32,
    first: u64,
    then: u64,
    id: u32,
    frames: &[Vec<u8>],
) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(operation.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(count.to_ne_bytes());
    // `struct bcm_timeval` is aligned to a word of the host.
    message.extend([0; 4]);
    for interval in [first, then] {
        message.extend((interval / 1_000_000).to_ne_bytes());
        message.extend((interval % 1_000_000).to_ne_bytes());
    }
    message.extend(id.to_ne_bytes());
    message.extend((frames.len() as u32).to_ne_bytes());
    frames.iter().for_each(|frame| message.extend(frame));
    message
}

/// Receives from a BCM socket: the operation, the identifier, and the frames' bytes.
///
/// # Panics
/// If it is too short.
pub fn bcm_parts(message: &[u8]) -> (i32, u32, &[u8]) {
    let word = |at: usize| -> [u8; 4] { message[at..at + 4].try_into().expect("four bytes") };
    (i32::from_ne_bytes(word(0)), u32::from_ne_bytes(word(48)), &message[56..])
}
