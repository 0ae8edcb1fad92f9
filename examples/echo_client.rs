//! Sends each TEXT to an echo server and prints what comes back: `echo_client HOST PORT TEXT...`.

use std::time::Duration;

use sandsock::constants::{AF_INET, SOCK_STREAM};
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, texts)) = parse(&args) else {
        eprintln!("usage: echo_client HOST PORT TEXT...");
        std::process::exit(1);
    };

    let socket = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    // From now on, no call waits longer than this.
    socket.settimeout(Some(Duration::from_secs(5)))?;
    // This needs the grant `tcp-connect=HOST:PORT`.
    socket.connect((host, port))?;
    println!("connected to {}", socket.getpeername()?);

    for text in texts {
        socket.sendall(text.as_bytes(), Flags::NONE)?;
        // A stream has no message boundaries, so one text may come back in parts.
        let mut back = Vec::new();
        while back.len() < text.len() {
            let part = socket.recv(text.len() - back.len(), Flags::NONE)?;
            if part.is_empty() {
                eprintln!("the server closed the connection");
                std::process::exit(1);
            }
            back.extend(part);
        }
        println!("{}", String::from_utf8_lossy(&back));
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, u16, &[String])> {
    match args {
        [host, port, texts @ ..] if !texts.is_empty() => Some((host, port.parse().ok()?, texts)),
        _ => None,
    }
}
