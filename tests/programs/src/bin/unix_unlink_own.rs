//! Removes the name of a socket that it has bound, while the socket serves, and binds it again. Other
//! names stay. Arguments: a path to bind, the path of another program's socket, and a path without a
//! grant. With a fourth one, another program changes the name after the first line and then connects.

use sandsock::constants::*;
use sandsock::raw::{syscalls, types};
use sandsock::{Result, Socket, errno, unlink};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (path, other, denied) = (args[0].as_str(), args[1].as_str(), args[2].as_str());
    let listener = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    listener.bind(path)?;
    listener.listen(1)?;
    // The host refuses what the crate does not ask for.
    let stays = |path: &str| {
        let answer = syscalls::unbind(path.as_bytes());
        assert_eq!(answer, Err(types::Error::Os(errno::ENOENT)), "{path}");
    };
    stays(other);
    assert!(matches!(syscalls::unbind(denied.as_bytes()), Err(types::Error::Denied(_))));
    assert_eq!(unlink(other).map_err(|error| error.errno()), Err(Some(errno::ENOENT)));
    if args.len() > 3 {
        println!("bound");
        listener.accept()?;
        stays(path);
        return Ok(());
    }
    let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    client.connect(path)?;
    unlink(path)?;
    stays(path);
    let (server, _) = listener.accept()?;
    client.send(b"hello", 0)?;
    assert_eq!(server.recv(10, 0)?, b"hello");
    let late = Socket::new(AF_UNIX, SOCK_STREAM, 0)?.connect(path);
    assert_eq!(late.map_err(|error| error.errno()), Err(Some(errno::ENOENT)));
    let again = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    again.bind(path)?;
    drop((listener, again));
    // The name of a closed socket can be removed too.
    unlink(path)
}
