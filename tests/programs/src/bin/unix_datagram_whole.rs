//! A datagram far longer than the receive buffer arrives whole.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)?;
    assert_eq!(socket.getsockopt(SOL_SOCKET, SO_RCVBUF)?, 8192, "the kernel doubles it");
    socket.bind(&path)?;
    println!("bound");
    let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    // Asked for exactly, for more, and for less.
    assert!(socket.recv(300_000, Flags::NONE)? == whole);
    assert!(socket.recv(usize::MAX >> 1, Flags::NONE)? == whole);
    assert!(socket.recv(100_000, Flags::NONE)? == whole[..100_000]);
    let mut buffer = vec![0; 400_000];
    assert_eq!(socket.recvfrom_into(&mut buffer, Flags::NONE)?.0, 300_000);
    assert!(buffer[..300_000] == whole);
    assert_eq!(socket.recv(10, Flags::NONE)?, b"last");
    Ok(())
}
