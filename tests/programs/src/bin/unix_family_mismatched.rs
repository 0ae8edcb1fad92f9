//! Another family's address is EAFNOSUPPORT, whatever is granted.

use sandsock::constants::*;
use sandsock::raw::types::{
    Address, Error as RawError, Inet6Address, InetAddress, NetlinkAddress, OtherAddress, Wait,
};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Error, ErrorKind, Flags, Socket, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let bytes = [path.as_bytes(), b"\0"].concat();
    let addresses = [
        Address::Inet(InetAddress { address: (127, 0, 0, 1), port: 9 }),
        Address::Inet6(Inet6Address {
            address: (0, 0, 0, 0, 0, 0, 0, 1),
            port: 9,
            flow_info: 0,
            scope_id: 0,
        }),
        Address::Netlink(NetlinkAddress { port_id: 0, groups: 0 }),
        Address::Other(OtherAddress { family: AF_UNIX as u16, data: bytes }),
        Address::Other(OtherAddress { family: 44, data: vec![0; 14] }),
    ];
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        for address in &addresses {
            let d = syscalls::socket(AF_UNIX, kind, 0)?;
            let refused = RawError::Os(errno::EAFNOSUPPORT);
            assert_eq!(syscalls::bind(&d, address), Err(refused.clone()), "{address:?}");
            assert_eq!(
                connections::connect(&d, address, Wait::Forever),
                Err(refused.clone()),
                "{address:?}"
            );
            assert_eq!(
                transfers::send_to(&d, b"x", 0, address, Wait::Forever),
                Err(refused.clone()),
                "{address:?}"
            );
            let message =
                transfers::send_message(&d, &[b"x"], &[], 0, Some(address), Wait::Forever);
            assert_eq!(message, Err(refused), "{address:?}");
        }
    }
    // Python's own word for it.
    let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    assert_eq!(socket.connect(("127.0.0.1", 9)).unwrap_err().kind(), ErrorKind::Type);
    assert_eq!(
        socket.sendto(b"x", Flags::NONE, ("127.0.0.1", 9)).unwrap_err().kind(),
        ErrorKind::Type
    );
    Ok(())
}
