//! Serves connections that `handover_front` hands over: `handover_worker NAME`. It has no grant to
//! use TCP by itself.

use sandsock::constants::{AF_INET, AF_UNIX, SOCK_STREAM};
use sandsock::{Error, Flags, Socket, close, fromfd};

fn main() -> Result<(), Error> {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: handover_worker NAME");
        std::process::exit(1);
    };
    if let Err(error) = Socket::new(AF_INET, SOCK_STREAM, 0)?.bind(("127.0.0.1", 0)) {
        println!("on its own: {error}");
    }

    let front = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    front.connect(format!("\0{name}"))?;
    loop {
        // This needs the grant `ancillary=rights:receive,any`. Without `any`, only sockets of a
        // kind that some other grant is about are let in.
        let received = front.recv_fds(1, 1)?;
        if received.data.is_empty() {
            return Ok(());
        }
        for fd in received.fds() {
            let connection = fromfd(fd, AF_INET, SOCK_STREAM, 0)?;
            close(fd)?;
            println!("serving {}", connection.getpeername()?);
            let words = connection.recv(1024, Flags::NONE)?;
            connection.sendall(b"the worker heard: ", Flags::NONE)?;
            connection.sendall(&words, Flags::NONE)?;
        }
    }
}
