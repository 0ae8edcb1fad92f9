//! Prints the SHA-256 of a file, or of standard input (`-`), by the kernel's own hash: `sha256 PATH`.

use std::io::Read;

use sandsock::constants::{AF_ALG, MSG_MORE, SOCK_SEQPACKET};
use sandsock::raw::types::{self, AlgAddress};
use sandsock::{Address, Flags, Socket};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut input: Box<dyn Read> = match std::env::args().nth(1).as_deref() {
        None => {
            eprintln!("usage: sha256 PATH (- for standard input)");
            std::process::exit(1);
        }
        Some("-") => Box::new(std::io::stdin()),
        Some(path) => Box::new(std::fs::File::open(path)?),
    };
    let algorithm = AlgAddress { kind: "hash".into(), name: "sha256".into(), feature: 0, mask: 0 };
    let socket = Socket::new(AF_ALG, SOCK_SEQPACKET, 0)?;
    // `family=alg:hash:sha256` grants this. What accept gives does the work.
    socket.bind(Address::Other(types::Address::Alg(algorithm)))?;
    let (work, _) = socket.accept()?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer)? {
            0 => break,
            length => work.sendall(&buffer[..length], Flags(MSG_MORE))?,
        }
    }
    work.send(b"", 0)?;
    let hex: String = work.recv(32, 0)?.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}");
    Ok(())
}
