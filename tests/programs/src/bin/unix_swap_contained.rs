//! Binds and connects again and again while the directories change places.

use sandsock::constants::*;
use sandsock::{Error, ErrorKind, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (directory, listener) =
        (args.next().expect("a directory"), args.next().expect("a listener's path"));
    let (mut made, mut reached, mut refused) = (0, 0, 0);
    for n in 0..100_000 {
        if made > 100 && reached > 100 && refused > 100 {
            return Ok(());
        }
        let server = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        match server.bind(format!("{directory}/made-{n}")) {
            Ok(()) => {
                server.listen(None)?;
                println!("made-{n}");
                made += 1;
            }
            // It was bound outside of the granted folder, so every further use of it is refused.
            Err(error) if error.kind() == ErrorKind::Denied => {
                assert!(server.listen(None).is_err());
                refused += 1;
            }
            Err(error) => assert_eq!(error.errno(), Some(sandsock::errno::ENOENT), "{error:?}"),
        }
        let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        match client.connect(&listener) {
            Ok(()) => {
                assert_eq!(client.recv(10, Flags::NONE)?, b"inside");
                reached += 1;
            }
            Err(error) if error.kind() == ErrorKind::Denied => refused += 1,
            Err(error) => assert_eq!(error.errno(), Some(sandsock::errno::ENOENT), "{error:?}"),
        }
    }
    panic!("not all came about: {made} made, {reached} reached, {refused} refused");
}
