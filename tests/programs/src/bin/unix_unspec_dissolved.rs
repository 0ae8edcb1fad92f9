//! AF_UNSPEC ends a datagram socket's association, and does nothing else.

use sandsock::constants::*;
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls, transfers};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let peer = Address::Unix(UnixAddress::Path(path.into_bytes()));
    let d = syscalls::socket(AF_UNIX, SOCK_DGRAM, 0)?;
    connections::connect(&d, &peer, Wait::None)?;
    assert_eq!(syscalls::peer_address(&d)?, Some(peer.clone()));
    transfers::send(&d, b"before", 0, Wait::None)?;
    connections::connect(&d, &Address::Unspec, Wait::None)?;
    assert_eq!(syscalls::peer_address(&d), Err(RawError::Os(errno::ENOTCONN)));
    assert_eq!(transfers::send(&d, b"x", 0, Wait::None), Err(RawError::Os(errno::ENOTCONN)));
    // The socket is good for another association.
    transfers::send_to(&d, b"between", 0, &peer, Wait::None)?;
    connections::connect(&d, &peer, Wait::None)?;
    transfers::send(&d, b"after", 0, Wait::None)?;
    assert_eq!(
        transfers::send_to(&d, b"x", 0, &Address::Unspec, Wait::None),
        Err(RawError::Os(errno::EAFNOSUPPORT))
    );
    assert_eq!(syscalls::bind(&d, &Address::Unspec), Err(RawError::Os(errno::EAFNOSUPPORT)));
    Ok(())
}
