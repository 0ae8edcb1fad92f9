//! Lets the kernel choose a name.

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    socket.bind("")?;
    let Address::Unix(name) = socket.getsockname()? else { panic!("another family") };
    assert_eq!((name.len(), name[0]), (6, 0), "a NUL and five digits");
    let digits = std::str::from_utf8(&name[1..]).expect("text");
    println!("{digits}");
    assert_eq!(socket.recv(100, Flags::NONE)?, b"found");
    Ok(())
}
