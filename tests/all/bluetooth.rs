//! AF_BLUETOOTH, in the booted kernel: `btvirt` has made two controllers there that reach each
//! other through /dev/vhci.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, Program, Way, programs};
use socket2::{Domain, Protocol, Socket, Type};

/// The controllers' device addresses, as `btvirt` numbers them.
const ONE: &str = "00:AA:01:00:00:00";
const TWO: &str = "00:AA:01:01:00:01";

/// HCIDEVUP and HCISETSCAN (the kernel's `hci_sock.h`).
const UP: libc::c_ulong = 0x4004_48c9;
const SET_SCAN: libc::c_ulong = 0x4004_48dd;

/// SCAN_INQUIRY and SCAN_PAGE: found, and connected to.
const SCANS: u32 = 3;

/// Waits for the two controllers, turns them on, and lets them be connected to.
fn controllers() {
    let end = Instant::now() + Duration::from_secs(20);
    for number in [0u16, 1] {
        while !std::path::Path::new(&format!("/sys/class/bluetooth/hci{number}")).exists() {
            assert!(Instant::now() < end, "there is no controller {number}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let socket = Socket::new(
            Domain::from(libc::AF_BLUETOOTH),
            Type::from(libc::SOCK_RAW),
            Some(Protocol::from(1)),
        );
        let socket = socket.expect("an HCI socket");
        // SAFETY: HCIDEVUP takes the controller's number in the pointer's place.
        let up = unsafe { libc::ioctl(socket.as_raw_fd(), UP, libc::c_ulong::from(number)) };
        let error = std::io::Error::last_os_error();
        assert!(up == 0 || error.raw_os_error() == Some(libc::EALREADY), "{error}");
        // struct hci_dev_req: the controller, and the option after two bytes of padding.
        let request = [u32::from(number), SCANS];
        // SAFETY: HCISETSCAN reads the 8 bytes of a request.
        let scans = unsafe { libc::ioctl(socket.as_raw_fd(), SET_SCAN, request.as_ptr()) };
        assert_eq!(scans, 0, "{}", std::io::Error::last_os_error());
    }
}

fn guest(program: Program, way: Way) -> Guest {
    controllers();
    Guest::new(program, way).arg(ONE).arg(TWO)
}

#[test]
pub(crate) fn bluetooth_hci_ok() {
    booted(|way| {
        let guest = guest(programs::bluetooth_hci_ok, way);
        guest
            .allow("family=bluetooth:hci:raw")
            .allow("family=bluetooth:hci:monitor")
            .run()
            .success();
    });
}

#[test]
pub(crate) fn bluetooth_l2cap_ok() {
    booted(|way| {
        guest(programs::bluetooth_l2cap_ok, way).allow("family=bluetooth:l2cap").run().success();
    });
}

#[test]
pub(crate) fn bluetooth_rfcomm_ok() {
    booted(|way| {
        guest(programs::bluetooth_rfcomm_ok, way).allow("family=bluetooth:rfcomm").run().success();
    });
}

#[test]
pub(crate) fn bluetooth_addresses_ok() {
    booted(|way| {
        guest(programs::bluetooth_addresses_ok, way).allow("family=bluetooth").run().success();
    });
}

#[test]
pub(crate) fn bluetooth_sockets_denied() {
    booted(|way| {
        let guest = guest(programs::bluetooth_sockets_denied, way);
        guest.allow("family=bluetooth:l2cap").allow("family=bluetooth:hci:raw").run().success();
    });
}
