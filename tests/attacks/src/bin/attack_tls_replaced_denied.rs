//! Holds a session of TLS while the policy is replaced by one that does not grant the session's server any
//! more. Arguments, after `twin` or not: the server's name, its port, and another name of its address.
//! Prints `open`, and then how the next receive ended.
//!
//! The new policy of the twin grants the server too.

use std::time::Duration;

use sandsock::{
    ConnectTimeout, Family, Result, TlsOptions, TlsStream, create_connection, getaddrinfo,
};
use sandsock_attacks::is_twin;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1 + usize::from(is_twin())).collect();
    let (name, port) = (args[0].as_str(), args[1].parse::<u16>().expect("a port"));
    let timeout = ConnectTimeout::After(Duration::from_secs(20));
    let socket = create_connection((name, port), timeout, None, false)?;
    let stream = TlsStream::connect(socket, name, &TlsOptions::default())?;
    // The address stays granted by this name.
    getaddrinfo(&*args[2], (), Family::INET, sandsock::constants::SOCK_STREAM, 0, 0)?;
    println!("open");
    match stream.recv(100) {
        Ok(bytes) => println!("{} bytes", bytes.len()),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
