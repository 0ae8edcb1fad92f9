//! Claims another process's credentials, with the grant to do so.

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Ancillary, Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a path");
    let process: i32 = args.next().expect("a process id").parse().expect("a number");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
    let data = [process, 12345, 54321].iter().flat_map(|id| id.to_ne_bytes()).collect();
    let message = Ancillary { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data };
    connection.sendmsg(&[IoSlice::new(b"x")], &[message], Flags::NONE, None)?;
    Ok(())
}
