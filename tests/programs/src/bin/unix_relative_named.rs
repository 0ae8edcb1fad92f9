//! Binds relative paths: each is the socket's name as it was given. Arguments: the paths.

use sandsock::constants::*;
use sandsock::{Result, Socket};

fn main() -> Result<()> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    assert!(!paths.is_empty());
    for path in &paths {
        let listener = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        listener.bind(path.as_str())?;
        assert_eq!(listener.getsockname()?.to_string(), format!("'{path}'"));
        listener.listen(1)?;
        let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        client.connect(path.as_str())?;
        assert_eq!(client.getpeername()?.to_string(), format!("'{path}'"));
        let (server, _) = listener.accept()?;
        client.send(b"hello", 0)?;
        assert_eq!(server.recv(10, 0)?, b"hello");
        // A sender's name is what it was bound to as well.
        let (receiver, sender) =
            (Socket::new(AF_UNIX, SOCK_DGRAM, 0)?, Socket::new(AF_UNIX, SOCK_DGRAM, 0)?);
        let [to, from] = ["to", "from"].map(|end| format!("{path}-{end}"));
        receiver.bind(to.as_str())?;
        sender.bind(from.as_str())?;
        sender.sendto(b"x", 0, to.as_str())?;
        assert_eq!(receiver.recvfrom(10, 0)?.1.to_string(), format!("'{from}'"));
    }
    Ok(())
}
