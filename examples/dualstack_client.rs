//! Connects to a name by whichever of its addresses answers, and prints what it is told:
//! `dualstack_client HOST PORT`.

use std::io::Read;
use std::time::Duration;

use sandsock::{
    AddressInfoFlags, ConnectTimeout, Family, SocketType, create_connection, getaddrinfo,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port)) = parse(&args) else {
        eprintln!("usage: dualstack_client HOST PORT");
        std::process::exit(1);
    };

    // Only to show them: create_connection looks them up by itself. `tcp-connect=HOST:PORT` grants
    // the look-up too.
    for answer in
        getaddrinfo(host, port, Family::UNSPEC, SocketType::STREAM, 0, AddressInfoFlags::NONE)?
    {
        println!("{host} has {}", answer.address);
    }

    // Each address gets this long, in turn; the error says of each what went wrong.
    let timeout = ConnectTimeout::After(Duration::from_secs(5));
    let mut socket = create_connection((host, port), timeout, None, true)?;
    println!("connected to {}", socket.getpeername()?);

    // A socket is a std::io::Read and Write as well.
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    print!("{text}");
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, u16)> {
    match args {
        [host, port] => Some((host, port.parse().ok()?)),
        _ => None,
    }
}
