//! Answers the datagrams of every sender at a path.

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (own, peer) = (args.next().expect("a path"), args.next().expect("the peer's path"));
    let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    socket.bind(&own)?;
    println!("bound");
    let (data, from) = socket.recvfrom(100, Flags::NONE)?;
    assert_eq!(
        (data.as_slice(), &from),
        (b"named".as_slice(), &Address::Unix(peer.clone().into_bytes()))
    );
    assert_eq!(socket.sendto(b"to the sender", Flags::NONE, from)?, 13);
    let (data, from) = socket.recvfrom(100, Flags::NONE)?;
    // Python gives None for a sender without a name.
    assert_eq!((data.as_slice(), from), (b"unnamed".as_slice(), Address::None));
    let (data, from) = socket.recvfrom(100, Flags::NONE)?;
    assert_eq!(
        (data.as_slice(), from),
        (
            b"abstract".as_slice(),
            Address::Unix(b"\0\xffsandsock\0".iter().chain(own.as_bytes()).copied().collect())
        )
    );
    let (data, _) = socket.recvfrom(3, Flags::NONE)?;
    assert_eq!(data, b"cut", "a datagram's rest is lost");
    let received = socket.recvmsg(3, 0, Flags::TRUNC)?;
    assert_eq!((received.data.as_slice(), received.flags), (b"cut".as_slice(), Flags::TRUNC));
    socket.connect(&peer)?;
    assert_eq!(socket.getpeername()?.path(), Some(peer.as_bytes()));
    assert_eq!(socket.send(b"connected", Flags::NONE)?, 9);
    Ok(())
}
