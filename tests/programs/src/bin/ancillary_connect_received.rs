//! Connects a socket that a native process shares, and whose open file description blocks.

use sandsock::constants::*;
use sandsock::raw::transfers::{self, ControlIn};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let mut args =
        std::env::args().skip(1).map(|path| Address::Unix(UnixAddress::Path(path.into_bytes())));
    let (control, full) =
        (args.next().expect("a path"), args.next().expect("the full listener's path"));
    let connection = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(&connection, &control, Wait::Forever)?;
    let mut received = transfers::receive_message(&connection, 1, 100, 0, Wait::Forever)?;
    let Some(ControlIn::Rights(mut list)) = received.control.pop() else { panic!("no descriptor") };
    let d = list.pop().expect("one descriptor");
    let os = |errno| Err(RawError::Os(errno));
    // The kernel's own connect waits for the backlog, and goes on whatever becomes of the guest's
    // wait.
    assert_eq!(connections::connect(&d, &full, Wait::None), os(errno::EINPROGRESS));
    assert_eq!(connections::finish_connect(&d, Wait::None), os(errno::EAGAIN));
    assert_eq!(connections::finish_connect(&d, Wait::Within(20_000_000)), os(errno::EAGAIN));
    println!("to be interrupted");
    assert_eq!(connections::finish_connect(&d, Wait::Forever), os(errno::EINTR));
    assert_eq!(syscalls::peer_address(&d).map(drop), os(errno::ENOTCONN));
    println!("to be accepted");
    connections::finish_connect(&d, Wait::Forever)?;
    assert_eq!(syscalls::peer_address(&d)?, Some(full));
    assert_eq!(transfers::receive(&d, 5, MSG_WAITALL, Wait::Forever)?, b"hello");
    Ok(())
}
