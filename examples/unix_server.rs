//! An echo server on a UNIX socket: `unix_server PATH [CLIENTS]`. `@NAME` in place of a path is an
//! abstract name.

use sandsock::constants::{AF_UNIX, SOCK_STREAM};
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((path, most)) = parse(&args) else {
        eprintln!("usage: unix_server PATH [CLIENTS]");
        std::process::exit(1);
    };

    let server = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    // The path is the host's own, and needs the grant `unix-bind=PATH`. If a file exists already,
    // it stays, and the bind fails.
    server.bind(name(path))?;
    server.listen(None)?;
    println!("listening on {}", server.getsockname()?);

    for client in 1..=most {
        let (connection, _) = server.accept()?;
        println!("client {client} connected");
        if let Err(error) = echo(&connection) {
            println!("client {client}: {error}");
        }
    }
    Ok(())
}

fn echo(connection: &Socket) -> Result<(), Error> {
    loop {
        let data = connection.recv(64 * 1024, Flags::NONE)?;
        if data.is_empty() {
            return Ok(());
        }
        connection.sendall(&data, Flags::NONE)?;
    }
}

/// An abstract name begins with a NUL for the kernel. A shell can't write NUL, so `@` stands for
/// it.
fn name(path: &str) -> String {
    match path.strip_prefix('@') {
        Some(name) => format!("\0{name}"),
        None => path.to_owned(),
    }
}

fn parse(args: &[String]) -> Option<(&str, u64)> {
    match args {
        [path] => Some((path, u64::MAX)),
        [path, clients] => Some((path, clients.parse().ok()?)),
        _ => None,
    }
}
