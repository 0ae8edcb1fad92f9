//! Prints the SHA-256 of a file, or of standard input (`-`), computed by the kernel: `sha256 PATH`.
//!
//! The file is in a folder of `--dir FOLDER:ro`. The kernel passes its bytes to the hash, and they
//! never enter the guest.

use std::io::Read;

use sandsock::constants::{AF_ALG, MSG_MORE, SOCK_SEQPACKET};
use sandsock::raw::types::{self, AlgAddress};
use sandsock::{Address, File, Flags, Socket};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: sha256 PATH (- for standard input)");
        std::process::exit(1);
    };
    let algorithm = AlgAddress { kind: "hash".into(), name: "sha256".into(), feature: 0, mask: 0 };
    let socket = Socket::new(AF_ALG, SOCK_SEQPACKET, 0)?;
    // This needs the grant `family=alg:hash:sha256`. The accepted socket computes the hash.
    socket.bind(Address::Other(types::Address::Alg(algorithm)))?;
    let (work, _) = socket.accept()?;
    if path == "-" {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match std::io::stdin().read(&mut buffer)? {
                0 => break,
                length => work.sendall(&buffer[..length], Flags(MSG_MORE))?,
            }
        }
        work.send(b"", 0)?;
    } else {
        work.sendfile(&File::open(&path)?, 0, None)?;
    }
    let hex: String = work.recv(32, 0)?.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}");
    Ok(())
}
