//! Serves one connection of a native client, and sends back its bytes.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let server = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    server.bind(("127.0.0.1", 0))?;
    server.listen(None)?;
    println!("{}", server.getsockname()?.port().unwrap_or(0));
    let (connection, _) = server.accept()?;
    loop {
        let data = connection.recv(4096, Flags::NONE)?;
        if data.is_empty() {
            return Ok(());
        }
        connection.sendall(&data, Flags::NONE)?;
    }
}
