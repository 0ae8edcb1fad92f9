//! The blocking bit of an open file description that a native process shares.

use sandsock::constants::*;
use sandsock::raw::transfers::{self, ControlIn};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, descriptors, interrupts, syscalls};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(
        &connection,
        &Address::Unix(UnixAddress::Path(path.into_bytes())),
        Wait::Forever,
    )?;
    let go = || -> Result<(), Error> {
        assert_eq!(transfers::receive(&connection, 1, 0, Wait::Forever)?, b"g");
        Ok(())
    };
    let mut received = transfers::receive_message(&connection, 1, 100, 0, Wait::Forever)?;
    let Some(ControlIn::Rights(mut list)) = received.control.pop() else { panic!("no descriptor") };
    let listener = list.pop().expect("one descriptor");
    let again = Err(RawError::Os(errno::EAGAIN));
    let accept = |wait| connections::accept(&listener, wait).map(drop);

    assert!(!descriptors::get_nonblocking(&listener)?);
    assert_eq!(accept(Wait::None), again);
    assert_eq!(accept(Wait::Within(20_000_000)), again);
    println!("waiting for a connection");
    assert_eq!(accept(Wait::Forever), Ok(()));
    println!("waiting for an interrupt");
    assert_eq!(accept(Wait::Forever), Err(RawError::Os(errno::EINTR)));
    assert!(!interrupts::take());

    descriptors::set_nonblocking(&listener, true)?;
    println!("set");
    go()?;
    assert_eq!(accept(Wait::Forever), again, "it does not block");
    assert_eq!(accept(Wait::Within(20_000_000)), again);
    println!("the native one's turn");
    go()?;
    assert!(!descriptors::get_nonblocking(&listener)?, "the native holder has cleared it");
    println!("waiting for a connection");
    assert_eq!(accept(Wait::Forever), Ok(()));
    println!("the native one's turn");
    go()?;
    assert!(descriptors::get_nonblocking(&listener)?, "the native holder has set it");
    assert!(descriptors::get_nonblocking(&descriptors::duplicate(&listener)?)?);
    assert_eq!(accept(Wait::Forever), again);
    Ok(())
}
