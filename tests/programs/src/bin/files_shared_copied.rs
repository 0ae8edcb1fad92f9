//! The host never calls sendfile(2) on a socket that another process may hold, because the call
//! could block there. It copies instead, with the same bytes and rules.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{File, Result, socketpair};
use sandsock_test_programs::{pattern, receive_all, times_out};

fn main() -> Result<()> {
    let file = File::open("/data/large")?;
    let (one, two) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    one.send_fds(&[std::io::IoSlice::new(b"x")], &[a.fileno()])?;
    let copy = two.recv_fds(1, 1)?.fds();
    assert_eq!(copy.len(), 1);
    assert_eq!(a.sendfile(&file, 10, Some(100_000))?, 100_000);
    assert_eq!(file.tell()?, 100_010);
    assert_eq!(receive_all(&b, 100_000)?, pattern(100_010)[10..]);
    a.settimeout(Some(Duration::from_millis(50)))?;
    times_out(a.sendfile(&file, 0, None));
    let sent = file.tell()?;
    assert!(sent > 0);
    assert_eq!(receive_all(&b, sent as usize)?, pattern(sent as usize));
    Ok(())
}
