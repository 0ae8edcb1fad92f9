//! Tells a server a secret over TLS, and reads what it answers. Arguments, after `twin` or not: the
//! server's name, its port, and the protocols to offer by ALPN. Prints how the handshake ended, and then how the answer ended.
//!
//! The twin talks to a server that proves its name. The others may be anybody.

use std::time::Duration;

use sandsock::{ConnectTimeout, Flags, Result, TlsOptions, TlsStream, create_connection};
use sandsock_attacks::is_twin;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1 + usize::from(is_twin())).collect();
    let (name, port) = (args[0].as_str(), args[1].parse::<u16>().expect("a port"));
    let options = TlsOptions { alpn: args[2..].to_vec(), ..TlsOptions::default() };
    let timeout = ConnectTimeout::After(Duration::from_secs(20));
    let socket = create_connection((name, port), timeout, None, false)?;
    let kept = socket.dup()?;
    let stream = match TlsStream::connect(socket, name, &options) {
        Ok(stream) => stream,
        Err(error) => {
            println!("refused: {error}");
            // The session stays, and takes nothing any more.
            kept.send(b"the secret", Flags::NONE).expect_err("it failed");
            kept.recv(100, Flags::NONE).expect_err("it failed");
            TlsStream::connect(kept, name, &options).expect_err("there is one");
            return Ok(());
        }
    };
    println!("open");
    stream.sendall(b"the secret")?;
    let mut answer = Vec::new();
    let end = loop {
        match stream.recv(1000) {
            Ok(bytes) if bytes.is_empty() => break "the end".to_owned(),
            Ok(bytes) => answer.extend(bytes),
            Err(error) => break error.to_string(),
        }
    };
    println!("{}: {end}", String::from_utf8_lossy(&answer));
    Ok(())
}
