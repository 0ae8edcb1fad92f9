//! The kernel sends a file of 64 MiB, whole and in part, and none of it comes into the guest's
//! memory.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{File, Result, Socket};
use sandsock_test_programs::{argument, memory_pages};

fn main() -> Result<()> {
    let port: u16 = argument(0);
    let connect = || -> Result<Socket> {
        let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
        socket.connect(("127.0.0.1", port))?;
        Ok(socket)
    };
    let file = File::open("/data/large")?;
    let size = file.size()?;
    assert_eq!(size, 64 << 20);
    assert_eq!(file.read(5)?.len(), 5);
    assert_eq!(file.tell()?, 5);
    let before = memory_pages();

    // Send it whole, because Linux blocks.
    let socket = connect()?;
    assert_eq!(socket.sendfile(&file, 0, None)?, size);
    assert_eq!(file.tell()?, size, "the position is behind the last byte");
    socket.close()?;

    // A part, with a timeout that holds for each piece.
    let socket = connect()?;
    socket.settimeout(Some(Duration::from_secs(20)))?;
    assert_eq!(socket.sendfile(&file, 1_000_003, Some(20_000_000))?, 20_000_000);
    assert_eq!(file.tell()?, 21_000_003);
    socket.close()?;

    // More than there is.
    let socket = connect()?;
    assert_eq!(socket.sendfile(&file, size - 10, Some(1 << 40))?, 10);
    assert_eq!(file.tell()?, size);
    socket.close()?;

    assert_eq!(memory_pages(), before, "the file went through the guest");
    Ok(())
}
