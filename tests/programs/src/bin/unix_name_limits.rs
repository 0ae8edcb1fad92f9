//! A path has 107 bytes at most, an abstract name 108 with its NUL.

use sandsock::constants::*;
use sandsock::raw::syscalls;
use sandsock::raw::types::{Address, Error as RawError, UnixAddress};
use sandsock::{Error, ErrorKind, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (directory, tag) = (args.next().expect("a directory"), args.next().expect("a tag"));
    let path = |length: usize| format!("{directory}/{}", "p".repeat(length - directory.len() - 1));
    let name = |length: usize| format!("\0{tag}{}", "n".repeat(length - tag.len() - 1));
    for longest in [path(107), name(108)] {
        let server = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        server.bind(&longest)?;
        assert_eq!(server.getsockname()?, sandsock::Address::Unix(longest.clone().into_bytes()));
        server.listen(None)?;
        let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        client.connect(&longest)?;
        assert_eq!(client.getpeername()?, sandsock::Address::Unix(longest.into_bytes()));
    }
    for long in [path(108), path(300), name(109)] {
        let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
        for error in [socket.bind(&long).unwrap_err(), socket.connect(&long).unwrap_err()] {
            assert_eq!((error.kind(), error.errno()), (ErrorKind::Os, None));
            assert_eq!(error.to_string(), "AF_UNIX path too long");
        }
    }
    // The host itself refuses them too, and what is no path.
    let raw = syscalls::socket(AF_UNIX, SOCK_STREAM, 0)?;
    let unix = Address::Unix;
    for (address, errno) in [
        (UnixAddress::Path(path(108).into_bytes()), sandsock::errno::ENAMETOOLONG),
        (UnixAddress::Path(Vec::new()), sandsock::errno::EINVAL),
        (UnixAddress::Path(format!("{directory}/a\0b").into_bytes()), sandsock::errno::EINVAL),
        (UnixAddress::Abstract(vec![b'n'; 108]), sandsock::errno::EINVAL),
    ] {
        assert_eq!(
            syscalls::bind(&raw, &unix(address.clone())),
            Err(RawError::Os(errno)),
            "{address:?}"
        );
    }
    Ok(())
}
