//! Control messages for which there is no room are cut, the cut is reported, and their descriptors
//! are closed.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, cmsg_len, cmsg_space};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).expect("a path");
    let connection = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    connection.connect(&path)?;
    let room = |room: usize| connection.recvmsg(3, room, Flags::NONE);
    // The kernel has room for two where one is asked for with its padding.
    let cases =
        [(cmsg_len(4)?, 1), (cmsg_space(4)?, 2), (cmsg_len(3)?, 0), (cmsg_len(0)?, 0), (0, 0)];
    for (bytes, expected) in cases {
        let received = room(bytes)?;
        assert_eq!(received.data, b"two");
        assert_eq!(received.flags.contains(Flags::CTRUNC), expected < 2);
        let fds: Vec<i32> = received.ancillary.iter().flat_map(|message| message.fds()).collect();
        assert_eq!(fds.len(), expected);
        println!("{expected}");
        assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
        for fd in fds {
            sandsock::close(fd)?;
        }
        println!("closed");
        assert_eq!(connection.recv(1, Flags::NONE)?, b"g");
    }
    assert_eq!(connection.recv_fds(3, 1)?.ancillary[0].fds().len(), 1);
    Ok(())
}
