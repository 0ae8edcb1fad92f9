//! HCI by an adapter's raw channel: a command and its answer; and by the monitor's channel, which
//! sees them too.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::types::{self, BluetoothAddress, HciAddress};
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::fails_with;

fn address(adapter: u16, channel: i32) -> Address {
    Address::Other(types::Address::Bluetooth(BluetoothAddress::Hci(HciAddress {
        adapter,
        channel: channel as u16,
    })))
}

fn socket() -> Result<Socket, Error> {
    let socket = Socket::new(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI)?;
    socket.settimeout(Some(Duration::from_secs(10)))?;
    Ok(socket)
}

/// HCI_Read_Local_Version_Information, as a packet of HCI_COMMAND_PKT (Bluetooth Core
/// Specification, volume 4, part E, 7.4.1).
const READ_LOCAL_VERSION: [u8; 4] = [0x01, 0x01, 0x10, 0x00];

fn main() -> Result<(), Error> {
    let monitor = socket()?;
    monitor.bind(address(HCI_DEV_NONE as u16, HCI_CHANNEL_MONITOR))?;

    let raw = socket()?;
    raw.bind(address(0, HCI_CHANNEL_RAW))?;
    assert_eq!(raw.getsockname()?.to_string(), "0");
    // struct hci_filter: events alone, of all kinds.
    let filter = [&(1u32 << 4).to_ne_bytes()[..], &[0xff; 8], &[0; 4]].concat();
    raw.setsockopt(SOL_HCI, HCI_FILTER, &filter[..])?;
    assert_eq!(raw.getsockopt_bytes(SOL_HCI, HCI_FILTER, 12)?, filter[..12]);
    raw.send(&READ_LOCAL_VERSION, 0)?;
    // HCI_EVENT_PKT, Command Complete, of this command, with status 0.
    let answer = loop {
        let event = raw.recv(260, 0)?;
        assert_eq!(event[0], 0x04, "{event:?}");
        if event[1] == 0x0e && event[4..6] == READ_LOCAL_VERSION[1..3] {
            break event;
        }
    };
    assert_eq!((answer[6], answer.len()), (0, 15), "{answer:?}");
    // The monitor saw the command: its header is opcode 2 (a command), adapter 0, length 3.
    loop {
        let seen = monitor.recv(4096, 0)?;
        if seen[6..] == READ_LOCAL_VERSION[1..] {
            assert_eq!(seen[..6], [2, 0, 0, 0, 3, 0]);
            break;
        }
    }
    fails_with(socket()?.bind(address(77, HCI_CHANNEL_RAW)), "OSError", sandsock::errno::ENODEV);
    Ok(())
}
