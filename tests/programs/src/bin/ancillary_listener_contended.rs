//! Accepts on a listener on which a native process accepts too, until it is interrupted.

use sandsock::constants::*;
use sandsock::raw::transfers::{self, ControlIn};
use sandsock::raw::types::{Address, Error as RawError, UnixAddress, Wait};
use sandsock::raw::{connections, syscalls};
use sandsock::{Error, errno};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    connections::connect(
        &connection,
        &Address::Unix(UnixAddress::Path(path.into_bytes())),
        Wait::Forever,
    )?;
    let mut received = transfers::receive_message(&connection, 1, 100, 0, Wait::Forever)?;
    let Some(ControlIn::Rights(mut list)) = received.control.pop() else { panic!("no descriptor") };
    let listener = list.pop().expect("one descriptor");
    println!("accepting");
    for round in 0.. {
        // Whatever way it waits, it gets away again.
        let wait = if round % 2 == 0 { Wait::Within(3_000_000) } else { Wait::Forever };
        match connections::accept(&listener, wait) {
            Ok(accepted) => drop(transfers::send(&accepted.descriptor, b"g", 0, Wait::None)?),
            Err(RawError::Os(errno::EAGAIN)) => {}
            Err(RawError::Os(errno::EINTR)) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    Ok(())
}
