//! CAN_J1939: messages of one frame, transport of many, broadcasts, filters, and the control
//! messages beside the data.

use sandsock::constants::*;
use sandsock::{Error, Flags, OptionValue, Received, Socket};
use sandsock_test_programs::can::{node, silent};
use sandsock_test_programs::{argument, fails_with, pattern};
use std::time::Duration;

const NO_PGN: u32 = J1939_NO_PGN as u32;

fn ecu(index: u32, address: u8) -> Result<Socket, Error> {
    let socket = Socket::new(AF_CAN, SOCK_DGRAM, CAN_J1939)?;
    socket.settimeout(Some(Duration::from_secs(5)))?;
    socket.bind(node(index, 0, NO_PGN, address))?;
    Ok(socket)
}

fn control(message: &Received<Vec<u8>>, kind: i32) -> Option<&[u8]> {
    message
        .ancillary
        .iter()
        .find(|item| (item.level, item.kind) == (SOL_CAN_J1939, kind))
        .map(|item| &item.data[..])
}

fn main() -> Result<(), Error> {
    let index = argument(0);
    let (a, b) = (ecu(index, 0x20)?, ecu(index, 0x30)?);
    assert_eq!(a.getsockname()?, node(index, 0, NO_PGN, 0x20));

    // One frame, then transport: 9 bytes are too many for a frame, above 1785 is the extended one.
    for length in [8, 9, 100, 3000] {
        let sent = pattern(length);
        a.sendto(&sent, 0, node(index, 0, 0x12300, 0x30))?;
        let got = b.recvmsg(5000, 200, Flags::NONE)?;
        assert_eq!(got.data, sent);
        // For a message that came in parts, the kernel does not return the interface.
        let interface = if length > 8 { 0 } else { index };
        assert_eq!(got.address, node(interface, 0, 0x12300, 0x20));
        assert_eq!(control(&got, SCM_J1939_DEST_ADDR), Some(&[0x30][..]));
        assert_eq!(control(&got, SCM_J1939_PRIO), Some(&[6][..]));
    }

    // A fixed peer.
    a.connect(node(index, 0, 0x12400, 0x30))?;
    a.send(b"connected", 0)?;
    assert_eq!(b.recv(100, 0)?, b"connected");

    // A broadcast needs SO_BROADCAST.
    let all = node(index, 0, 0xfeca, J1939_NO_ADDR as u8);
    fails_with(b.sendto(b"hello", 0, &all), "PermissionError", sandsock::errno::EACCES);
    for socket in [&a, &b] {
        socket.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)?;
    }
    let c = ecu(index, 0x40)?;
    c.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)?;
    b.sendto(b"hello", 0, &all)?;
    let (data, from) = c.recvfrom(100, Flags::NONE)?;
    assert_eq!((data, from), (b"hello".to_vec(), node(index, 0, 0xfeca, 0x30)));

    // `struct j1939_filter`: name and its mask, group and its mask, address and its mask.
    let filter = |pgn: u32| {
        let mut bytes = [0u64; 2].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        bytes.extend(pgn.to_ne_bytes());
        bytes.extend(0x3ffffu32.to_ne_bytes());
        bytes.resize(32, 0);
        bytes
    };
    c.setsockopt(SOL_CAN_J1939, SO_J1939_FILTER, OptionValue::Bytes(&filter(0xfecb)))?;
    b.sendto(b"not this", 0, &all)?;
    silent(&c);
    b.sendto(b"but this", 0, node(index, 0, 0xfecb, J1939_NO_ADDR as u8))?;
    assert_eq!(c.recv(100, 0)?, b"but this");
    Ok(())
}
