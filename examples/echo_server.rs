//! An echo server for TCP: `echo_server HOST PORT [CONNECTIONS]`. It ends after so many connections, if they are given.

use sandsock::constants::{AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET};
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let host = args.next().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port: u16 = args.next().and_then(|port| port.parse().ok()).unwrap_or(7777);
    let connections: u32 = args.next().and_then(|count| count.parse().ok()).unwrap_or(u32::MAX);

    let server = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)?;
    server.bind((host.as_str(), port))?;
    server.listen(None)?;
    println!("listening on {}", server.getsockname()?);
    for _ in 0..connections {
        let (connection, peer) = server.accept()?;
        println!("{peer} connected");
        loop {
            let data = connection.recv(64 * 1024, Flags::NONE)?;
            if data.is_empty() {
                break;
            }
            connection.sendall(&data, Flags::NONE)?;
        }
        println!("{peer} left");
    }
    Ok(())
}
