//! Without a grant no call receives a descriptor. The bytes arrive.

use std::io::IoSliceMut;

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let received = connection.recvmsg(3, 1000, Flags::NONE)?;
    assert_eq!((received.data.as_slice(), received.flags), (b"two".as_slice(), Flags::CTRUNC));
    assert_eq!(received.ancillary, []);
    let mut buffer = [0; 3];
    let received =
        connection.recvmsg_into(&mut [IoSliceMut::new(&mut buffer)], 1000, Flags::NONE)?;
    assert_eq!((buffer, received.flags), (*b"two", Flags::CTRUNC));
    assert_eq!(received.ancillary, []);
    assert_eq!(connection.recv(3, Flags::NONE)?, b"two");
    assert_eq!(connection.recvfrom(3, Flags::NONE)?.0, b"two");
    println!("received");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"1");
    Ok(())
}
