//! An echo server on a UNIX socket: `unix_server PATH [CLIENTS]`. `@NAME` instead of a path is an
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
    // The path is the host's own. `unix-bind=PATH` grants it; a file that is there already stays,
    // and the bind fails.
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

/// The kernel marks an abstract name by a NUL, which no shell can write.
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
