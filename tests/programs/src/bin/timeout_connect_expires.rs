//! A connection that is not answered: the time, the errors, and that the connect goes on without
//! the guest.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{ConnectTimeout, Error, Socket, create_connection, select};
use sandsock_test_programs::{argument, lasts, times_out};

fn main() -> Result<(), Error> {
    // The listener's queue is full: the kernel drops what asks to connect.
    let address = ("127.0.0.1", argument::<u16>(0));
    let time = Duration::from_millis(300);
    let connecting = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    connecting.settimeout(Some(time))?;
    times_out(lasts(time, || connecting.connect(address)));
    let other = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    other.settimeout(Some(time))?;
    assert_eq!(lasts(time, || other.connect_ex(address))?, 11);
    assert_eq!(
        lasts(Duration::ZERO, || other.connect_ex(address))?,
        114,
        "EALREADY: it is under way"
    );
    other.setblocking(false)?;
    assert_eq!(other.connect_ex(address)?, 114);
    let created =
        lasts(time, || create_connection(address, ConnectTimeout::After(time), None, false));
    times_out(created);

    // SO_SNDTIMEO ends a blocking one, as EINPROGRESS.
    let blocking = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    let timeval = [0i64.to_le_bytes(), 300_000i64.to_le_bytes()].concat();
    blocking.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeval.as_slice())?;
    assert_eq!(lasts(time, || blocking.connect_ex(address))?, 115);
    blocking.close()?;
    other.close()?;

    // The queue is emptied: the connection is made after all, when the kernel asks once more.
    println!("waiting");
    connecting.settimeout(Some(Duration::from_secs(30)))?;
    let (_, writable, _) = select(&[], &[&connecting], &[], Some(Duration::from_secs(30)))?;
    assert_eq!(writable.len(), 1);
    assert_eq!(connecting.connect_ex(address)?, 0);
    assert_eq!(connecting.recv(2, MSG_WAITALL)?, b"hi");
    Ok(())
}
