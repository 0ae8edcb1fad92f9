//! Fails, or is stopped, with open descriptors.

use sandsock::constants::*;
use sandsock::{Error, Flags, Socket, socketpair};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (path, port, how) =
        (args.next().expect("a path"), args.next().expect("a port"), args.next().expect("how"));
    let port: u16 = port.parse().expect("a number");
    let unix = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    unix.connect(&path)?;
    let tcp = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    tcp.connect(("127.0.0.1", port))?;
    let _copy = tcp.dup()?;
    let (_pair, waiting) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    println!("open");
    match how.as_str() {
        "trap" => panic!("as it was asked to"),
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "compute" => loop {
            std::hint::black_box(unix.fileno());
        },
        // Its wait is ended first, and it goes on.
        _ => loop {
            let _ = waiting.recv(1, Flags::NONE);
        },
    }
}
