//! Addresses of every protocol, bound and printed, and types that are not served. Arguments are the
//! controllers' device addresses.

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, fails, fails_with};

fn main() -> Result<(), Error> {
    let one: String = argument(0);
    let sco = Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_SCO)?;
    sco.bind(&*one)?;
    assert_eq!(sco.getsockname()?.to_string(), format!("'{one}'"));
    fails_with(sco.bind(&*one), "OSError", sandsock::errno::EBADFD);

    let l2cap = Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP)?;
    fails(l2cap.bind(&*one), "OSError", "bind(): wrong format");
    fails(l2cap.bind(("00:AA:01:00:00", 1)), "OSError", "bad bluetooth address");
    fails_with(l2cap.bind((&*one, 0x1002)), "OSError", sandsock::errno::EINVAL);
    l2cap.bind((BDADDR_ANY, 0x1003))?;
    assert_eq!(l2cap.getsockname()?.to_string(), format!("('{BDADDR_ANY}', 4099)"));

    let low_energy = Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP)?;
    low_energy.bind((&*one, 0x80, 0, BDADDR_LE_PUBLIC))?;
    assert_eq!(low_energy.getsockname()?.to_string(), format!("('{one}', 128, 0, 1)"));

    let rfcomm = Socket::new(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_RFCOMM)?;
    fails(rfcomm.bind((&*one, 1, 2)), "OSError", "bind(): wrong format");
    // A channel of the kernel's choice comes with listen.
    rfcomm.bind((&*one, 0))?;
    rfcomm.listen(None)?;
    assert_eq!(rfcomm.getsockname()?.to_string(), format!("('{one}', 1)"));

    // Shutdown and close of these types may wait for the peer.
    fails_with(
        Socket::new(AF_BLUETOOTH, SOCK_STREAM, BTPROTO_L2CAP),
        "OSError",
        sandsock::errno::ESOCKTNOSUPPORT,
    );
    Ok(())
}
