//! Talks over AF_VSOCK to a native peer that listens on the given port, and sends its bytes back in
//! reverse.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Address, Error, Flags, Socket};
use sandsock_test_programs::argument;

fn main() -> Result<(), Error> {
    let socket = Socket::new(AF_VSOCK, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(20)))?;
    socket.connect(Address::Vsock(VMADDR_CID_LOCAL, argument(0)))?;
    loop {
        let mut data = socket.recv(100_000, 0)?;
        if data.is_empty() {
            return Ok(());
        }
        data.iter_mut().for_each(|byte| *byte = !*byte);
        socket.sendall(&data, Flags::NONE)?;
    }
}
