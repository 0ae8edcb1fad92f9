//! L2CAP between two controllers: arguments are their device addresses.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, pattern};

const PSM: i32 = 0x1001;

fn main() -> Result<(), Error> {
    let (one, two): (String, String) = (argument(0), argument(1));
    let socket = || -> Result<Socket, Error> {
        let socket = Socket::new(AF_BLUETOOTH, SOCK_SEQPACKET, BTPROTO_L2CAP)?;
        socket.settimeout(Some(Duration::from_secs(20)))?;
        Ok(socket)
    };
    let listener = socket()?;
    listener.bind((&*one, PSM))?;
    assert_eq!(listener.getsockname()?.to_string(), format!("('{one}', {PSM})"));
    listener.listen(None)?;
    let client = socket()?;
    client.bind((&*two, 0))?;
    client.connect((&*one, PSM))?;
    assert!(
        client.getpeername()?.to_string().starts_with(&format!("('{one}', {PSM}")),
        "{}",
        client.getpeername()?
    );
    let (server, peer) = listener.accept()?;
    assert!(peer.to_string().starts_with(&format!("('{two}', {PSM}")), "{peer}");
    server.settimeout(Some(Duration::from_secs(20)))?;
    // A send is a message; 672 is the default of the largest.
    for length in [1, 100, 672] {
        client.send(&pattern(length), 0)?;
        server.send(&pattern(length)[..length / 2 + 1], 0)?;
        assert!(server.recv(1000, 0)? == pattern(length));
        assert!(client.recv(1000, 0)? == pattern(length)[..length / 2 + 1]);
    }
    // struct bt_security: level and key size.
    assert_eq!(client.getsockopt_bytes(SOL_BLUETOOTH, BT_SECURITY, 2)?[0], BT_SECURITY_LOW as u8);
    // struct l2cap_options: the outgoing and the incoming unit.
    let options = client.getsockopt_bytes(SOL_L2CAP, L2CAP_OPTIONS, 12)?;
    assert_eq!(options[..4], [672u16.to_ne_bytes(), 672u16.to_ne_bytes()].concat());
    client.close()?;
    assert_eq!(server.recv(100, 0)?, b"");
    Ok(())
}
