//! Has the grants `bluetooth:l2cap` and `bluetooth:hci:raw`, and tries the others. The argument is
//! a controller's device address.

use sandsock::constants::*;
use sandsock::raw::types::{self, BluetoothAddress, HciAddress, RfcommAddress};
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::{argument, fails_with, needs};

fn main() -> Result<(), Error> {
    let one: String = argument(0);
    needs(Socket::new(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM), None);
    needs(Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_SCO), None);
    let hci = Socket::new(AF_BLUETOOTH, SOCK_RAW, BTPROTO_HCI)?;
    let address = |adapter, channel| {
        Address::Other(types::Address::Bluetooth(BluetoothAddress::Hci(HciAddress {
            adapter,
            channel,
        })))
    };
    for (channel, grant) in [(1, "user"), (2, "monitor"), (3, "control"), (4, "logging")] {
        needs(hci.bind(address(0, channel)), &*format!("family=bluetooth:hci:{grant}"));
    }
    needs(hci.bind(address(0, 5)), None);
    // Requests that open and close adapters are none that the host knows: HCIDEVDOWN.
    fails_with(hci.ioctl(0x4004_48ca, &[0; 4]), "OSError", sandsock::errno::ENOTTY);
    hci.bind(address(0, 0))?;

    let l2cap = Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP)?;
    // Another protocol's address, which may have the same bytes.
    let rfcomm = RfcommAddress { device: (0, 0xaa, 1, 0, 0, 0), channel: 1 };
    let rfcomm = Address::Other(types::Address::Bluetooth(BluetoothAddress::Rfcomm(rfcomm)));
    fails_with(l2cap.bind(rfcomm), "OSError", sandsock::errno::EAFNOSUPPORT);
    // Modes that would wait for the peer.
    needs(l2cap.setsockopt(SOL_L2CAP, L2CAP_OPTIONS, &[0; 12]), None);
    needs(l2cap.setsockopt(SOL_BLUETOOTH, BT_MODE, BT_MODE_ERTM), None);
    needs(l2cap.setsockopt(SOL_BLUETOOTH, BT_CODEC, 0), "option=SOL_BLUETOOTH/BT_CODEC");
    l2cap.bind((&*one, 0x1005))?;
    Ok(())
}
