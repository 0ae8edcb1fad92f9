//! Sends TEXT as a datagram and prints the answer. It makes up to three attempts: `udp_client HOST
//! PORT TEXT`.

use std::time::Duration;

use sandsock::constants::{AF_INET, SOCK_DGRAM};
use sandsock::{Error, ErrorKind, Flags, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, text)) = parse(&args) else {
        eprintln!("usage: udp_client HOST PORT TEXT");
        std::process::exit(1);
    };

    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    socket.settimeout(Some(Duration::from_secs(1)))?;
    for attempt in 1..=3 {
        // This needs the grant `udp-send=HOST:PORT`, which covers the answer.
        socket.sendto(text.as_bytes(), Flags::NONE, (host, port))?;
        match socket.recvfrom(64 * 1024, Flags::NONE) {
            Ok((data, sender)) => {
                println!("{sender} answered: {}", String::from_utf8_lossy(&data));
                return Ok(());
            }
            // Datagrams may get lost.
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                println!("attempt {attempt}: no answer")
            }
            Err(error) => return Err(error),
        }
    }
    std::process::exit(1);
}

fn parse(args: &[String]) -> Option<(&str, u16, &str)> {
    match args {
        [host, port, text] => Some((host, port.parse().ok()?, text)),
        _ => None,
    }
}
