//! Binds published addresses, 10.9.8.7:80 and [fd00::9]:53, which this host does not have. It sees
//! these as its own addresses.

use sandsock::constants::*;
use sandsock::{Flags, Result, Socket};

fn main() -> Result<()> {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("10.9.8.7", 80))?;
    listener.listen(5)?;
    println!("{}", listener.getsockname()?);
    let udp = Socket::new(AF_INET6, SOCK_DGRAM, 0)?;
    udp.bind(("fd00::9", 53))?;
    println!("{}", udp.getsockname()?);

    let (connection, peer) = listener.accept()?;
    assert_eq!(peer, connection.getpeername()?);
    println!("{peer}");
    println!("{}", connection.getsockname()?);
    connection.sendall(b"over TCP", Flags::NONE)?;
    drop(connection);

    let (data, peer) = udp.recvfrom(100, Flags::NONE)?;
    println!("{peer}");
    udp.sendto(&data, Flags::NONE, &peer)?;
    // A connected socket has the same local address.
    udp.connect(peer)?;
    println!("{}", udp.getsockname()?);
    Ok(())
}
