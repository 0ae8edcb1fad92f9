//! Connects to a name by the first of its addresses that answers, and prints what the server sends:
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

    // This only shows the addresses, because create_connection looks them up by itself. The grant
    // `tcp-connect=HOST:PORT` includes the look-up.
    for answer in
        getaddrinfo(host, port, Family::UNSPEC, SocketType::STREAM, 0, AddressInfoFlags::NONE)?
    {
        println!("{host} has {}", answer.address);
    }

    // Each address gets this time, one after the other. The error has the failure of each address.
    let timeout = ConnectTimeout::After(Duration::from_secs(5));
    let mut socket = create_connection((host, port), timeout, None, true)?;
    println!("connected to {}", socket.getpeername()?);

    // A socket also implements std::io::Read and Write.
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
