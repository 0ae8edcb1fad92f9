//! Sends TEXT to a UNIX socket and prints what comes back: `unix_client PATH TEXT`. `@NAME` is an
//! abstract name.

use std::io::Read;

use sandsock::constants::{AF_UNIX, SHUT_WR, SOCK_STREAM};
use sandsock::{Flags, Socket};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, text] = args.as_slice() else {
        eprintln!("usage: unix_client PATH TEXT");
        std::process::exit(1);
    };

    let mut socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    // This needs the grant `unix-connect=PATH`.
    socket.connect(name(path))?;
    socket.sendall(text.as_bytes(), Flags::NONE)?;
    // The server reads up to this end, and then closes the connection.
    socket.shutdown(SHUT_WR)?;
    let mut back = String::new();
    socket.read_to_string(&mut back)?;
    println!("{back}");
    Ok(())
}

/// An abstract name begins with a NUL for the kernel. A shell can't write NUL, so `@` stands for
/// it.
fn name(path: &str) -> String {
    match path.strip_prefix('@') {
        Some(name) => format!("\0{name}"),
        None => path.to_owned(),
    }
}
