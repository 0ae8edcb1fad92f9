//! Two namespaces: a connection over a real link, then over one that is down.

use std::time::Duration;

use sandsock::constants::*;
use sandsock::{Error, Socket};
use sandsock_test_programs::{argument, lasts, times_out};

fn main() -> Result<(), Error> {
    let (host, port): (String, u16) = (argument(0), argument(1));
    let address = (host.as_str(), port);
    let time = Duration::from_millis(600);
    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    socket.connect(address)?;
    assert_eq!(socket.getpeername()?.to_string(), format!("('{host}', {port})"));
    socket.sendall(b"hello", 0)?;
    assert_eq!(socket.recv(5, MSG_WAITALL)?, b"hello");

    // The test takes the link down when it reads this line, and then sends a byte by another way.
    println!("up");
    let told = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    told.connect(("127.0.0.1", argument::<u16>(2)))?;
    assert_eq!(told.recv(4, MSG_WAITALL)?, b"down");

    let second = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    second.settimeout(Some(time))?;
    times_out(lasts(time, || second.connect(address)));
    let third = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    third.settimeout(Some(time))?;
    assert_eq!(lasts(time, || third.connect_ex(address))?, 11);
    // A connected socket waits until its timeout.
    socket.settimeout(Some(time))?;
    socket.sendall(b"lost", 0)?;
    times_out(lasts(time, || socket.recv(4, 0)));

    println!("down");
    assert_eq!(told.recv(2, MSG_WAITALL)?, b"up");
    // TCP sends again what was lost.
    socket.settimeout(Some(Duration::from_secs(60)))?;
    assert_eq!(socket.recv(4, MSG_WAITALL)?, b"lost");
    Ok(())
}
