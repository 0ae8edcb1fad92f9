//! A name that the kernel chooses needs a grant of every name.

use sandsock::constants::*;
use sandsock::{Address, Error, ErrorKind, Socket};

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    assert_eq!(socket.bind("").unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(socket.getsockname()?, Address::Unix(Vec::new()), "it was not bound");
    Ok(())
}
