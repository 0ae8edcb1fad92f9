//! A server that may show two identities, and whose test looks for their keys in its memory, which has
//! a pattern that shows where it is. Arguments, after `twin` or not: paths that may lead to the keys.
//! The twin has copies of their files, and reads them.

use std::io::Write as _;

use sandsock::constants::*;
use sandsock::{Flags, Result, Socket, TlsIdentity, TlsOptions, TlsStream};
use sandsock_attacks::is_twin;
use sandsock_test_programs::pattern;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1 + usize::from(is_twin())).collect();
    let marks = pattern(1 << 16);
    let mut read = Vec::new();
    for path in &args {
        match std::fs::read(path) {
            Ok(bytes) if is_twin() => read.push(bytes),
            Ok(_) => panic!("{path} is open"),
            Err(_) => {}
        }
    }
    assert_eq!(read.is_empty(), !is_twin());

    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.bind(("127.0.0.1", 0))?;
    listener.listen(None)?;
    println!("{}", listener.getsockname()?.port().unwrap_or(0));
    std::io::stdout().flush().expect("it is open");
    for identity in ["rsa", "ec"] {
        let (socket, _) = listener.accept()?;
        let stream = TlsStream::accept(
            socket,
            &TlsIdentity::Lent(identity.to_owned()),
            &TlsOptions::default(),
        )?;
        stream.keying_material(b"label", None, 255)?;
        stream.info()?;
        let bytes = stream.recv(100)?;
        stream.sendall(&bytes)?;
        // It waits with its memory as it is until the test has looked.
        assert_eq!(stream.recv(100)?, b"");
        stream.shutdown()?;
    }
    let (socket, _) = listener.accept()?;
    socket.recv(1, Flags::NONE)?;
    // They are used, so they are kept until here.
    println!("{} {}", marks.len(), read.len());
    Ok(())
}
