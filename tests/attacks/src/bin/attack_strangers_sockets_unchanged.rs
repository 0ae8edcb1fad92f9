//! Receives a peer's descriptors, or lets them be dropped, and closes them. The sender's sockets
//! stay as they are. The twin may have them.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use sandsock::constants::*;
use sandsock::{Flags, Result, Socket};
use sandsock_attacks::is_twin;

fn main() -> Result<()> {
    let path = attack::args().pop().expect("a path");
    let inherited = sandsock::raw::descriptors::inherited();
    if inherited.contains(&3) {
        drop(Socket::with_fileno(3, None, None, None)?);
    }
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    for room in [0, 1, 10] {
        let received = connection.recv_fds(1, room)?;
        assert_eq!(received.data, b"x");
        let fds: Vec<i32> = received.ancillary.iter().flat_map(|message| message.fds()).collect();
        assert_eq!(fds.len(), if is_twin() { room.min(2) } else { 0 });
        for fd in fds {
            let socket = Socket::with_fileno(fd, None, None, None)?;
            // Natively too, all holders see the option.
            assert_eq!(
                socket.getsockopt_bytes(SOL_SOCKET, SO_LINGER, 8)?,
                [1i32.to_ne_bytes(), 77i32.to_ne_bytes()].concat()
            );
            socket.close()?;
        }
    }
    println!("let go");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
    Ok(())
}
