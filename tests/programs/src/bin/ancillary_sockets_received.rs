//! Receives the descriptors that its grants allow: sockets of families that it may create itself.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a path");
    let expected: Vec<i32> = args.map(|family| family.parse().expect("a family")).collect();
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let received = connection.recv_fds(100, 10)?;
    assert_eq!(received.data, b"three");
    assert_eq!(received.flags, Flags::CTRUNC, "the pipe is never let in");
    let fds: Vec<i32> = received.ancillary.iter().flat_map(|message| message.fds()).collect();
    assert_eq!(received.ancillary.is_empty(), expected.is_empty(), "no empty message");
    let mut families = Vec::new();
    for fd in fds {
        families.push(Socket::with_fileno(fd, None, None, None)?.family().0);
    }
    assert_eq!(families, expected);
    println!("received");
    assert_eq!(connection.recv(1, Flags::NONE)?, b"1");
    Ok(())
}
