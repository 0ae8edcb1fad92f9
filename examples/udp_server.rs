//! Sends every datagram back to its sender: `udp_server HOST PORT [DATAGRAMS]`.

use sandsock::constants::{AF_INET, SOCK_DGRAM};
use sandsock::{Error, Flags, Socket};

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, most)) = parse(&args) else {
        eprintln!("usage: udp_server HOST PORT [DATAGRAMS]");
        std::process::exit(1);
    };

    let socket = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    // This needs the grant `udp-bind=HOST:PORT`, which covers nothing but the bind.
    socket.bind((host, port))?;
    println!("bound to {}", socket.getsockname()?);

    for _ in 0..most {
        // Datagrams arrive only from senders that a grant `udp-send` or `udp-receive` names. All
        // others are dropped.
        let (data, sender) = socket.recvfrom(64 * 1024, Flags::NONE)?;
        println!("{} bytes from {sender}", data.len());
        socket.sendto(&data, Flags::NONE, &sender)?;
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, u16, u64)> {
    match args {
        [host, port] => Some((host, port.parse().ok()?, u64::MAX)),
        [host, port, datagrams] => Some((host, port.parse().ok()?, datagrams.parse().ok()?)),
        _ => None,
    }
}
