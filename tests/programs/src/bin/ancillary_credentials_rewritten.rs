//! Claims another process's credentials.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, Error, Flags, Socket, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
    let claim = |data: &[u8]| {
        let message = Ancillary { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data: data.to_vec() };
        connection.sendmsg(&[IoSlice::new(b"x")], &[message], Flags::NONE, None)
    };
    let ids: Vec<u8> = [1i32, 12345, 54321].iter().flat_map(|id| id.to_ne_bytes()).collect();
    assert_eq!(claim(&ids)?, 1);
    for wrong in [&ids[..11], &[], &[0; 16]] {
        assert_eq!(claim(wrong).unwrap_err().errno(), Some(errno::EINVAL));
    }
    Ok(())
}
