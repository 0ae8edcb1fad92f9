//! A TCP echo server that serves many clients at once on one thread: `echo_server HOST PORT
//! [CLIENTS]`.
//!
//! Only `poll` waits, and returns the sockets that are ready. If CLIENTS is given, the server ends
//! after this number of clients.

use std::collections::HashMap;

use sandsock::constants::{POLLIN, POLLOUT};
use sandsock::errno::{EAGAIN, ECONNABORTED};
use sandsock::{Address, Error, Flags, Poll, ServerOptions, Socket, create_server};

/// A client, and the bytes that it sent and has not got back yet.
struct Client {
    socket: Socket,
    address: Address,
    unsent: Vec<u8>,
}

impl Client {
    /// Receives or sends once, without waiting. Returns false if the client has left.
    fn serve(&mut self) -> Result<bool, Error> {
        if self.unsent.is_empty() {
            self.unsent = self.socket.recv(64 * 1024, Flags::NONE)?;
            if self.unsent.is_empty() {
                return Ok(false);
            }
        }
        let sent = self.socket.send(&self.unsent, Flags::NONE)?;
        self.unsent.drain(..sent);
        Ok(true)
    }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, most)) = parse(&args) else {
        eprintln!("usage: echo_server HOST PORT [CLIENTS]");
        std::process::exit(1);
    };

    // One call creates the socket, binds it and listens. It needs the grant
    // `tcp-listen=HOST:PORT`.
    let server = create_server((host, port), ServerOptions::default())?;
    server.setblocking(false)?;
    println!("listening on {}", server.getsockname()?);

    let mut poll = Poll::new();
    poll.register(&server, POLLIN)?;
    let mut clients: HashMap<i32, Client> = HashMap::new();
    let mut accepted = 0;
    while accepted < most || !clients.is_empty() {
        for (fd, _events) in poll.poll(None)? {
            if fd == server.fileno() {
                let (socket, address) = match server.accept() {
                    Ok(connection) => connection,
                    // The client had left before the server accepted it.
                    Err(error) if matches!(error.errno(), Some(EAGAIN | ECONNABORTED)) => continue,
                    Err(error) => return Err(error),
                };
                println!("{address} connected");
                socket.setblocking(false)?;
                poll.register(&socket, POLLIN)?;
                clients.insert(socket.fileno(), Client { socket, address, unsent: Vec::new() });
                accepted += 1;
                if accepted == most {
                    poll.unregister(&server)?;
                }
            } else if let Some(client) = clients.get_mut(&fd) {
                let stays = match client.serve() {
                    Ok(stays) => stays,
                    // The client reads more slowly than it sends. `poll` reports when there is
                    // room.
                    Err(error) if error.errno() == Some(EAGAIN) => true,
                    Err(error) => {
                        println!("{}: {error}", client.address);
                        false
                    }
                };
                if stays {
                    // The server reads more from a client only after the client got everything
                    // back.
                    poll.modify(
                        &client.socket,
                        if client.unsent.is_empty() { POLLIN } else { POLLOUT },
                    )?;
                } else {
                    println!("{} left", client.address);
                    poll.unregister(&client.socket)?;
                    clients.remove(&fd); // This closes the client's socket.
                }
            }
        }
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, u16, u64)> {
    match args {
        [host, port] => Some((host, port.parse().ok()?, u64::MAX)),
        [host, port, clients] => Some((host, port.parse().ok()?, clients.parse().ok()?)),
        _ => None,
    }
}
