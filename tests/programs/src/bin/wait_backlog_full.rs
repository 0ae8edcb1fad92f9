//! Only under `forever` a connect waits for room in a UNIX listener's full backlog.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, syscalls, transfers};
use sandsock::{Error, Socket, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let again = RawError::Os(errno::EAGAIN);
    let peer = Address::Unix(UnixAddress::Path(path.clone().into_bytes()));
    let d = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    let hour = 3_600_000_000_000;
    for wait in [Wait::None, Wait::Within(hour), Wait::Until(u64::MAX)] {
        assert_eq!(connections::connect(&d, &peer, wait), Err(again.clone()), "at once");
    }
    descriptors::set_nonblocking(&d, true)?;
    assert_eq!(connections::connect(&d, &peer, Wait::Forever), Err(again));
    descriptors::set_nonblocking(&d, false)?;
    // Python: a timeout makes no difference, and it is no TimeoutError.
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(3600)))?;
    let error = socket.connect(&path).unwrap_err();
    assert_eq!((error.class(), error.errno()), ("BlockingIOError", Some(errno::EAGAIN)));
    assert_eq!(socket.connect_ex(&path)?, errno::EAGAIN);
    println!("waiting");
    connections::connect(&d, &peer, Wait::Forever)?;
    println!("connected");
    assert_eq!(transfers::receive(&d, 9, 0, Wait::Forever)?, b"hello");
    Ok(())
}
