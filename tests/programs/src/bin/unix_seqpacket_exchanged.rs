//! Sequenced packets keep their bounds, and are cut at the end of the buffer.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (own, peer) = (args.next().expect("a path"), args.next().expect("the peer's path"));
    let server = Socket::new(AF_UNIX, SOCK_SEQPACKET, 0)?;
    server.bind(&own)?;
    server.listen(1)?;
    println!("listening");
    let (connection, _) = server.accept()?;
    let client = Socket::new(AF_UNIX, SOCK_SEQPACKET, 0)?;
    client.connect(&peer)?;
    for socket in [&connection, &client] {
        assert_eq!(socket.recv(1 << 20, Flags::NONE)?, b"one");
        assert_eq!(socket.recv(2, Flags::NONE)?, b"tw", "the rest is lost");
        let received = socket.recvmsg(4, 0, Flags::NONE)?;
        assert_eq!((received.data.as_slice(), received.flags), (b"thre".as_slice(), Flags::TRUNC));
        let mut buffer = [0; 2];
        assert_eq!(socket.recv_into(&mut buffer, Flags::TRUNC)?, 4, "the message's own length");
        assert_eq!(&buffer, b"fo");
        assert_eq!(socket.recv(100, Flags::PEEK)?, b"five");
        assert_eq!(socket.recv(100, Flags::NONE)?, b"five");
        assert_eq!(socket.send(b"a", Flags::NONE)?, 1);
        assert_eq!(socket.send(b"bc", Flags::NONE)?, 2);
        assert_eq!(socket.recv(1 << 20, Flags::NONE)?, b"", "the end");
    }
    Ok(())
}
