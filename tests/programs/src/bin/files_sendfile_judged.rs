//! The errors of `sendfile` and the file's position after them, and the loop for files that are not
//! the host's.

use std::io::{Cursor, Seek};
use std::time::Duration;

use sandsock::constants::*;
use sandsock::{File, Result, Socket, socketpair};
use sandsock_test_programs::{connected, fails, fails_with, receive_all, times_out};

fn main() -> Result<()> {
    let file = File::open("data/small")?;
    let content = file.read(100)?;
    assert_eq!(content, b"0123456789");
    assert_eq!(file.read(100)?, b"", "the end");
    file.seek(3)?;

    let (client, server) = connected(AF_INET)?;
    let datagrams = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    fails(
        datagrams.sendfile(&file, 0, None),
        "ValueError",
        "only SOCK_STREAM type sockets are supported",
    );
    fails(
        client.sendfile(&file, 0, Some(0)),
        "ValueError",
        "count must be a positive integer (got 0)",
    );
    client.settimeout(Some(Duration::ZERO))?;
    fails(client.sendfile(&file, 0, None), "ValueError", "non-blocking sockets are not supported");
    let empty = File::open("data/empty")?;
    assert_eq!(client.sendfile(&empty, 0, None)?, 0, "an empty file comes before the timeout");
    client.settimeout(None)?;
    fails_with(client.sendfile(&file, 1 << 63, None), "OSError", sandsock::errno::EINVAL);
    assert_eq!(client.sendfile(&file, 10, None)?, 0);
    assert_eq!(file.tell()?, 3, "nothing was sent, the position stays");
    assert_eq!(client.sendfile(&file, 7, None)?, 3);
    assert_eq!(file.tell()?, 10);
    assert_eq!(client.sendfile(&file, 2, Some(4))?, 4);
    assert_eq!(file.tell()?, 6);
    assert_eq!(receive_all(&server, 7)?, b"7892345");

    // The loop: any file of the guest's own.
    let mut own = Cursor::new(content.repeat(2000));
    assert_eq!(client.sendfile_from(&mut own, 5, Some(12_345))?, 12_345);
    assert_eq!(own.stream_position().expect("a position"), 12_350);
    assert_eq!(receive_all(&server, 12_345)?, content.repeat(2000)[5..12_350]);
    let mut own = std::fs::File::open("/data/small").expect("opens");
    assert_eq!(client.sendfile_from(&mut own, 4, None)?, 6);
    assert_eq!(own.stream_position().expect("a position"), 10);
    assert_eq!(receive_all(&server, 6)?, b"456789");

    // The peer does not read, so a piece times out. The position shows how much was sent.
    let large = File::open("/data/large")?;
    let (a, _b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    a.settimeout(Some(Duration::from_millis(50)))?;
    times_out(a.sendfile(&large, 100, None));
    let sent = large.tell()?;
    assert!(sent > 100 && sent < large.size()?, "{sent}");

    // The peer has gone.
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    b.close()?;
    fails(a.sendfile(&file, 0, None), "BrokenPipeError", "[Errno 32] Broken pipe");
    a.close()?;
    fails(a.sendfile(&file, 0, None), "OSError", "[Errno 9] Bad file descriptor");
    Ok(())
}
