//! Sends a descriptor over a socket that others share, and closes the socket. For the others it
//! stays open. With `stays` the guest goes on. The twin has the socket alone, so its close ends the
//! connection.

#[path = "../../../programs/src/attack.rs"]
#[allow(dead_code)]
mod attack;

use std::io::IoSlice;

use sandsock::constants::*;
use sandsock::{Flags, Result, Socket, errno, socketpair};

fn send(through: &Socket, fd: i32) -> Result<usize> {
    through.send_fds(&[IoSlice::new(b"m")], &[fd])
}

fn main() -> Result<()> {
    let args = attack::args();
    let [way, limit, path] = &args[..] else { panic!("a way, a limit and a path") };
    let limit: usize = limit.parse().expect("a number");
    let control = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    control.connect(path)?;
    let (parked, _keep) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let (spare, _taker) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    let through = match way.as_str() {
        "inherited" => Socket::with_fileno(3, None, None, None)?,
        "adopted" => {
            let number = control.recv(8, Flags::NONE)?;
            let number = String::from_utf8_lossy(&number).trim().parse().expect("a number");
            sandsock::fromfd(number, AF_UNIX, SOCK_STREAM, 0)?
        }
        "received" => {
            let received = control.recv_fds(1, 1)?;
            Socket::with_fileno(received.ancillary[0].fds()[0], None, None, None)?
        }
        // An end of a pair, of which the test gets both.
        "sent" => {
            let (own, other) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            control.send_fds(&[IoSlice::new(b"s")], &[own.fileno(), other.fileno()])?;
            own
        }
        // The twin: the test gets the other end alone.
        "twin" => {
            let (own, other) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
            control.send_fds(&[IoSlice::new(b"s")], &[other.fileno()])?;
            own
        }
        other => panic!("no way {other}"),
    };
    // The test has taken what came by the control connection: nothing of that is on its way.
    assert_eq!(control.recv(1, Flags::NONE)?, b"t");
    for _ in 0..limit {
        send(&through, parked.fileno())?;
    }
    through.close()?;
    // They are counted all the same.
    assert_eq!(send(&spare, parked.fileno()).unwrap_err().errno(), Some(errno::ETOOMANYREFS));
    control.sendall(b"1", Flags::NONE)?;
    assert_eq!(control.recv(1, Flags::NONE)?, b"g");
    send(&spare, parked.fileno())?;
    control.sendall(b"2", Flags::NONE)?;
    assert_eq!(control.recv(1, Flags::NONE)?, b"g");
    Ok(())
}
